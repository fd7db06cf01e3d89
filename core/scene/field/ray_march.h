#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include <core/kernels/both.h>

/// Internal to core/scene/field and core/cuda: the walk along a ray.
namespace orrery::scene {

constexpr float kFar = 3e38f;

/// The part of a ray inside the cube [-0.5, 0.5]^3; distances in lengths of its direction.
struct CubeRay {
    float origin[3], direction[3], inverse[3];
    float near = 0, far = 0;  // far <= near: the cube is not met

    ORRERY_BOTH explicit CubeRay(const float* row)
    {
        near = 0;
        far = kFar;
        for (int a = 0; a < 3; ++a) {
            origin[a] = row[a];
            direction[a] = row[3 + a];
            inverse[a] = direction[a] == 0 ? kFar : 1 / direction[a];
            if (direction[a] == 0) {
                if (!(std::abs(origin[a]) <= 0.5f))
                    far = -1;
                continue;
            }
            const float s = (-0.5f - origin[a]) * inverse[a], t = (0.5f - origin[a]) * inverse[a];
            near = std::max(near, std::min(s, t));
            far = std::min(far, std::max(s, t));
        }
        // A direction of length 0, or one with a NaN, meets nothing.
        if (!(far > near) || !(far < kFar) || !std::isfinite(near) || !(speed() > 1e-20f))
            far = near = 0;
    }
    ORRERY_BOTH float speed() const { return std::sqrt(direction[0] * direction[0] + direction[1] * direction[1] + direction[2] * direction[2]); }
    ORRERY_BOTH float at(int a, float t) const { return origin[a] + t * direction[a]; }
};

/// Visits the samples of a ray that lie in occupied cells: f(t, step).
class March {
public:
    /// @param grid  [cells, cells, cells]
    ORRERY_BOTH March(const float* grid, std::int64_t cells, std::int64_t steps, float threshold)
        : m_grid(grid), m_cells(int(cells)), m_step(std::sqrt(3.0f) / float(steps)), m_threshold(threshold)
    {
    }
    /// In lengths of the ray's direction.
    ORRERY_BOTH float step(const CubeRay& ray) const { return m_step / ray.speed(); }
    template <class Visit>
    ORRERY_BOTH void walk(const CubeRay& ray, float jitter, const Visit& visit) const
    {
        if (!(ray.far > ray.near))
            return;
        const float dt = step(ray);
        const auto count = std::int64_t(std::ceil((ray.far - ray.near) / dt));
        for (std::int64_t i = 0; i < count;) {
            const float t = ray.near + (float(i) + jitter) * dt;
            if (t >= ray.far)
                break;
            int cell[3];
            for (int a = 0; a < 3; ++a)
                cell[a] = std::clamp(int((ray.at(a, t) + 0.5f) * float(m_cells)), 0, m_cells - 1);
            if (m_grid[(cell[0] * m_cells + cell[1]) * m_cells + cell[2]] > m_threshold) {
                visit(t, dt);
                ++i;
            } else {
                // On to the first step behind this cell; the lattice of steps stays, so skipping moves no sample.
                const float exit = leave(ray, cell, t);
                i = std::max(i + 1, std::int64_t(std::ceil((exit - ray.near) / dt - jitter)));
            }
        }
    }

private:
    ORRERY_BOTH float leave(const CubeRay& ray, const int* cell, float t) const
    {
        float exit = kFar;
        for (int a = 0; a < 3; ++a) {
            if (ray.direction[a] == 0)
                continue;
            const float wall = float(cell[a] + (ray.direction[a] > 0 ? 1 : 0)) / float(m_cells) - 0.5f;
            exit = std::min(exit, (wall - ray.origin[a]) * ray.inverse[a]);
        }
        return std::max(exit, t);
    }
    const float* m_grid;
    int m_cells;
    float m_step, m_threshold;
};

}  // namespace orrery::scene
