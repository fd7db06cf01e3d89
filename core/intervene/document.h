#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <core/base/schema.h>

#include "layout.h"

namespace orrery::intervene {

/// Indices along an axis, both ends inclusive; negative numbers count from the end (-1 is the last).
struct IndexRange {
    std::int64_t from = 0, to = 0;
    bool operator==(const IndexRange&) const = default;
};

/// Reads indices as documents write them: a number, "first", "last", {"from": a, "to": b} (both inclusive; either may be left out), or a list of these.
/// Nothing, with an issue at `place`, if it is none of them.
std::optional<std::vector<IndexRange>> indicesFromJson(const core::Json& json, const std::string& place, std::vector<core::Issue>& issues);

/// Indices along one axis, which is named by its meaning or by its number.
struct AxisUnit {
    std::optional<Axis> axis;
    std::int64_t number = 0;  ///< without `axis`: counted from 0; negative from the end
    std::vector<IndexRange> indices;
};

/// Which elements of a value are meant: all whose index along every named axis is among those named, or single elements. Empty: the whole value.
struct Unit {
    std::vector<AxisUnit> axes;
    std::vector<std::vector<std::int64_t>> elements;  ///< full indices, or without the batch axis (then in every sample)
    bool empty() const { return axes.empty() && elements.empty(); }
    /// {"position": ..., "head": ..., ...} by the names of `Axis`, {"axis": n, "index": ...}, {"index": [[...], ...]}; null: empty.
    static Unit fromJson(const core::Json& json, const std::string& place, std::vector<core::Issue>& issues);
};

/// At which positions an intervention acts while text is generated. Step k is the pass that predicts new token k (from 0); it adds position
/// prompt length - 1 + k. Outside of generation the whole input is the prompt.
struct When {
    enum class Kind { Always, Prompt, New, Steps };
    Kind kind = Kind::Always;
    std::vector<std::int64_t> steps;
};

struct Intervention {
    std::string at;         ///< place, see `resolvePlace`
    core::Json unit;        ///< as written
    Unit parsedUnit;        ///< the same, read
    std::string kind;       ///< id in the family "intervention"
    core::Json parameters;  ///< resolved by the kind's schema
    std::string source;     ///< name of a source input; empty: none
    core::Json when = "always";
    When parsedWhen;
    std::string label;
    bool enabled = true;
};

/// What is changed inside a model, as data: stored, shared, edited as a form or as text.
///
///     {"interventions": [{"at": "blocks.2.attn.z", "unit": {"head": 3, "position": "last"}, "do": {"id": "interchange"}, "source": "clean"}]}
struct InterventionDocument {
    std::vector<Intervention> interventions;

    bool isEmpty() const;  ///< nothing is enabled
    /// Names of the sources that enabled interventions need, each once.
    std::vector<std::string> sources() const;
    /// Complete, defaults filled in; reads back to the same document.
    core::Json toJson() const;
    /// @param json  The document, or the list of interventions alone; null: empty.
    /// @throws core::DocumentError with every issue found: unknown keys and kinds name the nearest.
    static InterventionDocument fromJson(const core::Json& json);
    /// The same, collecting issues: for editors.
    static InterventionDocument check(const core::Json& json, std::vector<core::Issue>& issues);
};

/// Schema of one entry of the list. `do` and `unit` are free there: they are checked by the kind and by `Unit`.
const core::Schema& interventionSchema();

}  // namespace orrery::intervene
