#include "footprint.h"

namespace orrery::scene {
namespace {

constexpr double kC0 = 0.28209479177387814, kC1 = 0.4886025119029199;
constexpr double kC2[] = {1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396};
constexpr double kC3[] = {-0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154,
                          -0.4570457994644658, 1.445305721320277, -0.5900435899266435};

void set(double (&row)[3], double scale, double x, double y, double z)
{
    row[0] = scale * x;
    row[1] = scale * y;
    row[2] = scale * z;
}

void secondDegree(double x, double y, double z, double* basis)
{
    basis[4] = kC2[0] * x * y;
    basis[5] = kC2[1] * y * z;
    basis[6] = kC2[2] * (2 * z * z - x * x - y * y);
    basis[7] = kC2[3] * x * z;
    basis[8] = kC2[4] * (x * x - y * y);
}

void thirdDegree(double x, double y, double z, double* basis)
{
    const double xx = x * x, yy = y * y, zz = z * z;
    basis[9] = kC3[0] * y * (3 * xx - yy);
    basis[10] = kC3[1] * x * y * z;
    basis[11] = kC3[2] * y * (4 * zz - xx - yy);
    basis[12] = kC3[3] * z * (2 * zz - 3 * xx - 3 * yy);
    basis[13] = kC3[4] * x * (4 * zz - xx - yy);
    basis[14] = kC3[5] * z * (xx - yy);
    basis[15] = kC3[6] * x * (xx - 3 * yy);
}

void secondDerivatives(double x, double y, double z, double (*d)[3])
{
    set(d[4], kC2[0], y, x, 0);
    set(d[5], kC2[1], 0, z, y);
    set(d[6], kC2[2], -2 * x, -2 * y, 4 * z);
    set(d[7], kC2[3], z, 0, x);
    set(d[8], kC2[4], 2 * x, -2 * y, 0);
}

void thirdDerivatives(double x, double y, double z, double (*d)[3])
{
    const double xx = x * x, yy = y * y, zz = z * z;
    set(d[9], kC3[0], 6 * x * y, 3 * xx - 3 * yy, 0);
    set(d[10], kC3[1], y * z, x * z, x * y);
    set(d[11], kC3[2], -2 * x * y, 4 * zz - xx - 3 * yy, 8 * y * z);
    set(d[12], kC3[3], -6 * x * z, -6 * y * z, 6 * zz - 3 * xx - 3 * yy);
    set(d[13], kC3[4], 4 * zz - 3 * xx - yy, -2 * x * y, 8 * x * z);
    set(d[14], kC3[5], 2 * x * z, -2 * y * z, xx - yy);
    set(d[15], kC3[6], 3 * xx - 3 * yy, -6 * x * y, 0);
}

}  // namespace

void harmonicBasis(int degree, double x, double y, double z, double* basis, double (*derivatives)[3])
{
    basis[0] = kC0;
    if (degree >= 1) {
        basis[1] = -kC1 * y;
        basis[2] = kC1 * z;
        basis[3] = -kC1 * x;
    }
    if (degree >= 2)
        secondDegree(x, y, z, basis);
    if (degree >= 3)
        thirdDegree(x, y, z, basis);
    if (!derivatives)
        return;
    set(derivatives[0], 0, 0, 0, 0);
    if (degree >= 1) {
        set(derivatives[1], -kC1, 0, 1, 0);
        set(derivatives[2], kC1, 0, 0, 1);
        set(derivatives[3], -kC1, 1, 0, 0);
    }
    if (degree >= 2)
        secondDerivatives(x, y, z, derivatives);
    if (degree >= 3)
        thirdDerivatives(x, y, z, derivatives);
}

}  // namespace orrery::scene
