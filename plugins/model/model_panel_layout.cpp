// What the panel Model is made of; model_panel.cpp says how it behaves.
#include <QAction>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTabWidget>
#include <QToolButton>
#include <QTreeView>
#include <QVBoxLayout>

#include <widgets/session.h>
#include <widgets/theme.h>

#include "model_panel.h"
#include "tensor_detail.h"
#include "tree_filter.h"

namespace orrery::plugins {

QWidget* ModelPanel::makeTreePage()
{
    m_search = new QLineEdit;
    m_search->setPlaceholderText(tr("Filter by name or type"));
    m_search->setAccessibleName(tr("Filter by name or type"));
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
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* row = new QHBoxLayout;
    row->addWidget(m_search, 1);
    row->addWidget(copy);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->setObjectName(QStringLiteral("splitter"));
    splitter->addWidget(m_view);
    splitter->addWidget(makeDetail());
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({400, 400});
    splitter->setChildrenCollapsible(false);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->setSpacing(4);
    layout->addLayout(row);
    layout->addWidget(splitter, 1);
    return page;
}

QWidget* ModelPanel::makeDetail()
{
    m_node = new QLabel;
    m_node->setWordWrap(true);
    m_node->setTextFormat(Qt::RichText);
    m_node->setObjectName(QStringLiteral("node"));
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
    auto* row = new QHBoxLayout;
    row->addWidget(m_values);
    row->addWidget(m_cancel);
    row->addStretch(1);
    auto* detail = new QWidget;
    auto* layout = new QVBoxLayout(detail);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->setSpacing(4);
    layout->addWidget(m_node);
    layout->addLayout(row);
    layout->addWidget(m_tensor, 1);
    return detail;
}

QWidget* ModelPanel::makeContent()
{
    m_summary = new QLabel;
    m_summary->setWordWrap(true);
    m_summary->setObjectName(QStringLiteral("summary"));
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_text = new QPlainTextEdit;
    m_text->setReadOnly(true);
    m_text->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_text->setFont(widgets::monospaceFont(this));
    m_text->setAccessibleName(tr("The graph as text"));
    m_tabs = new QTabWidget;
    m_tabs->setDocumentMode(true);
    m_tabs->addTab(makeTreePage(), tr("&Modules"));
    m_tabs->addTab(m_text, tr("&Text"));
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(6, 6, 6, 6);
    layout->setSpacing(4);
    layout->addWidget(m_summary);
    layout->addWidget(m_tabs, 1);
    content->setFocusProxy(m_view);
    return content;
}

}  // namespace orrery::plugins
