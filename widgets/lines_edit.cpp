#include "lines_edit.h"

#include <QApplication>
#include <QFontDatabase>
#include <QKeyEvent>
#include <QTextDocument>
#include <algorithm>
#include <cmath>

namespace orrery::widgets {

LinesEdit::LinesEdit(QWidget* parent) : QPlainTextEdit(parent)
{
    setTabChangesFocus(true);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    document()->setDocumentMargin(2);
    // The document's own signal: who fills the field with its signals blocked wants to see the text, too.
    connect(document(), &QTextDocument::contentsChanged, this, &LinesEdit::fit);
    fit();
}

QString LinesEdit::text() const
{
    // toPlainText would make ordinary blanks of those that do not break.
    QString raw = document()->toRawText();
    return raw.replace(QChar::ParagraphSeparator, QLatin1Char('\n')).replace(QChar::LineSeparator, QLatin1Char('\n'));
}

int LinesEdit::heightOf(int lines) const
{
    return int(std::ceil(lines * fontMetrics().lineSpacing() + 2 * document()->documentMargin())) + 2 * frameWidth() + 2;
}

void LinesEdit::fit()
{
    const bool several = document()->blockCount() > 1;
    const QFont wanted = several ? QFontDatabase::systemFont(QFontDatabase::FixedFont) : QApplication::font(this);
    if (font() != wanted)
        setFont(wanted);
    // The layout of plain text measures in lines.
    const int lines = std::max(1, int(document()->size().height()));
    setVerticalScrollBarPolicy(lines > kMostLines ? Qt::ScrollBarAsNeeded : Qt::ScrollBarAlwaysOff);
    if (const int height = heightOf(std::min(lines, kMostLines)); height != maximumHeight() || height != minimumHeight()) {
        setFixedHeight(height);
        updateGeometry();
    }
}

QSize LinesEdit::sizeHint() const
{
    return {17 * fontMetrics().horizontalAdvance(QLatin1Char('x')), maximumHeight()};
}

QSize LinesEdit::minimumSizeHint() const
{
    return {4 * fontMetrics().horizontalAdvance(QLatin1Char('x')), maximumHeight()};
}

void LinesEdit::keyPressEvent(QKeyEvent* event)
{
    const bool isEnter = event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter;
    if (isEnter && event->modifiers().testFlag(Qt::ShiftModifier)) {
        textCursor().insertBlock();
        ensureCursorVisible();
    } else if (isEnter) {
        Q_EMIT editingFinished();
    } else {
        QPlainTextEdit::keyPressEvent(event);
    }
}

void LinesEdit::focusOutEvent(QFocusEvent* event)
{
    QPlainTextEdit::focusOutEvent(event);
    if (event->reason() != Qt::PopupFocusReason)
        Q_EMIT editingFinished();
}

void LinesEdit::resizeEvent(QResizeEvent* event)
{
    QPlainTextEdit::resizeEvent(event);
    fit();
}

void LinesEdit::changeEvent(QEvent* event)
{
    QPlainTextEdit::changeEvent(event);
    if (event->type() == QEvent::StyleChange || event->type() == QEvent::ApplicationFontChange)
        fit();
}

}  // namespace orrery::widgets
