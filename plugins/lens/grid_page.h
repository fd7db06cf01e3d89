#pragma once
#include <QWidget>
#include <memory>

#include "lens_model.h"

class QAbstractTableModel;
class QComboBox;
class QLabel;
class QSpinBox;
class QTableView;

namespace orrery::plugins {

class GridModel;

/// Logit lens and future lens: one line a token, one column a layer; each cell shows the token that would be predicted there.
class GridPage : public QWidget {
    Q_OBJECT
public:
    explicit GridPage(QWidget* parent = nullptr);
    ~GridPage() override;

    /// "logit_lens", or "future" when tokens further ahead are asked for.
    QString kind() const;
    core::Json parameters() const;
    void show(const LensAnswer& answer);
    void clear();
    void setPosition(int position);
    QTableView* table() const { return m_table; }
    QString toCsv() const;
    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    /// Another kind or offset is asked for.
    void changed();
    void cellChosen(const QString& value, int position, qint64 token);

private:
    void setUpTable();
    void showSummary(const LensAnswer& answer);
    GridModel* m_model;
    QTableView* m_table;
    QComboBox* m_color;
    QSpinBox* m_ahead;
    QLabel* m_summary;
    bool m_following = false;
};

}  // namespace orrery::plugins
