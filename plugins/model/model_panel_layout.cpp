// What the panel Model is made of; model_panel.cpp says how it behaves.
#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTabWidget>
#include <QToolButton>
#include <QTreeView>
#include <QVBoxLayout>

#include <widgets/controls.h>
#include <widgets/session.h>
#include <widgets/theme.h>

#include "compare_page.h"
#include "graph_page.h"
#include "graph_text.h"
#include "model_panel.h"
#include "tensor_detail.h"
#include "tree_filter.h"
#include "value_request.h"

namespace orrery::plugins {

QWidget* ModelPanel::makeTreePage()
{
    m_search = new QLineEdit;
    m_search->setPlaceholderText(tr("Filter by name or type"));
    m_search->setAccessibleName(tr("Filter by name or type"));
    m_search->setObjectName(QStringLiteral("filter"));
    m_search->setClearButtonEnabled(true);
    connect(m_search, &QLineEdit::textChanged, this, &ModelPanel::filter);
    m_filter = new TreeFilter(*m_tree, this);
    m_filter->setSourceModel(m_tree);
    m_view = new QTreeView;
    m_view->setModel(m_filter);
    m_view->setUniformRowHeights(true);
    m_view->setAlternatingRowColors(true);
    m_view->setAccessibleName(tr("Modules and nodes"));
    m_view->setObjectName(QStringLiteral("tree"));
    m_view->setIndentation(14);
    m_view->header()->setStretchLastSection(false);
    connect(m_view->selectionModel(), &QItemSelectionModel::currentChanged, this, &ModelPanel::chooseInTree);
    connect(m_view, &QTreeView::expanded, this, [this] { fitColumns(); });
    auto* copyName = new QAction(tr("Copy name"), m_view);
    copyName->setShortcut(QKeySequence::Copy);
    copyName->setShortcutContext(Qt::WidgetShortcut);
    connect(copyName, &QAction::triggered, this, [this] { QApplication::clipboard()->setText(m_tree->path(current())); });
    m_view->addAction(copyName);
    m_view->setContextMenuPolicy(Qt::ActionsContextMenu);
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* exportButton = new QToolButton;
    exportButton->setText(tr("Export…"));
    exportButton->setToolTip(
        tr("Write the opened model as ONNX, TorchScript, a checkpoint folder, weights alone or C, and compare the file with it"));
    connect(exportButton, &QToolButton::clicked, this, &ModelPanel::exportModel);
    exportButton->setObjectName(QStringLiteral("exportModel"));
    auto* row = new QHBoxLayout;
    row->addWidget(m_search, 1);
    row->addWidget(exportButton);
    row->addWidget(copy);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->setSpacing(4);
    layout->addLayout(row);
    layout->addWidget(m_view, 1);
    m_noMatch = new QLabel;
    m_noMatch->setObjectName(QStringLiteral("noMatch"));
    m_noMatch->setWordWrap(true);
    m_noMatch->hide();
    layout->addWidget(m_noMatch);
    return page;
}

/// Columns grow to what is shown; none shrinks below what somebody gave it.
void ModelPanel::fitColumns()
{
    for (int column = 0; column < ModelTree::ColumnCount; ++column) {
        const int before = m_view->columnWidth(column);
        m_view->resizeColumnToContents(column);
        m_view->setColumnWidth(column, std::max(before, m_view->columnWidth(column)));
    }
}

/// What the chosen node is, and its weights or its value: below the pages, since a node is chosen in each of them.
QWidget* ModelPanel::makeDetail()
{
    m_node = new QLabel;
    m_node->setWordWrap(true);
    m_node->setTextFormat(Qt::RichText);
    m_node->setObjectName(QStringLiteral("node"));
    m_node->setMinimumSize(1, 1);
    m_node->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    m_values = new QPushButton(tr("&Value on the sample"));
    m_values->setToolTip(tr("Run the model up to this node on the sample chosen in Data (or on the card's example) and show the value"));
    connect(m_values, &QPushButton::clicked, this, &ModelPanel::readValue);
    m_cancel = new QPushButton(tr("Cancel"));
    m_cancel->setToolTip(tr("Stop running the model"));
    m_cancel->hide();
    connect(m_cancel, &QPushButton::clicked, this, [this] {
        m_valueTask.cancel();
        m_reading = false;
        m_cancel->hide();
        m_values->show();
        addBusy(-1);
    });
    m_tensor = new TensorDetail;
    connect(m_tensor, &TensorDetail::singularValuesWanted, this, &ModelPanel::showSingularValues);
    connect(m_tensor, &TensorDetail::failed, this, [this](const QString& text) { showError(text); });
    auto* row = new QHBoxLayout;
    row->addWidget(m_values);
    row->addWidget(m_cancel);
    m_weight = widgets::narrowBox(tr("Weight"), tr("Which of the weights that it reads is shown"), 8);
    m_weight->setObjectName(QStringLiteral("weight"));
    m_weight->hide();
    connect(m_weight, &QComboBox::activated, this, &ModelPanel::readWeight);
    row->addWidget(m_weight, 1);
    row->addStretch(1);
    auto* about = new QWidget;
    auto* column = new QVBoxLayout(about);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(4);
    column->addWidget(m_node);
    column->addLayout(row);
    column->addStretch(1);
    about->setMinimumWidth(170);  // beside a tensor with a long title
    auto* detail = new QWidget;
    m_detailBox = new QBoxLayout(QBoxLayout::TopToBottom, detail);
    m_detailBox->setContentsMargins(0, 4, 0, 0);
    m_detailBox->addWidget(about);
    m_detailBox->addWidget(m_tensor, 1);
    return detail;
}

void ModelPanel::makePages()
{
    m_text = new GraphText;
    m_text->setObjectName(QStringLiteral("text"));
    connect(m_text, &GraphText::pathChosen, this, &ModelPanel::choosePath);
    m_graph = new GraphPage(session());
    m_graph->setObjectName(QStringLiteral("graphPage"));
    m_graph->setRequest([this] { return valueRequest({}); });
    connect(m_graph, &GraphPage::pathChosen, this, &ModelPanel::choosePath);
    connect(m_graph, &GraphPage::busyChanged, this, [this](int change) { addBusy(change); });
    connect(m_graph, &GraphPage::message, this, &ModelPanel::statusMessage);
    connect(m_graph, &GraphPage::failed, this, [this](const QString& text) { showError(text); });
    m_compare = new ComparePage(session());
    m_compare->setObjectName(QStringLiteral("compare"));
    connect(m_compare, &ComparePage::comparisonChanged, this,
            [this](const ComparisonPtr& comparison) { m_graph->setUnion(comparison ? comparison->joined : nullptr); });
    connect(m_compare, &ComparePage::pathChosen, this, &ModelPanel::choosePath);
    connect(m_compare, &ComparePage::busyChanged, this, [this](int change) { addBusy(change); });
    connect(m_compare, &ComparePage::failed, this, [this](const QString& text) { showError(text); });
    connect(m_compare, &ComparePage::message, this, &ModelPanel::statusMessage);
}

/// The pages over the detail. Plots and tables ask for more height than a low window has; here they take what there is.
QWidget* ModelPanel::makeColumn()
{
    auto* detail = makeDetail();
    m_detailSplit = new QSplitter(Qt::Vertical);
    m_detailSplit->setObjectName(QStringLiteral("splitter"));
    for (QWidget* part : {static_cast<QWidget*>(m_tabs), detail}) {
        part->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Ignored);
        part->setMinimumHeight(120);
        m_detailSplit->addWidget(part);
    }
    m_detailSplit->setStretchFactor(0, 11);
    m_detailSplit->setStretchFactor(1, 9);
    m_detailSplit->setSizes({550, 450});
    m_detailSplit->setChildrenCollapsible(false);
    connect(m_tabs, &QTabWidget::currentChanged, detail, [this, detail] { detail->setVisible(m_tabs->currentWidget() != m_compare); });
    return m_detailSplit;
}

QWidget* ModelPanel::makeContent()
{
    m_summary = new QLabel;
    m_summary->setWordWrap(true);
    m_summary->setObjectName(QStringLiteral("summary"));
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_tabs = new QTabWidget;
    m_tabs->setDocumentMode(true);
    auto* tree = makeTreePage();
    tree->setObjectName(QStringLiteral("modules"));
    makePages();
    m_tabs->addTab(tree, tr("&Modules"));
    m_tabs->addTab(m_graph, tr("&Graph"));
    m_tabs->addTab(m_text, tr("&Text"));
    m_tabs->addTab(m_compare, tr("Com&pare"));
    m_split = new QSplitter(Qt::Horizontal);
    m_split->setObjectName(QStringLiteral("split"));
    m_split->addWidget(makeColumn());
    m_split->widget(0)->setMinimumWidth(280);  // its pages ask for more, the picture beside needs it more
    m_split->setChildrenCollapsible(false);
    m_split->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Ignored);
    m_split->setMinimumHeight(260);
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(6, 6, 6, 6);
    layout->setSpacing(4);
    layout->addWidget(m_summary);
    layout->addWidget(m_split, 1);
    content->setFocusProxy(m_view);
    return content;
}

/// The picture beside the tabs where both are wide enough, else in a tab of its own.
void ModelPanel::placeGraph()
{
    constexpr int kBesideFrom = 720, kWideDetail = 480;
    const bool beside = width() >= kBesideFrom;
    const bool isWide = (beside ? width() * 2 / 5 : width()) >= kWideDetail;
    m_detailBox->setDirection(isWide ? QBoxLayout::LeftToRight : QBoxLayout::TopToBottom);
    m_detailBox->setStretch(0, isWide ? 2 : 0);
    m_detailBox->setStretch(1, isWide ? 3 : 1);
    if (beside == (m_tabs->indexOf(m_graph) < 0))
        return;
    if (!beside) {
        m_tabs->insertTab(1, m_graph, tr("&Graph"));
        return;
    }
    m_tabs->removeTab(m_tabs->indexOf(m_graph));
    m_split->addWidget(m_graph);
    m_graph->show();
    m_split->setStretchFactor(0, 2);
    m_split->setStretchFactor(1, 3);
    m_split->setSizes({width() * 2 / 5, width() * 3 / 5});
    if (!isWide)
        m_detailSplit->setSizes({420, 580});  // the value stands under what is said of the node, not beside it
}

void ModelPanel::resizeEvent(QResizeEvent* event)
{
    Panel::resizeEvent(event);
    placeGraph();
}

}  // namespace orrery::plugins
