#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "narrow.h"

/// Internal to graph rewrites that compute a part of an axis: what each operator reads for a part of its output, and how a graph gets to hold parts.
namespace orrery::graph {

/// What is read of a value: nothing yet, all, or a range of one axis.
struct Demand {
    enum class Kind { None, Whole, Part } kind = Kind::None;
    Range range;
    void merge(const Demand& other)
    {
        if (kind == Kind::None)
            *this = other;
        else if (other.kind != Kind::None && !(kind == other.kind && range == other.range))
            *this = {Kind::Whole, {}};
    }
};

inline Demand whole()
{
    return {Demand::Kind::Whole, {}};
}

inline Demand part(std::int64_t axis, const Range& range)
{
    return {Demand::Kind::Part, {axis, range.begin, range.length}};
}

/// What a node reads of its inputs when only `range` of its output is wanted; nothing if no rule says.
using Reads = std::optional<std::vector<Demand>>;

/// A graph being rewritten so that some of its values hold a part of what they held, and the rules by which operators go along. The shapes must outlive it.
class PartRewrite {
protected:
    PartRewrite(const GraphPtr& graph, const Shapes& one, const Shapes& two) : m_source(graph), m_data(graph->data()), m_one(one), m_two(two) {}

    /// What `node` reads when only `range` of its output is wanted.
    Reads readsOf(const Node& node, const Range& range) const;
    /// What `select(x, axis, index)` reads of x.
    std::optional<Demand> selection(const Node& node) const;
    /// The part of a value that is there as a whole.
    Operand cut(ValueId id, const Range& range, std::vector<Node>& nodes);
    void narrowReshape(Node& node, const Range& range, std::vector<Node>& nodes);
    ValueId newValue(const std::string& name, const std::string& type);

    const std::vector<std::int64_t>& shape(ValueId id) const { return m_one[std::size_t(id)]; }
    std::int64_t rank(ValueId id) const { return std::int64_t(shape(id).size()); }
    std::vector<Demand> wholeInputs(const Node& node) const { return std::vector<Demand>(node.inputs.size(), whole()); }
    bool isTensor(const Operand& operand) const { return !operand.isConstant() && !shape(operand.value).empty(); }

    GraphPtr m_source;
    GraphData m_data;
    const Shapes &m_one, &m_two;  // of values of the source

private:
    Reads pointwise(const Node& node, const Range& range) const;
    Reads linear(const Node& node, const Range& range) const;
    Reads norm(const Node& node, const Range& range) const;
    Reads softmax(const Node& node, const Range& range) const;
    Reads product(const Node& node, const Range& range) const;
    Reads maskedProduct(const Node& node, const Range& range) const;
    Reads transposed(const Node& node, const Range& range) const;
    Reads flattened(const Node& node, const Range& range) const;
    Reads reshaped(const Node& node, const Range& range) const;
    std::optional<std::int64_t> axisBehindReshape(const Shapes& shapes, ValueId in, ValueId out, std::int64_t axis) const;
    Demand broadcastPart(const Node& node, std::size_t input, const Range& range) const;

    std::map<std::pair<ValueId, std::vector<std::int64_t>>, Operand> m_cuts;  // whole value and range -> its part
    std::set<std::string> m_names;
};

/// An integer that stands in the graph itself.
std::optional<std::int64_t> literalInt(const Operand& operand);
std::int64_t wrapped(std::int64_t index, std::int64_t length);
bool writesInPlace(const Graph& graph);

}  // namespace orrery::graph
