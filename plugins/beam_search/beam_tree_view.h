#pragma once
#include <QWidget>
#include <optional>
#include <vector>

#include <core/intervene/beam_search.h>

namespace orrery::plugins {

/// The prefixes that a beam search kept: one column a step, one box a prefix, lines to where each came from. UI thread.
class BeamTreeView : public QWidget {
    Q_OBJECT
public:
    explicit BeamTreeView(QWidget* parent = nullptr);

    /// @param tokenTexts  Text of each node, shaped like `result.steps`.
    void setResult(intervene::BeamResult result, std::vector<std::vector<QString>> tokenTexts);
    /// Draws the path of that hypothesis thick; nothing: none.
    void setHypothesis(std::optional<int> index);
    QRect nodeRect(int step, int node) const;
    /// Probability of the node's token given the prefix before it.
    double tokenProbability(int step, int node) const;
    QString nodeText(int step, int node) const;

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

private:
    QColor nodeColor(int step, int node) const;
    void paintEdges(QPainter& painter) const;
    void paintNode(QPainter& painter, int step, int node) const;
    bool isOnPath(int step, int node) const;

    intervene::BeamResult m_result;
    std::vector<std::vector<QString>> m_texts;
    std::vector<int> m_path;  ///< node of each step; empty: none is chosen
};

}  // namespace orrery::plugins
