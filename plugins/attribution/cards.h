#pragma once
#include <QObject>
#include <QString>
#include <map>
#include <vector>

#include "explanation.h"

namespace orrery::plugins {

enum class CardState { Idle, Waiting, Running };

/// A number with its curve where the metric has one, or why there is none.
struct CardMetric {
    double value = 0;
    QString error;
    QString whyNotStored;  ///< the number is there all the same
    QString xName, yName;
    std::vector<double> x, y;  ///< empty: no curve
    QString referenceName;     ///< what the curve is to be compared with; empty: nothing
    double referenceValue = 0;
    std::vector<double> referenceY;
};
/// Of one sample's metric as `explain::toJson` gives it and the workspace keeps it. A document that is none becomes the error.
CardMetric metricOf(const core::Json& document);

/// One chosen method, its latest result, and what went wrong if something did.
struct Card {
    int id = 0;
    MethodSettings settings;
    CardState state = CardState::Idle;
    ExplanationPtr result;  ///< null: none yet; may be partial, or of an earlier sample
    QString error;
    std::map<std::string, CardMetric> metrics;  ///< of `result`, by metric id
};

/// The chosen methods in the order they are shown. Cards differ in their settings: the same settings are the same card. UI thread.
class Cards : public QObject {
    Q_OBJECT
public:
    using QObject::QObject;
    const std::vector<Card>& list() const { return m_cards; }
    bool isEmpty() const { return m_cards.empty(); }
    const Card* find(int id) const;
    /// The card with these settings, typed defaults apart; nothing if there is none.
    std::optional<int> idOf(const MethodSettings& settings) const;
    /// The card with these settings: the one that is there, else a new one at the end.
    int add(const MethodSettings& settings);
    void remove(int id);
    /// Up (-1) or down (1); nothing at the edge.
    void move(int id, int change);
    void setState(int id, CardState state);
    /// A result that arrived; drops error and metrics. Unknown ids (removed meanwhile) are ignored, here and below.
    void setResult(int id, ExplanationPtr result);
    void setError(int id, const QString& text);
    /// Of `result` only: what was measured on another one is dropped.
    void setMetric(int id, const ExplanationPtr& result, const std::string& metric, const CardMetric& value);
    /// No card waits or runs any more.
    void stopAll();
    void clearResults();
    /// Largest magnitude of all results on show; 0 without any.
    double magnitude() const;

    core::Json toJson() const;
    /// Replaces the list. Unknown methods and ill-typed entries are left out.
    void fromJson(const core::Json& list);

Q_SIGNALS:
    /// Cards were added, removed or moved.
    void listChanged();
    /// State, result or metrics of one card.
    void cardChanged(int id);

private:
    Card* at(int id);
    std::vector<Card> m_cards;
    int m_nextId = 1;
};

}  // namespace orrery::plugins
