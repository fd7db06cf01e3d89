#include <fmt/format.h>

#include <algorithm>
#include <set>

#include <core/base/text.h>

#include "exported_json.h"

namespace orrery::io {
namespace {

using ArgumentKind = ExportedArgument::Kind;

// What a tensor's description takes with its name in a map, and what one of its sizes does, with the room that lists keep for more.
constexpr std::uint64_t kDescriptionMemory = sizeof(ExportedTensor) + 100, kSizeMemory = 100;
constexpr std::uint64_t kDefinedNameMemory = 80;  // of a value among those that are known
constexpr std::uint64_t kModuleMemory = 150;      // of a module around a node, while it is taken apart, too

ExportedArgument literal(ArgumentKind kind, std::int64_t integer)
{
    ExportedArgument argument;
    argument.kind = kind;
    argument.integer = integer;
    return argument;
}

ExportedArgument named(ArgumentKind kind, std::string text)
{
    ExportedArgument argument;
    argument.kind = kind;
    argument.text = std::move(text);
    return argument;
}

ExportedArgument numberArgument(double number)
{
    ExportedArgument argument;
    argument.kind = ArgumentKind::Float;
    argument.number = number;
    return argument;
}

// SymIntArgument and its kin: a name, or the number itself.
ExportedArgument symbolic(ExportJson value, ArgumentKind kind, const ExportPlace& place)
{
    const auto [which, content] = unionOf(value, place);
    if (which == "as_name")
        return named(kind, textOf(content, place));
    if (which == "as_int")
        return literal(ArgumentKind::Int, integerOf(content, place));
    if (which == "as_bool")
        return literal(ArgumentKind::Bool, flagOf(content, place));
    if (which == "as_float")
        return numberArgument(numberOf(content, place));
    place.fail(fmt::format("expected as_name, as_int, as_float or as_bool, found {}", which));
}

ExportedArgument tensorNamed(ExportJson value, const ExportPlace& place)
{
    return named(ArgumentKind::Tensor, textField(value, "name", place));
}

ExportedArgument optionalTensor(ExportJson value, const ExportPlace& place)
{
    if (!value.isObject())  // schema 5 wrote `[]` for nothing
        return {};
    if (findField(value, "name"))
        return tensorNamed(value, place);
    const auto [which, content] = unionOf(value, place);
    return which == "as_tensor" ? tensorNamed(content, place) : ExportedArgument();
}

template <class Read>
ExportedArgument listOf(ExportJson value, ArgumentKind itemKind, const ExportPlace& place, const Read& read)
{
    if (!value.isList())
        place.fail(fmt::format("expected a list, found {}", value.typeName()));
    ExportedArgument list;
    list.kind = ArgumentKind::List;
    list.itemKind = itemKind;
    place.take(value.size() * sizeof(ExportedArgument));
    list.items.reserve(value.size());
    eachOf(value, place, [&](ExportJson item, const ExportPlace& at) { list.items.push_back(read(item, at)); });
    return list;
}

ExportedArgument intArgument(ExportJson value, const ExportPlace& place)
{
    return literal(ArgumentKind::Int, integerOf(value, place));
}
ExportedArgument floatArgument(ExportJson value, const ExportPlace& place)
{
    return numberArgument(numberOf(value, place));
}
ExportedArgument boolArgument(ExportJson value, const ExportPlace& place)
{
    return literal(ArgumentKind::Bool, flagOf(value, place));
}
ExportedArgument stringArgument(ExportJson value, const ExportPlace& place)
{
    return named(ArgumentKind::String, textOf(value, place));
}

ExportedArgument deviceArgument(ExportJson value, const ExportPlace& place)
{
    auto text = textField(value, "type", place);
    if (const auto index = findField(value, "index"))
        text += fmt::format(":{}", integerOf(*index, place.in("index")));
    return named(ArgumentKind::Device, std::move(text));
}

ExportedArgument complexArgument(ExportJson value, const ExportPlace& place)
{
    auto argument = numberArgument(numberOf(requiredField(value, "real", place), place));
    argument.kind = ArgumentKind::Complex;
    argument.imaginary = numberOf(requiredField(value, "imag", place), place);
    return argument;
}

/// Reads graphs; a subgraph is an argument of a node.
class GraphReader {
public:
    explicit GraphReader(int depth) : m_depth(depth) {}
    ExportedGraph read(ExportJson json, const ExportPlace& place);
    ExportedArgument argument(ExportJson json, const ExportPlace& place) const;

private:
    ExportedArgument listArgument(const std::string& which, ExportJson value, const ExportPlace& place) const;
    ExportedNode node(ExportJson json, const ExportPlace& place);
    void use(const ExportedArgument& argument, const ExportPlace& place) const;
    void define(const ExportedArgument& argument, const ExportPlace& place);
    int m_depth;
    std::set<std::string> m_defined;
};

ExportedArgument GraphReader::listArgument(const std::string& which, ExportJson value, const ExportPlace& place) const
{
    if (which == "as_tensors")
        return listOf(value, ArgumentKind::Tensor, place, tensorNamed);
    if (which == "as_optional_tensors")
        return listOf(value, ArgumentKind::Tensor, place, optionalTensor);
    if (which == "as_ints")
        return listOf(value, ArgumentKind::Int, place, intArgument);
    if (which == "as_floats")
        return listOf(value, ArgumentKind::Float, place, floatArgument);
    if (which == "as_bools")
        return listOf(value, ArgumentKind::Bool, place, boolArgument);
    if (which == "as_strings")
        return listOf(value, ArgumentKind::String, place, stringArgument);
    for (const auto& [name, kind, itemKind] : {std::tuple("as_sym_ints", ArgumentKind::SymInt, ArgumentKind::Int),
                                               std::tuple("as_sym_floats", ArgumentKind::SymFloat, ArgumentKind::Float),
                                               std::tuple("as_sym_bools", ArgumentKind::SymBool, ArgumentKind::Bool)})
        if (which == name)
            return listOf(value, itemKind, place, [kind = kind](ExportJson item, const ExportPlace& at) { return symbolic(item, kind, at); });
    if (which == "as_nested_tensors" || which == "as_int_lists")
        return listOf(value, ArgumentKind::List, place, [&](ExportJson item, const ExportPlace& at) {
            return listArgument(which == "as_int_lists" ? "as_ints" : "as_tensors", item, at);
        });
    place.fail(
        fmt::format("{}: a kind of argument that is not known here (schema versions {} to {} are)", which, kOldestExportSchema, kNewestExportSchema));
}

ExportedArgument GraphReader::argument(ExportJson json, const ExportPlace& outer) const
{
    const auto [which, content] = unionOf(json, outer);
    const ExportPlace place = outer.in(which);
    place.take(sizeof(ExportedArgument));
    if (which == "as_none")
        return {};
    if (which == "as_tensor")
        return tensorNamed(content, place);
    if (which == "as_optional_tensor")
        return optionalTensor(content, place);
    if (which == "as_int")
        return intArgument(content, place);
    if (which == "as_float")
        return floatArgument(content, place);
    if (which == "as_bool")
        return boolArgument(content, place);
    if (which == "as_string")
        return stringArgument(content, place);
    if (which == "as_sym_int" || which == "as_sym_float" || which == "as_sym_bool")
        return symbolic(content,
                        which == "as_sym_int"     ? ArgumentKind::SymInt
                        : which == "as_sym_float" ? ArgumentKind::SymFloat
                                                  : ArgumentKind::SymBool,
                        place);
    if (which == "as_scalar_type" || which == "as_memory_format" || which == "as_layout")
        return literal(which == "as_scalar_type" ? ArgumentKind::ScalarType
                       : which == "as_layout"    ? ArgumentKind::Layout
                                                 : ArgumentKind::MemoryFormat,
                       integerOf(content, place));
    if (which == "as_device")
        return deviceArgument(content, place);
    if (which == "as_complex")
        return complexArgument(content, place);
    if (which == "as_custom_obj")
        return named(ArgumentKind::Object, textField(content, "name", place));
    if (which == "as_operator")
        return named(ArgumentKind::Operator, textOf(content, place));
    if (which != "as_graph")
        return listArgument(which, content, place);
    if (m_depth >= kMaxExportedGraphDepth)
        place.fail(fmt::format("expected graphs nested at most {} deep", kMaxExportedGraphDepth));
    auto graph = named(ArgumentKind::Graph, textField(content, "name", place));
    graph.graph = std::make_shared<const ExportedGraph>(GraphReader(m_depth + 1).read(requiredField(content, "graph", place), place));
    return graph;
}

void GraphReader::use(const ExportedArgument& argument, const ExportPlace& place) const
{
    if (argument.isValue() && !m_defined.count(argument.text))
        place.fail(fmt::format("value {} is used before it is made", argument.text));
    for (const auto& item : argument.items)
        use(item, place);
}

void GraphReader::define(const ExportedArgument& argument, const ExportPlace& place)
{
    if (argument.isValue())
        place.take(kDefinedNameMemory);
    if (argument.isValue() && !m_defined.insert(argument.text).second)
        place.fail(fmt::format("value {} is made twice", argument.text));
    for (const auto& item : argument.items)
        define(item, place);
}

// "key,path,class" for each module, outermost first. Paths may hold commas, keys and classes do not.
std::vector<std::pair<std::string, std::string>> moduleStack(const std::string& text)
{
    std::vector<std::pair<std::string, std::string>> modules;
    for (const auto& entry : core::split(text, ';')) {
        const auto first = entry.find(','), last = entry.rfind(',');
        if (first == std::string::npos || last == first)
            continue;
        auto path = entry.substr(first + 1, last - first - 1);
        if (const auto call = path.rfind('@'); call != std::string::npos)  // the second call of one module
            path.resize(call);
        for (const std::string_view self : {"L['self'].", "L['self']", "L__self__."})
            if (path.starts_with(self))
                path.erase(0, self.size());
        modules.emplace_back(path, entry.substr(last + 1));
    }
    return modules;
}

// The innermost line of a Python stack trace, without its folder.
std::string lastSource(const std::string& trace)
{
    const std::string_view mark = "File \"";
    const auto begin = trace.rfind(mark);
    if (begin == std::string::npos)
        return {};
    const auto end = trace.find('"', begin + mark.size());
    const auto line = trace.find("line ", begin);
    if (end == std::string::npos || line == std::string::npos)
        return {};
    auto file = trace.substr(begin + mark.size(), end - begin - mark.size());
    file = file.substr(file.find_last_of("/\\") + 1);
    const auto digits = trace.find_first_not_of("0123456789", line + 5);
    return fmt::format("{}:{}", file, trace.substr(line + 5, digits - line - 5));
}

ExportedNode GraphReader::node(ExportJson json, const ExportPlace& place)
{
    ExportedNode node;
    node.target = textField(json, "target", place);
    eachOf(listField(json, "inputs", place), place.in("inputs"), [&](ExportJson input, const ExportPlace& at) {
        at.take(sizeof(ExportedNode::Input));
        node.inputs.push_back({textField(input, "name", at), argument(requiredField(input, "arg", at), at)});
        use(node.inputs.back().value, at);
    });
    eachOf(listField(json, "outputs", place), place.in("outputs"), [&](ExportJson output, const ExportPlace& at) {
        node.outputs.push_back(argument(output, at));
        define(node.outputs.back(), at);
    });
    const auto metadata = findField(json, "metadata");
    if (!metadata || !metadata->isObject())
        return node;
    if (const auto stack = findField(*metadata, "nn_module_stack"); stack && stack->isText()) {
        place.take(std::uint64_t(std::count(stack->text().begin(), stack->text().end(), ';')) * kModuleMemory);
        node.modules = moduleStack(std::string(stack->text()));
    }
    if (const auto trace = findField(*metadata, "stack_trace"); trace && trace->isText())
        node.source = lastSource(std::string(trace->text()));
    return node;
}

// Numbers of torch._export.serde.schema.ScalarType.
std::optional<ElementType> elementTypeOf(std::int64_t number)
{
    static const std::map<std::int64_t, ElementType> kTypes = {
        {1, ElementType::UInt8},      {2, ElementType::Int8},        {3, ElementType::Int16},      {4, ElementType::Int32},
        {5, ElementType::Int64},      {6, ElementType::Float16},     {7, ElementType::Float32},    {8, ElementType::Float64},
        {10, ElementType::Complex64}, {11, ElementType::Complex128}, {12, ElementType::Bool},      {13, ElementType::BFloat16},
        {28, ElementType::UInt16},    {29, ElementType::Float8E4M3}, {30, ElementType::Float8E5M2}};
    const auto found = kTypes.find(number);
    return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

// A SymInt: a number, or -1 with its expression.
std::pair<std::int64_t, std::string> sizeOf(ExportJson json, const ExportPlace& place)
{
    const auto [which, content] = unionOf(json, place);
    if (which == "as_int") {
        const auto size = integerOf(content, place);
        if (size < 0)
            place.fail(fmt::format("expected a size of at least 0, found {}", size));
        return {size, ""};
    }
    if (which == "as_expr")
        return {-1, textField(content, "expr_str", place)};
    place.fail(fmt::format("expected as_int or as_expr, found {}", which));
}

ExportedGraph GraphReader::read(ExportJson json, const ExportPlace& place)
{
    ExportedGraph graph;
    eachOf(listField(json, "inputs", place), place.in("inputs"), [&](ExportJson input, const ExportPlace& at) {
        graph.inputs.push_back(argument(input, at));
        define(graph.inputs.back(), at);
    });
    eachOf(listField(json, "nodes", place), place.in("nodes"), [&](ExportJson each, const ExportPlace& at) {
        at.take(sizeof(ExportedNode));
        graph.nodes.push_back(node(each, at));
    });
    eachOf(listField(json, "outputs", place), place.in("outputs"), [&](ExportJson output, const ExportPlace& at) {
        graph.outputs.push_back(argument(output, at));
        use(graph.outputs.back(), at);
    });
    if (const auto values = findField(json, "tensor_values"); values && values->isObject())
        for (const ExportJson meta : *values)
            graph.tensors[std::string(meta.key())] = readExportedTensor(meta, place.in("tensor_values").in(meta.key()));
    return graph;
}

}  // namespace

ExportedTensor readExportedTensor(ExportJson json, const ExportPlace& place)
{
    ExportedTensor tensor;
    tensor.type = elementTypeOf(integerOf(requiredField(json, "dtype", place), place.in("dtype")));
    place.take(kDescriptionMemory);
    eachOf(listField(json, "sizes", place), place.in("sizes"), [&](ExportJson each, const ExportPlace& at) {
        at.take(kSizeMemory);
        auto [size, symbol] = sizeOf(each, at);
        tensor.sizes.push_back(size);
        tensor.symbols.push_back(std::move(symbol));
    });
    if (findField(json, "strides"))
        eachOf(listField(json, "strides", place), place.in("strides"),
               [&](ExportJson each, const ExportPlace& at) { tensor.strides.push_back(sizeOf(each, at).first); });
    if (const auto offset = findField(json, "storage_offset"))
        tensor.offset = offset->isInteger() ? integerOf(*offset, place) : sizeOf(*offset, place.in("storage_offset")).first;
    return tensor;
}

ExportedGraph readExportedGraph(ExportJson json, const ExportPlace& place)
{
    return GraphReader(0).read(json, place);
}

ExportedArgument readExportedArgument(ExportJson json, const ExportPlace& place)
{
    return GraphReader(kMaxExportedGraphDepth).argument(json, place);
}

}  // namespace orrery::io
