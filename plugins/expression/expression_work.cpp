#include "expression_work.h"

#include <algorithm>
#include <filesystem>

#include <core/base/error.h>
#include <core/graph/inspect.h>
#include <core/models/model_file.h>

namespace orrery::plugins {
namespace {

widgets::GraphContentPtr pictureOf(const symbolic::Formula& formula, const std::map<std::string, at::Tensor>& values, const QFont& font,
                                   std::stop_token stop)
{
    const graph::Model model = symbolic::toModel(formula);
    std::vector<c10::IValue> inputs;
    std::vector<std::vector<std::int64_t>> shapes;
    for (const auto& [name, shape] : formula.variables) {
        inputs.emplace_back(values.at(name));
        shapes.push_back(shape);
    }
    const auto inspection = graph::inspect(graph::Executor(model.graph), model.weights, inputs, stop);
    return widgets::makeGraphContent(*model.graph, inspection, font, {}, {}, shapes);
}

}  // namespace

ExpressionResult studyForPanel(const ExpressionRequest& request, const QFont& font, std::stop_token stop)
{
    ExpressionResult made;
    made.request = request;
    for (const auto& [name, text] : request.values)
        made.values[name] = symbolic::valueFromText(name, text);
    symbolic::StudyRequest asked{request.text, made.values, {}};
    for (const auto& name : request.by)
        asked.derivatives.push_back({name});
    made.study = symbolic::studyFormula(asked, stop);
    const auto& original = made.study.original;
    made.original = pictureOf(original.formula, made.values, font, stop);
    made.rewritten = pictureOf(original.rewritten.formula, made.values, font, stop);
    if (!request.by.empty()) {
        const auto gradient = symbolic::rewrite(symbolic::derivative(original.formula, request.by));
        made.derivativeOperations = gradient.after;
        made.derivative = pictureOf(gradient.formula, made.values, font, stop);
    }
    if (request.curveVariable.empty())
        return made;
    try {
        made.curves = symbolic::curvesOver(made.study, made.values, request.curveVariable, request.from, request.to, 201, stop);
    } catch (const core::InputError& error) {
        made.curveError = error.what();
    }
    return made;
}

std::vector<std::string> variablesOf(const std::string& text)
{
    std::vector<std::string> names;
    try {
        for (const auto& node : core::parseExpression(text, {}, symbolic::formulaFunctions()).nodes)
            if (node.kind == symbolic::TermKind::Variable && std::find(names.begin(), names.end(), node.name) == names.end())
                names.push_back(node.name);
    } catch (const core::InputError&) {
        return {};
    }
    return names;
}

QString writeAsModel(const ExpressionResult& result, const QString& folder)
{
    const graph::Model model = symbolic::studyModel(result.study, true, result.values);
    const std::filesystem::path place(folder.toStdString());
    std::error_code error;
    std::filesystem::create_directories(place, error);
    if (error)
        throw core::StorageError(place.string() + ": cannot be made: " + error.message());
    const auto file = place / ("formula-" + model.graph->hash().substr(0, 12) + ".safetensors");
    models::saveModel(file, model);
    return QString::fromStdString(file.string());
}

}  // namespace orrery::plugins
