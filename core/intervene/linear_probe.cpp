#include "linear_probe.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include <core/base/text.h>

#include "control_task.h"
#include "lbfgs.h"

namespace orrery::intervene {
namespace {

LinearProbe standardised(const at::Tensor& x)
{
    LinearProbe probe;
    probe.mean = x.mean(0);
    probe.scale = x.var(0, false).sqrt();
    // What differs by rounding alone is constant: scaling it up would make noise of it.
    const at::Tensor constant = probe.scale <= 1e-12 * (probe.mean.abs() + 1e-300);
    probe.scale = at::where(constant.logical_or(probe.scale == 0), at::ones_like(probe.scale), probe.scale);
    return probe;
}

at::Tensor checkedRows(const at::Tensor& features, const at::Tensor& labels)
{
    if (features.dim() != 2 || labels.dim() < 1 || features.size(0) != labels.size(0))
        throw core::ShapeError(fmt::format("probe: expected features [row, feature] and as many labels, got {} and {}",
                                           core::formatShape(features.sizes()), core::formatShape(labels.sizes())));
    if (features.size(0) == 0 || features.size(1) == 0)
        throw core::InputError("probe: expected at least one row and one feature");
    requireFinite(features, "probe");
    return features.detach().to(at::kCPU, at::kDouble);
}

void checkClasses(const at::Tensor& labels, std::int64_t classes)
{
    if (classes < 2)
        throw core::InputError(fmt::format("probe: expected at least two classes, got {}", classes));
    const auto low = labels.min().item<std::int64_t>(), high = labels.max().item<std::int64_t>();
    if (low < 0 || high >= classes)
        throw core::InputError(fmt::format("probe: expected labels 0..{}, got {}..{}", classes - 1, low, high));
}

double number(const core::Json& parameters, const char* name)
{
    return parameters.at(name).get<double>();
}

/// Mean cross-entropy with penalty, and its gradient, as a function of [weight, bias] flattened.
class LogisticLoss {
public:
    LogisticLoss(at::Tensor x, const at::Tensor& labels, std::int64_t classes, double l2)
        : m_x(std::move(x)), m_xt(m_x.t().contiguous()),
          m_hot(at::zeros({m_x.size(0), classes}, m_x.options()).scatter_(1, labels.unsqueeze(1), 1.0)), m_classes(classes), m_l2(l2)
    {
    }
    std::int64_t size() const { return (m_x.size(1) + 1) * m_classes; }
    at::Tensor weight(const at::Tensor& flat) const { return flat.slice(0, 0, m_x.size(1) * m_classes).view({m_x.size(1), m_classes}); }
    at::Tensor bias(const at::Tensor& flat) const { return flat.slice(0, m_x.size(1) * m_classes); }
    std::pair<double, at::Tensor> operator()(const at::Tensor& flat) const
    {
        const at::Tensor w = weight(flat), logShare = (at::matmul(m_x, w) + bias(flat)).log_softmax(1);
        const double rows = double(m_x.size(0));
        const double loss = -(logShare * m_hot).sum().item<double>() / rows + m_l2 / 2 * w.square().sum().item<double>();
        const at::Tensor residual = (logShare.exp() - m_hot) / rows;
        return {loss, at::cat({(at::matmul(m_xt, residual) + w * m_l2).reshape(-1), residual.sum(0)})};
    }

private:
    at::Tensor m_x, m_xt, m_hot;
    std::int64_t m_classes;
    double m_l2;
};

double accuracyOf(const LinearProbe& probe, const at::Tensor& features, const at::Tensor& labels)
{
    return probe.apply(features).argmax(1).eq(labels).to(at::kDouble).mean().item<double>();
}

// 1 - squared error / squared deviation from the mean of the rows measured, mean over the outputs that vary.
double determination(const LinearProbe& probe, const at::Tensor& features, const at::Tensor& targets)
{
    const at::Tensor y = targets.to(at::kDouble), error = (probe.apply(features) - y).square().sum(0), spread = (y - y.mean(0)).square().sum(0);
    const at::Tensor varying = spread > 0;
    if (!varying.any().item<bool>())
        return std::nan("");
    return (1 - error / spread).masked_select(varying).mean().item<double>();
}

LinearProbe fit(const at::Tensor& features, const at::Tensor& labels, std::int64_t classes, const core::Json& parameters, const Control& control)
{
    const auto kind = parameters.at("kind").get<std::string>();
    const bool numbers = labels.scalar_type() == at::kDouble;
    if (kind != "auto" && (kind == "ridge") != numbers)
        throw core::InputError(fmt::format("probe: {} does not fit labels that are {}", kind, numbers ? "numbers" : "classes"));
    return numbers ? fitRidge(features, labels, parameters, control) : fitLogistic(features, labels, classes, parameters, control);
}

/// A few gradient lines of JSON: NaN is null.
core::Json orNull(double value)
{
    return std::isfinite(value) ? core::Json(value) : core::Json();
}

double majorityAccuracy(const at::Tensor& train, const at::Tensor& test)
{
    const auto most = at::bincount(train).argmax().item<std::int64_t>();
    return test.eq(most).to(at::kDouble).mean().item<double>();
}

ProbeResult probeOne(const Activations& train, const Activations& test, std::size_t value, const std::pair<at::Tensor, at::Tensor>& shuffled,
                     const core::Json& parameters, const Control& control)
{
    ProbeResult result;
    const at::Tensor &x = train.features[value], &held = test.features.at(value);
    requireFinite(x, fmt::format("value \"{}\", training rows", train.values[value]));
    requireFinite(held, fmt::format("value \"{}\", held-out rows", train.values[value]));
    result.features = x.size(1);
    result.trainRows = train.rows();
    result.testRows = test.rows();
    result.probe = fit(x, train.labels, train.classes, parameters, control);
    result.probe.value = train.values[value];
    result.probe.classNames = train.classNames;
    result.train = scoreProbe(result.probe, x, train.labels).first;
    std::tie(result.test, result.interval) = scoreProbe(result.probe, held, test.labels);
    if (train.classes > 0)
        result.baseline = majorityAccuracy(train.labels, test.labels);
    if (shuffled.first.defined()) {
        const auto other = fit(x, shuffled.first, train.classes, parameters, control);
        std::tie(result.control, result.controlInterval) = scoreProbe(other, held, shuffled.second);
    }
    return result;
}

void checkPair(const Activations& train, const Activations& test)
{
    if (!train.labels.defined() || !test.labels.defined())
        throw core::InputError("probe: the data have no targets to probe for");
    if (train.values != test.values)
        throw core::InputError("probe: training and held-out rows come from different values");
    for (std::size_t i = 0; i < train.values.size(); ++i)
        if (train.features[i].size(1) != test.features[i].size(1))
            throw core::ShapeError(fmt::format("probe: \"{}\" has {} features in training rows and {} in held-out rows", train.values[i],
                                               train.features[i].size(1), test.features[i].size(1)));
}

}  // namespace

Interval wilsonInterval(double successes, double trials)
{
    if (trials <= 0)
        return {};
    constexpr double z = 1.959963984540054;  // the normal quantile of 0.975
    const double share = successes / trials, square = z * z / trials, centre = (share + square / 2) / (1 + square);
    const double half = z * std::sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square);
    // At 0 and 1 the ends are exact; rounding would put them beside.
    return {successes <= 0 ? 0 : std::max(0.0, centre - half), successes >= trials ? 1 : std::min(1.0, centre + half)};
}

at::Tensor LinearProbe::apply(const at::Tensor& features) const
{
    if (features.dim() != 2 || features.size(1) != mean.size(0))
        throw core::ShapeError(fmt::format("probe of \"{}\": expected [row, {}], got {}", value, mean.size(0), core::formatShape(features.sizes())));
    const at::Tensor x = (features.detach().to(at::kCPU, at::kDouble) - mean) / scale;
    return at::matmul(x, weight.t()) + bias;
}

const core::Schema& probeSchema()
{
    static const core::Schema kSchema = {
        core::choice("kind", {"auto", "logistic", "ridge"}, "auto",
                     "Logistic regression for classes or ridge regression for numbers; auto takes what fits the labels."),
        core::real("l2", 1e-3, "Weight of the penalty l2 / 2 * |weight|^2 beside the mean loss of a row; the features are standardised.")
            .above(0)
            .log(),
        core::integer("max_iterations", 1000, "Most steps of L-BFGS (logistic).").range(1, 1e6),
        core::real("tolerance", 1e-6, "Stops when no entry of the gradient is larger (logistic).").above(0).log(),
        core::boolean("control", false, "Also fit a probe to a control task (random labels by word or cluster) and report the selectivity."),
        core::integer("control_clusters", 0,
                      "Clusters of inputs that get a random label where there are no words; 0: ten a class, at most a quarter of the rows.")
            .atLeast(0),
    };
    return kSchema;
}

LinearProbe fitLogistic(const at::Tensor& features, const at::Tensor& labels, std::int64_t classes, const core::Json& parameters,
                        const Control& control)
{
    const at::Tensor x = checkedRows(features, labels);
    checkClasses(labels, classes);
    LinearProbe probe = standardised(x);
    probe.kind = "logistic";
    const LogisticLoss loss((x - probe.mean) / probe.scale, labels, classes, number(parameters, "l2"));
    const LbfgsOptions options{parameters.at("max_iterations").get<int>(), number(parameters, "tolerance"), 10};
    const auto found = minimise(loss, at::zeros({loss.size()}, at::kDouble), options, control);
    probe.weight = loss.weight(found.x).t().contiguous();
    probe.bias = loss.bias(found.x).clone();
    probe.loss = found.value;
    probe.gradient = found.gradient;
    probe.iterations = found.iterations;
    probe.converged = found.converged;
    return probe;
}

LinearProbe fitRidge(const at::Tensor& features, const at::Tensor& targets, const core::Json& parameters, const Control& control)
{
    control.report(0, 1, "fits");
    const at::Tensor x = checkedRows(features, targets), y = targets.to(at::kDouble).reshape({x.size(0), -1});
    if (!y.isfinite().all().item<bool>())
        throw core::InputError("probe: the targets hold numbers that are not finite");
    LinearProbe probe = standardised(x);
    probe.kind = "ridge";
    const at::Tensor z = (x - probe.mean) / probe.scale, centred = y - y.mean(0);
    const double penalty = number(parameters, "l2") * double(x.size(0));
    const bool wide = z.size(1) > z.size(0);
    // (Z'Z + p) w = Z'y, or for more features than rows the same through w = Z' (ZZ' + p)^-1 y.
    const auto [eigenvalues, vectors] = at::linalg_eigh(wide ? at::matmul(z, z.t()) : at::matmul(z.t(), z), "L");
    const auto solve = [&, &eigenvalues = eigenvalues, &vectors = vectors](const at::Tensor& right) {
        return at::matmul(vectors, at::matmul(vectors.t(), right) / (eigenvalues.clamp_min(0) + penalty).unsqueeze(1));
    };
    const at::Tensor weight = wide ? at::matmul(z.t(), solve(centred)) : solve(at::matmul(z.t(), centred));
    probe.weight = weight.t().contiguous();
    probe.bias = y.mean(0);
    probe.loss = (at::matmul(z, weight) - centred).square().sum().item<double>() / (2 * double(x.size(0))) +
                 number(parameters, "l2") / 2 * weight.square().sum().item<double>();
    return probe;
}

std::pair<double, std::optional<Interval>> scoreProbe(const LinearProbe& probe, const at::Tensor& features, const at::Tensor& labels)
{
    if (labels.scalar_type() == at::kDouble)
        return {determination(probe, features, labels), std::nullopt};
    const double accuracy = accuracyOf(probe, features, labels);
    return {accuracy, wilsonInterval(accuracy * double(labels.size(0)), double(labels.size(0)))};
}

core::Json ProbeResult::toJson() const
{
    const bool classes = probe.kind == "logistic";
    core::Json json = {{"value", probe.value},
                       {"kind", probe.kind},
                       {"features", features},
                       {"train_rows", trainRows},
                       {"test_rows", testRows},
                       {classes ? "train_accuracy" : "train_r2", orNull(train)},
                       {classes ? "accuracy" : "r2", orNull(test)}};
    if (interval)
        json["interval"] = {interval->low, interval->high};
    if (baseline)
        json["baseline"] = *baseline;
    if (control) {
        json[classes ? "control_accuracy" : "control_r2"] = orNull(*control);
        json["selectivity"] = orNull(*selectivity());
        if (controlInterval)
            json["control_interval"] = {controlInterval->low, controlInterval->high};
    }
    json.update({{"loss", probe.loss}, {"iterations", probe.iterations}, {"gradient", probe.gradient}, {"converged", probe.converged}});
    return json;
}

std::vector<ProbeResult> probeValues(const Activations& train, const Activations& test, const core::Json& given, std::uint64_t seed,
                                     const Control& control, const std::function<void(const ProbeResult&)>& ready)
{
    const at::NoGradGuard noGrad;
    checkPair(train, test);
    const core::Json parameters = probeSchema().resolve(given, "probe");
    std::pair<at::Tensor, at::Tensor> shuffled;
    if (parameters.at("control").get<bool>())
        shuffled = controlLabels(train, test, parameters.at("control_clusters").get<std::int64_t>(), seed, control);
    Control inner;
    inner.stop = control.stop;
    std::vector<ProbeResult> results;
    for (std::size_t i = 0; i < train.values.size(); ++i) {
        control.report(double(i), double(train.values.size()), "probes");
        // Within a fit only the stop is looked at: the number of its steps is not known beforehand.
        results.push_back(probeOne(train, test, i, shuffled, parameters, inner));
        if (ready)
            ready(results.back());
    }
    control.report(double(train.values.size()), double(train.values.size()), "probes");
    return results;
}

}  // namespace orrery::intervene
