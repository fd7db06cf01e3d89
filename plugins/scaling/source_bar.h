#pragma once
#include <QWidget>

#include <widgets/latest_task.h>

#include "scaling_model.h"

class QComboBox;
class QLineEdit;
class QPushButton;
class QToolButton;

namespace orrery::plugins {

/// Where the points come from: a CSV file or a query over runs; reads them in the background. UI thread.
class SourceBar : public QWidget {
    Q_OBJECT
public:
    explicit SourceBar(widgets::Session& session, QWidget* parent = nullptr);

    PointSource source() const;
    /// Shows a source and reads it; emits `loaded` or `failed`.
    void setSource(const PointSource& source);
    /// Asks for a file.
    void browse();
    void load();

Q_SIGNALS:
    /// Null while nothing is read.
    void loaded(const orrery::plugins::TablePtr& table);
    void failed(const QString& text);
    void busyChanged(int change);

private:
    void showKind();

    widgets::Session& m_session;
    widgets::LatestTask m_task;
    QComboBox* m_kind;
    QLineEdit *m_file, *m_query, *m_sources;
    QToolButton* m_browse;
    QPushButton* m_load;
};

}  // namespace orrery::plugins
