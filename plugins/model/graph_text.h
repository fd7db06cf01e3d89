#pragma once
#include <QPlainTextEdit>
#include <map>
#include <vector>

namespace orrery::plugins {

/// The graph as text, one line a node: the line of the chosen node stands out, and a click in a line chooses its node. UI thread.
class GraphText : public QPlainTextEdit {
    Q_OBJECT
public:
    explicit GraphText(QWidget* parent = nullptr);
    /// Text as `Graph::print` gives it.
    void setGraph(const QString& text);
    /// Marks the line that makes a value (or declares a parameter) and scrolls to it; nothing for an unknown one.
    void setPath(const QString& path);
    /// The value that the cursor's line makes; empty if it makes none.
    QString path() const;

Q_SIGNALS:
    /// By mouse or keys.
    void pathChosen(const QString& path);

private:
    void cursorMoved();
    void mark(int line);

    std::map<QString, int> m_lines;
    std::vector<QString> m_names;  ///< per line: what it makes first
    bool m_moving = false;
};

}  // namespace orrery::plugins
