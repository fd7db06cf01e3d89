#pragma once
#include <QWidget>

class QVBoxLayout;

namespace orrery::app {

/// What is shown before a workspace is open: open, recent, examples. UI thread.
class WelcomePage : public QWidget {
    Q_OBJECT
public:
    explicit WelcomePage(QWidget* parent = nullptr);
    /// Lists recent items anew.
    void refresh();

Q_SIGNALS:
    void openWorkspaceRequested();
    void openFileRequested();
    void recentChosen(const QString& item);
    void exampleChosen(const QString& document);

private:
    QVBoxLayout* m_recent = nullptr;
};

}  // namespace orrery::app
