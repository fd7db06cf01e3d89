#include <cmath>
#include <iostream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/debug/prompt_text.h>
#include <core/models/model_file.h>
#include <core/report/html.h>
#include <core/report/plot.h>
#include <core/symbolic/study.h>

#include "arrays.h"
#include "cli.h"

namespace orrery::cli {
namespace {

struct ExpressionOptions {
    std::string text, out, plot, svg;
    std::vector<std::string> values, derivatives;
    bool rewrite = false;
};

/// "x=1.5", "x=[[1, 2]]", "x=randn[2, 3]" or "x=FILE.npy".
std::map<std::string, at::Tensor> valuesAt(const Session& session, const std::vector<std::string>& arguments)
{
    std::map<std::string, at::Tensor> values;
    for (const auto& argument : arguments) {
        const auto [name, text] = symbolic::splitAssignment(argument, "--at");
        const bool isFile = std::filesystem::path(text).extension().string().size() > 1 && arrayEndingProblem(text).empty();
        if (!values.emplace(name, isFile ? readArray(text).to(at::kDouble) : symbolic::valueFromText(name, text, session.seed)).second)
            throw core::InputError(fmt::format("--at: \"{}\" is given twice", name));
    }
    return values;
}

std::string shapedValue(const at::Tensor& value)
{
    if (value.dim() == 0 && std::isnan(value.item<double>()))
        return "nan";  // its sign says nothing
    return value.dim() == 0 ? fmt::format("{:.12g}", value.item<double>()) : core::formatShape(value.sizes()) + "\n" + debug::tensorText(value);
}

void printLines(const symbolic::Formula& formula, const std::string& title)
{
    std::cout << fmt::format("{} ({} operations)\n", title, formula.operations());
    for (const auto& line : symbolic::toLines(formula))
        std::cout << "    " << line << "\n";
}

void printRewritten(const symbolic::StudiedFormula& part)
{
    printLines(part.rewritten.formula, "rewritten");
    for (const auto& rule : part.rewritten.rules)
        std::cout << fmt::format("    {:>3} x {:<38} {}\n", rule.count, rule.rule, rule.explanation);
    std::cout << fmt::format("    values as before to {:.1e}{}\n", part.difference,
                             part.gained == 0   ? ""
                             : part.gained == 1 ? "; 1 element is a number only now"
                                                : fmt::format("; {} elements are numbers only now", part.gained));
}

void printStudy(const symbolic::Study& study, bool rewrite)
{
    printLines(study.original.formula, "formula");
    if (rewrite)
        printRewritten(study.original);
    std::cout << "value       " << shapedValue(study.original.value) << "\n";
    for (const auto& each : study.derivatives) {
        std::cout << "\n";
        printLines(each.part.formula, each.name);
        if (rewrite)
            printRewritten(each.part);
        std::cout << fmt::format("value       {}\ncheck       central differences of {} elements: {:.1e} apart at most\n",
                                 shapedValue(each.part.value), each.checked, each.centralDifference);
    }
}

/// "x=-3:3" as a drawing of the formula and its derivatives.
void drawCurve(const ExpressionOptions& options, const symbolic::Study& study, const std::map<std::string, at::Tensor>& values,
               const Session& session)
{
    const auto [variable, range] = symbolic::splitAssignment(options.plot, "--plot");
    const auto ends = core::split(range, ':');
    double from = 0, to = 0;
    try {
        if (ends.size() != 2)
            throw std::invalid_argument("");
        from = std::stod(ends[0]);
        to = std::stod(ends[1]);
    } catch (const std::logic_error&) {
        throw core::InputError(fmt::format("--plot: expected NAME=FROM:TO, got \"{}\"", options.plot));
    }
    const auto curves = symbolic::curvesOver(study, values, variable, from, to, 201, session.stopToken());
    report::CurvePlot plot;
    plot.x.title = variable;
    for (std::size_t i = 0; i < curves.curves.size(); ++i) {
        report::Series series;
        series.name = curves.curves[i].name;
        series.x = curves.x;
        series.y = curves.curves[i].y;
        series.colour = report::seriesColour(i);
        plot.series.push_back(std::move(series));
    }
    core::writeFileAtomically(options.svg, report::toSvg(report::drawCurves(plot), options.text, "The formula over " + variable));
}

std::vector<std::vector<std::string>> derivativesOf(const std::vector<std::string>& arguments)
{
    std::vector<std::vector<std::string>> all;
    for (const auto& argument : arguments) {
        all.emplace_back();
        for (const auto& name : core::split(argument, ','))
            all.back().emplace_back(core::trim(name));
    }
    return all;
}

Exit expression(Session& session, const ExpressionOptions& options)
{
    session.applyThreads();
    if (options.plot.empty() != options.svg.empty())
        throw core::InputError("expected both --plot NAME=FROM:TO and --svg FILE, or neither");
    const auto values = valuesAt(session, options.values);
    const auto study = symbolic::studyFormula({options.text, values, derivativesOf(options.derivatives)}, session.stopToken());
    core::Json document = study.toJson();
    document["text"] = options.text;
    if (!options.out.empty()) {
        models::saveModel(options.out, symbolic::studyModel(study, options.rewrite, values));
        document["out"] = options.out;
    }
    if (!options.plot.empty()) {
        drawCurve(options, study, values, session);
        document["svg"] = options.svg;
    }
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    printStudy(study, options.rewrite);
    if (!options.out.empty())
        std::cout << "model       " << options.out << "\n";
    return Exit::Done;
}

std::string endingProblem(const std::string& file, const char* ending)
{
    return core::lower(file).ends_with(ending) ? std::string() : fmt::format("{}: expected a file ending in {}", file, ending);
}

}  // namespace

std::function<Exit(Session&)> declareExpression(CLI::App& app)
{
    auto options = std::make_shared<ExpressionOptions>();
    app.add_option("formula", options->text, "Formula, for example \"sum((sigmoid(matmul(x, w)) - y)^2)\".")->required();
    app.add_option("--at", options->values,
                   "Value of a variable: x=1.5, x=[[1, 2], [3, 4]], x=randn[2,3] (from --seed), x=linspace(0,1,5) or x=FILE.npy.")
        ->allow_extra_args(false);
    app.add_option("--derivative", options->derivatives, "Gradient of the formula's sum by a variable; x,x is the second derivative.")
        ->allow_extra_args(false);
    app.add_flag("--rewrite", options->rewrite, "Show the formula after rewriting and how often each rule was used; write that one with --out.");
    app.add_option("--out", options->out, "File for the formula and its first derivatives as a model.")->check([](const std::string& file) {
        return endingProblem(file, ".safetensors");
    });
    app.add_option("--plot", options->plot, "Curve over a variable, NAME=FROM:TO, into --svg.");
    app.add_option("--svg", options->svg, "File for the curve.")->check([](const std::string& file) { return endingProblem(file, ".svg"); });
    app.footer("+ - * / ^, relu, abs, exp, log, sqrt, tanh, sigmoid, softplus, sin, cos, erf, sign, step, min, max, clamp(x, low, high); matmul, "
               "transpose, sum(x),\n"
               "sum(x, axis), mean, count, expand_like(a, b), sum_like(a, b). Single numbers and arrays broadcast.");
    return [options](Session& session) { return expression(session, *options); };
}

}  // namespace orrery::cli
