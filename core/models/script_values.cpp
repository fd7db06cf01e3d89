#include "script_values.h"

#include <ATen/core/jit_type.h>

#include <algorithm>
#include <bit>

namespace orrery::models {

bool Binding::operator==(const Binding& other) const
{
    if (kind != other.kind)
        return false;
    switch (kind) {
    case Kind::Cell: return cell == other.cell;
    case Kind::Object: return path == other.path && object.is(other.object);
    case Kind::Function: return function == other.function;
    case Kind::Tuple: return items == other.items;
    }
    return false;
}

bool isLiteral(const c10::IValue& value)
{
    if (value.isTuple()) {
        const auto& items = value.toTupleRef().elements();
        return std::all_of(items.begin(), items.end(), [](const c10::IValue& item) { return isLiteral(item); });
    }
    if (value.isList()) {
        const auto list = value.toList().vec();
        return std::all_of(list.begin(), list.end(), [](const c10::IValue& item) { return isLiteral(item); });
    }
    return value.isNone() || value.isBool() || value.isInt() || value.isDouble() || value.isString() || value.isDevice();
}

static bool sameItems(at::ArrayRef<c10::IValue> a, at::ArrayRef<c10::IValue> b)
{
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), sameLiteral);
}

bool sameLiteral(const c10::IValue& a, const c10::IValue& b)
{
    if (a.isNone() || b.isNone())
        return a.isNone() && b.isNone();
    if (a.isTuple() && b.isTuple())
        return sameItems(a.toTupleRef().elements(), b.toTupleRef().elements());
    if (a.isList() && b.isList())
        return sameItems(a.toList().vec(), b.toList().vec());
    if (a.tagKind() != b.tagKind())
        return false;
    if (a.isDouble())  // by bits: 0.0 is not -0.0 in a division
        return std::bit_cast<std::uint64_t>(a.toDouble()) == std::bit_cast<std::uint64_t>(b.toDouble());
    return (a.isBool() && a.toBool() == b.toBool()) || (a.isInt() && a.toInt() == b.toInt()) ||
           (a.isString() && a.toStringRef() == b.toStringRef()) || (a.isDevice() && a.toDevice() == b.toDevice());
}

bool sameOperand(const Operand& a, const Operand& b)
{
    if (a.isConstant() != b.isConstant())
        return false;
    return a.isConstant() ? sameLiteral(a.constant, b.constant) : a.value == b.value;
}

std::string shortTypeName(const c10::Type& type)
{
    const auto named = type.cast<c10::NamedType>();
    return named && named->name() ? named->name()->name() : type.annotation_str();
}

std::string shortOpName(const std::string& op)
{
    static const std::map<std::string, std::string> kOwn = {
        {"prim::ListConstruct", "list"}, {"prim::ListUnpack", "unpack"},  {"prim::TupleConstruct", "tuple"},
        {"prim::TupleUnpack", "unpack"}, {"prim::DictConstruct", "dict"}, {"prim::If", "if"},
        {"prim::Loop", "loop"}};
    if (const auto own = kOwn.find(op); own != kOwn.end())
        return own->second;
    auto name = op.substr(op.rfind(':') + 1);
    const auto first = name.find_first_not_of('_');
    if (first == std::string::npos)
        return name;
    return name.substr(first, name.find_last_not_of('_') - first + 1);
}

}  // namespace orrery::models
