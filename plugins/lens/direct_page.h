#pragma once
#include <QWidget>

#include "lens_model.h"

class QLabel;
class QLineEdit;
class QTableWidget;

namespace orrery::widgets {
class HeatMapView;
}

namespace orrery::plugins {

/// Direct logit attribution: what each component adds to a logit, as bars, and the heads as a map.
class DirectPage : public QWidget {
    Q_OBJECT
public:
    explicit DirectPage(QWidget* parent = nullptr);
    /// @param position  Of the current token; nothing: the last.
    core::Json parameters(std::optional<qint64> position) const;
    void show(const LensAnswer& answer);
    void clear();
    QTableWidget* table() const { return m_table; }
    widgets::HeatMapView* heads() const { return m_heads; }
    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    void changed();
    /// Of a head or another component; the canonical name of what it writes.
    void componentChosen(const QString& canonical);

private:
    void setUpTable();
    QString toCsv() const;
    QLineEdit *m_target, *m_contrast;
    QLabel* m_summary;
    QTableWidget* m_table;
    widgets::HeatMapView* m_heads;
    std::vector<intervene::Contribution> m_parts;
};

}  // namespace orrery::plugins
