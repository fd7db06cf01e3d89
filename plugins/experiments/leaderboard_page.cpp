#include "leaderboard_page.h"

#include <QComboBox>
#include <QHeaderView>
#include <QLabel>
#include <QSignalBlocker>
#include <QTableView>
#include <QVBoxLayout>

#include <core/store/workspace.h>
#include <widgets/session.h>

namespace orrery::plugins {

LeaderboardPage::LeaderboardPage(widgets::Session& session, RunsModel& model, QWidget* parent) : QWidget(parent), m_session(session), m_model(model)
{
    m_metric = new QComboBox(this);
    m_metric->setObjectName("leaderboard_metric");
    m_metric->setAccessibleName(tr("Metric of the leaderboard"));
    m_metric->setToolTip(tr("Its last value decides; of a loss or an error the smallest is best"));
    m_metric->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    m_hint = new QLabel(this);
    m_hint->setObjectName("leaderboard_hint");
    m_hint->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    auto* row = new QHBoxLayout;
    row->setContentsMargins(6, 4, 6, 4);
    row->addWidget(m_metric);
    row->addSpacing(6);
    row->addWidget(m_hint, 1);
    m_rows.setColumns({{.id = "data", .title = tr("Data"), .tooltip = tr("Runs are compared where the data has the same content")},
                       {.id = "rank", .title = tr("Rank"), .tooltip = tr("Equal values share one"), .numeric = true},
                       {.id = "value", .title = tr("Value"), .tooltip = {}, .numeric = true},
                       {.id = "run", .title = tr("Run"), .tooltip = {}, .numeric = true},
                       {.id = "name", .title = tr("Name"), .tooltip = {}},
                       {.id = "model", .title = tr("Model"), .tooltip = {}},
                       {.id = "created", .title = tr("Created"), .tooltip = {}}});
    m_table = new widgets::TableView(this);
    m_table->setModel(&m_rows);
    m_table->setPlaceholder(tr("Filter the leaderboard"));
    m_table->table()->setAccessibleName(tr("Leaderboard"));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addLayout(row);
    column->addWidget(m_table, 1);
    connect(m_metric, &QComboBox::activated, this, &LeaderboardPage::refresh);
    connect(&m_model, &RunsModel::shownChanged, this, &LeaderboardPage::refresh);
    connect(&m_model, &RunsModel::changed, this, &LeaderboardPage::refresh);
    connect(m_table, &widgets::TableView::selectionChanged, this, [this](const QList<qint64>& runs) {
        if (runs.size() == 1)
            Q_EMIT runChosen(runs.front());
    });
}

QString LeaderboardPage::metric() const
{
    return m_metric->currentText();
}

void LeaderboardPage::setMetric(const QString& metric)
{
    m_wanted = metric;
    refresh();
}

void LeaderboardPage::refreshMetrics()
{
    QStringList names;
    for (const auto& field : m_model.fields())
        if (field.kind == store::RunField::Kind::Metric)
            names << QString::fromStdString(field.name);
    QString chosen = m_wanted.isEmpty() ? m_metric->currentText() : m_wanted;
    if (names.contains(chosen))
        m_wanted.clear();
    else
        for (const char* name : {"test/accuracy", "val/accuracy", "test/loss", "val/loss"})
            if (names.contains(name)) {
                chosen = name;
                break;
            }
    const QSignalBlocker blocker(m_metric);
    m_metric->clear();
    m_metric->addItems(names);
    m_metric->setCurrentIndex(std::max(0, int(names.indexOf(chosen))));
}

void LeaderboardPage::refresh()
{
    const auto workspace = m_session.workspace();
    if (!isVisible() || !workspace)
        return;
    if (m_task.isRunning()) {
        m_again = true;
        return;
    }
    if (!m_metric->view()->isVisible())
        refreshMetrics();
    if (m_metric->count() == 0) {
        m_rows.setRows({});
        return m_hint->setText(tr("No run has a metric yet."));
    }
    train::LeaderboardOptions options;
    options.metric = metric().toStdString();
    options.where = m_model.queryError().isEmpty() ? m_model.query().toStdString() : std::string();
    const auto finish = [this] {
        m_task = {};
        if (std::exchange(m_again, false))
            refresh();
        Q_EMIT idleChanged();
    };
    m_task = m_session.runInBackground(
        this, [workspace, options](widgets::BackgroundContext&) { return train::leaderboards(*workspace, options); },
        [this, finish](const std::vector<train::Leaderboard>& boards) {
            show(boards);
            finish();
        },
        [this, finish](const QString& text) {
            m_rows.setRows({});
            m_hint->setText(text);
            finish();
        });
}

void LeaderboardPage::show(const std::vector<train::Leaderboard>& boards)
{
    std::vector<widgets::RowModel::Row> rows;
    for (const auto& board : boards)
        for (const auto& entry : board.entries)
            rows.push_back(
                {entry.run.id,
                 {QString::fromStdString(board.data), qint64(entry.rank), entry.value, qint64(entry.run.id), QString::fromStdString(entry.run.name),
                  QString::fromStdString(entry.model), QString::fromStdString(entry.run.created).left(19).replace('T', ' ')},
                 tr("Document %1").arg(QString::fromStdString(entry.run.documentHash))});
    m_rows.setRows(std::move(rows));
    std::size_t runs = 0;
    for (const auto& board : boards)
        runs += board.runs;
    m_hint->setText(tr("%1 finished runs on %2, %3 is best")
                        .arg(runs)
                        .arg(boards.size() == 1 ? tr("one data set") : tr("%1 data sets").arg(boards.size()))
                        .arg(train::isLowerBetter(metric().toStdString()) ? tr("the smallest") : tr("the largest")));
    m_table->table()->resizeColumnsToContents();
}

void LeaderboardPage::showEvent(QShowEvent* event)
{
    QWidget::showEvent(event);
    refresh();
}

}  // namespace orrery::plugins
