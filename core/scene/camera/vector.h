#pragma once
#include <cmath>

#include <core/kernels/both.h>

#include "camera.h"

/// Small algebra of points and rigid poses, double. Free of libtorch.
namespace orrery::scene {

ORRERY_BOTH inline Vector3 operator+(const Vector3& a, const Vector3& b)
{
    return {a[0] + b[0], a[1] + b[1], a[2] + b[2]};
}
ORRERY_BOTH inline Vector3 operator-(const Vector3& a, const Vector3& b)
{
    return {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
}
ORRERY_BOTH inline Vector3 operator*(double s, const Vector3& a)
{
    return {s * a[0], s * a[1], s * a[2]};
}
ORRERY_BOTH inline double dot(const Vector3& a, const Vector3& b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
ORRERY_BOTH inline Vector3 cross(const Vector3& a, const Vector3& b)
{
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
ORRERY_BOTH inline double length(const Vector3& a)
{
    return std::sqrt(dot(a, a));
}
/// The zero vector stays zero.
ORRERY_BOTH inline Vector3 normalised(const Vector3& a)
{
    const double n = length(a);
    return n > 0 ? (1 / n) * a : a;
}
/// The direction without the translation.
ORRERY_BOTH inline Vector3 rotate(const Matrix4& m, const Vector3& v)
{
    return {m[0] * v[0] + m[1] * v[1] + m[2] * v[2], m[4] * v[0] + m[5] * v[1] + m[6] * v[2], m[8] * v[0] + m[9] * v[1] + m[10] * v[2]};
}
ORRERY_BOTH inline Vector3 translation(const Matrix4& m)
{
    return {m[3], m[7], m[11]};
}
/// A point of the world.
ORRERY_BOTH inline Vector3 transform(const Matrix4& m, const Vector3& p)
{
    return rotate(m, p) + translation(m);
}
/// Column `c` of the rotation: where axis c points.
ORRERY_BOTH inline Vector3 axis(const Matrix4& m, int c)
{
    return {m[std::size_t(c)], m[std::size_t(4 + c)], m[std::size_t(8 + c)]};
}
/// The pose with the given axes as columns and the given origin.
ORRERY_BOTH inline Matrix4 poseOf(const Vector3& x, const Vector3& y, const Vector3& z, const Vector3& origin)
{
    return {x[0], y[0], z[0], origin[0], x[1], y[1], z[1], origin[1], x[2], y[2], z[2], origin[2], 0, 0, 0, 1};
}

}  // namespace orrery::scene
