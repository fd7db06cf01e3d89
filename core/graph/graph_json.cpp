#include <core/base/error.h>
#include <core/base/text.h>

#include "graph.h"

namespace orrery::graph {
namespace {

using core::Json;
constexpr int kVersion = 1;

const char* kindName(Parameter::Kind kind)
{
    switch (kind) {
    case Parameter::Kind::Buffer: return "buffer";
    case Parameter::Kind::Constant: return "constant";
    default: return "parameter";
    }
}

Parameter::Kind kindFromName(const std::string& name)
{
    if (name == "parameter")
        return Parameter::Kind::Parameter;
    if (name == "buffer")
        return Parameter::Kind::Buffer;
    if (name == "constant")
        return Parameter::Kind::Constant;
    throw core::FormatError(fmt::format("expected parameter, buffer or constant, got \"{}\"", name));
}

// A value is written as its number, a literal as a list of one: [3] is the number three.
Json operandToJson(const Operand& operand)
{
    return operand.isConstant() ? Json::array({constantToJson(operand.constant)}) : Json(operand.value);
}

Operand operandFromJson(const Json& json)
{
    if (json.is_array() && json.size() == 1)
        return Operand::literal(constantFromJson(json[0]));
    if (!json.is_number_integer() || json.get<std::int64_t>() < 0 || json.get<std::int64_t>() > INT32_MAX)
        throw core::FormatError("expected a value number or a literal in a list of one, got " + json.dump().substr(0, 60));
    return Operand::of(json.get<ValueId>());
}

Json blockToJson(const Block& block)
{
    Json nodes = Json::array(), outputs = Json::array();
    for (const auto& node : block.nodes) {
        Json inputs = Json::array();
        for (const auto& input : node.inputs)
            inputs.push_back(operandToJson(input));
        Json each = {{"name", node.name}, {"op", node.qualifiedOp()}, {"inputs", std::move(inputs)}, {"outputs", node.outputs}};
        if (!node.module.empty())
            each["module"] = node.module;
        if (!node.source.empty())
            each["source"] = node.source;
        for (const auto& inner : node.blocks)
            each["blocks"].push_back(blockToJson(inner));
        nodes.push_back(std::move(each));
    }
    for (const auto& output : block.outputs)
        outputs.push_back(operandToJson(output));
    return {{"inputs", block.inputs}, {"nodes", std::move(nodes)}, {"outputs", std::move(outputs)}};
}

std::pair<std::string, std::string> splitOp(const std::string& text)
{
    const auto space = text.find("::");
    const auto dot = text.find('.', space == std::string::npos ? 0 : space);
    if (dot == std::string::npos)
        return {text, ""};
    return {text.substr(0, dot), text.substr(dot + 1)};
}

Block blockFromJson(const Json& json, int depth)
{
    if (depth > 64)
        throw core::FormatError("blocks are nested more than 64 deep");
    Block block;
    block.inputs = json.at("inputs").get<std::vector<ValueId>>();
    for (const auto& each : json.at("nodes")) {
        Node node;
        node.name = each.at("name").get<std::string>();
        try {
            std::tie(node.op, node.overload) = splitOp(each.at("op").get<std::string>());
            for (const auto& input : each.at("inputs"))
                node.inputs.push_back(operandFromJson(input));
            node.outputs = each.at("outputs").get<std::vector<ValueId>>();
            node.module = each.value("module", "");
            node.source = each.value("source", "");
            if (each.contains("blocks"))
                for (const auto& inner : each.at("blocks"))
                    node.blocks.push_back(blockFromJson(inner, depth + 1));
        } catch (const std::exception& error) {
            throw core::FormatError(fmt::format("node {}: {}", node.name, error.what()));
        }
        block.nodes.push_back(std::move(node));
    }
    for (const auto& output : json.at("outputs"))
        block.outputs.push_back(operandFromJson(output));
    return block;
}

// One function a version step; a file of version n passes through all from n on.
Json migrated(Json json)
{
    const auto version = json.value("version", 0);
    if (version > kVersion)
        throw core::FormatError(fmt::format("the graph is of version {}, this Orrery reads up to {}", version, kVersion));
    if (version < 1) {  // version 0 had no buffer updates and named outputs by number
        json["buffer_updates"] = Json::array();
        Json names = Json::array();
        for (std::size_t i = 0; i < json.at("body").at("outputs").size(); ++i)
            names.push_back(i == 0 ? std::string("output") : fmt::format("output.{}", i));
        json["output_names"] = std::move(names);
        json["version"] = 1;
    }
    return json;
}

GraphData dataFromJson(const Json& json)
{
    GraphData data;
    data.name = json.value("name", "");
    for (const auto& value : json.at("values"))
        data.values.push_back(value.is_string() ? Value{value.get<std::string>(), "Tensor"}
                                                : Value{value.at(0).get<std::string>(), value.at(1).get<std::string>()});
    for (const auto& input : json.at("inputs"))
        data.inputs.push_back({input.at("name").get<std::string>(), input.at("value").get<ValueId>()});
    if (json.contains("training") && !json.at("training").is_null())
        data.training = json.at("training").get<ValueId>();
    for (const auto& each : json.at("parameters")) {
        Parameter parameter;
        parameter.name = each.at("name").get<std::string>();
        parameter.value = each.at("value").get<ValueId>();
        parameter.kind = kindFromName(each.value("kind", "parameter"));
        parameter.shape = each.at("shape").get<std::vector<std::int64_t>>();
        parameter.dtype = dtypeFromName(each.at("dtype").get<std::string>());
        if (each.contains("init"))
            parameter.init = each.at("init");
        data.parameters.push_back(std::move(parameter));
    }
    data.aliases = json.value("aliases", std::map<std::string, std::string>());
    data.body = blockFromJson(json.at("body"), 0);
    data.outputNames = json.at("output_names").get<std::vector<std::string>>();
    for (const auto& update : json.at("buffer_updates"))
        data.bufferUpdates.push_back({update.at("buffer").get<std::string>(), update.at("value").get<ValueId>()});
    for (const auto& module : json.value("modules", Json::array()))
        data.modules.push_back({module.at(0).get<std::string>(), module.at(1).get<std::string>()});
    return data;
}

}  // namespace

Json toJson(const Graph& graph)
{
    const auto& data = graph.data();
    Json values = Json::array(), inputs = Json::array(), parameters = Json::array(), updates = Json::array(), modules = Json::array();
    for (const auto& value : data.values)
        values.push_back(value.type == "Tensor" ? Json(value.name) : Json::array({value.name, value.type}));
    for (const auto& input : data.inputs)
        inputs.push_back({{"name", input.name}, {"value", input.value}});
    for (const auto& parameter : data.parameters) {
        Json each = {{"name", parameter.name},
                     {"value", parameter.value},
                     {"kind", kindName(parameter.kind)},
                     {"shape", parameter.shape},
                     {"dtype", dtypeName(parameter.dtype)}};
        if (!parameter.init.is_null())
            each["init"] = parameter.init;
        parameters.push_back(std::move(each));
    }
    for (const auto& update : data.bufferUpdates)
        updates.push_back({{"buffer", update.buffer}, {"value", update.value}});
    for (const auto& module : data.modules)
        modules.push_back(Json::array({module.path, module.type}));
    Json json = {{"version", kVersion},
                 {"name", data.name},
                 {"values", std::move(values)},
                 {"inputs", std::move(inputs)},
                 {"training", data.training ? Json(*data.training) : Json()},
                 {"parameters", std::move(parameters)},
                 {"aliases", data.aliases},
                 {"body", blockToJson(data.body)},
                 {"output_names", data.outputNames},
                 {"buffer_updates", std::move(updates)},
                 {"modules", std::move(modules)}};
    return json;
}

GraphPtr fromJson(const Json& json, const std::string& name)
{
    try {
        return std::make_shared<const Graph>(dataFromJson(migrated(json)));
    } catch (const nlohmann::json::exception& error) {
        throw core::FormatError(fmt::format("{}: the graph is damaged: {}", name, error.what()));
    } catch (const core::Error& error) {
        throw core::FormatError(fmt::format("{}: the graph is damaged: {}", name, error.what()));
    }
}

}  // namespace orrery::graph
