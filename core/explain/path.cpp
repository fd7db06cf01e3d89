#include "path.h"

namespace orrery::explain {

std::vector<core::Parameter> convergenceParameters(const char* limit, std::int64_t defaultLimit, const char* unit)
{
    return {core::real("tolerance", 0.01,
                       fmt::format("{} are doubled until the completeness error of every sample is at most this; none: n_{}, once.",
                                   std::string_view(unit) == "steps" ? "Steps" : "Samples", unit))
                .above(0)
                .noneByDefault(),
            core::integer(limit, defaultLimit, "With a tolerance: where doubling stops.").range(1, 1000000)};
}

core::Parameter internalBatchSizeParameter()
{
    return core::integer("internal_batch_size", 64, "Rows evaluated at a time; none: 64.").range(1, 1000000).noneByDefault();
}

core::Parameter baselineAtParameter()
{
    return core::choice(
        "baseline_at", {"site", "input"}, "site",
        "Where the baseline is constant: at the attributed value, or at the model's input (the attributed value's baseline follows).");
}

std::vector<core::Parameter> pathParameters()
{
    std::vector<core::Parameter> parameters = {core::integer("n_steps", 50, "Points on the path.").range(1, 100000),
                                               core::choice("method",
                                                            {"gausslegendre", "riemann_trapezoid", "riemann_left", "riemann_right", "riemann_middle"},
                                                            "gausslegendre", "Quadrature rule."),
                                               core::real("baseline", 0, "Value of every feature at the start of the path.")};
    for (auto& parameter : convergenceParameters("max_steps", 3200, "steps"))
        parameters.push_back(std::move(parameter));
    parameters.push_back(internalBatchSizeParameter());
    return parameters;
}

core::Schema pathSchema(std::vector<core::Parameter> own)
{
    core::Schema schema;
    for (auto& parameter : own)
        schema.add(std::move(parameter));
    for (auto& parameter : pathParameters())
        schema.add(std::move(parameter));
    return schema;
}

std::int64_t copiesPerBatch(const ScalarFunction& function, const core::Json& parameters)
{
    const auto batch = std::max<std::int64_t>(std::int64_t(function.targets().size()), 1);
    const auto wanted = parameters.at("internal_batch_size");
    // A batch of 64 rows keeps two cores busy and the caches warm; larger ones were not faster.
    return std::max<std::int64_t>((wanted.is_null() ? 64 : wanted.get<std::int64_t>()) / batch, 1);
}

at::Tensor siteBaseline(const ScalarFunction& function, const core::Json& parameters)
{
    const double constant = parameters.at("baseline").get<double>();
    const bool atSite = parameters.value("baseline_at", "site") == "site";
    const auto origin = atSite ? function.site() : function.origin();
    if (origin == function.site())
        return at::full_like(function.value(), constant);
    PassRequest request;
    request.values = {function.site()};
    return function.forward(origin, at::full_like(function.valueOf(origin), constant), 1, request).values.at(function.site());
}

Path sitePath(const ScalarFunction& function, const core::Json& parameters)
{
    return {function.site(), siteBaseline(function, parameters), function.value()};
}

Path originPath(const ScalarFunction& function, const core::Json& parameters)
{
    const auto origin = function.origin();
    const auto value = origin == function.site() ? function.value() : function.valueOf(origin);
    return {origin, at::full_like(value, parameters.at("baseline").get<double>()), value};
}

at::Tensor stacked(const at::Tensor& rows, std::int64_t copies)
{
    auto shape = rows.sizes().vec();
    if (shape.empty() || shape[0] % copies != 0)
        throw core::ShapeError(
            fmt::format("expected a value whose first axis is the batch, got {} for {} copies", core::formatShape(rows.sizes()), copies));
    shape[0] /= copies;
    shape.insert(shape.begin(), copies);
    return rows.reshape(shape).to(at::kDouble);
}

at::Tensor PathPoints::weighted(const at::Tensor& rows) const
{
    const auto result = stacked(rows, count);
    std::vector<std::int64_t> shape(std::size_t(result.dim()), 1);
    shape[0] = count;
    return result * weights.to(rows.device()).reshape(shape);
}

void walk(const Path& path, const Quadrature& rule, std::int64_t perBatch, const Control& control,
          const std::function<void(const PathPoints& points, double share)>& visit)
{
    const auto difference = path.difference();
    const auto count = std::int64_t(rule.nodes.size());
    double share = 0;
    for (std::int64_t begin = 0; begin < count; begin += perBatch) {
        control.report(double(begin), double(count), "steps");
        const auto end = std::min(begin + perBatch, count);
        std::vector<std::int64_t> shape(std::size_t(difference.dim()) + 1, 1);
        shape[0] = end - begin;
        const auto options = at::TensorOptions().dtype(at::kDouble);
        PathPoints points;
        points.count = end - begin;
        points.weights = at::tensor(std::vector<double>(rule.weights.begin() + begin, rule.weights.begin() + end), options);
        const auto alpha = at::tensor(std::vector<double>(rule.nodes.begin() + begin, rule.nodes.begin() + end), options);
        points.points = (path.start.unsqueeze(0) + alpha.to(difference.device(), difference.scalar_type()).reshape(shape) * difference.unsqueeze(0))
                            .flatten(0, 1);
        for (auto i = begin; i < end; ++i)
            share += rule.weights[std::size_t(i)];
        visit(points, share);
    }
    control.report(double(count), double(count), "steps");
}

void showPartial(const Control& control, const at::Tensor& sum, double share, at::ScalarType dtype)
{
    if (control.partial && share > 0)
        control.partial((sum / share).to(dtype));
}

AttributionResult refined(int first, int limit, const core::Json& tolerance, const char* unit, const std::function<AttributionResult(int n)>& compute)
{
    for (int n = first;; n = std::min(2 * n, limit)) {
        auto result = compute(n);
        result.details[unit] = n;
        if (tolerance.is_null())
            return result;
        const auto& error = result.completenessError;
        const double worst = error.numel() ? error.abs().max().item<double>() : 0;
        const bool converged = worst <= tolerance.get<double>();
        if (converged || n >= limit || std::isnan(worst)) {
            result.details["converged"] = converged;
            return result;
        }
    }
}

AttributionResult refinedSteps(const core::Json& parameters, const std::function<AttributionResult(int n)>& compute)
{
    return refined(parameters.at("n_steps").get<int>(), parameters.at("max_steps").get<int>(), parameters.at("tolerance"), "steps", compute);
}

std::vector<double> listOf(const at::Tensor& numbers)
{
    const auto values = numbers.detach().to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

}  // namespace orrery::explain
