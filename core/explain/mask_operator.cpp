#include "mask_operator.h"

#include <ATen/ATen.h>

#include <cmath>

namespace orrery::explain {
namespace {

// How hard the smooth maximum is: with 20 it is within a few per cent of the maximum.
constexpr double kColdness = 20;

}  // namespace

MaskOperator::MaskOperator(std::int64_t height, std::int64_t width, std::int64_t step, double sigma, const at::TensorOptions& options,
                           std::int64_t margin)
    : m_height(height + 2 * margin), m_width(width + 2 * margin), m_rows((height + step - 1) / step), m_columns((width + step - 1) / step)
{
    const auto whole = at::TensorOptions().dtype(at::kLong);
    const auto radius = 1 + std::int64_t(std::ceil(sigma / double(step)));
    // Nodes lie in the middle of their cells of step x step pixels.
    const double middle = double(step - 1) / 2;
    const auto y = at::arange(-margin, height + margin, whole).unsqueeze(1).expand({m_height, m_width}).reshape(-1);
    const auto x = at::arange(-margin, width + margin, whole).repeat({m_height});
    std::vector<at::Tensor> neighbours, bells;
    for (auto dy = -radius; dy <= radius; ++dy)
        for (auto dx = -radius; dx <= radius; ++dx) {
            const auto row = y.div(step, "floor") + dy, column = x.div(step, "floor") + dx;
            const auto inside = row.ge(0) & row.lt(m_rows) & column.ge(0) & column.lt(m_columns);
            const auto distance = ((y - (row * step + middle)).square() + (x - (column * step + middle)).square()).to(at::kDouble).sqrt();
            const auto bell = (-2 * (distance / sigma - 0.5).clamp_min(0).square()).exp();
            neighbours.push_back(row.clamp(0, m_rows - 1) * m_columns + column.clamp(0, m_columns - 1));
            bells.push_back(bell * inside.to(at::kDouble));
        }
    m_neighbours = at::cat(neighbours).to(options.device());
    m_bell = at::stack(bells).to(options.device(), c10::typeMetaToScalarType(options.dtype()));
}

at::Tensor MaskOperator::operator()(const at::Tensor& nodes) const
{
    const auto lifted = m_bell * nodes.flatten(1).index_select(1, m_neighbours).reshape({nodes.size(0), m_bell.size(0), m_bell.size(1)});
    return (lifted * (kColdness * lifted).softmax(1)).sum(1).reshape({nodes.size(0), m_height, m_width});
}

}  // namespace orrery::explain
