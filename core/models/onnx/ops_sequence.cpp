// Lists of tensors and values that may be missing.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace sequences {

void construct(Call& c)
{
    std::vector<Term> tensors;
    for (std::size_t i = 0; i < c.count(); ++i)
        tensors.push_back(c.emitter().asTensor(c.in(i)));
    c.out(c.emitter().emitOpaque("prim::ListConstruct", tensors, 1)[0]);
}

void empty(Call& c)
{
    c.out(c.emitter().emitOpaque("prim::ListConstruct", {}, 1)[0]);
}

Term position(Call& c, std::size_t input)
{
    return c.has(input) ? c.oneInt(c.in(input)) : Term(nullptr);
}

void elementAt(Call& c)
{
    c.out(c.emit("orrery::onnx_sequence_at", {c.in(0), position(c, 1)}));
}

void insert(Call& c)
{
    c.out(c.emit("orrery::onnx_sequence_insert", {c.in(0), c.emitter().asTensor(c.in(1)), position(c, 2)}));
}

void erase(Call& c)
{
    c.out(c.emit("orrery::onnx_sequence_erase", {c.in(0), position(c, 1)}));
}

void length(Call& c)
{
    c.out(sizesTerm({c.emit("aten::len.t", {c.in(0)})}, 0));
}

void concatenate(Call& c)
{
    const bool stacks = c.integer("new_axis", 0) != 0;
    c.out(c.emit(stacks ? "aten::stack" : "aten::cat", {c.in(0), c.integer("axis", 0)}));
}

void splitToSequence(Call& c)
{
    const Term sizes = c.has(1) ? c.in(1) : Term(nullptr);
    c.out(c.emit("orrery::onnx_split_to_sequence", {c.in(0), sizes, c.integer("axis", 0), c.integer("keepdims", 1) != 0}));
}

void optionalOf(Call& c)
{
    c.out(c.count() ? c.inputs()[0] : Term(nullptr));
}

void hasElement(Call& c)
{
    if (c.count() == 0 || c.inputs()[0].isNone())
        return c.out(constantTerm(at::zeros({}, at::kBool)));
    Term result = c.emit("orrery::onnx_to_bool_tensor", {c.emit("aten::__isnot__", {c.in(0), nullptr})});
    result.dtype = at::kBool;
    result.rank = 0;
    c.out(result);
}

void getElement(Call& c)
{
    Term term = c.in(0);
    if (term.type == "Optional[List[Tensor]]")
        term.type = "List[Tensor]";
    c.out(term);
}

}  // namespace sequences

std::span<const Entry> sequenceOperators()
{
    using namespace sequences;
    static const Entry kEntries[] = {
        {"ConcatFromSequence", concatenate},
        {"Optional", optionalOf},
        {"OptionalGetElement", getElement},
        {"OptionalHasElement", hasElement},
        {"SequenceAt", elementAt},
        {"SequenceConstruct", construct},
        {"SequenceEmpty", empty},
        {"SequenceErase", erase},
        {"SequenceInsert", insert},
        {"SequenceLength", length},
        {"SplitToSequence", splitToSequence},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
