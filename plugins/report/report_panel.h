#pragma once
#include <QTimer>
#include <optional>

#include <widgets/latest_task.h>
#include <widgets/panel.h>
#include <widgets/report_item.h>

#include "report_items_model.h"

class QComboBox;
class QHBoxLayout;
class QLabel;
class QLineEdit;
class QListView;
class QPlainTextEdit;
class QScrollArea;
class QSplitter;
class QToolButton;
class QVBoxLayout;

namespace orrery::widgets {
class JobBar;
}

namespace orrery::plugins {

/// The report documents of the workspace: items in order, title and annotation of the chosen one, how it will be printed, export. What other panels and
/// other processes add appears by itself. UI thread.
class ReportPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit ReportPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~ReportPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    bool isIdle() const override;

    /// Asks for the name of a report; tests put their own in its place. An empty text gives up.
    std::function<QString(const QString& title, const QString& suggested)> askName;

protected:
    void changeEvent(QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    /// One reading of the store.
    struct Shelf {
        std::vector<store::ReportDocument> documents;
        std::optional<store::ReportId> current;
        std::vector<ListedItem> items;
    };

    QAction* makeAction(const char* name, const QString& text, const QString& tip, void (ReportPanel::*call)(), const QKeySequence& keys = {});
    void makeActions();
    QWidget* makeContent();
    QLayout* makeDocumentRow();
    QWidget* makeListSide();
    QWidget* makeEditor();

    void reload();
    void takeShelf(Shelf shelf);
    void showDocuments();
    void chooseDocument(int row);
    void showChosen();
    void showPreview();
    void takePages(const QList<QImage>& pages);
    void makeThumbnails();
    void updateButtons();
    void updateEmptyState();

    const ListedItem* chosen() const;
    std::optional<store::ReportDocument> document() const;
    void choose(std::int64_t item);
    void edit(const QString& text, std::function<void(store::Reports&)> redo, std::function<void(store::Reports&)> undo);
    void moveTo(qint64 item, int place);
    void moveBy(int step);
    void moveUp() { moveBy(-1); }
    void moveDown() { moveBy(1); }
    void removeChosen();
    void rename(qint64 item, const QString& title);
    void commitText();
    void addNote();
    void addPicture();
    void addRuns();
    void newDocument();
    void renameDocument();
    void removeDocument();
    void exportHtml();
    void exportPdf();
    void exportTo(const QString& file, bool isPdf);

    Shelf m_shelf;
    ReportItemsModel m_model;
    widgets::LatestTask m_reading{[this](int change) { addBusy(change); }}, m_painting{[this](int change) { addBusy(change); }},
        m_thumbnails{[this](int change) { addBusy(change); }};
    std::optional<std::int64_t> m_wanted;           ///< item to be chosen once it is listed
    std::int64_t m_shown = 0;                       ///< item whose texts stand in the editor
    std::map<std::int64_t, std::string> m_painted;  ///< what each thumbnail was made of
    std::string m_previewOf;                        ///< what the preview was made of
    std::optional<std::int64_t> m_unsaved;          ///< item whose texts in the editor have not reached the store
    bool m_isShowing = false;
    QTimer m_typing, m_resizing;

    QComboBox* m_documents = nullptr;
    QListView* m_list = nullptr;
    QSplitter *m_splitter = nullptr, *m_side = nullptr;
    QLineEdit* m_title = nullptr;
    QPlainTextEdit* m_text = nullptr;
    QScrollArea* m_preview = nullptr;
    QWidget* m_pages = nullptr;
    QVBoxLayout* m_pageLayout = nullptr;
    QLabel* m_hint = nullptr;
    widgets::JobBar* m_bar = nullptr;
    QAction *m_up = nullptr, *m_down = nullptr, *m_remove = nullptr, *m_note = nullptr, *m_picture = nullptr, *m_runs = nullptr, *m_new = nullptr,
            *m_rename = nullptr, *m_removeDocument = nullptr, *m_html = nullptr, *m_pdf = nullptr;
};

}  // namespace orrery::plugins
