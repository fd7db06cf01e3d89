// If, Loop, Scan and SequenceMap.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace control {

Term truth(Call& c, const Term& condition)
{
    if (condition.isConstant() && condition.foldable)
        return Term(condition.constant.reshape(-1)[0].item().toBool());
    return c.emit("aten::Bool.Tensor", {condition});
}

/// A node with blocks; its outputs are typed as `like`.
std::vector<Term> blockNode(Call& c, const std::string& op, std::vector<Term> inputs, std::vector<graph::Block> blocks, const std::vector<Term>& like)
{
    auto outputs = c.emitter().emitOpaque(op, inputs, like.size());
    c.emitter().block().nodes.back().blocks = std::move(blocks);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        outputs[i].type = like[i].isNone() || like[i].isLiteral() ? "Tensor" : like[i].type;
        c.emitter().setType(outputs[i]);
        outputs[i].dtype = like[i].dtype;
        outputs[i].rank = like[i].rank;
    }
    return outputs;
}

void setOutputs(Call& c, graph::Block& block, const std::vector<Term>& terms)
{
    auto* const outer = c.emitter().enter(&block);
    for (const auto& term : terms)
        block.outputs.push_back(c.emitter().use(term));
    c.emitter().enter(outer);
}

// A condition that is known leaves one branch.
void branch(Call& c)
{
    const Term condition = truth(c, c.in(0));
    if (condition.isLiteral()) {
        const auto& chosen = c.graph(condition.operand.constant.toBool() ? "then_branch" : "else_branch");
        const auto outputs = c.converter().convertInner(chosen, {}, &c.emitter().block());
        for (std::size_t i = 0; i < outputs.size(); ++i)
            c.out(i, outputs[i]);
        return;
    }
    std::vector<graph::Block> blocks(2);
    const auto yes = c.converter().convertInner(c.graph("then_branch"), {}, &blocks[0]);
    const auto no = c.converter().convertInner(c.graph("else_branch"), {}, &blocks[1]);
    if (yes.size() != no.size() || yes.size() != c.node().outputs.size())
        c.fail(fmt::format("expected {} outputs of both branches, found {} and {}", c.node().outputs.size(), yes.size(), no.size()));
    setOutputs(c, blocks[0], yes);
    setOutputs(c, blocks[1], no);
    auto like = yes;
    for (std::size_t i = 0; i < like.size(); ++i) {
        if (yes[i].isNone())
            like[i] = no[i];
        if (yes[i].rank != no[i].rank)
            like[i].rank.reset();
    }
    const auto outputs = blockNode(c, "prim::If", {condition}, std::move(blocks), like);
    for (std::size_t i = 0; i < outputs.size(); ++i)
        c.out(i, outputs[i]);
}

Term blockInput(Call& c, graph::Block& block, const std::string& name, const Term& like)
{
    const auto type = like.type == "literal" ? "Tensor" : like.type;
    Term term(c.emitter().newValue(c.emitter().path() + "." + name, type), type);
    term.dtype = like.dtype;
    block.inputs.push_back(term.operand.value);
    return term;
}

Term emptyList(Call& c)
{
    return c.emitter().emitOpaque("prim::ListConstruct", {}, 1)[0];
}

Term appended(Call& c, const Term& list, const Term& item)
{
    return c.emit("orrery::onnx_sequence_insert", {list, c.emitter().asTensor(item), nullptr});
}

Term materialised(Call& c, const Term& term)
{
    if (term.isNone() || term.isSequence())
        return term;
    return c.emitter().asTensor(term);
}

/// A loop to be written: what it carries from step to step, and what it collects from each.
struct LoopPlan {
    const io::OnnxGraph& body;
    Term limit, first;
    std::vector<Term> carried;    ///< before the first step
    std::size_t collected = 0;    ///< lists that grow by one item a step
    bool givesCondition = false;  ///< the body's first output says whether another step follows
    /// The body's inputs, from the number of the step and what is carried; called inside the block.
    std::function<std::vector<Term>(const Term& step, const std::vector<Term>& carried)> bind;
};

struct WrittenLoop {
    std::vector<Term> carried, lists;
    std::vector<Term> items;  ///< what a step adds to each list
};

WrittenLoop writeLoop(Call& c, const LoopPlan& plan)
{
    const auto count = plan.carried.size(), skipped = std::size_t(plan.givesCondition);
    auto start = plan.carried;
    for (std::size_t i = 0; i < plan.collected; ++i)
        start.push_back(emptyList(c));
    std::vector<graph::Block> blocks(1);
    auto& block = blocks[0];
    const Term step(c.emitter().newValue(c.emitter().path() + ".step", "int"), "int");
    block.inputs.push_back(step.operand.value);
    std::vector<Term> inside;
    for (std::size_t i = 0; i < start.size(); ++i)
        inside.push_back(blockInput(c, block, i < count ? "carried" : "collected", start[i]));
    auto* const outer = c.emitter().enter(&block);
    const auto bound = plan.bind(step, {inside.begin(), inside.begin() + std::ptrdiff_t(count)});
    const auto results = c.converter().convertInner(plan.body, bound, &block);
    WrittenLoop written;
    std::vector<Term> next = {plan.givesCondition ? truth(c, results.at(0)) : Term(true)};
    for (std::size_t i = 0; i < start.size(); ++i) {
        const auto& result = results.at(i + skipped);
        next.push_back(i < count ? result : appended(c, inside[i], result));
        if (i >= count)
            written.items.push_back(result);
    }
    c.emitter().enter(outer);
    setOutputs(c, block, next);
    std::vector<Term> inputs = {plan.limit, plan.first}, like;
    for (std::size_t i = 0; i < start.size(); ++i) {
        inputs.push_back(start[i]);
        like.push_back(start[i].isNone() ? next[i + 1] : start[i]);
        like.back().rank.reset();
    }
    const auto outputs = blockNode(c, "prim::Loop", inputs, std::move(blocks), like);
    written.carried.assign(outputs.begin(), outputs.begin() + std::ptrdiff_t(count));
    written.lists.assign(outputs.begin() + std::ptrdiff_t(count), outputs.end());
    return written;
}

void loop(Call& c)
{
    const auto& body = c.graph("body");
    const std::size_t count = c.count() > 2 ? c.count() - 2 : 0;
    if (body.outputs.size() < count + 1 || body.inputs.size() != count + 2)
        c.fail(fmt::format("expected a body of {} inputs and at least {} outputs, found {} and {}", count + 2, count + 1, body.inputs.size(),
                           body.outputs.size()));
    LoopPlan plan{body, c.has(0) ? c.oneInt(c.in(0)) : Term(std::numeric_limits<std::int64_t>::max()), c.has(1) ? truth(c, c.in(1)) : Term(true)};
    for (std::size_t i = 0; i < count; ++i)
        plan.carried.push_back(materialised(c, c.inputs()[i + 2]));
    plan.collected = body.outputs.size() - 1 - count;
    plan.givesCondition = true;
    plan.bind = [](const Term& step, const std::vector<Term>& carried) {
        std::vector<Term> bound = {sizesTerm({step}, 0), constantTerm(at::ones({}, at::kBool))};
        bound.insert(bound.end(), carried.begin(), carried.end());
        return bound;
    };
    const auto written = writeLoop(c, plan);
    for (std::size_t i = 0; i < count; ++i)
        c.out(i, written.carried[i]);
    for (std::size_t i = 0; i < written.lists.size(); ++i) {
        Term stacked = c.emit("orrery::onnx_stack", {written.lists[i], 0});
        stacked.dtype = written.items[i].dtype;
        if (written.items[i].rank)
            stacked.rank = *written.items[i].rank + 1;
        c.out(count + i, stacked);
    }
}

/// Axes and directions of what a scan reads and gives.
std::int64_t listed(Call& c, const char* name, std::size_t index)
{
    const auto numbers = c.integers(name);
    return index < numbers.size() ? numbers[index] : 0;
}

// Scan: a loop over slices of its inputs.
void scan(Call& c)
{
    if (c.opset() < 9)
        c.unsupported("its form of operator set 8, which scans each member of a batch");
    const auto& body = c.graph("body");
    const auto scanned = std::size_t(c.integer("num_scan_inputs", 0));
    if (scanned == 0 || scanned > c.count() || body.inputs.size() != c.count() || body.outputs.size() < c.count() - scanned)
        c.fail(
            fmt::format("expected a body with {} inputs, found {} (of {} inputs {} are scanned)", c.count(), body.inputs.size(), c.count(), scanned));
    const std::size_t states = c.count() - scanned;
    const Term limit = c.emit("aten::size.int", {c.in(states), listed(c, "scan_input_axes", 0)});
    LoopPlan plan{body, limit, Term(true)};
    for (std::size_t i = 0; i < states; ++i)
        plan.carried.push_back(materialised(c, c.in(i)));
    plan.collected = body.outputs.size() - states;
    plan.bind = [&](const Term& step, const std::vector<Term>& carried) {
        auto bound = carried;
        for (std::size_t i = 0; i < scanned; ++i) {
            const bool backward = listed(c, "scan_input_directions", i) != 0;
            const Term at = backward ? c.emit("aten::sub.int", {c.emit("aten::sub.int", {limit, step}), 1}) : step;
            bound.push_back(c.emit("aten::select.int", {c.in(states + i), listed(c, "scan_input_axes", i), at}));
        }
        return bound;
    };
    const auto written = writeLoop(c, plan);
    for (std::size_t i = 0; i < states; ++i)
        c.out(i, written.carried[i]);
    for (std::size_t i = 0; i < written.lists.size(); ++i) {
        const auto axis = listed(c, "scan_output_axes", i);
        Term stacked = c.emit("orrery::onnx_stack", {written.lists[i], axis});
        if (listed(c, "scan_output_directions", i))
            stacked = c.emit("aten::flip", {stacked, std::vector<std::int64_t>{axis}});
        stacked.dtype = written.items[i].dtype;
        c.out(states + i, stacked);
    }
}

// The body once for each member of the first sequence; other sequences go along, tensors stay.
void sequenceMap(Call& c)
{
    const auto& body = c.graph("body");
    LoopPlan plan{body, c.emit("aten::len.t", {c.in(0)}), Term(true)};
    plan.collected = body.outputs.size();
    plan.bind = [&](const Term& step, const std::vector<Term>&) {
        std::vector<Term> bound;
        for (const auto& input : c.inputs())
            bound.push_back(input.isSequence() ? c.emit("orrery::onnx_sequence_at", {input, step}) : input);
        return bound;
    };
    const auto written = writeLoop(c, plan);
    for (std::size_t i = 0; i < written.lists.size(); ++i)
        c.out(i, written.lists[i]);
}

}  // namespace control

std::span<const Entry> controlOperators()
{
    using namespace control;
    static const Entry kEntries[] = {{"If", branch}, {"Loop", loop}, {"Scan", scan}, {"SequenceMap", sequenceMap}};
    return kEntries;
}

}  // namespace orrery::models::onnx
