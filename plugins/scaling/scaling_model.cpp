#include "scaling_model.h"

#include <QFileInfo>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include <core/base/error.h>
#include <core/report/plot.h>

namespace orrery::plugins {
namespace {

using core::Json;

constexpr std::size_t kCurvePoints = 200, kMostCurves = 6;

QString textIn(const Json& json, const char* key)
{
    const auto found = json.is_object() ? json.find(key) : json.end();
    return json.is_object() && found != json.end() && found->is_string() ? QString::fromStdString(found->get<std::string>()) : QString();
}

/// Positions even in the logarithm, a little beyond both ends.
std::vector<double> logPlaces(double low, double high)
{
    const double from = std::log(low) - 0.1, to = std::log(high) + 0.7;
    std::vector<double> out;
    for (std::size_t i = 0; i < kCurvePoints; ++i)
        out.push_back(std::exp(from + (to - from) * double(i) / double(kCurvePoints - 1)));
    return out;
}

/// Different values of an input, ascending; a few of them, evenly picked, where there are many.
std::vector<double> someValues(const std::vector<double>& values)
{
    const std::set<double> distinct(values.begin(), values.end());
    const std::vector<double> all(distinct.begin(), distinct.end());
    if (all.size() <= kMostCurves)
        return all;
    std::vector<double> out;
    for (std::size_t i = 0; i < kMostCurves; ++i)
        out.push_back(all[i * (all.size() - 1) / (kMostCurves - 1)]);
    return out;
}

FitPicture::Curve curveOf(const scaling::FitOutcome& outcome, std::vector<std::vector<double>> inputs, std::size_t along, const QString& title)
{
    FitPicture::Curve curve{title, {}};
    curve.data.x = inputs[along];
    curve.data.y = outcome.law->predict(outcome.fit.parameters, inputs);
    if (outcome.bootstrap)
        for (const scaling::Interval& interval : scaling::bandOf(*outcome.law, *outcome.bootstrap, inputs)) {
            curve.data.low.push_back(interval.low);
            curve.data.high.push_back(interval.high);
        }
    return curve;
}

void addCurves(FitPicture& picture, const scaling::FitOutcome& outcome, std::size_t along)
{
    const auto& inputs = outcome.points.inputs;
    const auto [low, high] = std::minmax_element(inputs[along].begin(), inputs[along].end());
    const std::vector<double> places = logPlaces(*low, *high);
    if (inputs.size() == 1) {
        picture.curves.push_back(curveOf(outcome, {places}, 0, QStringLiteral("fit")));
        return;
    }
    if (inputs.size() != 2)
        return;
    const std::size_t other = 1 - along;
    for (const double value : someValues(inputs[other])) {
        std::vector<std::vector<double>> grid(2);
        grid[along] = places;
        grid[other].assign(places.size(), value);
        picture.curves.push_back(
            curveOf(outcome, grid, along, QStringLiteral("%1 = %2").arg(QString::fromStdString(outcome.points.inputNames[other]), shortText(value))));
    }
}

/// Sorted by x, as plots want them; the rows go along.
void sortByX(std::vector<double>& x, std::vector<double>& y, std::vector<double>& residuals, std::vector<std::size_t>& rows)
{
    std::vector<std::size_t> order(x.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return x[a] < x[b]; });
    const auto take = [&](auto& values) {
        auto sorted = values;
        for (std::size_t i = 0; i < order.size(); ++i)
            sorted[i] = values[order[i]];
        values = std::move(sorted);
    };
    take(x);
    take(y);
    take(residuals);
    take(rows);
}

}  // namespace

bool PointSource::isComplete() const
{
    return runs ? !sources.trimmed().isEmpty() : !file.trimmed().isEmpty();
}

Json PointSource::toJson() const
{
    return {{"runs", runs}, {"file", file.toStdString()}, {"query", query.toStdString()}, {"sources", sources.toStdString()}};
}

PointSource PointSource::fromJson(const Json& json)
{
    PointSource out{false, textIn(json, "file"), textIn(json, "query"), textIn(json, "sources")};
    out.runs = json.is_object() && json.contains("runs") && json["runs"] == true;
    return out;
}

QStringList PointSource::arguments() const
{
    if (!runs)
        return {file};
    QStringList out{QStringLiteral("--runs"), query};
    for (const auto& [name, source] : sourcesOf(sources))
        out << QStringLiteral("--column") << QString::fromStdString(name + "=" + source);
    return out;
}

std::map<std::string, std::string> sourcesOf(const QString& text)
{
    std::map<std::string, std::string> out;
    for (const QString& part : text.split(QLatin1Char(';'), Qt::SkipEmptyParts)) {
        const auto at = part.indexOf(QLatin1Char('='));
        if (at < 1 || part.mid(at + 1).trimmed().isEmpty())
            throw core::InputError(fmt::format("columns: expected NAME = SOURCE parted by semicolons, got \"{}\"", part.trimmed().toStdString()));
        out[part.left(at).trimmed().toStdString()] = part.mid(at + 1).trimmed().toStdString();
    }
    if (out.empty())
        throw core::InputError("columns: expected NAME = SOURCE parted by semicolons, such as \"N = parameters; loss = val/loss\", got nothing");
    return out;
}

TablePtr loadPoints(const PointSource& source, const std::shared_ptr<store::Workspace>& workspace)
{
    if (!source.runs)
        return std::make_shared<scaling::Table>(scaling::readTable(source.file.toStdString()));
    if (!workspace)
        throw core::InputError("expected an open workspace to take runs from");
    store::RunQuery query;
    query.where = source.query.toStdString();
    return std::make_shared<scaling::Table>(scaling::tableOfRuns(*workspace, query, sourcesOf(source.sources)));
}

Json originOf(const PointSource& source)
{
    if (!source.runs)
        return {{"file", source.file.toStdString()}};
    return {{"query", source.query.toStdString()}, {"sources", sourcesOf(source.sources)}};
}

PointSource sourceFromOrigin(const Json& origin)
{
    PointSource out;
    out.file = textIn(origin, "file");
    out.query = textIn(origin, "query");
    out.runs = out.file.isEmpty();
    QStringList parts;
    if (out.runs && origin.is_object() && origin.contains("sources") && origin["sources"].is_object())
        for (const auto& [name, value] : origin["sources"].items())
            if (value.is_string())
                parts << QString::fromStdString(name + " = " + value.get<std::string>());
    out.sources = parts.join(QStringLiteral("; "));
    return out;
}

FitPicture pictureOf(const scaling::FitOutcome& outcome, std::size_t input)
{
    FitPicture picture;
    const auto& x = outcome.points.inputs.at(input);
    std::vector<double> predicted = outcome.law->predict(outcome.fit.parameters, outcome.points.inputs);
    const std::set<std::size_t> held =
        outcome.heldOut ? std::set<std::size_t>(outcome.heldOut->rows.begin(), outcome.heldOut->rows.end()) : std::set<std::size_t>();
    for (std::size_t row = 0; row < outcome.points.rows(); ++row) {
        const bool isHeld = held.contains(row);
        (isHeld ? picture.heldX : picture.x).push_back(x[row]);
        (isHeld ? picture.heldY : picture.y).push_back(outcome.points.loss[row]);
        (isHeld ? picture.heldResiduals : picture.residuals).push_back(outcome.request.objective.residual(predicted[row], outcome.points.loss[row]));
        (isHeld ? picture.heldRows : picture.rows).push_back(row);
    }
    sortByX(picture.x, picture.y, picture.residuals, picture.rows);
    sortByX(picture.heldX, picture.heldY, picture.heldResiduals, picture.heldRows);
    addCurves(picture, outcome, input);
    return picture;
}

std::optional<std::size_t> rowAt(const FitPicture& picture, double x, double y)
{
    for (std::size_t i = 0; i < picture.x.size(); ++i)
        if (picture.x[i] == x && picture.y[i] == y)
            return picture.rows[i];
    for (std::size_t i = 0; i < picture.heldX.size(); ++i)
        if (picture.heldX[i] == x && picture.heldY[i] == y)
            return picture.heldRows[i];
    return std::nullopt;
}

QString certificateText(const scaling::Certificate& certificate)
{
    QString text =
        QStringLiteral("%L1 starts, %L2 converged, %L3 ended with the best objective; their parameters differ by at most %4; largest gradient %5")
            .arg(certificate.starts)
            .arg(certificate.converged)
            .arg(certificate.reachedBest)
            .arg(shortText(certificate.spread), shortText(certificate.gradient));
    // Optima that differ in the last digits are one to the eye.
    if (certificate.optima.size() > 1 && certificate.optima[1].objective > 1.001 * certificate.optima[0].objective)
        text += QStringLiteral("; the next optimum is %1").arg(shortText(certificate.optima[1].objective));
    if (!certificate.determines())
        text += QStringLiteral("; these points leave parameters open: other values of them fit as well");
    return text;
}

QString heldOutText(const scaling::HeldOut& heldOut)
{
    return QStringLiteral("Held out: %1 with %2 of at least %3; predicted with a mean error of %4 %, at most %5 %")
        .arg(heldOut.rows.size() == 1 ? QStringLiteral("1 point") : QStringLiteral("%L1 points").arg(heldOut.rows.size()))
        .arg(QString::fromStdString(heldOut.column), shortText(heldOut.below))
        .arg(100 * heldOut.meanError, 0, 'g', 3)
        .arg(100 * heldOut.largestError, 0, 'g', 3);
}

QString shortText(double value)
{
    return QString::fromStdString(report::shortNumber(value));
}

std::vector<double> numbersIn(const QString& text, const char* what)
{
    std::vector<double> out;
    for (const QString& part : text.split(QLatin1Char(','), Qt::SkipEmptyParts)) {
        bool fine = false;
        const double value = part.trimmed().toDouble(&fine);
        if (!fine || !std::isfinite(value))
            throw core::InputError(fmt::format("{}: expected numbers parted by commas, got \"{}\"", what, part.trimmed().toStdString()));
        out.push_back(value);
    }
    return out;
}

Json mlpSweep()
{
    // Depth 0 is the linear model that all others should beat.
    const Json hidden = {Json::array(), {16}, {64}, {256}, {1024}, {64, 64}, {256, 256}, {64, 64, 64}};
    return {{"name", "MLPs on digits"},
            {"model", {{"id", "mlp"}, {"hidden", {64}}}},
            {"data", {{"id", "digit_rows"}, {"limit", 1797}}},
            {"train", {{"steps", 600}, {"batch_size", 64}, {"optimizer", {{"id", "adamw"}, {"lr", 0.003}}}, {"schedule", "cosine"}}},
            {"tags", {"scaling"}},
            {"sweep",
             {{"sampler", "grid"},
              {"metric", "val/loss"},
              {"parameters", {{"model.hidden", {{"choices", hidden}}}, {"data.limit", {{"choices", {225, 450, 900, 1797}}}}}}}}};
}

Json fractionSweep()
{
    return {
        {"name", "Fractions of a text"},
        {"model", {{"id", "gpt"}, {"layers", 2}, {"heads", 4}, {"width", 48}, {"dropout", 0.1}}},
        {"data", {{"id", "kjv"}, {"block_length", 64}, {"split", {{"test", 0.02}, {"val", 0.01}}}}},
        {"train",
         {{"steps", 1000},
          {"batch_size", 16},
          {"optimizer", {{"id", "adamw"}, {"lr", 0.004}, {"weight_decay", 0.1}}},
          {"schedule", "cosine"},
          {"warmup", 25},
          {"clip_norm", 1},
          {"evaluate_every", 250},
          {"evaluate_samples", 200}}},
        {"tags", {"scaling"}},
        {"sweep",
         {{"sampler", "grid"},
          {"metric", "test/loss"},
          {"parameters", {{"data.fraction", {{"choices", {0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 1}}}}, {"seed", {{"choices", {0, 1, 2}}}}}}}}};
}

Json equalComputeDocument(const std::string& model, std::int64_t batch, std::int64_t steps, double seconds)
{
    Json document = scaling::coordinateDocument(model);
    document["name"] = fmt::format("{} s of {}", seconds, model);
    document["train"]["batch_size"] = batch;
    document["train"]["steps"] = steps;
    document["tags"] = {"equal compute"};
    document["notes"] = fmt::format("As many steps as fit into {} s on this machine, by measured throughput", seconds);
    return document;
}

}  // namespace orrery::plugins
