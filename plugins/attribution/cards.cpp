#include "cards.h"

#include <algorithm>
#include <cmath>

namespace orrery::plugins {

namespace {

/// Numbers that are not finite are stored as null.
double numberOf(const core::Json& value)
{
    return value.is_null() ? std::nan("") : value.get<double>();
}

std::vector<double> numbersOf(const core::Json& list)
{
    std::vector<double> numbers;
    for (const auto& value : list)
        numbers.push_back(numberOf(value));
    return numbers;
}

CardMetric unreadable(const QString& why)
{
    CardMetric metric;
    metric.error = why;
    return metric;
}

}  // namespace

CardMetric metricOf(const core::Json& document)
{
    CardMetric metric;
    try {
        metric.value = numberOf(document.at("value"));
        if (document.contains("curve")) {
            const auto& curve = document["curve"];
            metric.xName = QString::fromStdString(curve.at("x_name").get<std::string>());
            metric.yName = QString::fromStdString(curve.at("y_name").get<std::string>());
            metric.x = numbersOf(curve.at("x"));
            metric.y = numbersOf(curve.at("y"));
        }
        if (document.contains("reference")) {
            const auto& reference = document["reference"];
            metric.referenceName = QString::fromStdString(reference.at("name").get<std::string>());
            metric.referenceValue = numberOf(reference.at("value"));
            metric.referenceY = numbersOf(reference.at("y"));
        }
    } catch (const core::Json::exception&) {
        return unreadable(Cards::tr("The stored number cannot be read."));
    }
    if (metric.y.size() != metric.x.size() || (!metric.referenceY.empty() && metric.referenceY.size() != metric.x.size()))
        return unreadable(Cards::tr("The stored curve cannot be read."));
    return metric;
}

const Card* Cards::find(int id) const
{
    const auto found = std::find_if(m_cards.begin(), m_cards.end(), [id](const Card& card) { return card.id == id; });
    return found == m_cards.end() ? nullptr : &*found;
}

Card* Cards::at(int id)
{
    return const_cast<Card*>(std::as_const(*this).find(id));
}

namespace {

/// Without what equals the default: typed or left alone, it is the same card.
MethodSettings withoutDefaults(MethodSettings settings)
{
    const auto* component = explain::attributionRegistry().find(settings.method);
    if (!component || !settings.parameters.is_object())
        return {settings.method, core::Json::object()};
    auto kept = core::Json::object();
    for (const auto& [key, value] : settings.parameters.items())
        if (const auto* parameter = component->schema.find(key); !parameter || parameter->defaultValue != value)
            kept[key] = value;
    settings.parameters = std::move(kept);
    return settings;
}

}  // namespace

std::optional<int> Cards::idOf(const MethodSettings& settings) const
{
    const MethodSettings wanted = withoutDefaults(settings);
    const auto found = std::find_if(m_cards.begin(), m_cards.end(), [&](const Card& card) { return card.settings == wanted; });
    return found == m_cards.end() ? std::nullopt : std::optional(found->id);
}

int Cards::add(const MethodSettings& settings)
{
    if (const auto known = idOf(settings))
        return *known;
    Card card;
    card.id = m_nextId++;
    card.settings = withoutDefaults(settings);
    m_cards.push_back(std::move(card));
    Q_EMIT listChanged();
    return m_cards.back().id;
}

void Cards::remove(int id)
{
    if (std::erase_if(m_cards, [id](const Card& card) { return card.id == id; }) > 0)
        Q_EMIT listChanged();
}

void Cards::move(int id, int change)
{
    const auto found = std::find_if(m_cards.begin(), m_cards.end(), [id](const Card& card) { return card.id == id; });
    if (found == m_cards.end())
        return;
    const auto from = found - m_cards.begin(), to = from + change;
    if (to < 0 || to >= std::ptrdiff_t(m_cards.size()))
        return;
    std::swap(m_cards[std::size_t(from)], m_cards[std::size_t(to)]);
    Q_EMIT listChanged();
}

void Cards::setState(int id, CardState state)
{
    Card* card = at(id);
    if (!card || card->state == state)
        return;
    card->state = state;
    Q_EMIT cardChanged(id);
}

void Cards::setResult(int id, ExplanationPtr result)
{
    Card* card = at(id);
    if (!card)
        return;
    if (result && !result->partial)
        card->state = CardState::Idle;
    card->result = std::move(result);
    card->error.clear();
    card->metrics.clear();
    Q_EMIT cardChanged(id);
}

void Cards::setError(int id, const QString& text)
{
    Card* card = at(id);
    if (!card)
        return;
    card->state = CardState::Idle;
    card->result = nullptr;
    card->metrics.clear();
    card->error = text;
    Q_EMIT cardChanged(id);
}

void Cards::setMetric(int id, const ExplanationPtr& result, const std::string& metric, const CardMetric& value)
{
    Card* card = at(id);
    if (!card || card->result != result)
        return;
    card->metrics[metric] = value;
    Q_EMIT cardChanged(id);
}

void Cards::stopAll()
{
    for (const Card& card : std::vector<Card>(m_cards))
        setState(card.id, CardState::Idle);
}

void Cards::clearResults()
{
    for (Card& card : m_cards) {
        card.result = nullptr;
        card.metrics.clear();
        card.error.clear();
    }
    Q_EMIT listChanged();
}

double Cards::magnitude() const
{
    double most = 0;
    for (const Card& card : m_cards)
        most = std::max(most, card.result ? card.result->magnitude : 0.0);
    return most;
}

core::Json Cards::toJson() const
{
    auto list = core::Json::array();
    for (const Card& card : m_cards)
        list.push_back({{"method", card.settings.method}, {"parameters", card.settings.parameters}});
    return list;
}

void Cards::fromJson(const core::Json& list)
{
    m_cards.clear();
    if (list.is_array())
        for (const auto& entry : list) {
            const bool isCard = entry.is_object() && entry.contains("method") && entry["method"].is_string();
            if (!isCard || !explain::attributionRegistry().find(entry["method"].get<std::string>()))
                continue;
            const auto parameters = entry.value("parameters", core::Json::object());
            add({entry["method"].get<std::string>(), parameters.is_object() ? parameters : core::Json::object()});
        }
    Q_EMIT listChanged();
}

}  // namespace orrery::plugins
