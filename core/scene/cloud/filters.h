#pragma once
#include <cstdint>
#include <functional>

#include <core/base/registry.h>
#include <core/jobs/job.h>

#include "cloud.h"

/// Filters of point clouds: each makes a new cloud of one and says what it found.
namespace orrery::scene {

struct FilterResult {
    TriangleMesh mesh;
    core::Json details;  ///< what the filter reports: the plane it found, how many clusters
};

/// Parameters as the component's schema resolves them. Works on `context.threads()` cores, reports progress, stops when asked. The same input, parameters
/// and seed give the same result, whatever the number of cores.
using CloudFilter = std::function<FilterResult(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t seed, jobs::Context& context)>;
using FilterRegistry = core::Registry<CloudFilter>;

/// All filters: family "cloud_filter". One line each in filters.cpp.
const FilterRegistry& cloudFilters();

/// Checks the parameters and applies one filter. Any thread.
/// @throws core::DocumentError, core::InputError (unknown filter; no point would be left), core::Cancelled.
FilterResult applyFilter(const TriangleMesh& mesh, std::string_view id, const core::Json& parameters, std::uint64_t seed, jobs::Context& context);

// One registration a filter; each in the file of its kind.
void addVoxel(FilterRegistry& registry);
void addRandom(FilterRegistry& registry);
void addCrop(FilterRegistry& registry);
void addStatisticalOutlier(FilterRegistry& registry);
void addRadiusOutlier(FilterRegistry& registry);
void addNormals(FilterRegistry& registry);
void addPlane(FilterRegistry& registry);
void addClusters(FilterRegistry& registry);

}  // namespace orrery::scene
