#include "log_panel.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QHeaderView>
#include <QScrollBar>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>

#include <widgets/session.h>

namespace orrery::plugins {
namespace {

const std::pair<const char*, spdlog::level::level_enum> kLevels[] = {
    {"debug", spdlog::level::debug}, {"info", spdlog::level::info}, {"warning", spdlog::level::warn}, {"error", spdlog::level::err}};

}  // namespace

LogPanel::LogPanel(widgets::Session& session, QWidget* parent) : Panel("log", tr("Log"), session, parent)
{
    build();
    connect(&m_model, &LogModel::changed, this, &LogPanel::refresh);
    refresh();
}

void LogPanel::build()
{
    m_rows.setColumns(LogModel::columns());
    m_table = new widgets::TableView(this);
    m_table->setModel(&m_rows);
    m_table->setPlaceholder(tr("Filter messages"));
    m_table->table()->setAccessibleName(tr("Messages"));
    m_table->table()->horizontalHeader()->setStretchLastSection(true);
    m_level = new QComboBox(m_table);
    m_level->setAccessibleName(tr("Lowest level shown"));
    m_level->setToolTip(tr("Show messages of this level and above"));
    for (const auto& [name, level] : kLevels)
        m_level->addItem(tr("%1 and above").arg(LogModel::levelName(level)), name);
    m_level->setCurrentIndex(1);
    connect(m_level, &QComboBox::currentIndexChanged, this, [this](int index) { m_model.setMinimumLevel(kLevels[std::size_t(index)].second); });
    m_copy = new QAction(tr("Copy"), this);
    m_copy->setToolTip(tr("Copy the selected messages, or all that are shown"));
    connect(m_copy, &QAction::triggered, this, &LogPanel::copySelected);
    m_clear = new QAction(tr("Clear"), this);
    m_clear->setToolTip(tr("Remove the messages from this list"));
    connect(m_clear, &QAction::triggered, &m_model, &LogModel::clear);
    m_table->addToolWidget(m_level);
    for (auto* action : {m_copy, m_clear}) {
        auto* button = new QToolButton(m_table);
        button->setDefaultAction(action);
        button->setObjectName(action == m_copy ? "copy" : "clear");
        m_table->addToolWidget(button);
        addAction(action);
    }
    setContent(m_table);
}

// The list follows its end, unless the user scrolled up to read.
void LogPanel::refresh()
{
    auto* bar = m_table->table()->verticalScrollBar();
    const bool atEnd = bar->value() >= bar->maximum();
    m_rows.setRows(m_model.rows());
    if (m_model.records().empty())
        showEmptyState(tr("No messages"), tr("What the program reports appears here: files opened, runs started, warnings and errors."));
    else
        showContent();
    if (atEnd)
        m_table->table()->scrollToBottom();
}

void LogPanel::copySelected()
{
    auto ids = m_table->selectedIds();
    if (ids.isEmpty())
        for (int row = 0; row < m_rows.rowCount(); ++row)
            ids << m_rows.rowId(row);
    std::sort(ids.begin(), ids.end());
    QString text;
    for (const auto id : ids)
        if (const auto* row = m_rows.row(id))
            text += row->cells[0].toString() + ' ' + row->cells[1].toString() + ": " + row->cells[2].toString() + '\n';
    QApplication::clipboard()->setText(text);
}

core::Json LogPanel::saveState() const
{
    return {{"level", m_level->currentData().toString().toStdString()}, {"table", m_table->saveState()}};
}

void LogPanel::restoreState(const core::Json& state)
{
    if (const auto level = state.find("level"); level != state.end() && level->is_string())
        if (const int index = m_level->findData(QString::fromStdString(level->get<std::string>())); index >= 0)
            m_level->setCurrentIndex(index);
    if (const auto table = state.find("table"); table != state.end())
        m_table->restoreState(*table);
}

}  // namespace orrery::plugins
