#pragma once
#include <QPlainTextEdit>
#include <map>

namespace orrery::widgets {

/// A text field with line numbers at its left and marks on lines.
class CodeEdit : public QPlainTextEdit {
    Q_OBJECT
public:
    explicit CodeEdit(QWidget* parent = nullptr);
    /// Line (from 1) -> text of its tooltip. Marked lines get a wavy line and a dot at their number.
    void setMarks(std::map<int, QString> marks);
    void goToLine(int line);

protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    int marginWidth() const;
    void layoutMargin();
    void paintMargin();
    void showMarks();

    QWidget* m_margin;
    std::map<int, QString> m_marks;
};

}  // namespace orrery::widgets
