#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <core/base/registry.h>
#include <core/graph/graph.h>
#include <core/graph/model.h>

#include "document.h"

namespace orrery::intervene {

class Selection;

/// One intervention at the moment it acts.
struct Situation {
    std::string place;  ///< prefix of messages: `interventions[0]`
    std::string value;  ///< the value's name in this run
    at::Tensor whole;   ///< the value as it is
    at::Tensor x;       ///< the unit's part of it, see `Selection::gather`
    const Selection* selection = nullptr;
    std::vector<Axis> axes;                    ///< of `whole`
    std::optional<std::size_t> positionAxis;   ///< where `axes` has one
    at::Tensor sourceWhole;                    ///< the source run's value; undefined without a source
    at::Tensor source;                         ///< the unit's part of it, its batch stretched to that of `x`
    at::Tensor other;                          ///< what the value named by `Prepared::observed` was
    std::optional<std::int64_t> promptLength;  ///< while text is generated
    std::uint64_t seed = 0;                    ///< of this intervention at this value
};

/// A kind with its parameters, made ready for one place.
struct Prepared {
    /// The new content of `x`: its shape, or one that broadcasts to it. The value's dtype is restored afterwards.
    std::function<at::Tensor(const Situation&)> apply;
    bool needsSource = false;                 ///< a source has to be named
    bool sourceMean = false;                  ///< of the source only the mean over its samples is needed
    bool wholeSource = false;                 ///< reads `sourceWhole`; `source` is not made
    bool floatingOnly = true;                 ///< the value has to be floating point
    std::string sourceValue;                  ///< exact name of the value that is taken from the source; empty: the same one
    std::vector<IndexRange> sourcePositions;  ///< positions in the source, one for each of the unit's; empty: the same
    std::string observed;                     ///< exact name of a value that `apply` needs from the same run; empty: none
};

/// Where a kind is about to act.
struct KindContext {
    const graph::Graph& graph;
    const graph::ModelCard& card;
    std::string place;  ///< prefix of messages
    std::string at;     ///< the place as the document writes it, or the module it was expanded to
    std::string value;  ///< exact name of the value
    bool hasSource = false;
    std::filesystem::path folder;  ///< files named by parameters are relative to it
};

struct InterventionKind {
    /// @throws core::InputError, core::ShapeError, core::FormatError for parameters or a place that do not fit.
    std::function<Prepared(const core::Json& parameters, const KindContext& context)> prepare;
    bool onModules = false;   ///< `at` names modules (or a glob over them) rather than values
    bool onScores = false;    ///< `at` is led to the attention scores of the blocks it names
    bool usesSource = false;  ///< can take values from a source
};

/// All kinds of interventions: family "intervention". One line each in kinds.cpp.
const core::Registry<InterventionKind>& interventionRegistry();

// Each in its own file, the elementwise ones together.
using KindRegistry = core::Registry<InterventionKind>;
void addElementwiseKinds(KindRegistry& registry);  ///< zero, constant, add, scale, noise, clamp
void addMean(KindRegistry& registry);
void addInterchange(KindRegistry& registry);
void addSubspaceInterchange(KindRegistry& registry);
void addSkipModule(KindRegistry& registry);
void addAttentionKnockout(KindRegistry& registry);
void addExpression(KindRegistry& registry);

/// A number, (nested) lists of numbers, or the name of a .npy file, in double. @throws core::InputError for other content or NaN; what reading files throws.
at::Tensor numbersFromJson(const core::Json& json, const KindContext& context, const std::string& parameter);
/// Stretched to a shape. @throws core::ShapeError with both shapes.
at::Tensor stretched(const at::Tensor& tensor, at::IntArrayRef shape, const std::string& what);

}  // namespace orrery::intervene
