#pragma once
#include <QPlainTextEdit>

namespace orrery::widgets {

/// A field for a text that is mostly one line and may be several: as high as one line, it grows with what is typed or pasted up to six and then scrolls. Enter ends the
/// editing, Shift+Enter begins a new line; Tab leaves the field. A text of several lines stands in letters of one width, so that indented code reads as it should. UI thread.
class LinesEdit : public QPlainTextEdit {
    Q_OBJECT
public:
    static constexpr int kMostLines = 6;  ///< that are seen at once

    explicit LinesEdit(QWidget* parent = nullptr);
    /// As it was typed, lines ended by \n.
    QString text() const;
    /// The cursor stands behind it: what is typed goes on.
    void setText(const QString& text)
    {
        setPlainText(text);
        moveCursor(QTextCursor::End);
    }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void editingFinished();  ///< Enter was pressed, or the field was left

protected:
    void keyPressEvent(QKeyEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    int heightOf(int lines) const;
    void fit();
};

}  // namespace orrery::widgets
