#pragma once
#include <QWidget>
#include <memory>

#include "lens_model.h"

class QAbstractTableModel;
class QComboBox;
class QLabel;
class QLineEdit;
class QSpinBox;
class QTableView;

namespace orrery::widgets {
class ColourBar;
}

namespace orrery::plugins {

class GridModel;

/// Logit lens, future lens and transplant: one line a token, one column a layer; each cell shows the token that would be predicted there, or the tokens that
/// the model writes on from that state in another context. What the current cell holds stands below.
class GridPage : public QWidget {
    Q_OBJECT
public:
    explicit GridPage(QWidget* parent = nullptr);
    ~GridPage() override;

    /// "logit_lens"; "future" when tokens further ahead are asked for, or "transplant" when they are to be read that way.
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
    QLayout* makeControls();
    bool readsByTransplant() const;
    bool takesContext() const;
    void showSummary(const LensAnswer& answer);
    void showCell();
    void showScale();
    GridModel* m_model;
    QTableView* m_table;
    QComboBox *m_color, *m_by;
    QSpinBox* m_ahead;
    QLineEdit* m_context;
    QLabel* m_contextLabel;
    widgets::ColourBar* m_scale;
    QLabel *m_cell, *m_summary;
    bool m_following = false;
};

}  // namespace orrery::plugins
