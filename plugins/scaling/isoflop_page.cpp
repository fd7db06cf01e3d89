#include "isoflop_page.h"

#include <QDoubleSpinBox>
#include <QSpinBox>
#include <QSplitter>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <widgets/commands.h>

namespace orrery::plugins {
namespace {

/// The inputs that the table has: size and compute, or size and data.
std::vector<std::string> budgetInputs(const scaling::Table& table, const scaling::ColumnMap& columns)
{
    const auto there = [&](const std::string& name) {
        const auto source = columns.sources.find(name);
        return source != columns.sources.end() || std::find(table.names.begin(), table.names.end(), name) != table.names.end();
    };
    return there("C") ? std::vector<std::string>{"N", "C"} : std::vector<std::string>{"N", "D"};
}

QString budgetTitle(const scaling::IsoflopProfile& profile)
{
    return QStringLiteral("C = %1").arg(shortText(profile.budget));
}

QString lawText(const char* name, const scaling::BudgetLaw& law, const std::optional<scaling::Interval>& interval)
{
    QString text = QStringLiteral("%1 = %2 · C^%3").arg(QLatin1String(name), shortText(law.factor), shortText(law.exponent));
    if (interval)
        text += QStringLiteral(" (%1 to %2)").arg(shortText(interval->low), shortText(interval->high));
    return text;
}

}  // namespace

IsoflopPage::IsoflopPage(widgets::Session& session)
    : ScalingPage(session, tr("&Find the minima"), tr("Progress of the minima")), m_tolerance(new QDoubleSpinBox), m_factor(new QDoubleSpinBox),
      m_resamples(new QSpinBox), m_plot(new widgets::PlotView),
      m_rows(readingTable(tr("Budgets"), {tr("Compute"), tr("Points"), tr("N"), tr("D"), tr("Loss"), tr("Minimum")})),
      m_status(textLine(QStringLiteral("isoflopStatus")))
{
    m_tolerance->setRange(0, 1);
    m_tolerance->setSingleStep(0.05);
    m_tolerance->setValue(0.1);
    m_tolerance->setAccessibleName(tr("Tolerance of a budget"));
    m_tolerance->setToolTip(tr("Budgets that differ by less than this share are one"));
    m_factor->setRange(0.1, 1000);
    m_factor->setValue(scaling::kFlopsPerParameterToken);
    m_factor->setAccessibleName(tr("FLOPs for each parameter and token"));
    m_factor->setToolTip(tr("Compute is this number times N times D"));
    m_resamples->setRange(0, 100000);
    m_resamples->setValue(0);
    m_resamples->setAccessibleName(tr("Resamples"));
    m_resamples->setToolTip(tr("Resamples of the bootstrap for the intervals of the exponents; 0: none"));
    m_plot->setObjectName(QStringLiteral("isoflopPlot"));
    m_plot->setLog(widgets::PlotAxis::X, true);
    m_plot->setAxisTitle(widgets::PlotAxis::X, tr("N"));
    m_plot->setAxisTitle(widgets::PlotAxis::Y, tr("Loss"));
    m_rows->setObjectName(QStringLiteral("budgets"));
    m_status->setText(
        tr("Points of a few budgets (compute C, or N and D), each at three sizes N or more: a parabola is laid through the losses of each "
           "budget, and a power law through their minima."));
    auto* settings = new QHBoxLayout;
    for (const auto& [text, box] : std::initializer_list<std::pair<QString, QWidget*>>{
             {tr("Tolerance"), m_tolerance}, {tr("C / N D"), m_factor}, {tr("Resamples"), m_resamples}}) {
        settings->addWidget(new QLabel(text));
        settings->addWidget(box);
    }
    settings->addStretch(1);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_plot);
    splitter->addWidget(m_rows);
    splitter->setChildrenCollapsible(false);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(settings);
    layout->addLayout(buttonRow());
    layout->addWidget(splitter, 1);
    layout->addWidget(m_status);
    updateButton();
}

void IsoflopPage::setTable(const TablePtr& table, const PointSource& source, const core::Json& request)
{
    m_table = table;
    m_source = source;
    m_columns = {};
    for (const char* key : {"columns", "scale"})
        if (request.contains(key) && request[key].is_object())
            for (const auto& [name, value] : request[key].items()) {
                if (value.is_string())
                    m_columns.sources[name] = value.get<std::string>();
                else if (value.is_number())
                    m_columns.scales[name] = value.get<double>();
            }
    updateButton();
}

QString IsoflopPage::whyNot() const
{
    return m_table ? QString() : tr("Read points first");
}

void IsoflopPage::run()
{
    if (isRunning() || !m_table)
        return;
    scaling::IsoflopOptions options;
    options.tolerance = m_tolerance->value();
    options.k = m_factor->value();
    options.resamples = m_resamples->value();
    using Result = std::pair<scaling::Isoflop, scaling::Points>;
    auto work = [options, table = m_table, columns = m_columns](widgets::BackgroundContext& context) {
        scaling::Points points = scaling::pointsOf(*table, budgetInputs(*table, columns), columns);
        scaling::Isoflop result = scaling::fitIsoflop(points, options, context.job());
        return Result(std::move(result), std::move(points));
    };
    start(
        std::move(work), [this](const Result& result) { take(result.first, result.second); }, tr("IsoFLOP minima"), "isoflop", m_source.toJson());
}

void IsoflopPage::take(const scaling::Isoflop& result, const scaling::Points& points)
{
    m_plot->clear();
    QList<QStringList> rows;
    widgets::PlotSeries minima;
    minima.title = tr("minima");
    minima.style = widgets::LineStyle::LineAndPoints;
    minima.smoothed = false;
    for (const scaling::IsoflopProfile& profile : result.profiles) {
        const QString title = budgetTitle(profile);
        widgets::PlotSeries dots, curve;
        dots.title = title;
        dots.style = widgets::LineStyle::Points;
        dots.smoothed = curve.smoothed = false;
        for (const std::size_t row : profile.rows) {
            dots.data.x.push_back(points.inputs[0][row]);
            dots.data.y.push_back(points.loss[row]);
        }
        const auto [low, high] = std::minmax_element(dots.data.x.begin(), dots.data.x.end());
        for (int i = 0; i <= 80; ++i) {
            curve.data.x.push_back(std::exp(std::log(*low) + (std::log(*high) - std::log(*low)) * i / 80));
            curve.data.y.push_back(profile.at(curve.data.x.back()));
        }
        curve.title = tr("%1, parabola").arg(title);
        m_plot->setSeries(title, dots);
        curve.color = m_plot->seriesColor(title);
        m_plot->setSeries(curve.title, curve);
        if (profile.inside) {
            minima.data.x.push_back(profile.N);
            minima.data.y.push_back(profile.loss);
        }
        rows << QStringList{shortText(profile.budget), QString::number(profile.rows.size()),
                            shortText(profile.N),      shortText(profile.D),
                            shortText(profile.loss),   profile.inside ? tr("inside") : tr("outside: not used")};
    }
    m_plot->setSeries(QStringLiteral("minima"), minima);
    fillTable(*m_rows, rows);
    m_status->setText(tr("%1 of %2 budgets are used. %3; %4")
                          .arg(result.used)
                          .arg(result.profiles.size())
                          .arg(lawText("N", result.N, result.exponentN), lawText("D", result.D, result.exponentD)));
}

QString IsoflopPage::command() const
{
    if (!m_table)
        return {};
    QStringList words{QStringLiteral("scaling"), QStringLiteral("isoflop")};
    words << m_source.arguments();
    for (const auto& [name, column] : m_columns.sources)
        words << QStringLiteral("--column") << QString::fromStdString(name + "=" + column);
    for (const auto& [name, factor] : m_columns.scales)
        words << QStringLiteral("--scale") << QStringLiteral("%1=%2").arg(QString::fromStdString(name)).arg(factor);
    return widgets::cliCommand(words);
}

core::Json IsoflopPage::saveState() const
{
    return {{"tolerance", m_tolerance->value()}, {"k", m_factor->value()}, {"resamples", m_resamples->value()}};
}

void IsoflopPage::restoreState(const core::Json& state)
{
    m_tolerance->setValue(widgets::stateNumber(state, "tolerance", m_tolerance->value()));
    m_factor->setValue(widgets::stateNumber(state, "k", m_factor->value()));
    m_resamples->setValue(int(widgets::stateNumber(state, "resamples", m_resamples->value())));
}

}  // namespace orrery::plugins
