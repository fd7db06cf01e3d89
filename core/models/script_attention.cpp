// Attention that a file calls as one operator becomes its parts, so that scores and patterns can be seen.
#include "script_converter.h"

namespace orrery::models {

// The same steps in the same order as the operator that stands in for it (compat_operators.cpp), so the numbers are the same. Kept whole: a mask that is a tensor (whether it hides or
// adds is known when it runs), dropout, shared heads.
bool ScriptConverter::convertAttention(const ts::Node& node, Frame& frame)
{
    if (std::string(node.kind().toQualString()) != "aten::scaled_dot_product_attention" || node.inputs().size() != 8)
        return false;
    const auto inputs = readInputs(node, frame);
    const auto isNone = [&](std::size_t i) { return inputs[i].isConstant() && inputs[i].constant.isNone(); };
    const auto isFlag = [&](std::size_t i) { return inputs[i].isConstant() && inputs[i].constant.isBool(); };
    const bool noDropout = inputs[4].isConstant() && inputs[4].constant.isDouble() && inputs[4].constant.toDouble() == 0;
    const bool knownScale = isNone(6) || (inputs[6].isConstant() && inputs[6].constant.isDouble());
    if (!isNone(3) || !isFlag(5) || !isFlag(7) || inputs[7].constant.toBool() || !noDropout || !knownScale)
        return false;
    const auto number = [](std::int64_t value) { return Operand::literal(value); };
    const auto made = [&](const std::string& op, const std::string& overload, std::vector<Operand> operands, const std::string& type = "Tensor") {
        return Operand::of(emit(op, overload, std::move(operands), type));
    };
    Operand factor;
    if (isNone(6)) {
        const auto features = made("aten::size", "int", {inputs[0], number(-1)}, "int");
        const auto root = made("aten::sqrt", "int", {features}, "float");
        const auto scale = made("aten::div", "float", {Operand::literal(1.0), root}, "float");
        factor = made("aten::sqrt", "float", {scale}, "float");
    } else {
        factor = Operand::literal(std::sqrt(inputs[6].constant.toDouble()));
    }
    const auto query = made("aten::mul", "Scalar", {inputs[0], factor});
    const auto turned = made("aten::transpose", "int", {inputs[1], number(-2), number(-1)});
    const auto key = made("aten::mul", "Scalar", {turned, factor});
    auto scores = made("aten::matmul", "", {query, key});
    if (inputs[5].constant.toBool())
        scores = made("aten::add", "Tensor", {scores, causalMask(inputs[0], inputs[1]), number(1)});
    const auto pattern = made("aten::softmax", "int", {scores, number(-1), Operand::literal({})});
    frame.values[node.output()] = cellBinding(made("aten::matmul", "", {pattern, inputs[2]}), "Tensor");
    return true;
}

// Zero where the key is not later than the query, else minus infinity.
Operand ScriptConverter::causalMask(const Operand& query, const Operand& key)
{
    const auto none = Operand::literal({});
    const auto made = [&](const std::string& op, const std::string& overload, std::vector<Operand> operands, const std::string& type = "Tensor") {
        return Operand::of(emit(op, overload, std::move(operands), type));
    };
    const auto rows = made("aten::size", "int", {query, Operand::literal(std::int64_t(-2))}, "int");
    const auto columns = made("aten::size", "int", {key, Operand::literal(std::int64_t(-2))}, "int");
    const auto sizes = made("prim::ListConstruct", "", {rows, columns}, "List[int]");
    const auto zeros = made("aten::new_zeros", "", {query, sizes, none, none, none, none});
    const auto ones = made("aten::ones_like", "", {zeros, Operand::literal(std::int64_t(at::kBool)), none, none, none, none});
    const auto lower = made("aten::tril", "", {ones, Operand::literal(std::int64_t(0))});
    const auto hidden = made("aten::logical_not", "", {lower});
    return made("aten::masked_fill", "Scalar", {zeros, hidden, Operand::literal(-std::numeric_limits<double>::infinity())});
}

}  // namespace orrery::models
