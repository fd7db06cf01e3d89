#include "code_edit.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QPainter>
#include <QTextBlock>
#include <QToolTip>

#include "theme.h"

namespace orrery::widgets {

CodeEdit::CodeEdit(QWidget* parent) : QPlainTextEdit(parent), m_margin(new QWidget(this))
{
    setLineWrapMode(QPlainTextEdit::NoWrap);
    setFont(monospaceFont(this));
    setTabStopDistance(2 * fontMetrics().horizontalAdvance(QLatin1Char(' ')));
    m_margin->installEventFilter(this);
    connect(this, &QPlainTextEdit::blockCountChanged, this, [this] { layoutMargin(); });
    connect(this, &QPlainTextEdit::updateRequest, this, [this](const QRect& rect, int dy) {
        if (dy)
            m_margin->scroll(0, dy);
        else
            m_margin->update(0, rect.y(), m_margin->width(), rect.height());
    });
    layoutMargin();
}

void CodeEdit::setMarks(std::map<int, QString> marks)
{
    m_marks = std::move(marks);
    showMarks();
    m_margin->update();
}

void CodeEdit::showMarks()
{
    QList<QTextEdit::ExtraSelection> selections;
    const QColor color = themeColors(palette()).error;
    for (const auto& [line, text] : m_marks) {
        const QTextBlock block = document()->findBlockByNumber(line - 1);
        if (!block.isValid())
            continue;
        QTextEdit::ExtraSelection selection;
        selection.cursor = QTextCursor(block);
        const qsizetype indent = block.text().size() - block.text().trimmed().size();
        selection.cursor.setPosition(block.position() + int(std::min(indent, block.text().size())));
        selection.cursor.movePosition(QTextCursor::EndOfBlock, QTextCursor::KeepAnchor);
        selection.format.setUnderlineStyle(QTextCharFormat::WaveUnderline);
        selection.format.setUnderlineColor(color);
        selections << selection;
    }
    setExtraSelections(selections);
}

void CodeEdit::goToLine(int line)
{
    const QTextBlock block = document()->findBlockByNumber(line - 1);
    if (!block.isValid())
        return;
    setTextCursor(QTextCursor(block));
    centerCursor();
    setFocus();
}

int CodeEdit::marginWidth() const
{
    return fontMetrics().horizontalAdvance(QLatin1Char('9')) * std::max(3, int(QString::number(blockCount()).size()) + 1) + 14;
}

void CodeEdit::layoutMargin()
{
    setViewportMargins(marginWidth(), 0, 0, 0);
    const QRect rect = contentsRect();
    m_margin->setGeometry(rect.left(), rect.top(), marginWidth(), rect.height());
}

void CodeEdit::resizeEvent(QResizeEvent* event)
{
    QPlainTextEdit::resizeEvent(event);
    layoutMargin();
}

void CodeEdit::changeEvent(QEvent* event)
{
    QPlainTextEdit::changeEvent(event);
    if (event->type() == QEvent::PaletteChange && m_margin)
        showMarks();
}

/// Tab moves on with the keyboard focus; Return keeps the indentation.
void CodeEdit::keyPressEvent(QKeyEvent* event)
{
    if ((event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) && !isReadOnly()) {
        const QString line = textCursor().block().text().left(textCursor().positionInBlock());
        qsizetype indent = 0;
        while (indent < line.size() && line[indent] == QLatin1Char(' '))
            ++indent;
        const bool deeper =
            line.trimmed().endsWith(QLatin1Char(':')) || line.trimmed().endsWith(QLatin1Char('{')) || line.trimmed().endsWith(QLatin1Char('['));
        insertPlainText(QLatin1Char('\n') + QString(indent + (deeper ? 2 : 0), QLatin1Char(' ')));
        ensureCursorVisible();
        return;
    }
    if (event->key() == Qt::Key_Tab && event->modifiers() == Qt::NoModifier && !isReadOnly())
        return insertPlainText(QStringLiteral("  "));
    // Ctrl+Tab and Shift+Tab leave the editor.
    if (event->key() == Qt::Key_Backtab || (event->key() == Qt::Key_Tab && event->modifiers() & Qt::ControlModifier)) {
        focusNextPrevChild(event->key() == Qt::Key_Tab);
        return;
    }
    QPlainTextEdit::keyPressEvent(event);
}

bool CodeEdit::event(QEvent* event)
{
    if (event->type() != QEvent::ToolTip)
        return QPlainTextEdit::event(event);
    auto* help = static_cast<QHelpEvent*>(event);
    const int line = cursorForPosition(viewport()->mapFrom(this, help->pos())).blockNumber() + 1;
    const auto mark = m_marks.find(line);
    QToolTip::showText(help->globalPos(), mark == m_marks.end() ? QString() : mark->second, this);
    return true;
}

bool CodeEdit::eventFilter(QObject* watched, QEvent* event)
{
    if (watched == m_margin && event->type() == QEvent::Paint) {
        paintMargin();
        return true;
    }
    return QPlainTextEdit::eventFilter(watched, event);
}

void CodeEdit::paintMargin()
{
    QPainter painter(m_margin);
    const ThemeColors colors = themeColors(palette());
    painter.fillRect(m_margin->rect(), palette().color(QPalette::Window));
    painter.setFont(font());
    for (QTextBlock block = firstVisibleBlock(); block.isValid(); block = block.next()) {
        const QRectF rect = blockBoundingGeometry(block).translated(contentOffset());
        if (rect.top() > m_margin->height())
            break;
        const bool marked = m_marks.contains(block.blockNumber() + 1);
        painter.setPen(marked ? colors.error : colors.mutedText);
        painter.drawText(QRectF(0, rect.top(), m_margin->width() - 6, fontMetrics().height()), Qt::AlignRight,
                         QString::number(block.blockNumber() + 1));
        if (marked) {
            painter.setRenderHint(QPainter::Antialiasing);
            painter.setPen(Qt::NoPen);
            painter.setBrush(colors.error);
            painter.drawEllipse(QPointF(7, rect.top() + fontMetrics().height() / 2.0), 3.5, 3.5);
        }
    }
}

}  // namespace orrery::widgets
