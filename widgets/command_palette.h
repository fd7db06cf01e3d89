#pragma once
#include <QDialog>
#include <QList>
#include <QString>
#include <functional>
#include <memory>
#include <optional>

class QAction;
class QWidget;

namespace orrery::widgets {

/// One list of everything the window can do: type a few letters, Enter runs the action. Ctrl+Shift+P in the window.
class CommandPalette : public QDialog {
    Q_OBJECT
public:
    /// @param actions  Asked each time the palette opens; actions without text, invisible ones and separators are left out, disabled ones come last
    /// and grey.
    explicit CommandPalette(std::function<QList<QAction*>()> actions, QWidget* parent);
    ~CommandPalette() override;

    /// Shows it over the upper middle of its parent, with an empty line.
    void open() override;
    /// Texts in the order shown.
    QStringList shownTexts() const;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

/// All actions of a widget and its children, menus included, each once.
QList<QAction*> collectActions(QWidget* root);
/// How well `pattern` (letters in order, any case) fits `text`: higher is better, nothing if it does not. Starts of words and runs of letters count
/// more.
std::optional<int> fuzzyScore(const QString& pattern, const QString& text);

}  // namespace orrery::widgets
