#include "exported_program.h"

#include <fmt/format.h>

#include <algorithm>

#include "exported_json.h"

namespace orrery::io {
namespace {

ExportedArgument namedTensor(ExportJson value, const ExportPlace& place)
{
    ExportedArgument argument;
    argument.kind = ExportedArgument::Kind::Tensor;
    argument.text = textField(value, "name", place);
    return argument;
}

ExportedInput inputSpec(ExportJson json, const ExportPlace& outer)
{
    using InputKind = ExportedInput::Kind;
    const auto [which, content] = unionOf(json, outer);
    const ExportPlace place = outer.in(which);
    ExportedInput input;
    if (which == "user_input")
        input.value = readExportedArgument(requiredField(content, "arg", place), place);
    else if (which == "parameter" || which == "buffer" || which == "tensor_constant")
        input.value = namedTensor(requiredField(content, "arg", place), place);
    if (which == "user_input")
        return input;
    if (which == "parameter") {
        input.kind = InputKind::Parameter;
        input.target = textField(content, "parameter_name", place);
    } else if (which == "buffer") {
        input.kind = InputKind::Buffer;
        input.target = textField(content, "buffer_name", place);
        const auto persistent = findField(content, "persistent");
        input.isPersistent = !persistent || flagOf(*persistent, place);
    } else if (which == "tensor_constant") {
        input.kind = InputKind::Constant;
        input.target = textField(content, "tensor_constant_name", place);
    } else if (which == "constant_input") {
        input.kind = InputKind::Literal;
        input.target = textField(content, "name", place);
        input.value = readExportedArgument(requiredField(content, "value", place), place);
    } else if (which == "custom_obj") {
        input.kind = InputKind::Object;
        input.target = textField(content, "custom_obj_name", place);
    } else if (which == "token") {
        input.kind = InputKind::Token;
    } else {
        place.fail("a kind of input that is not known here");
    }
    return input;
}

ExportedOutput outputSpec(ExportJson json, const ExportPlace& outer)
{
    using OutputKind = ExportedOutput::Kind;
    const auto [which, content] = unionOf(json, outer);
    const ExportPlace place = outer.in(which);
    ExportedOutput output;
    if (which == "user_output") {
        output.value = readExportedArgument(requiredField(content, "arg", place), place);
        return output;
    }
    struct Known {
        const char* name;
        OutputKind kind;
        const char* target;
    };
    for (const Known& known : {Known{"loss_output", OutputKind::Loss, nullptr}, Known{"buffer_mutation", OutputKind::BufferMutation, "buffer_name"},
                               Known{"parameter_mutation", OutputKind::ParameterMutation, "parameter_name"},
                               Known{"user_input_mutation", OutputKind::InputMutation, "user_input_name"},
                               Known{"gradient_to_parameter", OutputKind::Gradient, "parameter_name"},
                               Known{"gradient_to_user_input", OutputKind::Gradient, "user_input_name"}, Known{"token", OutputKind::Token, nullptr}})
        if (which == known.name) {
            output.kind = known.kind;
            output.value = namedTensor(requiredField(content, "arg", place), place);
            if (known.target)
                output.target = textField(content, known.target, place);
            return output;
        }
    place.fail("a kind of output that is not known here");
}

/// Names of the leaves of a treespec of protocol 1, each the keys on the way to it with dots between. Long keys above many leaves would take any amount: they are counted.
class LeafNames {
public:
    explicit LeafNames(MemoryBudget& budget) : m_budget(budget) {}
    std::vector<std::string> names;

    /// One node: {"type": ..., "context": ..., "children_spec": [...]}. False: it is none, or too much.
    bool collect(ExportJson spec, const std::string& path, int depth = 0)
    {
        if (depth > kMaxExportedGraphDepth || !spec.isObject() || !m_budget.take(path.size() + sizeof path))
            return false;
        const auto type = findField(spec, "type");
        if (!type) {
            names.push_back(path);
            return true;
        }
        const auto children = findField(spec, "children_spec");
        if (!type->isText() || !children || !children->isList())
            return false;
        const auto keys = type->text().ends_with("ict") ? keysOf(findField(spec, "context")) : std::vector<std::string>();
        std::size_t index = 0;
        for (const ExportJson child : *children) {
            const auto key = keys.size() == children->size() && !keys[index].empty() ? keys[index] : std::to_string(index);
            ++index;
            if (!collect(child, path.empty() ? key : path + "." + key, depth + 1))
                return false;
        }
        return true;
    }

private:
    /// A dictionary's keys, a list as text. One that is no text stays empty.
    std::vector<std::string> keysOf(const std::optional<ExportJson>& context)
    {
        const auto tape = context && context->isText() ? JsonTape::of(context->text(), m_budget) : std::nullopt;
        std::vector<std::string> keys;
        if (tape && tape->root().isList() && m_budget.take(tape->root().size() * sizeof(std::string)))
            for (const ExportJson key : tape->root())
                keys.emplace_back(key.isText() ? key.text() : std::string_view());
        return keys;
    }

    MemoryBudget& m_budget;
};

/// [1, tree]
std::optional<ExportJson> protocolOne(ExportJson spec)
{
    if (!spec.isList() || spec.size() != 2 || (*spec.begin()).integer() != 1)
        return {};
    return *++spec.begin();
}

std::optional<ExportJson> childrenOf(ExportJson spec)
{
    auto children = findField(spec, "children_spec");
    return children && children->isList() ? children : std::nullopt;
}

// (positional arguments, keyword arguments): the former are called as forward names them.
std::vector<std::string> inputLeafNames(std::string_view text, const std::vector<std::string>& positional, MemoryBudget& budget)
{
    const auto tape = JsonTape::of(text, budget);
    const auto root = tape ? protocolOne(tape->root()) : std::nullopt;
    const auto parts = root ? childrenOf(*root) : std::nullopt;
    if (!parts || parts->size() != 2)
        return {};
    const auto arguments = childrenOf(*parts->begin());
    if (!arguments)
        return {};
    LeafNames leaves(budget);
    std::size_t index = 0;
    for (const ExportJson argument : *arguments) {
        if (!leaves.collect(argument, index < positional.size() ? positional[index] : fmt::format("input.{}", index)))
            return {};
        ++index;
    }
    return leaves.collect(*++parts->begin(), "") ? leaves.names : std::vector<std::string>();
}

std::vector<std::string> leafNames(std::string_view treespec, std::string_view root, MemoryBudget& budget)
{
    const auto tape = JsonTape::of(treespec, budget);
    const auto tree = tape ? protocolOne(tape->root()) : std::nullopt;
    LeafNames leaves(budget);
    return tree && leaves.collect(*tree, std::string(root)) ? leaves.names : std::vector<std::string>();
}

// The call of the whole model tells how its inputs and outputs were nested.
void readCallNames(ExportJson module, ExportedProgram& program, const ExportPlace& place)
{
    const auto calls = findField(module, "module_call_graph");
    if (!calls || !calls->isList())
        return;
    for (const ExportJson call : *calls) {
        const auto path = findField(call, "fqn");
        const auto signature = path && path->isText() && path->text().empty() ? findField(call, "signature") : std::nullopt;
        if (!signature || !signature->isObject())
            continue;
        std::vector<std::string> positional;
        if (const auto names = findField(*signature, "forward_arg_names"); names && names->isList()) {
            place.take(names->size() * sizeof(std::string));
            for (const ExportJson name : *names)
                positional.emplace_back(name.isText() ? name.text() : "input");
        }
        if (const auto spec = findField(*signature, "in_spec"); spec && spec->isText())
            program.inputNames = inputLeafNames(spec->text(), positional, *place.budget);
        if (const auto spec = findField(*signature, "out_spec"); spec && spec->isText())
            program.outputNames = leafNames(spec->text(), "", *place.budget);
        return;
    }
}

void readVersion(ExportJson document, ExportedProgram& program, const ExportPlace& place)
{
    const ExportJson version = requiredField(document, "schema_version", place);
    const ExportPlace at = place.in("schema_version");
    program.schemaMajor = int(std::clamp<std::int64_t>(integerOf(requiredField(version, "major", at), at), 0, 100000));
    program.schemaMinor = int(std::clamp<std::int64_t>(integerOf(requiredField(version, "minor", at), at), 0, 100000));
    if (program.schemaMajor < kOldestExportSchema || program.schemaMajor > kNewestExportSchema)
        at.fail(fmt::format("expected version {} to {}, found {}.{}", kOldestExportSchema, kNewestExportSchema, program.schemaMajor,
                            program.schemaMinor));
    if (const auto torch = findField(document, "torch_version"); torch && torch->isText())
        program.torchVersion = torch->text();
}

}  // namespace

std::vector<std::string> treeLeafNames(std::string_view treespec, std::string_view root)
{
    MemoryBudget budget(fileMemory(treespec.size()));
    return leafNames(treespec, root, budget);
}

ExportedProgram parseExportedProgram(std::string_view json, std::string_view name)
{
    MemoryBudget budget(fileMemory(json.size()));
    const JsonTape tape = parsedExport(json, {name, "document", &budget});
    const ExportJson document = tape.root();
    const ExportPlace place{name, "program", &budget};
    ExportedProgram program;
    readVersion(document, program, place);
    const ExportJson module = requiredField(document, "graph_module", place);
    const ExportPlace inModule = place.in("graph_module");
    program.graph = readExportedGraph(requiredField(module, "graph", inModule), inModule.in("graph"));
    const ExportJson signature = requiredField(module, "signature", inModule);
    const ExportPlace inSignature = inModule.in("signature");
    eachOf(listField(signature, "input_specs", inSignature), inSignature.in("input_specs"), [&](ExportJson spec, const ExportPlace& at) {
        at.take(sizeof(ExportedInput));
        program.inputs.push_back(inputSpec(spec, at));
    });
    eachOf(listField(signature, "output_specs", inSignature), inSignature.in("output_specs"), [&](ExportJson spec, const ExportPlace& at) {
        at.take(sizeof(ExportedOutput));
        program.outputs.push_back(outputSpec(spec, at));
    });
    for (const auto& [what, specs, values] : {std::tuple("inputs", program.inputs.size(), program.graph.inputs.size()),
                                              std::tuple("outputs", program.outputs.size(), program.graph.outputs.size())})
        if (specs != values)
            inSignature.fail(fmt::format("expected {} {} as the graph has, found {}", values, what, specs));
    readCallNames(module, program, place);
    return program;
}

std::map<std::string, ExportedPayload> parseExportedPayloads(std::string_view json, std::string_view name)
{
    MemoryBudget budget(fileMemory(json.size()));
    const JsonTape tape = parsedExport(json, {name, "document", &budget});
    const ExportPlace place{name, "config", &budget};
    const ExportJson config = requiredField(tape.root(), "config", place);
    if (!config.isObject())
        place.fail(fmt::format("expected an object, found {}", config.typeName()));
    std::map<std::string, ExportedPayload> payloads;
    for (const ExportJson meta : config) {
        const ExportPlace at = place.in(meta.key());
        at.take(sizeof(ExportedPayload) + 100);
        auto& payload = payloads[std::string(meta.key())];
        payload.file = textField(meta, "path_name", at);
        payload.isPickle = flagOf(requiredField(meta, "use_pickle", at), at);
        if (const auto description = findField(meta, "tensor_meta"))
            payload.tensor = readExportedTensor(*description, at);
        for (const auto size : payload.tensor.sizes)
            if (size < 0 && !payload.isPickle)
                at.fail("expected sizes that are numbers");
    }
    return payloads;
}

}  // namespace orrery::io
