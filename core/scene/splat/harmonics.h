#pragma once
#include <core/kernels/both.h>

/// Internal to core/scene/splat and core/cuda.
namespace orrery::scene {

constexpr double kC0 = 0.28209479177387814, kC1 = 0.4886025119029199;
constexpr double kC20 = 1.0925484305920792, kC22 = 0.31539156525252005, kC24 = 0.5462742152960396;
constexpr double kC30 = -0.5900435899266435, kC31 = 2.890611442640554, kC32 = -0.4570457994644658, kC33 = 0.3731763325901154,
                 kC35 = 1.445305721320277;

ORRERY_BOTH inline void setRow(double (&row)[3], double scale, double x, double y, double z)
{
    row[0] = scale * x;
    row[1] = scale * y;
    row[2] = scale * z;
}

ORRERY_BOTH inline void secondHarmonics(double x, double y, double z, double* basis)
{
    basis[4] = kC20 * x * y;
    basis[5] = -kC20 * y * z;
    basis[6] = kC22 * (2 * z * z - x * x - y * y);
    basis[7] = -kC20 * x * z;
    basis[8] = kC24 * (x * x - y * y);
}

ORRERY_BOTH inline void thirdHarmonics(double x, double y, double z, double* basis)
{
    const double xx = x * x, yy = y * y, zz = z * z;
    basis[9] = kC30 * y * (3 * xx - yy);
    basis[10] = kC31 * x * y * z;
    basis[11] = kC32 * y * (4 * zz - xx - yy);
    basis[12] = kC33 * z * (2 * zz - 3 * xx - 3 * yy);
    basis[13] = kC32 * x * (4 * zz - xx - yy);
    basis[14] = kC35 * z * (xx - yy);
    basis[15] = kC30 * x * (xx - 3 * yy);
}

ORRERY_BOTH inline void secondHarmonicDerivatives(double x, double y, double z, double (*d)[3])
{
    setRow(d[4], kC20, y, x, 0);
    setRow(d[5], -kC20, 0, z, y);
    setRow(d[6], kC22, -2 * x, -2 * y, 4 * z);
    setRow(d[7], -kC20, z, 0, x);
    setRow(d[8], kC24, 2 * x, -2 * y, 0);
}

ORRERY_BOTH inline void thirdHarmonicDerivatives(double x, double y, double z, double (*d)[3])
{
    const double xx = x * x, yy = y * y, zz = z * z;
    setRow(d[9], kC30, 6 * x * y, 3 * xx - 3 * yy, 0);
    setRow(d[10], kC31, y * z, x * z, x * y);
    setRow(d[11], kC32, -2 * x * y, 4 * zz - xx - 3 * yy, 8 * y * z);
    setRow(d[12], kC33, -6 * x * z, -6 * y * z, 6 * zz - 3 * xx - 3 * yy);
    setRow(d[13], kC32, 4 * zz - 3 * xx - yy, -2 * x * y, 8 * x * z);
    setRow(d[14], kC35, 2 * x * z, -2 * y * z, xx - yy);
    setRow(d[15], kC30, 3 * xx - 3 * yy, -6 * x * y, 0);
}

/// Spherical harmonics as 3D Gaussian splatting has them, coefficients in its order; direction of length 1.
/// @param derivatives  [3] where not null: by x, y, z of the direction taken as free.
/// Source: Sloan (2008), "Stupid Spherical Harmonics Tricks", appendix A2.
ORRERY_BOTH inline void harmonicBasis(int degree, double x, double y, double z, double* basis, double (*derivatives)[3])
{
    basis[0] = kC0;
    if (degree >= 1) {
        basis[1] = -kC1 * y;
        basis[2] = kC1 * z;
        basis[3] = -kC1 * x;
    }
    if (degree >= 2)
        secondHarmonics(x, y, z, basis);
    if (degree >= 3)
        thirdHarmonics(x, y, z, basis);
    if (!derivatives)
        return;
    setRow(derivatives[0], 0, 0, 0, 0);
    if (degree >= 1) {
        setRow(derivatives[1], -kC1, 0, 1, 0);
        setRow(derivatives[2], kC1, 0, 0, 1);
        setRow(derivatives[3], -kC1, 1, 0, 0);
    }
    if (degree >= 2)
        secondHarmonicDerivatives(x, y, z, derivatives);
    if (degree >= 3)
        thirdHarmonicDerivatives(x, y, z, derivatives);
}

}  // namespace orrery::scene
