#include <ATen/ATen.h>

#include <algorithm>
#include <random>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/executor.h>

#include "operator_draws.h"

namespace orrery::debug {
namespace {

/// Draws the arguments of one call and notes them.
class CallDraw {
public:
    CallDraw(std::mt19937_64& random, const std::vector<Sizes>& existing) : m_random(random), m_existing(existing) {}
    std::int64_t number(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(m_random); }
    bool chance(double probability) { return std::uniform_real_distribution<double>()(m_random) < probability; }
    /// A tensor with that many axes: one that exists where there is one, or else a new one, in which sizes that occurred before are drawn again half of the time.
    DrawnTensor tensor(const std::string& name, int axes)
    {
        DrawnCall::Tensor drawn;
        drawn.existing = existingWith(axes);
        if (drawn.existing)
            drawn.sizes = m_existing[*drawn.existing];
        else
            for (int i = 0; i < axes; ++i) {
                const bool again = !m_seen.empty() && chance(0.5);
                drawn.sizes.push_back(again ? m_seen[std::size_t(number(0, std::int64_t(m_seen.size()) - 1))] : number(1, 6));
                m_seen.push_back(drawn.sizes.back());
            }
        if (drawn.existing)
            m_seen.insert(m_seen.end(), drawn.sizes.begin(), drawn.sizes.end());
        note(name, drawn.sizes);
        m_drawn.tensors.push_back(std::move(drawn));
        return {m_drawn.tensors.size() - 1};
    }
    std::int64_t attribute(const std::string& name, std::int64_t low, std::int64_t high) { return m_drawn.call.symbols[name] = number(low, high); }
    /// An attribute that chooses an axis decides which rule holds.
    std::int64_t axis(const std::string& name, std::int64_t low, std::int64_t high)
    {
        const std::int64_t drawn = number(low, high);
        m_drawn.call.form += fmt::format(" {}={}", name, drawn);
        return drawn;
    }
    /// Sizes as an argument: often a permutation of what a tensor has.
    Sizes sizes(const std::string& name, int count)
    {
        Sizes drawn;
        for (int i = 0; i < count; ++i)
            drawn.push_back(!m_seen.empty() && chance(0.8) ? m_seen[std::size_t(number(0, std::int64_t(m_seen.size()) - 1))] : number(1, 6));
        note(name, drawn);
        return drawn;
    }
    DrawnCall of(const std::string& op, const std::string& qualifiedOp, std::vector<DrawnCall::Argument> arguments)
    {
        m_drawn.call.op = op;
        m_drawn.call.form = op + m_drawn.call.form;
        m_drawn.qualifiedOp = qualifiedOp;
        m_drawn.arguments = std::move(arguments);
        return std::move(m_drawn);
    }

private:
    /// Three times out of four, if there is any: a call that joins what is there says more than one on new tensors.
    std::optional<std::size_t> existingWith(int axes)
    {
        std::vector<std::size_t> fitting;
        for (std::size_t i = 0; i < m_existing.size(); ++i)
            if (int(m_existing[i].size()) == axes)
                fitting.push_back(i);
        if (fitting.empty() || !chance(0.75))
            return std::nullopt;
        return fitting[std::size_t(number(0, std::int64_t(fitting.size()) - 1))];
    }
    void note(const std::string& name, const Sizes& sizes)
    {
        std::int64_t elements = 1;
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            m_drawn.call.symbols[fmt::format("{}.{}", name, i)] = sizes[i];
            elements *= sizes[i];
        }
        m_drawn.call.symbols[name + ".numel"] = elements;
        m_drawn.call.form += fmt::format(" {}{}", name, sizes.size());
    }
    std::mt19937_64& m_random;
    const std::vector<Sizes>& m_existing;
    DrawnCall m_drawn;
    Sizes m_seen;
};

using Maker = DrawnCall (*)(CallDraw&);

DrawnCall drawMatmul(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(2, 3))), y = draw.tensor("y", int(draw.number(1, 3)));
    return draw.of("matmul", "aten::matmul", {x, y});
}

DrawnCall drawBatched(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3), y = draw.tensor("y", 3);
    return draw.of("bmm", "aten::bmm", {x, y});
}

DrawnCall drawAdd(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(1, 3))), y = draw.tensor("y", int(draw.number(1, 2)));
    return draw.of("add", "aten::add.Tensor", {x, y, 1});
}

DrawnCall drawLinear(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2), w = draw.tensor("w", 2), b = draw.tensor("b", 1);
    return draw.of("linear", "aten::linear", {x, w, b});
}

DrawnCall drawConvolution(CallDraw& draw)
{
    const auto x = draw.tensor("x", 4), w = draw.tensor("w", 4);
    const std::int64_t stride = draw.attribute("stride", 1, 3), padding = draw.attribute("padding", 0, 2);
    return draw.of("conv2d", "aten::conv2d", {x, w, nullptr, Sizes{stride, stride}, Sizes{padding, padding}, Sizes{1, 1}, 1});
}

DrawnCall drawGrouped(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3), w = draw.tensor("w", 3);
    const std::int64_t groups = draw.attribute("groups", 1, 3);
    return draw.of("conv1d", "aten::conv1d", {x, w, nullptr, Sizes{1}, Sizes{0}, Sizes{1}, groups});
}

DrawnCall drawPool(CallDraw& draw)
{
    const auto x = draw.tensor("x", 4);
    const std::int64_t kernel = draw.attribute("kernel", 1, 4), stride = draw.attribute("stride", 1, 3), padding = draw.attribute("padding", 0, 2);
    return draw.of("max_pool2d", "aten::max_pool2d", {x, Sizes{kernel, kernel}, Sizes{stride, stride}, Sizes{padding, padding}, Sizes{1, 1}, false});
}

DrawnCall drawCat(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2), y = draw.tensor("y", 2);
    const std::int64_t axis = draw.axis("axis", -3, 2);
    return draw.of("cat", "aten::cat", {std::vector<DrawnTensor>{x, y}, axis});
}

DrawnCall drawReshape(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(1, 3)));
    const Sizes sizes = draw.sizes("shape", int(draw.number(1, 3)));
    return draw.of("reshape", "aten::reshape", {x, sizes});
}

DrawnCall drawExpand(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2);
    const Sizes sizes = draw.sizes("shape", int(draw.number(1, 3)));
    return draw.of("expand", "aten::expand", {x, sizes});
}

DrawnCall drawTranspose(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3);
    const std::int64_t a = draw.axis("a", -4, 3), b = draw.axis("b", 0, 1);
    return draw.of("transpose", "aten::transpose.int", {x, a, b});
}

DrawnCall drawSelect(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3);
    const std::int64_t axis = draw.axis("axis", 0, 3), index = draw.attribute("index", 0, 6);
    return draw.of("select", "aten::select.int", {x, axis, index});
}

DrawnCall drawNarrow(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2);
    const std::int64_t axis = draw.axis("axis", 0, 1), start = draw.attribute("start", 0, 4), length = draw.attribute("length", 0, 5);
    return draw.of("narrow", "aten::narrow", {x, axis, start, length});
}

DrawnCall drawNorm(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(2, 3)));
    const Sizes sizes = draw.sizes("shape", int(draw.number(1, 2)));
    // A large eps: where all elements are equal, rounding alone would be blown up.
    return draw.of("layer_norm", "aten::layer_norm", {x, sizes, nullptr, nullptr, 0.1, false});
}

DrawnCall drawUnfold(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2);
    const std::int64_t axis = draw.axis("axis", 0, 1), size = draw.attribute("size", 1, 6);
    return draw.of("unfold", "aten::unfold", {x, axis, size, 1});
}

constexpr Maker kMakers[] = {drawMatmul,  drawBatched, drawAdd,       drawLinear, drawConvolution, drawGrouped, drawPool,  drawCat,
                             drawReshape, drawExpand,  drawTranspose, drawSelect, drawNarrow,      drawNorm,    drawUnfold};

/// Runs the call as a graph of one node: what is learned so holds for nodes.
void tryCall(DrawnCall& drawn)
{
    graph::Builder builder("call");
    std::vector<graph::Builder::Var> inputs;
    std::vector<c10::IValue> zeros;
    for (const auto& tensor : drawn.tensors) {
        inputs.push_back(builder.input("x" + std::to_string(inputs.size()), "float32", std::vector<std::string>(tensor.sizes.size(), "n")));
        zeros.emplace_back(at::zeros(tensor.sizes, at::TensorOptions()));
    }
    const auto model = builder.finish({{"out", addNode(builder, drawn, inputs)}});
    try {
        drawn.call.output = graph::Executor(model.graph).forward({}, zeros).sizes().vec();
        drawn.call.valid = true;
    } catch (const graph::NodeError&) {
        drawn.call.valid = false;
    }
}

}  // namespace

std::size_t operatorsThatAreDrawn()
{
    return std::size(kMakers);
}

DrawnCall drawCall(std::size_t which, std::mt19937_64& random, const std::vector<Sizes>& existing)
{
    CallDraw draw(random, existing);
    return kMakers[which](draw);
}

graph::Builder::Var addNode(graph::Builder& builder, const DrawnCall& drawn, const std::vector<graph::Builder::Var>& tensors)
{
    std::vector<graph::Builder::Arg> arguments;
    for (const auto& argument : drawn.arguments)
        if (const auto* one = std::get_if<DrawnTensor>(&argument.what)) {
            arguments.emplace_back(tensors[one->index]);
        } else if (const auto* several = std::get_if<std::vector<DrawnTensor>>(&argument.what)) {
            std::vector<graph::Builder::Var> items;
            for (const auto& each : *several)
                items.push_back(tensors[each.index]);
            arguments.emplace_back(builder.list(items));
        } else {
            arguments.emplace_back(std::get<c10::IValue>(argument.what));
        }
    return builder.op(drawn.qualifiedOp, std::move(arguments));
}

std::vector<OperatorCall> recordCalls(int perOperator, std::uint64_t seed, std::stop_token stop, const std::function<void(double, double)>& progress)
{
    const at::NoGradGuard noGrad;
    std::mt19937_64 random(seed);
    std::vector<OperatorCall> calls;
    for (std::size_t which = 0; which < operatorsThatAreDrawn(); ++which) {
        for (int i = 0; i < perOperator; ++i) {
            if (stop.stop_requested())
                throw core::Cancelled();
            DrawnCall drawn = drawCall(which, random, {});
            tryCall(drawn);
            calls.push_back(std::move(drawn.call));
        }
        if (progress)
            progress(double(which + 1), double(operatorsThatAreDrawn()));
    }
    return calls;
}

}  // namespace orrery::debug
