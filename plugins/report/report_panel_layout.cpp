// Actions, widgets and their places.
#include <QAction>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QMenu>
#include <QPlainTextEdit>
#include <QScrollArea>
#include <QSplitter>
#include <QStyledItemDelegate>
#include <QToolButton>
#include <QVBoxLayout>

#include <widgets/commands.h>
#include <widgets/job_bar.h>

#include "report_panel.h"

namespace orrery::plugins {
namespace {

QToolButton* buttonFor(QAction* action, QWidget* parent, bool withText)
{
    auto* button = new QToolButton(parent);
    button->setDefaultAction(action);
    button->setObjectName(action->objectName() + "_button");
    button->setToolButtonStyle(withText ? Qt::ToolButtonTextOnly : Qt::ToolButtonFollowStyle);
    button->setFocusPolicy(Qt::StrongFocus);
    return button;
}

/// Long titles are shortened instead of scrolled. A thumbnail that arrives while a title is being written must not put the old title back.
class TitleDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override
    {
        return {100, QStyledItemDelegate::sizeHint(option, index).height()};  // the view makes it as wide as it is
    }
    void setEditorData(QWidget* editor, const QModelIndex& index) const override
    {
        if (const auto* line = qobject_cast<QLineEdit*>(editor); !line || !line->isModified())
            QStyledItemDelegate::setEditorData(editor, index);
    }
};

}  // namespace

QAction* ReportPanel::makeAction(const char* name, const QString& text, const QString& tip, void (ReportPanel::*call)(), const QKeySequence& keys)
{
    auto* action = new QAction(text, this);
    action->setObjectName(name);
    action->setToolTip(keys.isEmpty() ? tip : tr("%1 (%2)").arg(tip, keys.toString(QKeySequence::NativeText)));
    action->setShortcut(keys);
    action->setShortcutContext(Qt::WidgetWithChildrenShortcut);
    connect(action, &QAction::triggered, this, call);
    addAction(action);
    return action;
}

void ReportPanel::makeActions()
{
    addAction(widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); }));
    m_up = makeAction("move_up", tr("Up"), tr("Move the chosen item up"), &ReportPanel::moveUp, QKeySequence("Alt+Up"));
    m_down = makeAction("move_down", tr("Down"), tr("Move the chosen item down"), &ReportPanel::moveDown, QKeySequence("Alt+Down"));
    m_remove = makeAction("remove_item", tr("Remove"), tr("Take the chosen item out of the report; what it shows stays in the workspace"),
                          &ReportPanel::removeChosen);
    m_note = makeAction("add_note", tr("Add note"), tr("Add a text of your own"), &ReportPanel::addNote);
    m_picture = makeAction("add_picture", tr("Add picture..."), tr("Add a PNG, JPEG or WebP file; a copy is kept in the workspace"),
                           &ReportPanel::addPicture);
    m_runs = makeAction("add_runs", tr("Add selected runs"), tr("Add the runs that are selected in Experiments: table, differences, metrics, curves"),
                        &ReportPanel::addRuns);
    m_new = makeAction("new_report", tr("New report..."), tr("Start an empty report; what is added next goes there"), &ReportPanel::newDocument);
    m_rename = makeAction("rename_report", tr("Rename report..."), tr("The name is the title of the report"), &ReportPanel::renameDocument);
    m_removeDocument = makeAction("remove_report", tr("Remove report"), tr("Remove the whole report; what it shows stays in the workspace"),
                                  &ReportPanel::removeDocument);
    m_html =
        makeAction("export_html", tr("Export HTML..."), tr("Write the report as one HTML file that needs nothing else"), &ReportPanel::exportHtml);
    m_pdf = makeAction("export_pdf", tr("Export PDF..."), tr("Write the report as A4 pages"), &ReportPanel::exportPdf);
}

QLayout* ReportPanel::makeDocumentRow()
{
    auto* row = new QHBoxLayout;
    m_documents = new QComboBox(this);
    m_documents->setObjectName("documents");
    m_documents->setAccessibleName(tr("Report"));
    m_documents->setToolTip(tr("The report on show; \"Add to report\" in every panel adds to it"));
    m_documents->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_documents->setMinimumContentsLength(8);
    connect(m_documents, &QComboBox::activated, this, &ReportPanel::chooseDocument);
    auto* more = new QToolButton(this);
    more->setText(tr("Report"));
    more->setObjectName("more");
    more->setToolTip(tr("New, rename, remove"));
    more->setPopupMode(QToolButton::InstantPopup);
    auto* menu = new QMenu(more);
    menu->addActions({m_new, m_rename, m_removeDocument});
    more->setMenu(menu);
    row->addWidget(m_documents, 1);
    row->addWidget(more);
    return row;
}

QWidget* ReportPanel::makeListSide()
{
    auto* side = new QWidget(this);
    auto* layout = new QVBoxLayout(side);
    layout->setContentsMargins(0, 0, 0, 0);
    m_list = new QListView(side);
    m_list->setObjectName("items");
    m_list->setAccessibleName(tr("Items of the report"));
    m_list->setModel(&m_model);
    m_list->setItemDelegate(new TitleDelegate(m_list));
    m_list->setIconSize({64, 48});
    m_list->setSpacing(2);
    m_list->setTextElideMode(Qt::ElideRight);
    m_list->setDragDropMode(QAbstractItemView::InternalMove);
    m_list->setDefaultDropAction(Qt::MoveAction);
    m_list->setDragEnabled(true);
    m_list->setSelectionMode(QAbstractItemView::SingleSelection);
    m_list->setEditTriggers(QAbstractItemView::EditKeyPressed | QAbstractItemView::DoubleClicked);
    m_list->setMinimumHeight(90);
    // Delete counts in the list alone: in the texts it removes a letter.
    m_remove->setShortcut(QKeySequence::Delete);
    m_remove->setShortcutContext(Qt::WidgetShortcut);
    m_list->addAction(m_remove);
    m_list->setContextMenuPolicy(Qt::ActionsContextMenu);
    m_list->addActions({m_up, m_down});
    layout->addWidget(m_list, 1);
    auto* first = new QHBoxLayout;
    for (auto* action : {m_up, m_down, m_remove})
        first->addWidget(buttonFor(action, side, true));
    first->addStretch(1);
    auto* second = new QHBoxLayout;
    for (auto* action : {m_note, m_picture, m_runs})
        second->addWidget(buttonFor(action, side, true));
    second->addStretch(1);
    layout->addLayout(first);
    layout->addLayout(second);
    return side;
}

QWidget* ReportPanel::makeEditor()
{
    m_side = new QSplitter(Qt::Vertical, this);
    auto* texts = new QWidget(m_side);
    auto* layout = new QVBoxLayout(texts);
    layout->setContentsMargins(0, 0, 0, 0);
    m_title = new QLineEdit(texts);
    m_title->setObjectName("title");
    m_title->setAccessibleName(tr("Title of the item"));
    m_title->setMaxLength(200);
    m_text = new QPlainTextEdit(texts);
    m_text->setObjectName("annotation");
    m_text->setAccessibleName(tr("Annotation"));
    m_text->setPlaceholderText(tr("Annotation: plain text. A blank line parts paragraphs; lines that start with # are headings."));
    m_text->setTabChangesFocus(true);
    m_text->setMinimumHeight(50);
    layout->addWidget(m_title);
    layout->addWidget(m_text, 1);
    m_preview = new QScrollArea(m_side);
    m_preview->setObjectName("preview");
    m_preview->setAccessibleName(tr("Preview of the chosen item, as it will be printed"));
    m_preview->setBackgroundRole(QPalette::Dark);
    m_preview->setMinimumHeight(80);
    m_pages = new QWidget;
    m_pageLayout = new QVBoxLayout(m_pages);
    m_pageLayout->setContentsMargins(6, 6, 6, 6);
    m_hint = new QLabel(m_pages);
    m_hint->setObjectName("hint");
    m_hint->setWordWrap(true);
    m_hint->setAlignment(Qt::AlignCenter);
    m_pageLayout->addWidget(m_hint);
    m_pageLayout->addStretch(1);
    m_preview->setWidget(m_pages);
    m_preview->setWidgetResizable(true);
    m_side->addWidget(texts);
    m_side->addWidget(m_preview);
    m_side->setStretchFactor(0, 0);
    m_side->setStretchFactor(1, 1);
    m_side->setSizes({110, 300});
    m_side->setChildrenCollapsible(false);
    connect(m_title, &QLineEdit::textEdited, &m_typing, qOverload<>(&QTimer::start));
    connect(m_title, &QLineEdit::editingFinished, this, &ReportPanel::commitText);
    connect(m_text, &QPlainTextEdit::textChanged, this, [this] {
        if (!m_isShowing)
            m_typing.start();
    });
    return m_side;
}

QWidget* ReportPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->addLayout(makeDocumentRow());
    m_bar = new widgets::JobBar(session(), tr("Progress of the export"), content);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        updateButtons();
    });
    layout->addWidget(m_bar);
    m_splitter = new QSplitter(Qt::Horizontal, content);
    m_splitter->addWidget(makeListSide());
    m_splitter->addWidget(makeEditor());
    m_splitter->setStretchFactor(0, 2);
    m_splitter->setStretchFactor(1, 3);
    m_splitter->setChildrenCollapsible(false);
    layout->addWidget(m_splitter, 1);
    auto* foot = new QHBoxLayout;
    for (auto* action : {m_html, m_pdf})
        foot->addWidget(buttonFor(action, content, true));
    foot->addStretch(1);
    layout->addLayout(foot);
    return content;
}

}  // namespace orrery::plugins
