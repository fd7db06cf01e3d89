#include "report_panel.h"

#include <QAction>
#include <QComboBox>
#include <QEvent>
#include <QInputDialog>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QPlainTextEdit>
#include <QPointer>
#include <QResizeEvent>
#include <QScrollArea>
#include <QSplitter>
#include <QVBoxLayout>
#include <algorithm>

#include <core/report/report_document.h>
#include <widgets/commands.h>
#include <widgets/job_bar.h>
#include <widgets/session.h>

#include "report_painting.h"

namespace orrery::plugins {
namespace {

constexpr int kTypingPause = 700, kResizePause = 200;  ///< ms
constexpr int kNarrow = 620, kLeastPage = 300;         ///< pixels

}  // namespace

ReportPanel::ReportPanel(widgets::Session& session, QWidget* parent) : Panel(QStringLiteral("report"), tr("Report"), session, parent)
{
    askName = [this](const QString& title, const QString& suggested) {
        return QInputDialog::getText(this, title, tr("Name"), QLineEdit::Normal, suggested);
    };
    for (auto* timer : {&m_typing, &m_resizing})
        timer->setSingleShot(true);
    m_typing.setInterval(kTypingPause);
    m_resizing.setInterval(kResizePause);
    connect(&m_typing, &QTimer::timeout, this, &ReportPanel::commitText);
    connect(&m_resizing, &QTimer::timeout, this, &ReportPanel::showPreview);
    makeActions();
    setContent(makeContent());
    m_model.setPalette(palette());
    connect(&m_model, &ReportItemsModel::moveAsked, this, &ReportPanel::moveTo);
    connect(&m_model, &ReportItemsModel::renameAsked, this, &ReportPanel::rename);
    connect(m_list->selectionModel(), &QItemSelectionModel::currentChanged, this, &ReportPanel::showChosen);
    connect(&session, &widgets::Session::reportsChanged, this, &ReportPanel::reload);
    connect(&session, &widgets::Session::workspaceChanged, this, &ReportPanel::reload);
    connect(&session, &widgets::Session::selectionChanged, this, &ReportPanel::updateButtons);
    auto& edits = widgets::ReportEdits::of(session);
    connect(&edits, &widgets::ReportEdits::failed, this, &ReportPanel::showError);
    connect(&edits, &widgets::ReportEdits::busyChanged, this, &ReportPanel::idleChanged);
    reload();
}

ReportPanel::~ReportPanel() = default;

bool ReportPanel::isIdle() const
{
    return Panel::isIdle() && !m_typing.isActive() && !m_resizing.isActive() && !widgets::ReportEdits::of(session()).isBusy();
}

void ReportPanel::reload()
{
    const auto workspace = session().workspace();
    if (!workspace) {
        m_reading.cancel();
        takeShelf({});
        return;
    }
    m_reading.start(
        session(), this,
        [workspace](widgets::BackgroundContext& context) {
            const store::Reports reports(workspace);
            Shelf shelf{reports.list(), reports.current(), {}};
            if (shelf.current)
                for (const store::ReportItem& item : reports.items(*shelf.current)) {
                    context.throwIfStopped();
                    shelf.items.push_back({item, QString::fromStdString(report::itemTitle(*workspace, item)),
                                           QString::fromStdString(report::itemKind(*workspace, item))});
                }
            return shelf;
        },
        [this](Shelf shelf) { takeShelf(std::move(shelf)); }, [this](const QString& text) { showError(text); });
}

void ReportPanel::takeShelf(Shelf shelf)
{
    const auto* before = chosen();
    std::int64_t wanted = m_wanted.value_or(before ? before->item.id : 0);
    const int rowBefore = std::max(0, m_list->currentIndex().row());
    const bool wasShorter = m_shelf.items.size() < shelf.items.size() && m_shelf.current == shelf.current && !m_shelf.items.empty();
    // What another panel has just added is what one wants to see, unless a text is being written.
    if (!m_wanted && wasShorter && !m_typing.isActive() && !m_unsaved && !m_text->hasFocus() && !m_title->hasFocus())
        wanted = shelf.items.back().item.id;
    m_shelf = std::move(shelf);
    m_isShowing = true;
    m_model.setItems(m_shelf.items);
    m_isShowing = false;
    if (m_wanted && m_model.rowOf(*m_wanted) >= 0)
        m_wanted.reset();
    showDocuments();
    const int row = m_model.rowOf(wanted);
    m_list->setCurrentIndex(m_model.index(row >= 0 ? row : std::min(rowBefore, m_model.rowCount() - 1)));
    showChosen();
    makeThumbnails();
    updateButtons();
    updateEmptyState();
}

void ReportPanel::showDocuments()
{
    m_documents->clear();
    for (const store::ReportDocument& document : m_shelf.documents)
        m_documents->addItem(tr("%1 (%2)").arg(QString::fromStdString(document.name)).arg(document.items), qint64(document.id));
    m_documents->setCurrentIndex(m_shelf.current ? m_documents->findData(qint64(*m_shelf.current)) : -1);
}

void ReportPanel::chooseDocument(int row)
{
    commitText();
    const qint64 chosen = m_documents->itemData(row).toLongLong();
    const auto workspace = session().workspace();
    if (!workspace || chosen == m_shelf.current)
        return;
    m_reading.start(
        session(), this, [workspace, chosen](widgets::BackgroundContext&) { return store::Reports(workspace).makeCurrent(chosen), true; },
        [](bool) {}, [this](const QString& text) { showError(text); });
}

const ListedItem* ReportPanel::chosen() const
{
    const auto index = m_list->currentIndex();
    return index.isValid() && std::size_t(index.row()) < m_model.items().size() ? &m_model.items()[std::size_t(index.row())] : nullptr;
}

std::optional<store::ReportDocument> ReportPanel::document() const
{
    const auto found = std::ranges::find_if(m_shelf.documents, [&](const store::ReportDocument& each) { return m_shelf.current == each.id; });
    return found == m_shelf.documents.end() ? std::nullopt : std::optional(*found);
}

/// The editor keeps what is being written into it, whatever arrives from the store meanwhile.
void ReportPanel::showChosen()
{
    if (m_isShowing)
        return;
    const auto* listed = chosen();
    const bool isOther = !listed || listed->item.id != m_shown;
    if (isOther)
        commitText();
    if (isOther || (!m_typing.isActive() && m_unsaved != m_shown)) {
        m_isShowing = true;
        m_shown = listed ? listed->item.id : 0;
        const QString title = listed ? QString::fromStdString(listed->item.title) : QString();
        const QString text = listed ? QString::fromStdString(listed->item.annotation) : QString();
        if (m_title->text() != title)
            m_title->setText(title);
        m_title->setPlaceholderText(listed ? listed->title : QString());
        if (m_text->toPlainText() != text)
            m_text->setPlainText(text);
        m_isShowing = false;
    }
    m_title->setEnabled(listed);
    m_text->setEnabled(listed);
    updateButtons();
    showPreview();
}

void ReportPanel::showPreview()
{
    const auto* listed = chosen();
    const auto workspace = session().workspace();
    if (!listed || !workspace) {
        m_painting.cancel();
        m_previewOf.clear();
        takePages({});
        return;
    }
    const double ratio = devicePixelRatioF();
    const int width = int(std::max(kLeastPage, m_preview->viewport()->width() - 30) * ratio);
    const std::string key = paintedKey(listed->item) + '\n' + std::to_string(listed->item.id) + '\n' + std::to_string(width);
    if (key == m_previewOf)
        return;
    m_previewOf = key;
    m_painting.start(
        session(), this,
        [workspace, item = listed->item, width, ratio](widgets::BackgroundContext&) {
            QList<QImage> pages = paintItem(*workspace, item, width);
            for (QImage& page : pages)
                page.setDevicePixelRatio(ratio);
            return pages;
        },
        [this](const QList<QImage>& pages) { takePages(pages); }, [this](const QString& text) { showError(text); });
}

void ReportPanel::takePages(const QList<QImage>& pages)
{
    for (auto* old : m_pages->findChildren<QLabel*>("page"))
        delete old;
    m_hint->setVisible(pages.isEmpty());
    m_hint->setText(m_model.rowCount() == 0 ? tr("This report is empty. Press Ctrl+Shift+R in a panel to add what it shows.")
                                            : tr("Choose an item."));
    for (int i = 0; i < pages.size(); ++i) {
        auto* label = new QLabel(m_pages);
        label->setObjectName("page");
        label->setPixmap(QPixmap::fromImage(pages[i]));
        label->setAccessibleName(tr("Page %1").arg(i + 1));
        m_pageLayout->insertWidget(i, label, 0, Qt::AlignHCenter | Qt::AlignTop);
    }
}

void ReportPanel::makeThumbnails()
{
    const auto workspace = session().workspace();
    std::vector<store::ReportItem> changed;
    for (const ListedItem& listed : m_shelf.items)
        if (m_painted[listed.item.id] != paintedKey(listed.item))
            changed.push_back(listed.item);
    std::erase_if(m_painted, [&](const auto& entry) { return m_model.rowOf(entry.first) < 0; });
    if (!workspace || changed.empty())
        return;
    m_thumbnails.start(
        session(), this,
        [panel = QPointer(this), workspace, changed = std::move(changed)](widgets::BackgroundContext& context) {
            for (const store::ReportItem& item : changed) {
                context.throwIfStopped();
                const QImage picture = paintThumbnail(*workspace, item);
                context.post([panel, item, picture] {
                    panel->m_painted[item.id] = paintedKey(item);
                    panel->m_model.setThumbnail(item.id, picture);
                });
            }
            return true;
        },
        [](bool) {}, [this](const QString& text) { showError(text); });
}

void ReportPanel::updateButtons()
{
    const bool hasWorkspace = session().hasWorkspace();
    const bool canWrite = hasWorkspace && !m_bar->isRunning();
    const int row = chosen() ? m_list->currentIndex().row() : -1;
    m_up->setEnabled(row > 0);
    m_down->setEnabled(row >= 0 && row + 1 < m_model.rowCount());
    m_remove->setEnabled(row >= 0);
    for (auto* action : {m_note, m_picture, m_new})
        action->setEnabled(hasWorkspace);
    m_runs->setEnabled(hasWorkspace && !session().selection().runs.isEmpty());
    for (auto* action : {m_rename, m_removeDocument})
        action->setEnabled(m_shelf.current.has_value());
    for (auto* action : {m_html, m_pdf})
        action->setEnabled(canWrite && m_model.rowCount() > 0);
}

void ReportPanel::updateEmptyState()
{
    if (!session().hasWorkspace())
        showEmptyState(tr("No workspace"), tr("Open a workspace: its reports are kept in it."));
    else if (m_model.rowCount() == 0 && m_shelf.documents.size() < 2)
        showEmptyState(tr("Nothing in the report yet"),
                       tr("Press Ctrl+Shift+R in any panel (Edit, Add to report): attributions, lens grids, scenes, runs and other results come here "
                          "in the order of adding. Or begin with a note, a picture, or the selected runs."),
                       {m_note, m_picture, m_runs});
    else
        showContent();
}

void ReportPanel::changeEvent(QEvent* event)
{
    if (event->type() == QEvent::PaletteChange)
        m_model.setPalette(palette());
    Panel::changeEvent(event);
}

void ReportPanel::resizeEvent(QResizeEvent* event)
{
    Panel::resizeEvent(event);
    m_splitter->setOrientation(width() < kNarrow ? Qt::Vertical : Qt::Horizontal);
    if (m_preview->isVisible())
        m_resizing.start();
}

core::Json ReportPanel::saveState() const
{
    const auto* listed = chosen();
    return {{"item", listed ? core::Json(listed->item.id) : core::Json()},
            {"splitter", m_splitter->saveState().toBase64().toStdString()},
            {"side", m_side->saveState().toBase64().toStdString()}};
}

void ReportPanel::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    if (state.contains("item") && state["item"].is_number_integer()) {
        m_wanted = state["item"].get<std::int64_t>();
        reload();
    }
    for (const auto& [key, splitter] : {std::pair{"splitter", m_splitter}, std::pair{"side", m_side}})
        if (state.contains(key) && state[key].is_string())
            splitter->restoreState(QByteArray::fromBase64(QByteArray::fromStdString(state[key].get<std::string>())));
}

QString ReportPanel::commandLine() const
{
    const auto shown = document();
    if (!shown || m_model.rowCount() == 0)
        return {};
    return widgets::cliCommand(
        {"report", "--document", QString::fromStdString(shown->name), "--out", "report.html", "--workspace", session().workspaceFolder()});
}

}  // namespace orrery::plugins
