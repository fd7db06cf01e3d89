#include "stored_button.h"

#include <QFileInfo>
#include <QMenu>
#include <algorithm>

#include <widgets/model_source.h>
#include <widgets/session.h>

#include "explanation.h"

namespace orrery::plugins {
namespace {

constexpr std::size_t kMost = 30;

bool isAttribution(const store::Analysis& analysis)
{
    return std::any_of(analysis.artifacts.begin(), analysis.artifacts.end(), [](const auto& artifact) { return artifact.name == "attribution"; });
}

QString textOf(const store::Analysis& analysis)
{
    QStringList parts{titleOf({analysis.method, {}})};
    if (const auto sample = analysis.inputs.value("sample", core::Json()); sample.is_number_integer())
        parts << QStringLiteral("%1 %2").arg(QString::fromStdString(analysis.inputs.value("split", std::string()))).arg(sample.get<qint64>());
    else if (const auto file = analysis.inputs.value("input", core::Json()); file.is_string())
        parts << QFileInfo(QString::fromStdString(file.get<std::string>())).fileName();
    if (const auto target = analysis.inputs.value("target", core::Json()); target.is_number_integer())
        parts << StoredButton::tr("target %1").arg(target.get<qint64>());
    if (const auto at = analysis.inputs.value("at", core::Json()); at.is_string())
        parts << StoredButton::tr("at %1").arg(QString::fromStdString(at.get<std::string>()));
    const bool measured =
        std::any_of(analysis.artifacts.begin(), analysis.artifacts.end(), [](const auto& artifact) { return artifact.name == "metrics"; });
    if (measured)
        parts << StoredButton::tr("measured");
    return QStringLiteral("%1: %2").arg(analysis.id).arg(parts.join(QStringLiteral(", ")));
}

}  // namespace

StoredButton::StoredButton(widgets::Session& session, QWidget* parent) : QToolButton(parent), m_session(session), m_menu(new QMenu(this))
{
    setText(tr("St&ored"));
    setObjectName(QStringLiteral("stored"));
    setMenu(m_menu);
    setPopupMode(QToolButton::InstantPopup);
    m_menu->setObjectName(QStringLiteral("stored_menu"));
    show({});
}

StoredButton::~StoredButton()
{
    m_task.cancel();
}

std::vector<StoredButton::Entry> StoredButton::entriesOf(const store::Workspace& workspace, const QString& model)
{
    std::vector<Entry> entries;
    for (const auto& analysis : workspace.analyses(widgets::runOfArgument(model))) {
        const bool ofModel = analysis.inputs.is_object() && analysis.inputs.value("model", core::Json()) == core::Json(model.toStdString());
        if (ofModel && isAttribution(analysis) && explain::attributionRegistry().find(analysis.method) && entries.size() < kMost)
            entries.push_back({analysis.id, textOf(analysis)});
    }
    return entries;
}

void StoredButton::setModel(const QString& model)
{
    m_model = model;
    refresh();
}

void StoredButton::refresh()
{
    m_task.cancel();
    const auto workspace = m_session.workspace();
    if (!workspace || !widgets::runOfArgument(m_model))
        return show({});
    m_task = m_session.runInBackground(
        this, [workspace, model = m_model](widgets::BackgroundContext&) { return entriesOf(*workspace, model); },
        [this](const std::vector<Entry>& entries) { show(entries); }, [this](const QString&) { show({}); });
}

void StoredButton::show(const std::vector<Entry>& entries)
{
    m_menu->clear();
    for (const Entry& entry : entries)
        connect(m_menu->addAction(entry.text), &QAction::triggered, this, [this, id = entry.id] { Q_EMIT analysisChosen(id); });
    setEnabled(!entries.empty());
    setToolTip(entries.empty() ? tr("Nothing is stored of this model yet; attributions of runs are")
                               : tr("Show a stored attribution again, with what was measured"));
}

}  // namespace orrery::plugins
