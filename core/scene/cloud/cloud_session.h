#pragma once
#include <memory>
#include <string>
#include <vector>

#include "filters.h"

namespace orrery::scene {

/// One filter that was applied.
struct AppliedFilter {
    std::string id;
    core::Json parameters;  ///< resolved
    std::uint64_t seed = 0;
    core::Json details;      ///< what it reported
    std::size_t points = 0;  ///< left after it
    /// As `scene filter --apply` takes it: `voxel?size=0.05`.
    std::string text() const;
};

/// A cloud and the filters applied to it, with undo and redo. A value: copies share the clouds, which never change. Results of all steps are kept.
class CloudSession {
public:
    explicit CloudSession(std::shared_ptr<const TriangleMesh> source);

    const TriangleMesh& current() const { return *m_states[m_applied]; }
    std::shared_ptr<const TriangleMesh> shared() const { return m_states[m_applied]; }
    /// Filters that led to the current cloud, oldest first.
    std::vector<AppliedFilter> applied() const { return {m_filters.begin(), m_filters.begin() + std::ptrdiff_t(m_applied)}; }
    /// The session with one more filter; what was undone is forgotten there. This one stays. @throws as `applyFilter`.
    CloudSession with(const std::string& id, const core::Json& parameters, std::uint64_t seed, jobs::Context& context) const;
    bool canUndo() const { return m_applied > 0; }
    bool canRedo() const { return m_applied < m_filters.size(); }
    void undo() { m_applied -= canUndo(); }
    void redo() { m_applied += canRedo(); }
    /// Bytes that all kept clouds take.
    std::size_t bytes() const;

    /// The applied filters as a document, and the same done again to another cloud.
    core::Json document() const;
    static CloudSession replay(std::shared_ptr<const TriangleMesh> source, const core::Json& document, jobs::Context& context);

private:
    std::vector<std::shared_ptr<const TriangleMesh>> m_states;  ///< the source, then one a filter
    std::vector<AppliedFilter> m_filters;
    std::size_t m_applied = 0;
};

}  // namespace orrery::scene
