#include <ATen/ATen.h>

#include <core/base/plural.h>
#include <core/base/text.h>

#include "metric.h"

namespace orrery::explain {
namespace {

struct PointedGrid {
    std::int64_t height = 1, width = 1;
};

PointedGrid gridOf(const at::Tensor& x)
{
    if (x.dim() == 4)
        return {x.size(2), x.size(3)};
    return {1, x.dim() == 3 ? x.size(1) : x.numel() / std::max<std::int64_t>(x.size(0), 1)};
}

// [left, top, right, bottom], the last two exclusive.
at::Tensor boxMask(const core::Json& box, const PointedGrid& grid)
{
    const auto edges = box.get<std::vector<std::int64_t>>();
    const bool fits = edges.size() == 4 && 0 <= edges[0] && edges[0] < edges[2] && edges[2] <= grid.width && 0 <= edges[1] && edges[1] < edges[3] &&
                      edges[3] <= grid.height;
    if (!fits)
        throw core::InputError(
            fmt::format("pointing_game.box: expected [left, top, right, bottom] with 0 <= left < right <= {} and 0 <= top < bottom <= "
                        "{}, got {}",
                        grid.width, grid.height, box.dump()));
    auto mask = at::zeros({grid.height, grid.width}, at::kBool);
    mask.slice(0, edges[1], edges[3]).slice(1, edges[0], edges[2]).fill_(true);
    return mask;
}

at::Tensor listedMask(const core::Json& rows, const PointedGrid& grid)
{
    const auto nested = rows.is_array() && !rows.empty() && rows[0].is_array() ? rows : core::Json::array({rows});
    std::vector<double> values;
    for (const auto& row : nested) {
        if (!row.is_array() || std::int64_t(row.size()) != grid.width)
            values.clear();
        else
            for (const auto& value : row)
                values.push_back(value.is_boolean() ? double(value.get<bool>()) : value.is_number() ? value.get<double>() : std::nan(""));
    }
    const bool isNumber = std::none_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
    if (std::int64_t(nested.size()) != grid.height || std::int64_t(values.size()) != grid.height * grid.width || !isNumber)
        throw core::InputError(fmt::format("pointing_game.mask: expected {} of {} numbers 0 or 1", core::counted(grid.height, "list"), grid.width));
    const auto mask = at::tensor(values, at::kDouble).reshape({grid.height, grid.width}).ne(0);
    if (!mask.any().item<bool>())
        throw core::InputError("pointing_game.mask: expected at least one element that is not 0");
    return mask;
}

bool isHit(const at::Tensor& mask, std::int64_t row, std::int64_t column, double tolerance)
{
    const auto cells = mask.nonzero().to(at::kDouble);
    const auto distance = (cells.select(1, 0) - double(row)).square() + (cells.select(1, 1) - double(column)).square();
    return distance.min().item<double>() <= tolerance * tolerance;
}

MetricResult pointingGame(const MetricSubject& subject, const core::Json& parameters, std::uint64_t)
{
    const auto &box = parameters.at("box"), &listed = parameters.at("mask");
    if (box.is_null() == listed.is_null())
        throw core::InputError("pointing_game: expected one of box and mask: where the thing is that the attribution should point at");
    subject.control.report(0, 1, "samples");
    const auto site = subject.atSite();
    const auto grid = gridOf(site.value());
    const auto mask = box.is_null() ? listedMask(listed, grid) : boxMask(box, grid);
    const auto best = perUnit(subject.attributionLike(site)).argmax(1).to(at::kCPU);
    MetricResult result;
    result.value = at::zeros({best.size(0)}, at::kDouble);
    auto points = core::Json::array();
    for (std::int64_t i = 0; i < best.size(0); ++i) {
        const auto index = best[i].item<std::int64_t>(), row = index / grid.width, column = index % grid.width;
        result.value[i] = isHit(mask, row, column, parameters.at("tolerance").get<double>()) ? 1.0 : 0.0;
        points.push_back({column, row});
    }
    result.details = {{"points", points}};
    subject.control.report(1, 1, "samples");
    return result;
}

}  // namespace

void addPointingGame(core::Registry<AttributionMetric>& registry)
{
    core::Component component{
        "pointing_game",
        "Pointing game",
        "1 if the attribution's largest unit lies on the thing it should show, else 0.",
        "Zhang, Lin, Brandt, Shen & Sclaroff (2016), \"Top-down Neural Attention by Excitation Backprop\", arXiv:1608.00507, section 4.1",
        {core::list("box", core::integer("", 0, "").atLeast(0), nullptr,
                    "Where the thing is: left, top, right, bottom in pixels, the last two exclusive; of a sequence or table: first, 0, last + 1, 1.")
             .noneByDefault(),
         core::any("mask", nullptr, "Where the thing is: rows of 0 and 1, or one list of them for a sequence or table; in place of box.").orNone(),
         core::real("tolerance", 0, "How far from the thing still counts; the paper takes 15 on photographs.").atLeast(0).withUnit("px")}};
    registry.add(std::move(component), pointingGame);
}

}  // namespace orrery::explain
