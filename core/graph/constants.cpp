#include <c10/core/Device.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "graph.h"

namespace orrery::graph {
namespace {

using c10::IValue;
using core::Json;

const std::vector<std::pair<at::ScalarType, std::string>>& dtypes()
{
    static const std::vector<std::pair<at::ScalarType, std::string>> kDtypes = {{at::kFloat, "float32"},
                                                                                {at::kDouble, "float64"},
                                                                                {at::kHalf, "float16"},
                                                                                {at::kBFloat16, "bfloat16"},
                                                                                {at::kLong, "int64"},
                                                                                {at::kInt, "int32"},
                                                                                {at::kShort, "int16"},
                                                                                {at::kChar, "int8"},
                                                                                {at::kByte, "uint8"},
                                                                                {at::kBool, "bool"},
                                                                                {at::kComplexFloat, "complex64"},
                                                                                {at::kComplexDouble, "complex128"}};
    return kDtypes;
}

Json floatToJson(double value)
{
    if (std::isfinite(value))
        return value;
    return Json{{"$float", std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"}};
}

Json listToJson(const char* element, const IValue& list)
{
    Json items = Json::array();
    for (const auto& item : list.toListRef())
        items.push_back(constantToJson(item));
    return Json{{"$list", element}, {"items", std::move(items)}};
}

template <class T>
IValue listOf(const Json& items, T (*read)(const Json&))
{
    c10::List<T> list;
    for (const auto& item : items)
        list.push_back(read(item));
    return list;
}

IValue listFromJson(const Json& json)
{
    const auto element = json.at("$list").get<std::string>();
    const auto& items = json.at("items");
    if (element == "int")
        return listOf<std::int64_t>(items, [](const Json& item) { return item.get<std::int64_t>(); });
    if (element == "float")
        return listOf<double>(items, [](const Json& item) { return constantFromJson(item).toDouble(); });
    if (element == "bool")
        return listOf<bool>(items, [](const Json& item) { return item.get<bool>(); });
    if (element == "str")
        return listOf<std::string>(items, [](const Json& item) { return item.get<std::string>(); });
    throw core::FormatError(fmt::format("list literal: expected elements int, float, bool or str, got \"{}\"", element));
}

}  // namespace

std::string dtypeName(at::ScalarType dtype)
{
    for (const auto& [type, name] : dtypes())
        if (type == dtype)
            return name;
    return c10::toString(dtype);
}

at::ScalarType dtypeFromName(std::string_view name)
{
    std::vector<std::string> names;
    for (const auto& [type, known] : dtypes()) {
        if (known == name)
            return type;
        names.push_back(known);
    }
    throw core::InputError(fmt::format("unknown dtype \"{}\"; expected one of {}", name, core::join(names, ", ")));
}

Json constantToJson(const IValue& constant)
{
    if (constant.isNone())
        return nullptr;
    if (constant.isBool())
        return constant.toBool();
    if (constant.isInt())
        return constant.toInt();
    if (constant.isDouble())
        return floatToJson(constant.toDouble());
    if (constant.isString())
        return constant.toStringRef();
    if (constant.isDevice())
        return Json{{"$device", constant.toDevice().str()}};
    if (constant.isComplexDouble())
        return Json{{"$complex", {floatToJson(constant.toComplexDouble().real()), floatToJson(constant.toComplexDouble().imag())}}};
    if (constant.isIntList())
        return listToJson("int", constant);
    if (constant.isDoubleList())
        return listToJson("float", constant);
    if (constant.isBoolList())
        return listToJson("bool", constant);
    if (constant.isList() && constant.toList().elementType()->kind() == c10::TypeKind::StringType)
        return listToJson("str", constant);
    if (constant.isTuple()) {
        Json items = Json::array();
        for (const auto& item : constant.toTupleRef().elements())
            items.push_back(constantToJson(item));
        return Json{{"$tuple", std::move(items)}};
    }
    throw core::FormatError(
        fmt::format("a literal of kind {} cannot be part of a graph (expected None, bool, int, float, string, device, or lists and tuples of them)",
                    constant.tagKind()));
}

IValue constantFromJson(const Json& json)
{
    if (json.is_null())
        return IValue();
    if (json.is_boolean())
        return json.get<bool>();
    if (json.is_number_integer())
        return json.get<std::int64_t>();
    if (json.is_number_float())
        return json.get<double>();
    if (json.is_string())
        return json.get<std::string>();
    if (json.is_object() && json.contains("$device"))
        return c10::Device(json.at("$device").get<std::string>());
    if (json.is_object() && json.contains("$float")) {
        const auto text = json.at("$float").get<std::string>();
        return text == "nan" ? std::nan("") : text == "-inf" ? -INFINITY : INFINITY;
    }
    if (json.is_object() && json.contains("$complex"))
        return c10::complex<double>(constantFromJson(json.at("$complex").at(0)).toDouble(), constantFromJson(json.at("$complex").at(1)).toDouble());
    if (json.is_object() && json.contains("$list"))
        return listFromJson(json);
    if (json.is_object() && json.contains("$tuple")) {
        std::vector<IValue> items;
        for (const auto& item : json.at("$tuple"))
            items.push_back(constantFromJson(item));
        return c10::ivalue::Tuple::create(std::move(items));
    }
    throw core::FormatError("literal: expected null, bool, number, string or an object with $device, $float, $complex, $list or $tuple, got " +
                            json.dump().substr(0, 80));
}

}  // namespace orrery::graph
