#include "selection.h"

namespace orrery::widgets {
namespace {

using core::Json;

Json numbers(const QList<qint64>& values)
{
    Json list = Json::array();
    for (const qint64 value : values)
        list.push_back(value);
    return list;
}

QList<qint64> numbersFrom(const Json& document, const char* key)
{
    QList<qint64> values;
    if (const auto found = document.find(key); found != document.end() && found->is_array())
        for (const Json& value : *found)
            if (value.is_number_integer())
                values.append(value.get<qint64>());
    return values;
}

QString textFrom(const Json& document, const char* key)
{
    const auto found = document.find(key);
    return found != document.end() && found->is_string() ? QString::fromStdString(found->get<std::string>()) : QString();
}

std::optional<qint64> numberFrom(const Json& document, const char* key)
{
    const auto found = document.find(key);
    return found != document.end() && found->is_number_integer() ? std::optional(found->get<qint64>()) : std::nullopt;
}

void put(Json& document, const char* key, const QString& text)
{
    if (!text.isEmpty())
        document[key] = text.toStdString();
}
void put(Json& document, const char* key, const std::optional<qint64>& number)
{
    if (number)
        document[key] = *number;
}
void put(Json& document, const char* key, const QList<qint64>& list)
{
    if (!list.isEmpty())
        document[key] = numbers(list);
}

}  // namespace

Json Selection::toJson() const
{
    Json document = Json::object();
    put(document, "model", model);
    put(document, "weights_run", weightsRun);
    put(document, "checkpoint_step", checkpointStep);
    put(document, "value_path", valuePath);
    put(document, "value_index", valueIndex);
    if (!data.is_null())
        document["data"] = data;
    put(document, "split", split);
    put(document, "samples", samples);
    put(document, "token", token);
    put(document, "target", target);
    put(document, "runs", runs);
    put(document, "scene_object", sceneObject);
    return document;
}

Selection Selection::fromJson(const Json& document)
{
    Selection selection;
    if (!document.is_object())
        return selection;
    selection.model = textFrom(document, "model");
    selection.weightsRun = numberFrom(document, "weights_run");
    selection.checkpointStep = numberFrom(document, "checkpoint_step");
    selection.valuePath = textFrom(document, "value_path");
    selection.valueIndex = numbersFrom(document, "value_index");
    selection.data = document.contains("data") ? document.at("data") : Json();
    selection.split = textFrom(document, "split");
    selection.samples = numbersFrom(document, "samples");
    selection.token = numberFrom(document, "token");
    selection.target = numberFrom(document, "target");
    selection.runs = numbersFrom(document, "runs");
    selection.sceneObject = textFrom(document, "scene_object");
    return selection;
}

SelectionParts difference(const Selection& a, const Selection& b)
{
    SelectionParts parts;
    parts.setFlag(SelectionPart::Model, a.model != b.model);
    parts.setFlag(SelectionPart::Weights, a.weightsRun != b.weightsRun || a.checkpointStep != b.checkpointStep);
    parts.setFlag(SelectionPart::Value, a.valuePath != b.valuePath || a.valueIndex != b.valueIndex);
    parts.setFlag(SelectionPart::Data, a.data != b.data || a.split != b.split);
    parts.setFlag(SelectionPart::Samples, a.samples != b.samples);
    parts.setFlag(SelectionPart::Token, a.token != b.token);
    parts.setFlag(SelectionPart::Target, a.target != b.target);
    parts.setFlag(SelectionPart::Runs, a.runs != b.runs);
    parts.setFlag(SelectionPart::Scene, a.sceneObject != b.sceneObject);
    return parts;
}

}  // namespace orrery::widgets
