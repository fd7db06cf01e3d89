#include "cloud_session.h"

#include <core/base/component_text.h>
#include <core/base/error.h>

#include "points.h"

namespace orrery::scene {

std::string AppliedFilter::text() const
{
    return core::componentText(cloudFilters(), id, parameters);
}

CloudSession::CloudSession(std::shared_ptr<const TriangleMesh> source) : m_states{std::move(source)}
{
}

CloudSession CloudSession::with(const std::string& id, const core::Json& parameters, std::uint64_t seed, jobs::Context& context) const
{
    AppliedFilter filter{id, cloudFilters().at(id).schema.resolve(parameters, id), seed, {}, 0};
    auto result = applyFilter(current(), id, filter.parameters, seed, context);
    filter.details = std::move(result.details);
    filter.points = result.mesh.points.size();
    CloudSession next = *this;
    next.m_states.resize(m_applied + 1);
    next.m_filters.resize(m_applied);
    next.m_states.push_back(std::make_shared<const TriangleMesh>(std::move(result.mesh)));
    next.m_filters.push_back(std::move(filter));
    ++next.m_applied;
    return next;
}

std::size_t CloudSession::bytes() const
{
    std::size_t sum = 0;
    for (const auto& state : m_states)
        sum += bytesOf(*state);
    return sum;
}

core::Json CloudSession::document() const
{
    core::Json filters = core::Json::array();
    for (const auto& filter : applied())
        filters.push_back({{"id", filter.id}, {"parameters", filter.parameters}, {"seed", filter.seed}});
    return {{"filters", filters}};
}

CloudSession CloudSession::replay(std::shared_ptr<const TriangleMesh> source, const core::Json& document, jobs::Context& context)
{
    CloudSession session(std::move(source));
    if (!document.is_object() || !document.contains("filters") || !document.at("filters").is_array())
        throw core::InputError("expected a document {\"filters\": [...]} of applied filters");
    for (const auto& filter : document.at("filters")) {
        if (!filter.is_object() || !filter.contains("id") || !filter.at("id").is_string())
            throw core::InputError("expected {\"id\": ..., \"parameters\": {...}, \"seed\": ...} of an applied filter");
        const auto seed = filter.value("seed", core::Json(0));
        if (!seed.is_number_integer())
            throw core::InputError("expected a whole number as the seed of an applied filter");
        session =
            session.with(filter.at("id").get<std::string>(), filter.value("parameters", core::Json::object()), seed.get<std::uint64_t>(), context);
    }
    return session;
}

}  // namespace orrery::scene
