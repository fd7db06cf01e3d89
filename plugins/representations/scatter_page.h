#pragma once
#include <QSet>

#include "page.h"

class QLabel;

namespace orrery::widgets {
class ScatterView;
}

namespace orrery::plugins {

class MethodForm;

/// Rows of one value as points: PCA or UMAP, coloured, selected together with all other panels.
class ScatterPage : public Page {
    Q_OBJECT
public:
    explicit ScatterPage(widgets::Session& session);
    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    /// The session's samples, marked among the points.
    void showSelected();

protected:
    void run() override;
    QString whyNot() const override;
    void workEnded() override;

private:
    QLayout* makeSettings();
    void takePoints(const ScatterRowsPtr& rows, std::vector<std::vector<double>> axes);
    void takeResult(const ScatterResult& result);
    void showAxes();
    void fillAxes();
    void fillColours();
    void applyColours();
    void sendSelected(const QList<int>& indices);
    QString toolTipOf(int row) const;
    QString thumbnailOf(int row) const;

    ScatterRowsPtr m_rows;
    std::vector<std::vector<double>> m_axes;
    std::string m_shownMethod;
    std::vector<double> m_ratios;  ///< of PCA
    QString m_wantedColour;
    bool m_sending = false, m_moving = false;
    MethodForm* m_method = nullptr;
    QComboBox *m_colour = nullptr, *m_x = nullptr, *m_y = nullptr;
    widgets::ScatterView* m_view = nullptr;
    QLabel* m_status = nullptr;
};

}  // namespace orrery::plugins
