#pragma once
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QTableWidget>
#include <QWidget>

#include <widgets/controls.h>
#include <widgets/job_page.h>

#include "scaling_model.h"

namespace orrery::plugins {

/// A tab of the panel. UI thread.
class ScalingPage : public widgets::JobPage {
    Q_OBJECT
public:
    using widgets::JobPage::JobPage;
    /// Of all pages, those behind included: the dock may be narrow.
    QSize minimumSizeHint() const override { return {380, 400}; }
    /// The page takes the room there is: wrapped lines of text ask for no more, so that what stands below the plots is seen without scrolling.
    bool hasHeightForWidth() const override { return false; }
};

/// A table for reading: rows of texts, the first column to the left, numbers to the right.
QTableWidget* readingTable(const QString& name, const QStringList& columns);
void fillTable(QTableWidget& table, const QList<QStringList>& rows);
/// A line of text that may be copied and wraps.
QLabel* textLine(const QString& name);

}  // namespace orrery::plugins
