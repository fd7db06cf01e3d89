#include "metric_form.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QVBoxLayout>
#include <algorithm>

#include <widgets/schema_form.h>

namespace orrery::plugins {
namespace {

bool fitsSchema(const std::string& metric, const core::Json& parameters)
{
    std::vector<core::Issue> issues;
    explain::attributionMetricRegistry().at(metric).schema.check(parameters, "", issues);
    return issues.empty();
}

}  // namespace

MetricForm::MetricForm(QWidget* parent)
    : QWidget(parent), m_metrics(new QComboBox), m_measured(new QCheckBox(tr("Measure this"))), m_summary(new QLabel), m_form(new widgets::SchemaForm)
{
    m_metrics->setAccessibleName(tr("Metric"));
    m_metrics->setObjectName(QStringLiteral("metric"));
    m_measured->setObjectName(QStringLiteral("measured"));
    m_summary->setWordWrap(true);
    m_form->setAccessibleName(tr("Parameters of the metric"));
    m_form->setObjectName(QStringLiteral("metric_parameters"));
    m_form->setMinimumHeight(90);
    for (const auto& metric : explain::attributionMetricRegistry().components()) {
        m_settings[metric.id];
        m_metrics->addItem(QString::fromStdString(metric.title), QString::fromStdString(metric.id));
    }
    connect(m_metrics, &QComboBox::currentIndexChanged, this, &MetricForm::choose);
    connect(m_measured, &QCheckBox::toggled, this, [this](bool measured) {
        m_settings[current()].isMeasured = measured;
        Q_EMIT changed();
    });
    connect(m_form, &widgets::SchemaForm::edited, this, [this](const QString&, const core::Json&, const core::Json& after) {
        m_settings[current()].parameters = after;
        Q_EMIT changed();
    });
    auto* row = new QHBoxLayout;
    row->addWidget(m_metrics, 1);
    row->addWidget(m_measured);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(4);
    layout->addLayout(row);
    layout->addWidget(m_summary);
    layout->addWidget(m_form, 1);
    choose();
}

std::string MetricForm::current() const
{
    return m_metrics->currentData().toString().toStdString();
}

void MetricForm::choose()
{
    const auto& metric = explain::attributionMetricRegistry().at(current());
    const Setting& setting = m_settings[metric.id];
    const QSignalBlocker measured(m_measured), form(m_form);
    m_measured->setChecked(setting.isMeasured);
    m_summary->setText(QString::fromStdString(metric.summary));
    m_summary->setToolTip(QString::fromStdString(metric.source));
    m_form->setSchema(metric.schema);
    m_form->setDocument(setting.parameters);
}

std::vector<explain::MetricRequest> MetricForm::requests() const
{
    std::vector<explain::MetricRequest> requests;
    for (const auto& metric : explain::attributionMetricRegistry().components()) {
        const Setting& setting = m_settings.at(metric.id);
        if (!setting.isMeasured)
            continue;
        auto changed = core::Json::object();
        for (const auto& [key, value] : setting.parameters.items())
            if (const auto* parameter = metric.schema.find(key); !parameter || parameter->defaultValue != value)
                changed[key] = value;
        requests.push_back({metric.id, std::move(changed)});
    }
    return requests;
}

bool MetricForm::isValid() const
{
    const auto asked = requests();
    return std::all_of(asked.begin(), asked.end(), [](const auto& request) { return fitsSchema(request.id, request.parameters); });
}

core::Json MetricForm::toJson() const
{
    auto state = core::Json::object();
    for (const auto& [id, setting] : m_settings)
        state[id] = {{"measured", setting.isMeasured}, {"parameters", setting.parameters}};
    return state;
}

void MetricForm::fromJson(const core::Json& state)
{
    if (!state.is_object())
        return;
    for (const auto& [id, entry] : state.items()) {
        const auto known = m_settings.find(id);
        if (known == m_settings.end() || !entry.is_object())
            continue;
        if (entry.contains("measured") && entry["measured"].is_boolean())
            known->second.isMeasured = entry["measured"].get<bool>();
        if (entry.contains("parameters") && entry["parameters"].is_object())
            known->second.parameters = entry["parameters"];
    }
    choose();
    Q_EMIT changed();
}

}  // namespace orrery::plugins
