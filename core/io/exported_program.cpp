#include "exported_program.h"

#include <fmt/format.h>

#include <algorithm>

#include "exported_json.h"

namespace orrery::io {
namespace {

ExportedArgument namedTensor(const ExportJson& value, const ExportPlace& place)
{
    ExportedArgument argument;
    argument.kind = ExportedArgument::Kind::Tensor;
    argument.text = textField(value, "name", place);
    return argument;
}

ExportedInput inputSpec(const ExportJson& json, const ExportPlace& outer)
{
    using InputKind = ExportedInput::Kind;
    const auto [which, content] = unionOf(json, outer);
    const ExportPlace place = outer.in(which);
    ExportedInput input;
    if (which == "user_input")
        input.value = readExportedArgument(requiredField(*content, "arg", place), place);
    else if (which == "parameter" || which == "buffer" || which == "tensor_constant")
        input.value = namedTensor(requiredField(*content, "arg", place), place);
    if (which == "user_input")
        return input;
    if (which == "parameter") {
        input.kind = InputKind::Parameter;
        input.target = textField(*content, "parameter_name", place);
    } else if (which == "buffer") {
        input.kind = InputKind::Buffer;
        input.target = textField(*content, "buffer_name", place);
        const auto* persistent = findField(*content, "persistent");
        input.isPersistent = !persistent || flagOf(*persistent, place);
    } else if (which == "tensor_constant") {
        input.kind = InputKind::Constant;
        input.target = textField(*content, "tensor_constant_name", place);
    } else if (which == "constant_input") {
        input.kind = InputKind::Literal;
        input.target = textField(*content, "name", place);
        input.value = readExportedArgument(requiredField(*content, "value", place), place);
    } else if (which == "custom_obj") {
        input.kind = InputKind::Object;
        input.target = textField(*content, "custom_obj_name", place);
    } else if (which == "token") {
        input.kind = InputKind::Token;
    } else {
        place.fail("a kind of input that is not known here");
    }
    return input;
}

ExportedOutput outputSpec(const ExportJson& json, const ExportPlace& outer)
{
    using OutputKind = ExportedOutput::Kind;
    const auto [which, content] = unionOf(json, outer);
    const ExportPlace place = outer.in(which);
    ExportedOutput output;
    if (which == "user_output") {
        output.value = readExportedArgument(requiredField(*content, "arg", place), place);
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
            output.value = namedTensor(requiredField(*content, "arg", place), place);
            if (known.target)
                output.target = textField(*content, known.target, place);
            return output;
        }
    place.fail("a kind of output that is not known here");
}

// One node of a treespec of protocol 1: {"type": ..., "context": ..., "children_spec": [...]}.
bool collectLeaves(const ExportJson& spec, const std::string& path, std::vector<std::string>& names, int depth)
{
    if (depth > kMaxExportedGraphDepth || !spec.is_object())
        return false;
    const auto* type = findField(spec, "type");
    if (!type) {
        names.push_back(path);
        return true;
    }
    const auto* children = findField(spec, "children_spec");
    if (!type->is_string() || !children || !children->is_array())
        return false;
    ExportJson keys;
    if (const auto* context = findField(spec, "context"); context && context->is_string() && type->get<std::string>().ends_with("ict"))
        keys = ExportJson::parse(context->get<std::string>(), nullptr, false);
    for (std::size_t i = 0; i < children->size(); ++i) {
        const auto key = keys.is_array() && keys.size() == children->size() && keys[i].is_string() ? keys[i].get<std::string>() : std::to_string(i);
        if (!collectLeaves((*children)[i], path.empty() ? key : path + "." + key, names, depth + 1))
            return false;
    }
    return true;
}

const ExportJson* protocolOne(const ExportJson& spec)
{
    return spec.is_array() && spec.size() == 2 && spec[0] == 1 ? &spec[1] : nullptr;
}

// (positional arguments, keyword arguments): the former are called as forward names them.
std::vector<std::string> inputLeafNames(const std::string& text, const std::vector<std::string>& positional)
{
    const auto spec = ExportJson::parse(text, nullptr, false);
    const auto* root = protocolOne(spec);
    const auto* parts = root && root->is_object() ? findField(*root, "children_spec") : nullptr;
    std::vector<std::string> names;
    if (!parts || !parts->is_array() || parts->size() != 2 || !(*parts)[0].is_object())
        return {};
    const auto* arguments = findField((*parts)[0], "children_spec");
    if (!arguments || !arguments->is_array())
        return {};
    for (std::size_t i = 0; i < arguments->size(); ++i)
        if (!collectLeaves((*arguments)[i], i < positional.size() ? positional[i] : fmt::format("input.{}", i), names, 0))
            return {};
    return collectLeaves((*parts)[1], "", names, 0) ? names : std::vector<std::string>();
}

// The call of the whole model tells how its inputs and outputs were nested.
void readCallNames(const ExportJson& module, ExportedProgram& program)
{
    const auto* calls = findField(module, "module_call_graph");
    if (!calls || !calls->is_array())
        return;
    for (const auto& call : *calls) {
        const auto* path = call.is_object() ? findField(call, "fqn") : nullptr;
        const auto* signature = path && path->is_string() && path->get<std::string>().empty() ? findField(call, "signature") : nullptr;
        if (!signature || !signature->is_object())
            continue;
        std::vector<std::string> positional;
        if (const auto* names = findField(*signature, "forward_arg_names"); names && names->is_array())
            for (const auto& name : *names)
                positional.push_back(name.is_string() ? name.get<std::string>() : "input");
        if (const auto* spec = findField(*signature, "in_spec"); spec && spec->is_string())
            program.inputNames = inputLeafNames(spec->get<std::string>(), positional);
        if (const auto* spec = findField(*signature, "out_spec"); spec && spec->is_string())
            program.outputNames = treeLeafNames(spec->get<std::string>(), "");
        return;
    }
}

void readVersion(const ExportJson& document, ExportedProgram& program, const ExportPlace& place)
{
    const auto& version = requiredField(document, "schema_version", place);
    const ExportPlace at = place.in("schema_version");
    program.schemaMajor = int(std::clamp<std::int64_t>(integerOf(requiredField(version, "major", at), at), 0, 100000));
    program.schemaMinor = int(std::clamp<std::int64_t>(integerOf(requiredField(version, "minor", at), at), 0, 100000));
    if (program.schemaMajor < kOldestExportSchema || program.schemaMajor > kNewestExportSchema)
        at.fail(fmt::format("expected version {} to {}, found {}.{}", kOldestExportSchema, kNewestExportSchema, program.schemaMajor,
                            program.schemaMinor));
    if (const auto* torch = findField(document, "torch_version"); torch && torch->is_string())
        program.torchVersion = torch->get<std::string>();
}

}  // namespace

std::vector<std::string> treeLeafNames(std::string_view treespec, std::string_view root)
{
    const auto spec = ExportJson::parse(treespec.begin(), treespec.end(), nullptr, false);
    const auto* tree = protocolOne(spec);
    std::vector<std::string> names;
    return tree && collectLeaves(*tree, std::string(root), names, 0) ? names : std::vector<std::string>();
}

ExportedProgram parseExportedProgram(std::string_view json, std::string_view name)
{
    const ExportJson document = parsedExport(json, name);
    const ExportPlace place{name, "program"};
    ExportedProgram program;
    readVersion(document, program, place);
    const auto& module = requiredField(document, "graph_module", place);
    const ExportPlace inModule = place.in("graph_module");
    program.graph = readExportedGraph(requiredField(module, "graph", inModule), inModule.in("graph"));
    const auto& signature = requiredField(module, "signature", inModule);
    const ExportPlace inSignature = inModule.in("signature");
    const auto& inputs = listField(signature, "input_specs", inSignature);
    for (std::size_t i = 0; i < inputs.size(); ++i)
        program.inputs.push_back(inputSpec(inputs[i], inSignature.in("input_specs").at(i)));
    const auto& outputs = listField(signature, "output_specs", inSignature);
    for (std::size_t i = 0; i < outputs.size(); ++i)
        program.outputs.push_back(outputSpec(outputs[i], inSignature.in("output_specs").at(i)));
    for (const auto& [what, specs, values] : {std::tuple("inputs", program.inputs.size(), program.graph.inputs.size()),
                                              std::tuple("outputs", program.outputs.size(), program.graph.outputs.size())})
        if (specs != values)
            inSignature.fail(fmt::format("expected {} {} as the graph has, found {}", values, what, specs));
    readCallNames(module, program);
    return program;
}

std::map<std::string, ExportedPayload> parseExportedPayloads(std::string_view json, std::string_view name)
{
    const ExportJson document = parsedExport(json, name);
    const ExportPlace place{name, "config"};
    const auto& config = requiredField(document, "config", place);
    if (!config.is_object())
        place.fail(fmt::format("expected an object, found {}", config.type_name()));
    std::map<std::string, ExportedPayload> payloads;
    for (const auto& [tensor, meta] : config.items()) {
        const ExportPlace at = place.in(tensor);
        auto& payload = payloads[tensor];
        payload.file = textField(meta, "path_name", at);
        payload.isPickle = flagOf(requiredField(meta, "use_pickle", at), at);
        if (const auto* description = findField(meta, "tensor_meta"))
            payload.tensor = readExportedTensor(*description, at);
        for (const auto size : payload.tensor.sizes)
            if (size < 0 && !payload.isPickle)
                at.fail("expected sizes that are numbers");
    }
    return payloads;
}

}  // namespace orrery::io
