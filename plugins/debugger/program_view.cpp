#include "program_view.h"

#include <QApplication>
#include <QHeaderView>
#include <QMouseEvent>
#include <QPalette>
#include <algorithm>

#include <core/debug/prompt_text.h>
#include <widgets/theme.h>

namespace orrery::plugins {

namespace {

/// Names inside the module that the heading above says are written without its path: ".q.linear".
QString withoutModule(QString text, const QString& module)
{
    if (module.isEmpty())
        return text;
    const QString path = module + QLatin1Char('.');
    for (auto at = text.indexOf(path); at >= 0; at = text.indexOf(path, at + 1))
        if (at == 0 || text[at - 1] == QLatin1Char(' ') || text[at - 1] == QLatin1Char('('))
            text.remove(at, module.size());
    return text;
}

}  // namespace

void ProgramModel::setSession(const std::shared_ptr<DebugSession>& session)
{
    m_session = session;
    m_view = {};
    m_visits.clear();
    m_visitLine = -1;
    rebuild();
}

void ProgramModel::rebuild()
{
    beginResetModel();
    m_rows.clear();
    if (m_session) {
        const auto& lines = m_session->lines();
        std::vector<std::string> levels;
        for (int i = 0; i < lines.count(); ++i) {
            const auto& line = lines.line(i);
            for (std::size_t k = debug::commonLevels(levels, line.levels); k < line.levels.size(); ++k)
                m_rows.push_back({-1, -1, int(k), QString::fromStdString(line.levels[k])});
            levels = line.levels;
            m_rows.push_back({i, -1, int(levels.size()), QString::fromStdString(debug::lineText(*lines.graph(), *line.node)),
                              levels.empty() ? QString() : QString::fromStdString(levels.back())});
            if (i == m_visitLine)
                for (int visit = 0; visit < m_visits.size(); ++visit)
                    m_rows.push_back({i, visit, int(levels.size()) + 1, m_visitTexts[visit]});
        }
    }
    endResetModel();
    updateCurrent();
}

void ProgramModel::updateCurrent()
{
    const auto find = [&](int line, int visit) {
        const auto here = std::find_if(m_rows.begin(), m_rows.end(), [&](const Row& row) { return row.line == line && row.visit == visit; });
        return here == m_rows.end() ? -1 : int(here - m_rows.begin());
    };
    m_current = !m_view.backward           ? find(m_view.position.line, m_view.position.inner)
                : m_view.gradientLine >= 0 ? find(m_view.gradientLine, -1)
                                           : -1;  // before the first gradient it stands behind the last line
    // A block whose first node fails has no steps.
    if (m_current < 0 && !m_view.backward)
        m_current = find(m_view.position.line, -1);
}

void ProgramModel::setView(const DebugView& view)
{
    const int visitLine = view.visits.isEmpty() ? -1 : view.position.line;
    const bool other = visitLine != m_visitLine || view.visits != m_visits;
    m_view = view;
    m_visits = view.visits;
    m_visitTexts = view.visitTexts;
    m_visitLine = visitLine;
    if (other)
        return rebuild();
    updateCurrent();
    if (!m_rows.empty())
        Q_EMIT dataChanged(index(0, 0), index(int(m_rows.size()) - 1, ColumnCount - 1));
}

const ProgramModel::Row* ProgramModel::row(int index) const
{
    return index >= 0 && index < int(m_rows.size()) ? &m_rows[std::size_t(index)] : nullptr;
}

int ProgramModel::rowOfLine(int line) const
{
    const auto found = std::find_if(m_rows.begin(), m_rows.end(), [&](const Row& row) { return row.line == line; });
    return found == m_rows.end() ? -1 : int(found - m_rows.begin());
}

int ProgramModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.size());
}

int ProgramModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QVariant ProgramModel::data(const QModelIndex& index, int role) const
{
    const Row* row = this->row(index.row());
    if (!row)
        return {};
    const QPalette palette = QApplication::palette();
    const auto& marks = row->visit >= 0 ? m_view.breakpointVisits : m_view.breakpointLines;
    const bool marked = row->line >= 0 && std::binary_search(marks.begin(), marks.end(), row->visit >= 0 ? row->visit : row->line);
    const bool current = index.row() == m_current;
    switch (role) {
    case Qt::DisplayRole:
        if (index.column() == Mark)
            return marked && current ? QStringLiteral("●➜") : marked ? QStringLiteral("●") : current ? QStringLiteral("➜") : QString();
        if (index.column() == Number)
            return row->line >= 0 && row->visit < 0 ? QVariant(row->line + 1) : QVariant();
        return QString(2 * row->depth, QLatin1Char(' ')) + withoutModule(row->text, row->module);
    case Qt::ForegroundRole:
        if (index.column() == Mark && marked)
            return widgets::themeColors(palette).error;
        if (index.column() == Number || (row->line < 0 && index.column() == Text))
            return widgets::themeColors(palette).mutedText;
        return {};
    case Qt::FontRole:
        if (row->line < 0 && index.column() == Text) {
            QFont font = QApplication::font();
            font.setBold(true);
            return font;
        }
        return {};
    case Qt::BackgroundRole:
        if (!current)
            return {};
        {
            QColor colour = palette.color(QPalette::Highlight);
            colour.setAlpha(70);
            return colour;
        }
    case Qt::TextAlignmentRole: return index.column() == Number ? int(Qt::AlignRight | Qt::AlignVCenter) : int(Qt::AlignLeft | Qt::AlignVCenter);
    case Qt::ToolTipRole: return row->line < 0 ? tr("Module %1").arg(row->text) : row->text;
    case Qt::AccessibleTextRole:
        if (index.column() == Mark)
            return marked && current ? tr("breakpoint, next to run") : marked ? tr("breakpoint") : current ? tr("next to run") : QString();
        return {};
    default: return {};
    }
}

ProgramView::ProgramView(QWidget* parent) : QTableView(parent), m_model(new ProgramModel(this))
{
    setModel(m_model);
    setObjectName(QStringLiteral("program"));
    setAccessibleName(tr("Program"));
    setSelectionBehavior(QAbstractItemView::SelectRows);
    setSelectionMode(QAbstractItemView::SingleSelection);
    setShowGrid(false);
    setWordWrap(false);
    setTabKeyNavigation(false);
    horizontalHeader()->hide();
    verticalHeader()->hide();
    horizontalHeader()->setStretchLastSection(true);
    setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    sizeColumns();
    connect(selectionModel(), &QItemSelectionModel::currentRowChanged, this, [this](const QModelIndex& index) {
        const auto* row = m_model->row(index.row());
        if (row && row->line >= 0)
            Q_EMIT lineChosen(row->line);
    });
}

void ProgramView::sizeColumns()
{
    const QFontMetrics metrics(font());
    verticalHeader()->setMinimumSectionSize(4);
    verticalHeader()->setDefaultSectionSize(metrics.height() + 4);
    setColumnWidth(ProgramModel::Mark, metrics.horizontalAdvance(QStringLiteral("●➜")) + 10);
    setColumnWidth(ProgramModel::Number, metrics.horizontalAdvance(QStringLiteral("00000")) + 8);
}

void ProgramView::changeEvent(QEvent* event)
{
    QTableView::changeEvent(event);
    if (event->type() == QEvent::FontChange)
        sizeColumns();
}

void ProgramView::setSession(const std::shared_ptr<DebugSession>& session)
{
    m_model->setSession(session);
}

void ProgramView::show(const DebugView& view)
{
    m_model->setView(view);
    const int row = m_model->currentRow();
    if (row >= 0)
        scrollTo(m_model->index(row, ProgramModel::Text), QAbstractItemView::EnsureVisible);
    else if (view.backward || view.atEnd)
        scrollToBottom();
    // Else Qt would choose the first line as soon as the list gets the focus, and its value would stay on show.
    if (!currentIndex().isValid() && m_model->rowCount() > 0) {
        const QSignalBlocker blocker(selectionModel());
        setCurrentIndex(m_model->index(std::max(row, 0), ProgramModel::Text));
        viewport()->update();
    }
}

int ProgramView::selectedLine() const
{
    const auto* row = m_model->row(currentIndex().row());
    return row ? row->line : -1;
}

int ProgramView::selectedVisit() const
{
    const auto* row = m_model->row(currentIndex().row());
    return row ? row->visit : -1;
}

void ProgramView::selectLine(int line)
{
    const QSignalBlocker blocker(selectionModel());
    const int row = m_model->rowOfLine(line);
    if (row < 0)
        return;
    setCurrentIndex(m_model->index(row, ProgramModel::Text));
    scrollTo(m_model->index(row, ProgramModel::Text));
    viewport()->update();
}

void ProgramView::mousePressEvent(QMouseEvent* event)
{
    const QModelIndex index = indexAt(event->position().toPoint());
    const auto* row = m_model->row(index.row());
    if (event->button() == Qt::LeftButton && row && row->line >= 0 && index.column() <= ProgramModel::Number)
        Q_EMIT breakpointWanted(row->line, row->visit);
    QTableView::mousePressEvent(event);
}

void ProgramView::mouseDoubleClickEvent(QMouseEvent* event)
{
    const QModelIndex index = indexAt(event->position().toPoint());
    const auto* row = m_model->row(index.row());
    if (row && row->line >= 0 && index.column() == ProgramModel::Text)
        Q_EMIT runToWanted(row->line, row->visit);
}

}  // namespace orrery::plugins
