#include "parallel_page.h"

#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <map>

#include <core/report/document_diff.h>

namespace orrery::plugins {
namespace {

constexpr int kAutomaticSettings = 5, kCandidates = 24;
/// Documents' fields that are no settings, with what is in them.
bool isIdle(const QString& field)
{
    static const QStringList names{"name", "notes", "tags", "data_hash"};
    return names.contains(field.section('.', 0, 0));
}

std::optional<core::Json> valueOf(const store::RunSummary& run, const std::string& field)
{
    if (const auto metric = run.lastMetrics.find(field); metric != run.lastMetrics.end())
        return metric->second;
    if (const auto column = run.columns.find(field); column != run.columns.end() && !column->second.is_null())
        return column->second;
    return std::nullopt;
}

/// Positive numbers from one to thirty times one: better seen by their logarithms.
bool spansMuch(const std::vector<double>& values)
{
    double low = INFINITY, high = 0;
    for (const double value : values) {
        if (value <= 0)
            return false;
        if (!std::isnan(value)) {
            low = std::min(low, value);
            high = std::max(high, value);
        }
    }
    return high >= 30 * low;
}

bool isMetric(const RunsModel& model, const QString& field)
{
    return const_cast<RunsModel&>(model).rows().columnIndex("metrics." + field) >= 0;
}

}  // namespace

ParallelPage::ParallelPage(RunsModel& model, QWidget* parent) : QWidget(parent), m_model(model)
{
    m_fields = new QPushButton(tr("Axes"), this);
    m_fields->setObjectName("axes");
    m_fields->setToolTip(tr("Choose settings and metrics; the last axis gives the colours"));
    m_menu = new QMenu(m_fields);
    m_fields->setMenu(m_menu);
    connect(m_menu, &QMenu::aboutToShow, this, &ParallelPage::buildMenu);
    m_hint = new QLabel(this);
    m_hint->setObjectName("hint");
    m_hint->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    auto* row = new QHBoxLayout;
    row->setContentsMargins(6, 4, 6, 4);
    row->addWidget(m_fields);
    row->addSpacing(6);
    row->addWidget(m_hint, 1);
    m_view = new ParallelView(this);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addLayout(row);
    column->addWidget(m_view, 1);
    connect(&m_model, &RunsModel::shownChanged, this, &ParallelPage::refresh);
    connect(&m_model, &RunsModel::changed, this, &ParallelPage::refresh);
    connect(m_view, &ParallelView::logToggled, this, &ParallelPage::toggleLog);
    connect(m_view, &ParallelView::brushChanged, this, [this](const QList<qint64>& runs) {
        refresh();
        if (m_view->hasBrush())
            Q_EMIT runsChosen(runs);
    });
}

QStringList ParallelPage::axes() const
{
    return m_chosen.isEmpty() ? automaticAxes() : m_chosen;
}

void ParallelPage::setAxes(const QStringList& fields)
{
    m_chosen = fields;
    refresh();
}

/// Settings that have more than one value in the workspace: of the model and the training first, since most people vary those.
QStringList ParallelPage::candidates() const
{
    QStringList first, others;
    for (const auto& field : m_model.fields()) {
        const auto name = QString::fromStdString(field.name);
        if (field.kind == store::RunField::Kind::Document && field.values.size() > 1 && !isIdle(name))
            (name.startsWith(QLatin1String("model.")) || name.startsWith(QLatin1String("train.")) ? first : others) << name;
    }
    return (first + others).mid(0, kCandidates);
}

/// Whether a setting has two values among the runs on show.
bool ParallelPage::differs(const QString& field) const
{
    std::optional<core::Json> seen;
    for (const auto run : m_model.shownRuns()) {
        auto value = valueOf(*m_model.find(run), field.toStdString());
        if (value && seen && *value != *seen)
            return true;
        if (value && !seen)
            seen = std::move(value);
    }
    return false;
}

QStringList ParallelPage::automaticAxes() const
{
    QStringList settings, metrics;
    for (const auto& field : m_model.fields())
        if (field.kind == store::RunField::Kind::Metric)
            metrics << QString::fromStdString(field.name);
    for (const auto& field : candidates())
        if (settings.size() < kAutomaticSettings && differs(field))
            settings << field;
    for (const char* part : {"test/accuracy", "val/accuracy", "test/loss", "val/loss", "train/loss"})
        if (metrics.contains(part))
            return settings << part;
    return metrics.isEmpty() ? settings : settings << metrics.front();
}

ParallelAxis ParallelPage::axisOf(const QString& field) const
{
    ParallelAxis axis;
    axis.id = field;
    axis.title = field.startsWith("train.") ? field.mid(6) : field;
    const auto name = field.toStdString();
    std::vector<std::optional<core::Json>> values;
    bool areNumbers = true;
    for (const auto run : m_model.shownRuns()) {
        values.push_back(valueOf(*m_model.find(run), name));
        areNumbers = areNumbers && (!values.back() || values.back()->is_number());
    }
    std::map<std::string, int> places;
    if (!areNumbers) {
        for (const auto& value : values)
            if (value)
                places[report::plainText(*value)] = 0;
        for (auto& [text, place] : places) {
            place = int(axis.names.size());
            axis.names << QString::fromStdString(text);
        }
    }
    for (const auto& value : values)
        axis.values.push_back(!value ? std::nan("") : areNumbers ? value->get<double>() : places.at(report::plainText(*value)));
    axis.log = areNumbers && (!isMetric(m_model, field) && spansMuch(axis.values)) != m_toggled.contains(field);
    return axis;
}

void ParallelPage::refresh()
{
    if (!isVisible())
        return;
    QStringList unread;
    for (const auto& field : m_chosen.isEmpty() ? candidates() : m_chosen)
        if (!isMetric(m_model, field) && !m_model.documentColumns().contains(field))
            unread << field;
    if (!unread.isEmpty())
        return m_model.addDocumentColumns(unread, false);  // comes back when they are read
    const auto fields = axes();
    std::vector<ParallelAxis> drawn;
    for (const auto& field : fields)
        drawn.push_back(axisOf(field));
    QList<qint64> runs(m_model.shownRuns().begin(), m_model.shownRuns().end());
    m_view->setData(std::move(drawn), runs);
    if (fields.size() < 2)
        m_hint->setText(tr("Nothing differs between these runs yet. Axes chooses what is drawn."));
    else if (m_view->hasBrush())
        m_hint->setText(tr("%1 of %2 runs marked").arg(m_view->brushed().size()).arg(runs.size()));
    else
        m_hint->setText(tr("%1 runs. Drag along an axis to mark a stretch.").arg(runs.size()));
}

void ParallelPage::toggleLog(const QString& field)
{
    if (!m_toggled.removeOne(field))
        m_toggled << field;
    refresh();
}

void ParallelPage::buildMenu()
{
    m_menu->clear();
    const auto shown = axes();
    for (const auto& field : m_model.fields()) {
        const auto name = QString::fromStdString(field.name);
        if (field.kind == store::RunField::Kind::Property || isIdle(name))
            continue;
        auto* action = m_menu->addAction(name);
        action->setCheckable(true);
        action->setChecked(shown.contains(name));
        connect(action, &QAction::toggled, this, [this, name, shown](bool on) {
            auto fields = shown;
            if (on)
                fields << name;
            else
                fields.removeAll(name);
            setAxes(fields);
        });
    }
    m_menu->addSeparator();
    m_menu->addAction(tr("Choose by itself"), this, [this] { setAxes({}); });
}

void ParallelPage::showEvent(QShowEvent* event)
{
    QWidget::showEvent(event);
    refresh();
}

core::Json ParallelPage::saveState() const
{
    const auto list = [](const QStringList& texts) {
        core::Json out = core::Json::array();
        for (const auto& text : texts)
            out.push_back(text.toStdString());
        return out;
    };
    return {{"axes", list(m_chosen)}, {"toggled", list(m_toggled)}};
}

void ParallelPage::restoreState(const core::Json& state)
{
    const auto list = [&](const char* key) {
        QStringList out;
        if (const auto found = state.is_object() ? state.find(key) : state.end(); found != state.end() && found->is_array())
            for (const auto& text : *found)
                if (text.is_string())
                    out << QString::fromStdString(text.get<std::string>());
        return out;
    };
    m_chosen = list("axes");
    m_toggled = list("toggled");
    refresh();
}

}  // namespace orrery::plugins
