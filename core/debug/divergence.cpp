#include "divergence.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <set>

#include <core/base/text.h>

namespace orrery::debug {
namespace {

/// Lines that both sides run before their values are compared.
constexpr std::size_t kPairsAtOnce = 32;

std::pair<double, double> standardTolerance(at::ScalarType type)
{
    switch (type) {
    case at::kDouble:
    case at::kComplexDouble: return {1e-7, 1e-7};
    case at::kFloat:
    case at::kComplexFloat: return {1.3e-6, 1e-5};
    case at::kHalf: return {1e-3, 1e-5};
    case at::kBFloat16: return {1.6e-2, 1e-5};
    default: return {0, 0};
    }
}

void chooseTolerance(ValueDifference& out, at::ScalarType a, at::ScalarType b, const Tolerance& tolerance)
{
    const auto left = standardTolerance(a), right = standardTolerance(b);
    out.relative = tolerance.relative.value_or(std::max(left.first, right.first));
    out.absolute = tolerance.absolute.value_or(std::max(left.second, right.second));
}

std::vector<std::int64_t> indexOf(std::int64_t flat, at::IntArrayRef shape)
{
    std::vector<std::int64_t> index(shape.size());
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        index[axis] = flat % shape[axis];
        flat /= shape[axis];
    }
    return index;
}

at::Tensor asDoubles(const at::Tensor& tensor)
{
    return tensor.detach().to(at::kCPU).to(at::kDouble).contiguous().reshape(-1);
}

/// Half the lowest number of a dtype; minus infinity where there is none.
double maskedBelow(at::ScalarType type)
{
    switch (type) {
    case at::kDouble: return std::numeric_limits<double>::lowest() / 2;
    case at::kFloat: return double(std::numeric_limits<float>::lowest()) / 2;
    case at::kBFloat16: return double(static_cast<float>(std::numeric_limits<c10::BFloat16>::lowest())) / 2;
    case at::kHalf: return double(static_cast<float>(std::numeric_limits<c10::Half>::lowest())) / 2;
    default: return -INFINITY;
    }
}

struct Elements {
    at::Tensor numbers;  // float64, flat
    double maskedBelow = -INFINITY;
};

void measure(ValueDifference& out, const Elements& first, const Elements& second, at::IntArrayRef shape, bool equalNan)
{
    const at::Tensor &a = first.numbers, &b = second.numbers;
    const double *left = a.data_ptr<double>(), *right = b.data_ptr<double>();
    double worst = -1, squares = 0, totalA = 0, totalB = 0;
    std::int64_t place = 0, finite = 0;
    for (std::int64_t i = 0; i < out.elements; ++i) {
        const double x = left[i], y = right[i];
        const bool masked = (x == -INFINITY && y <= second.maskedBelow) || (y == -INFINITY && x <= first.maskedBelow);
        const bool same = x == y || masked || (equalNan && std::isnan(x) && std::isnan(y));
        // What has no distance is infinitely far: NaN against a number, infinities of two signs.
        const double distance = same ? 0 : std::isfinite(x) && std::isfinite(y) ? std::abs(x - y) : INFINITY;
        out.beyond += distance > out.absolute + out.relative * std::abs(std::isfinite(y) ? y : 0);
        const double ratio = distance == 0 ? 0 : y == 0 || !std::isfinite(distance) ? INFINITY : distance / std::abs(y);
        out.maxRelative = std::max(out.maxRelative, ratio);
        if (distance > worst) {
            worst = distance;
            place = i;
        }
        if (std::isfinite(x) && std::isfinite(y)) {
            ++finite;
            squares += distance * distance;
            totalA += x * x;
            totalB += y * y;
        }
    }
    out.maxAbsolute = std::max(worst, 0.0);
    const auto rms = [](double sum, std::int64_t count) { return count ? std::sqrt(sum / double(count)) : 0; };
    out.rmsDifference = std::isinf(worst) ? INFINITY : rms(squares, finite);
    out.rmsA = rms(totalA, finite);
    out.rmsB = rms(totalB, finite);
    if (out.elements == 0)
        return;
    out.worst = indexOf(place, shape);
    out.valueA = left[place];
    out.valueB = right[place];
}

core::Json numberJson(double number)
{
    return std::isfinite(number) ? core::Json(number) : core::Json(core::formatNumber(number));
}

}  // namespace

ValueDifference compareValues(const c10::IValue& a, const c10::IValue& b, const Tolerance& tolerance)
{
    ValueDifference out;
    const bool tensors = a.isTensor() && b.isTensor() && a.toTensor().defined() && b.toTensor().defined();
    if (!tensors) {
        const auto text = [](const c10::IValue& value) { return (std::ostringstream() << value).str().substr(0, 80); };
        if (a.tagKind() != b.tagKind())
            out.problem = fmt::format("{} in one run, {} in the other", a.tagKind(), b.tagKind());
        else if (!a.isTensor() && !a.isTensorList() && text(a) != text(b))
            out.problem = fmt::format("{} in one run, {} in the other", text(a), text(b));
        return out;
    }
    const at::Tensor &left = a.toTensor(), &right = b.toTensor();
    out.shape = left.sizes().vec();
    out.dtypeA = graph::dtypeName(left.scalar_type());
    out.dtypeB = graph::dtypeName(right.scalar_type());
    out.elements = left.numel();
    chooseTolerance(out, left.scalar_type(), right.scalar_type(), tolerance);
    if (left.sizes() != right.sizes())
        out.problem = fmt::format("shapes {} and {}", core::formatShape(left.sizes()), core::formatShape(right.sizes()));
    else if (left.is_complex() || right.is_complex())
        measure(out, {asDoubles(at::view_as_real(left.to(at::kComplexDouble)))}, {asDoubles(at::view_as_real(right.to(at::kComplexDouble)))},
                left.sizes(), tolerance.equalNan);
    else
        measure(out, {asDoubles(left), maskedBelow(left.scalar_type())}, {asDoubles(right), maskedBelow(right.scalar_type())}, left.sizes(),
                tolerance.equalNan);
    return out;
}

namespace {

/// One side under way.
class Side {
public:
    Side(const RunSide& side, std::int64_t keepBytes) : m_threads(side.threads), m_stepper(side.executor, side.weights, optionsOf(side, keepBytes)) {}
    const ProgramLines& lines() const { return m_stepper.lines(); }
    const std::string& failure() const { return m_failure; }
    /// Runs everything up to and including a line. @return False if the run failed before.
    bool reach(int line, std::stop_token stop)
    {
        useThreads();
        if (m_failure.empty() && line >= m_stepper.position().line)
            if (const Stop ended = m_stepper.runToLine(line + 1, stop, false); ended.reason == StopReason::Failed)
                m_failure = ended.text;
        return line < m_stepper.position().line;
    }
    c10::IValue value(int line, std::size_t output, std::stop_token stop)
    {
        useThreads();
        return m_stepper.value(nameOf(line, output), stop);
    }
    const std::string& nameOf(int line, std::size_t output) const { return lines().graph()->value(lines().line(line).node->outputs[output]).name; }

private:
    static StepperOptions optionsOf(const RunSide& side, std::int64_t keepBytes)
    {
        StepperOptions options;
        options.inputs = side.inputs;
        options.seed = side.seed;
        options.keepBytes = keepBytes;
        return options;
    }
    void useThreads() const
    {
        if (m_threads > 0)
            at::set_num_threads(m_threads);
    }
    int m_threads;
    Stepper m_stepper;
    std::string m_failure;
};

/// Kinds and shapes of one run, as far as it goes: only asked where names do not say which lines belong together.
LineValues valuesOf(const RunSide& side, const ProgramLines& lines, std::stop_token stop)
{
    LineValues values(std::size_t(lines.count()));
    graph::RunRequest request;
    request.inputs = side.inputs;
    request.seed = side.seed;
    request.stop = stop;
    for (int i = 0; i < lines.count(); ++i)
        if (const auto& outputs = lines.line(i).node->outputs; !outputs.empty())
            request.probes.push_back(
                graph::Probe::onValue(lines.graph()->value(outputs[0]).name, [&values, i](const std::string&, const c10::IValue& value) {
                    LineValue& known = values[std::size_t(i)];
                    known.kind = value.tagKind();
                    if (value.isTensor() && value.toTensor().defined())
                        known.shape = value.toTensor().sizes().vec();
                }));
    try {
        side.executor->run(side.weights, request);
    } catch (const core::Error&) {
        // What fails is said when the lines are compared.
    }
    return values;
}

std::set<std::string> namesOf(const ProgramLines& lines)
{
    std::set<std::string> names;
    for (int i = 0; i < lines.count(); ++i)
        names.insert(lines.line(i).node->name);
    return names;
}

std::vector<LinePair> aligned(const RunSide& sideA, const ProgramLines& a, const RunSide& sideB, const ProgramLines& b, std::stop_token stop)
{
    if (namesOf(a) == namesOf(b))
        return alignLines(ComparableLines(a, {}, nullptr), ComparableLines(b, {}, nullptr));
    return alignLines(ComparableLines(a, valuesOf(sideA, a, stop), &sideA.weights), ComparableLines(b, valuesOf(sideB, b, stop), &sideB.weights));
}

/// The same but for device and dtype, which the two runs may differ in.
bool isSameGraph(const graph::GraphPtr& a, const graph::GraphPtr& b)
{
    return a->hash() == b->hash() || graph::moved(a, at::kCPU, at::kFloat)->hash() == graph::moved(b, at::kCPU, at::kFloat)->hash();
}

void addUnmatched(Divergence& result, const std::vector<LinePair>& pairs, const ProgramLines& a, const ProgramLines& b)
{
    std::set<int> left, right;
    for (const auto& pair : pairs) {
        left.insert(pair.a);
        right.insert(pair.b);
        ++(pair.by == MatchedBy::Name ? result.byName : result.byStructure);
    }
    for (int i = 0; i < a.count(); ++i)
        if (!left.count(i))
            result.onlyA.push_back(a.line(i).node->name);
    for (int i = 0; i < b.count(); ++i)
        if (!right.count(i))
            result.onlyB.push_back(b.line(i).node->name);
}

/// One side may run a map over rows of a matrix, the other over the rows of a batch: the same numbers in the same order.
c10::IValue inShapeOf(const c10::IValue& left, const c10::IValue& right, MatchedBy by)
{
    const bool reshapes = by == MatchedBy::Weights && left.isTensor() && right.isTensor() && left.toTensor().defined() &&
                          right.toTensor().defined() && left.toTensor().numel() == right.toTensor().numel();
    return reshapes ? c10::IValue(right.toTensor().reshape(left.toTensor().sizes())) : right;
}

/// @return False if the comparison ends here.
bool comparePair(Divergence& result, const LinePair& pair, Side& a, Side& b, const DivergenceOptions& options, std::stop_token stop)
{
    const graph::Node &node = *a.lines().line(pair.a).node, &other = *b.lines().line(pair.b).node;
    // Further outputs of another operator are something else.
    const std::size_t outputs = std::min({node.outputs.size(), other.outputs.size(), node.op == other.op ? node.outputs.size() : std::size_t(1)});
    for (std::size_t i = 0; i < outputs; ++i) {
        const c10::IValue left = a.value(pair.a, i, stop);
        ValueDifference difference = compareValues(left, inShapeOf(left, b.value(pair.b, i, stop), pair.by), options.tolerance);
        difference.a = a.nameOf(pair.a, i);
        difference.b = b.nameOf(pair.b, i);
        difference.op = node.qualifiedOp();
        difference.opB = other.qualifiedOp();
        difference.by = pair.by;
        difference.module = node.module;
        difference.lineA = pair.a;
        difference.lineB = pair.b;
        const bool within = difference.isWithin();
        result.values.push_back(std::move(difference));
        if (within)
            continue;
        if (!result.first)
            result.first = result.values.size() - 1;
        if (!options.all)
            return false;
    }
    return true;
}

}  // namespace

Divergence compareRuns(const RunSide& sideA, const RunSide& sideB, const DivergenceOptions& options, std::stop_token stop)
{
    const at::NoGradGuard noGrad;
    const int threadsBefore = at::get_num_threads();
    Side a(sideA, options.keepBytes), b(sideB, options.keepBytes);
    Divergence result;
    result.sameGraph = isSameGraph(a.lines().graph(), b.lines().graph());
    const std::vector<LinePair> pairs = aligned(sideA, a.lines(), sideB, b.lines(), stop);
    addUnmatched(result, pairs, a.lines(), b.lines());
    bool goesOn = true;
    for (std::size_t from = 0; goesOn && from < pairs.size(); from += kPairsAtOnce) {
        const std::size_t to = std::min(pairs.size(), from + kPairsAtOnce);
        for (std::size_t i = from; i < to && goesOn; ++i) {
            if (options.progress)
                options.progress(pairs[i].a, a.lines().count());
            // Run ahead to the end of the stretch: starting the executor for each line by itself would cost more than the lines.
            const bool ready = a.reach(i == from ? pairs[to - 1].a : pairs[i].a, stop) && b.reach(i == from ? pairs[to - 1].b : pairs[i].b, stop);
            const bool bothHave = ready || (a.reach(pairs[i].a, stop) && b.reach(pairs[i].b, stop));
            goesOn = bothHave && comparePair(result, pairs[i], a, b, options, stop);
        }
    }
    result.failureA = a.failure();
    result.failureB = b.failure();
    at::set_num_threads(threadsBefore);
    return result;
}

double ValueDifference::relativeRms() const
{
    return rmsDifference == 0 ? 0 : rmsB > 0 ? rmsDifference / rmsB : INFINITY;
}

core::Json ValueDifference::toJson() const
{
    core::Json json = {{"a", a},
                       {"b", b},
                       {"op", op},
                       {"op_b", opB},
                       {"matched_by", matchedByName(by)},
                       {"module", module},
                       {"within", isWithin()},
                       {"shape", shape},
                       {"dtype_a", dtypeA},
                       {"dtype_b", dtypeB},
                       {"elements", elements},
                       {"beyond", beyond},
                       {"max_absolute", numberJson(maxAbsolute)},
                       {"max_relative", numberJson(maxRelative)},
                       {"rms_a", numberJson(rmsA)},
                       {"rms_b", numberJson(rmsB)},
                       {"rms_difference", numberJson(rmsDifference)},
                       {"worst", worst},
                       {"value_a", numberJson(valueA)},
                       {"value_b", numberJson(valueB)},
                       {"rtol", relative},
                       {"atol", absolute}};
    if (!problem.empty())
        json["problem"] = problem;
    return json;
}

core::Json Divergence::toJson() const
{
    core::Json list = core::Json::array();
    for (const auto& value : values)
        list.push_back(value.toJson());
    core::Json json = {{"same_graph", sameGraph},
                       {"matched_by_name", byName},
                       {"matched_by_structure", byStructure},
                       {"only_a", onlyA},
                       {"only_b", onlyB},
                       {"compared", values.size()},
                       {"first", first ? values[*first].toJson() : core::Json()},
                       {"values", std::move(list)}};
    if (!failureA.empty())
        json["failure_a"] = failureA;
    if (!failureB.empty())
        json["failure_b"] = failureB;
    return json;
}

}  // namespace orrery::debug
