// If, Loop and Scan.
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

/// What a loop carries from step to step, and the lists that collect what each step gives.
struct LoopParts {
    std::vector<Term> carried;  ///< before the first step
    std::vector<Term> inside;   ///< the same inside the block
    std::size_t collected = 0;
};

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

void loop(Call& c)
{
    const auto& body = c.graph("body");
    const std::size_t carriedCount = c.count() > 2 ? c.count() - 2 : 0;
    if (body.outputs.size() < carriedCount + 1 || body.inputs.size() != carriedCount + 2)
        c.fail(fmt::format("expected a body of {} inputs and at least {} outputs, found {} and {}", carriedCount + 2, carriedCount + 1,
                           body.inputs.size(), body.outputs.size()));
    const std::size_t collected = body.outputs.size() - 1 - carriedCount;
    const Term limit = c.has(0) ? c.oneInt(c.in(0)) : Term(std::numeric_limits<std::int64_t>::max());
    const Term first = c.has(1) ? truth(c, c.in(1)) : Term(true);
    std::vector<Term> start;
    for (std::size_t i = 0; i < carriedCount; ++i)
        start.push_back(materialised(c, c.inputs()[i + 2]));
    for (std::size_t i = 0; i < collected; ++i)
        start.push_back(emptyList(c));

    std::vector<graph::Block> blocks(1);
    auto& block = blocks[0];
    const Term step(c.emitter().newValue(c.emitter().path() + ".step", "int"), "int");
    block.inputs.push_back(step.operand.value);
    std::vector<Term> inside, bound = {sizesTerm({step}, 0), constantTerm(at::ones({}, at::kBool))};
    for (std::size_t i = 0; i < start.size(); ++i)
        inside.push_back(blockInput(c, block, i < carriedCount ? "carried" : "collected", start[i]));
    bound.insert(bound.end(), inside.begin(), inside.begin() + std::ptrdiff_t(carriedCount));
    const auto results = c.converter().convertInner(body, bound, &block);

    auto* const outer = c.emitter().enter(&block);
    std::vector<Term> next = {truth(c, results[0])};
    for (std::size_t i = 0; i < carriedCount; ++i)
        next.push_back(results[i + 1]);
    for (std::size_t i = 0; i < collected; ++i)
        next.push_back(appended(c, inside[carriedCount + i], results[carriedCount + 1 + i]));
    c.emitter().enter(outer);
    setOutputs(c, block, next);

    std::vector<Term> inputs = {limit, first};
    inputs.insert(inputs.end(), start.begin(), start.end());
    std::vector<Term> like;
    for (std::size_t i = 0; i < start.size(); ++i) {
        like.push_back(start[i].isNone() ? next[i + 1] : start[i]);
        like.back().rank.reset();
    }
    const auto outputs = blockNode(c, "prim::Loop", inputs, std::move(blocks), like);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        Term output = outputs[i];
        if (i >= carriedCount) {
            output = c.emit("orrery::onnx_stack", {output, 0});
            output.dtype = results[i + 1].dtype;
            if (results[i + 1].rank)
                output.rank = *results[i + 1].rank + 1;
        }
        c.out(i, output);
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
    const std::size_t states = c.count() - scanned, collected = body.outputs.size() - states;
    const Term firstScanned = c.in(states);
    const Term limit = c.emit("aten::size.int", {firstScanned, listed(c, "scan_input_axes", 0)});
    std::vector<Term> start;
    for (std::size_t i = 0; i < states; ++i)
        start.push_back(materialised(c, c.in(i)));
    for (std::size_t i = 0; i < collected; ++i)
        start.push_back(emptyList(c));

    std::vector<graph::Block> blocks(1);
    auto& block = blocks[0];
    const Term step(c.emitter().newValue(c.emitter().path() + ".step", "int"), "int");
    block.inputs.push_back(step.operand.value);
    std::vector<Term> inside;
    for (std::size_t i = 0; i < start.size(); ++i)
        inside.push_back(blockInput(c, block, i < states ? "carried" : "collected", start[i]));
    std::vector<Term> bound(inside.begin(), inside.begin() + std::ptrdiff_t(states));
    auto* const outer = c.emitter().enter(&block);
    for (std::size_t i = 0; i < scanned; ++i) {
        Term at = step;
        if (listed(c, "scan_input_directions", i))
            at = c.emit("aten::sub.int", {c.emit("aten::sub.int", {limit, step}), 1});
        bound.push_back(c.emit("aten::select.int", {c.in(states + i), listed(c, "scan_input_axes", i), at}));
    }
    c.emitter().enter(outer);
    const auto results = c.converter().convertInner(body, bound, &block);
    c.emitter().enter(&block);
    std::vector<Term> next = {Term(true)};
    for (std::size_t i = 0; i < states; ++i)
        next.push_back(results[i]);
    for (std::size_t i = 0; i < collected; ++i)
        next.push_back(appended(c, inside[states + i], results[states + i]));
    c.emitter().enter(outer);
    setOutputs(c, block, next);

    std::vector<Term> inputs = {limit, Term(true)};
    inputs.insert(inputs.end(), start.begin(), start.end());
    const auto outputs = blockNode(c, "prim::Loop", inputs, std::move(blocks), start);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        Term output = outputs[i];
        if (i >= states) {
            const auto axis = listed(c, "scan_output_axes", i - states);
            output = c.emit("orrery::onnx_stack", {output, axis});
            if (listed(c, "scan_output_directions", i - states))
                output = c.emit("aten::flip", {output, std::vector<std::int64_t>{axis}});
            output.dtype = results[i].dtype;
        }
        c.out(i, output);
    }
}

}  // namespace control

std::span<const Entry> controlOperators()
{
    using namespace control;
    static const Entry kEntries[] = {{"If", branch}, {"Loop", loop}, {"Scan", scan}};
    return kEntries;
}

}  // namespace orrery::models::onnx
