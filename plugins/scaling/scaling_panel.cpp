#include "scaling_panel.h"

#include <QAction>
#include <QHBoxLayout>
#include <QMenu>
#include <QTabWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <core/base/error.h>
#include <core/base/files.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/report_item.h>
#include <widgets/session.h>

#include "fit_page.h"
#include "isoflop_page.h"
#include "plan_page.h"
#include "source_bar.h"
#include "widths_page.h"

namespace orrery::plugins {
namespace {

constexpr std::size_t kMostStored = 30;

struct StoredEntry {
    qint64 id = 0;
    QString text;
};

std::vector<StoredEntry> storedFits(const store::Workspace& workspace)
{
    std::vector<StoredEntry> out;
    for (const store::Analysis& analysis : workspace.analyses({}, scaling::kFitMethod)) {
        const core::Json& law = analysis.parameters.value("law", core::Json());
        const QString name = law.is_object() ? widgets::stateText(law, "id") : QStringLiteral("law");
        const PointSource source = sourceFromOrigin(analysis.inputs);
        if (out.size() < kMostStored)
            out.push_back(
                {analysis.id, QStringLiteral("%1: %2 of %3").arg(analysis.id).arg(name, source.runs ? ScalingPanel::tr("runs") : source.file)});
    }
    return out;
}

/// Asks for a file and writes a document there. Empty if the user gave up.
QString saveDocument(QWidget* parent, const QString& suggested, const core::Json& document)
{
    const QString file = widgets::askSaveFile()(parent, suggested, ScalingPanel::tr("Experiments (*.json)"));
    if (!file.isEmpty())
        core::writeFileAtomically(file.toStdString(), document.dump(2) + "\n");
    return file;
}

}  // namespace

ScalingPanel::ScalingPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("scaling"), tr("Scaling"), session, parent), m_stored([this](int change) { addBusy(change); }),
      m_source(new SourceBar(session)), m_tabs(new QTabWidget), m_fit(new FitPage(session)), m_isoflop(new IsoflopPage(session)),
      m_plan(new PlanPage(session)), m_widths(new WidthsPage(session)), m_storedButton(new QToolButton), m_presets(new QToolButton),
      m_storedMenu(new QMenu(this)), m_copyCommand(widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); }))
{
    setContent(makeContent());
    addAction(m_copyCommand);
    connect(m_source, &SourceBar::loaded, this, &ScalingPanel::takeTable);
    connect(m_source, &SourceBar::failed, this, &Panel::showError);
    connect(m_source, &SourceBar::busyChanged, this, &ScalingPanel::addBusy);
    connect(m_fit, &FitPage::outcomeChanged, this, [this] {
        m_plan->setOutcome(m_fit->outcome());
        if (m_fit->table())
            m_isoflop->setTable(m_fit->table(), m_source->source(), m_fit->requestDocument());
        if (m_fit->analysis())
            listStored();
    });
    connect(m_fit, &FitPage::sourceChosen, m_source, &SourceBar::setSource);
    connect(&session, &widgets::Session::workspaceChanged, this, &ScalingPanel::listStored);
    connect(&session, &widgets::Session::selectionChanged, this, [this](widgets::SelectionParts parts) {
        if (parts.testFlag(widgets::SelectionPart::Runs))
            m_fit->showSelectedRuns();
    });
    auto* openTable = new QAction(tr("Open a table…"), this);
    connect(openTable, &QAction::triggered, m_source, &SourceBar::browse);
    auto* takeRuns = new QAction(tr("Take runs of the workspace"), this);
    connect(takeRuns, &QAction::triggered, this, [this] {
        m_source->setSource({true, {}, {}, QStringLiteral("N = parameters; D = train.steps * train.batch_size; loss = val/loss")});
    });
    m_fit->setEmptyActions({openTable, takeRuns});
    listStored();
}

QLayout* ScalingPanel::makeTop()
{
    m_storedButton->setText(tr("&Stored"));
    m_storedButton->setObjectName(QStringLiteral("stored"));
    m_storedButton->setEnabled(false);  // until the list is read
    m_storedButton->setMenu(m_storedMenu);
    m_storedButton->setPopupMode(QToolButton::InstantPopup);
    makePresets();
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* row = new QHBoxLayout;
    row->addWidget(m_storedButton);
    row->addWidget(m_presets);
    row->addStretch(1);
    row->addWidget(copy);
    return row;
}

void ScalingPanel::makePresets()
{
    auto* menu = new QMenu(this);
    m_presets->setText(tr("Prese&ts"));
    m_presets->setObjectName(QStringLiteral("presets"));
    m_presets->setMenu(menu);
    m_presets->setPopupMode(QToolButton::InstantPopup);
    m_presets->setToolTip(tr("Sweeps whose runs a law can be fitted to"));
    const auto addSweep = [this, menu](const QString& title, const QString& name, core::Json (*sweep)(), const QString& columns) {
        connect(menu->addAction(title), &QAction::triggered, this, [this, name, sweep, columns] {
            try {
                const QString file = saveDocument(this, name, sweep());
                if (file.isEmpty())
                    return;
                m_source->setSource({true, {}, QStringLiteral("tag:scaling"), columns});
                Q_EMIT statusMessage(tr("Saved. Run it: %1").arg(widgets::cliCommand({QStringLiteral("sweep"), file})));
            } catch (const core::Error& error) {
                showError(QString::fromUtf8(error.what()));
            }
        });
    };
    addSweep(tr("Width, depth and sample count of MLPs on digits…"), QStringLiteral("mlps-on-digits.json"), mlpSweep,
             QStringLiteral("D = data.limit; N = parameters; loss = val/loss"));
    addSweep(tr("Fractions of the training text…"), QStringLiteral("fractions-of-a-text.json"), fractionSweep,
             QStringLiteral("x = data.fraction; loss = test/loss"));
    connect(menu->addAction(tr("Equal compute: as many tokens as fit into a time")), &QAction::triggered, this,
            [this] { m_tabs->setCurrentWidget(m_plan); });
}

void ScalingPanel::addPages()
{
    m_tabs->addTab(m_fit, tr("&Law"));
    m_tabs->addTab(m_isoflop, tr("&IsoFLOP"));
    m_tabs->addTab(m_plan, tr("&Plan"));
    m_tabs->addTab(m_widths, tr("&Widths"));
    m_tabs->setDocumentMode(true);
    m_tabs->setObjectName(QStringLiteral("pages"));
    for (ScalingPage* each : std::initializer_list<ScalingPage*>{m_fit, m_isoflop, m_plan, m_widths}) {
        connect(each, &ScalingPage::failed, this, &Panel::showError);
        connect(each, &ScalingPage::busyChanged, this, &ScalingPanel::addBusy);
        connect(each, &ScalingPage::message, this, &Panel::statusMessage);
    }
    connect(m_tabs, &QTabWidget::currentChanged, this, [this] {
        showError({});
        m_source->setVisible(page() != m_widths);
        m_storedButton->setVisible(page() != m_widths);
    });
}

QWidget* ScalingPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(6, 6, 6, 6);
    layout->setSpacing(4);
    layout->addLayout(makeTop());
    layout->addWidget(m_source);
    addPages();
    layout->addWidget(m_tabs, 1);
    content->setFocusProxy(m_tabs);
    return content;
}

ScalingPage* ScalingPanel::page() const
{
    return static_cast<ScalingPage*>(m_tabs->currentWidget());
}

void ScalingPanel::takeTable(const TablePtr& table)
{
    m_fit->setTable(table, m_source->source());
    m_isoflop->setTable(table, m_source->source(), m_fit->requestDocument());
}

void ScalingPanel::listStored()
{
    const auto workspace = session().workspace();
    const auto fill = [this](const std::vector<StoredEntry>& entries) {
        m_storedMenu->clear();
        for (const StoredEntry& entry : entries)
            connect(m_storedMenu->addAction(entry.text), &QAction::triggered, this, [this, id = entry.id] {
                m_tabs->setCurrentWidget(m_fit);
                m_fit->openStored(id);
            });
        m_storedButton->setEnabled(!entries.empty());
        m_storedButton->setToolTip(entries.empty() ? tr("No fit is stored in this workspace yet: the button Fit stores one")
                                                   : tr("Show a stored fit again"));
    };
    if (!workspace) {
        m_stored.cancel();
        return fill({});
    }
    m_stored.start(
        session(), this, [workspace](widgets::BackgroundContext&) { return storedFits(*workspace); }, fill, [fill](const QString&) { fill({}); });
}

QString ScalingPanel::commandLine() const
{
    try {
        return page()->command();
    } catch (const core::Error&) {
        return {};  // what is typed is not complete
    }
}

std::optional<widgets::ReportItem> ScalingPanel::reportItem() const
{
    if (page() == m_fit && m_fit->outcome())
        return widgets::reportShown(*this, tr("Scaling law"), m_fit->analysis(), m_fit->plot());
    return widgets::reportShown(*this, tr("Scaling"), std::nullopt, *page());
}

core::Json ScalingPanel::saveState() const
{
    return {{"source", m_source->source().toJson()}, {"fit", m_fit->saveState()},       {"isoflop", m_isoflop->saveState()},
            {"plan", m_plan->saveState()},           {"widths", m_widths->saveState()}, {"tab", m_tabs->currentIndex()}};
}

void ScalingPanel::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    const auto part = [&](const char* key) { return state.contains(key) ? state[key] : core::Json::object(); };
    m_fit->restoreState(part("fit"));
    m_isoflop->restoreState(part("isoflop"));
    m_plan->restoreState(part("plan"));
    m_widths->restoreState(part("widths"));
    m_tabs->setCurrentIndex(std::clamp(int(widgets::stateNumber(state, "tab", 0)), 0, m_tabs->count() - 1));
    m_source->setSource(PointSource::fromJson(part("source")));
}

}  // namespace orrery::plugins
