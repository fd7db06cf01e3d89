#pragma once
#include <widgets/panel.h>
#include <widgets/table_view.h>

#include "log_model.h"

class QComboBox;

namespace orrery::plugins {

/// Messages of the program and the session, with a filter by level and by text, copy and clear. UI thread.
class LogPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit LogPanel(widgets::Session& session, QWidget* parent = nullptr);

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

private:
    void build();
    void refresh();
    void copySelected();

    LogModel m_model;
    widgets::RowModel m_rows;
    widgets::TableView* m_table = nullptr;
    QComboBox* m_level = nullptr;
    QAction *m_copy = nullptr, *m_clear = nullptr;
};

}  // namespace orrery::plugins
