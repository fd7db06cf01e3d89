// What the panel gives to others and takes back: the command line, its state, attributions from the workspace.
#include <QComboBox>
#include <QFileInfo>
#include <QTabWidget>
#include <QTimer>
#include <tuple>
#include <utility>

#include <widgets/job_bar.h>
#include <widgets/report_item.h>
#include <widgets/session.h>

#include "ablation_view.h"
#include "attribution_panel.h"
#include "compare_results.h"
#include "metric_form.h"
#include "quality_view.h"
#include "result_views.h"
#include "subject_form.h"

namespace orrery::plugins {

void AttributionPanel::reopen(qint64 analysis)
{
    if (m_job->isRunning() || !session().hasWorkspace())
        return;
    showError({});
    m_reopenTask.cancel();
    m_reopenTask = session().runInBackground(
        this, [workspace = session().workspace(), analysis](widgets::BackgroundContext&) { return explain::readAttribution(*workspace, analysis); },
        [this](explain::StoredAttribution stored) { takeStored(std::move(stored)); }, [this](const QString& text) { showError(text); });
}

/// The selection goes to where the attribution was made; what it shows waits until that is open.
void AttributionPanel::takeStored(explain::StoredAttribution stored)
{
    const core::Json inputs = stored.analysis.inputs;
    const auto part = [&](const char* key) { return inputs.is_object() ? inputs.value(key, core::Json()) : core::Json(); };
    const core::Json sample = part("sample"), file = part("input"), data = part("data");
    const bool isPicture = !sample.is_number_integer() && file.is_string() && QFileInfo::exists(QString::fromStdString(file.get<std::string>()));
    const auto texts = sample.is_number_integer() ? std::vector<train::GivenText>() : train::textsOfDocument(inputs);
    if (!sample.is_number_integer() && !isPicture && texts.empty())
        return showError(tr("Analysis %1 was made of an input that is no sample of a data set, no text, and no picture that is still there; it "
                            "stands in the run's report.")
                             .arg(stored.analysis.id));
    m_reopened = std::move(stored);
    m_subject->setSite(part("at").is_string() ? QString::fromStdString(part("at").get<std::string>()) : QString());
    session().changeSelection([&](widgets::Selection& s) {
        if (part("target").is_number_integer())
            s.target = part("target").get<qint64>();
        if (isPicture || !texts.empty())
            return;
        if (!data.is_null() && !(m_prepared && m_prepared->dataDocument == data))
            s.data = data;
        if (part("split").is_string())
            s.split = QString::fromStdString(part("split").get<std::string>());
        s.samples = {sample.get<qint64>()};
    });
    if (!texts.empty())
        m_subject->setTexts(texts, part("position").is_number_integer() ? std::optional(part("position").get<qint64>()) : std::nullopt);
    if (isPicture)
        m_subject->setImage(QString::fromStdString(file.get<std::string>()));
    if (!m_preparing && !m_prepareTimer->isActive())
        showReopened();
}

void AttributionPanel::showReopened()
{
    const auto stored = std::exchange(m_reopened, std::nullopt);
    if (!stored || !m_prepared)
        return;
    try {
        const auto made = std::make_shared<const Explanation>(storedExplanation(m_prepared, *stored));
        const int card = m_cards->add(made->settings);
        m_cards->setResult(card, made);
        for (const auto& [metric, document] : stored->metrics.items())
            m_cards->setMetric(card, made, metric, metricOf(document));
        m_compare->choose(card);
        loadCard(card);
        Q_EMIT statusMessage(tr("Analysis %1 as it was stored").arg(stored->analysis.id));
    } catch (const std::exception& error) {
        showError(tr("Analysis %1 cannot be shown: %2").arg(stored->analysis.id).arg(QString::fromUtf8(error.what())));
    }
    updateButtons();
}

QString AttributionPanel::commandLine() const
{
    if (!m_prepared)
        return {};
    const auto& [subject, data] = std::tie(m_prepared->subject, m_prepared->dataDocument);
    const QString workspace = session().workspaceFolder();
    const QWidget* page = m_tabs->currentWidget();
    if (page == m_brush)
        return leaveOutCommand(subject, data, m_ablation->leftOut().elements, m_ablation->leftOut().baseline, workspace);
    const auto metrics = page == m_quality ? m_quality->metrics()->requests() : std::vector<explain::MetricRequest>();
    return attributeCommand(subject, data, settings(), m_subject->question(), metrics, workspace);
}

QString AttributionPanel::shownCommand() const
{
    // A result that was read from the workspace holds resolved parameters, which are written otherwise.
    if (m_tabs->currentIndex() != 0 || !m_current || !m_current->raw)
        return {};
    return attributeCommand(m_current->subject->subject, m_current->subject->dataDocument, m_current->settings, m_current->question, {},
                            session().workspaceFolder());
}

std::optional<widgets::ReportItem> AttributionPanel::reportItem() const
{
    const bool isResult = m_tabs->currentIndex() == 0;
    if (isResult && !m_current)
        return std::nullopt;
    const auto analysis = isResult && !m_current->partial ? m_current->analysis : std::nullopt;
    const QString title =
        isResult ? QString::fromStdString(m_current->title) : tr("Attribution: %1").arg(m_tabs->tabText(m_tabs->currentIndex()).remove('&'));
    return widgets::reportShown(*this, title, analysis, *m_tabs->currentWidget());
}

core::Json AttributionPanel::saveState() const
{
    core::Json parameters = core::Json::object();
    for (const auto& [id, document] : m_parameters)
        parameters[id.toStdString()] = document;
    return {{"method", m_method->currentData().toString().toStdString()},
            {"parameters", parameters},
            {"cards", m_cards->toJson()},
            {"site", m_subject->question().site},
            {"opacity", m_picture->opacity()},
            {"channels", {{"mode", int(m_channels->choice().mode)}, {"index", m_channels->choice().index}}},
            {"common_scale", m_compare->isScaleCommon()},
            {"brush", m_brush->brushSize()},
            {"metrics", m_quality->metrics()->toJson()},
            {"tab", m_tabs->currentIndex()},
            {"image", m_subject->image().toStdString()},
            {"text", m_subject->textState()}};
}

void AttributionPanel::restoreState(const core::Json& state)
{
    const auto at = [&](const char* key) { return state.is_object() && state.contains(key) ? state[key] : core::Json(); };
    const auto text = [&](const char* key) { return at(key).is_string() ? QString::fromStdString(at(key).get<std::string>()) : QString(); };
    const auto number = [](const core::Json& value, int standard) { return value.is_number_integer() ? value.get<int>() : standard; };
    if (at("parameters").is_object())
        for (const auto& [id, document] : state["parameters"].items())
            if (document.is_object())
                m_parameters[QString::fromStdString(id)] = document;
    if (const int row = m_method->findData(text("method")); row >= 0)
        m_method->setCurrentIndex(row);
    chooseMethod();
    if (at("cards").is_array())
        m_cards->fromJson(at("cards"));
    if (at("opacity").is_number())
        m_picture->setOpacity(at("opacity").get<double>());
    if (const core::Json channels = at("channels"); channels.is_object())
        m_channels->setChoice({ChannelChoice::Mode(std::clamp(number(channels.value("mode", core::Json()), 0), 0, 2)),
                               std::max(0, number(channels.value("index", core::Json()), 0))});
    if (at("common_scale").is_boolean())
        m_compare->setScaleCommon(at("common_scale").get<bool>());
    m_quality->metrics()->fromJson(at("metrics"));
    m_brush->setBrushSize(number(at("brush"), 1));
    m_tabs->setCurrentIndex(std::clamp(number(at("tab"), m_tabs->currentIndex()), 0, m_tabs->count() - 1));
    if (const QString site = text("site"); !site.isEmpty())
        m_subject->setSite(site);
    if (const QString image = text("image"); !image.isEmpty() && QFileInfo::exists(image))
        m_subject->setImage(image);
    else
        m_subject->restoreTexts(at("text"));
}

}  // namespace orrery::plugins
