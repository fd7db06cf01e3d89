#pragma once
#include <vector>

/// What a picture of splats is compared with its target by. Free of libtorch.
namespace orrery::scene {

struct PhotometricLoss {
    double l1 = 0;                ///< mean absolute difference
    double ssim = 0;              ///< mean structural similarity, 1 for equal pictures
    double mse = 0;               ///< mean squared difference
    double loss = 0;              ///< (1 - weight) * l1 + weight * (1 - ssim)
    std::vector<float> gradient;  ///< of the loss by the picture
};

/// @param picture, target  [row, column, 3]; values 0..1, though nothing is cut off.
/// @param ssimWeight       0.2 in 3D Gaussian splatting; 0 leaves the similarity out (it is then 0).
/// Structural similarity with a Gaussian window of 11 x 11, sigma 1.5, zeros beyond the edges, constants 0.01^2 and 0.03^2.
/// @throws core::ShapeError if sizes do not fit. Any thread; the result does not depend on the number of threads.
/// Source: Wang et al. (2004), "Image quality assessment: from error visibility to structural similarity", doi:10.1109/TIP.2003.819861; Kerbl et al. (2023),
/// arXiv:2308.04079, equation 7.
PhotometricLoss photometricLoss(const std::vector<float>& picture, const std::vector<float>& target, int width, int height, double ssimWeight,
                                int threads = 0);

/// -10 log10(mse), decibel.
double psnrOf(double mse);

}  // namespace orrery::scene
