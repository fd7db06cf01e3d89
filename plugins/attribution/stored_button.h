#pragma once
#include <QToolButton>

#include <widgets/background.h>

#include "attribution_model.h"

class QMenu;

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

/// The stored attributions of a run as a menu, the newest first: choosing one shows it again. UI thread.
class StoredButton : public QToolButton {
    Q_OBJECT
public:
    explicit StoredButton(widgets::Session& session, QWidget* parent = nullptr);
    ~StoredButton() override;
    /// Lists what is stored of this MODEL argument, read in the background; no run: nothing.
    void setModel(const QString& model);
    /// Reads the list again: something was stored.
    void refresh();

Q_SIGNALS:
    void analysisChosen(qint64 analysis);

private:
    struct Entry {
        qint64 id = 0;
        QString text;
    };
    static std::vector<Entry> entriesOf(const store::Workspace& workspace, const QString& model);
    void show(const std::vector<Entry>& entries);

    widgets::Session& m_session;
    QString m_model;
    QMenu* m_menu;
    widgets::BackgroundTask m_task;
};

}  // namespace orrery::plugins
