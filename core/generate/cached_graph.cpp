#include "cached_graph.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include <core/base/error.h>

namespace orrery::generation {
namespace {

using graph::GraphData;
using graph::Node;
using graph::Operand;
using graph::ValueId;

constexpr const char* kAppend = "orrery::cache_append";

/// Writes keys or values of new tokens behind those of earlier ones and gives all: a view of the buffer. The buffer belongs to one decoder, which alone reads what is written.
at::Tensor cacheAppend(const at::Tensor& buffer, const at::Tensor& entries, std::int64_t past)
{
    TORCH_CHECK(buffer.dim() == 4 && entries.dim() == 4 && past >= 0 && past + entries.size(2) <= buffer.size(2), "cache_append: expected room for ",
                past + entries.size(2), " positions, got a buffer of ", buffer.sizes());
    buffer.narrow(2, past, entries.size(2)).copy_(entries);
    return buffer.narrow(2, 0, past + entries.size(2));
}

TORCH_LIBRARY_FRAGMENT(orrery, library)
{
    library.def("cache_append(Tensor buffer, Tensor entries, int past) -> Tensor", cacheAppend);
}

/// What a value depends on.
struct Dependence {
    bool tokens = false;     ///< the new tokens themselves
    bool positions = false;  ///< how many there are
    void join(const Dependence& other)
    {
        tokens = tokens || other.tokens;
        positions = positions || other.positions;
    }
};

/// Arguments of which an operator reads dtype and device alone.
bool readsKindOnly(const Node& node, std::size_t argument)
{
    static const std::map<std::string, std::size_t> kTable = {
        {"aten::new_full", 0}, {"aten::new_zeros", 0}, {"aten::new_ones", 0}, {"aten::to.other", 1}, {"aten::type_as", 1}};
    const auto found = kTable.find(node.op == "aten::to" ? node.qualifiedOp() : node.op);
    return found != kTable.end() && found->second == argument;
}

/// Takes one graph apart.
class Cutter {
public:
    Cutter(const graph::Model& model, bool lastOnly) : m_model(model), m_old(model.graph->data()), m_lastOnly(lastOnly) {}
    CachedGraph cut()
    {
        try {
            findTarget();
            findCached();
            classify();
            chooseNodes();
            build();
        } catch (const core::InputError& error) {
            m_result.reason = error.what();
            m_result.step = nullptr;
        }
        return std::move(m_result);
    }

private:
    void findTarget()
    {
        const auto count = std::min(m_model.card.inputs.size(), m_old.inputs.size());
        for (std::size_t i = 0; i < count; ++i) {
            const bool isSource = i == 0 && count == 2;  // what an encoder reads may be anything
            if (!isSource && m_model.card.inputs[i].kind != "tokens")
                throw core::InputError(fmt::format("the model takes \"{}\" beside tokens", m_old.inputs[i].name));
            m_target = m_old.inputs[i].value;  // the last one: an encoder-decoder's second input
            m_result.target = m_old.inputs[i].name;
        }
        if (m_target < 0 || m_old.body.outputs.empty() || m_old.body.outputs[0].isConstant())
            throw core::InputError("the model takes no tokens");
    }

    void findCached()
    {
        for (const char* stack : {"blocks", "decoder"})
            for (int block = 0;; ++block) {
                const auto& names = m_model.card.canonicalNames;
                const auto key = names.find(fmt::format("{}.{}.attn.k", stack, block)), value = names.find(fmt::format("{}.{}.attn.v", stack, block));
                if (key == names.end() || value == names.end())
                    break;
                m_result.cached.push_back(key->second);
                m_result.cached.push_back(value->second);
            }
        if (m_result.cached.empty())
            throw core::InputError("the model card names no keys and values of attention (blocks.N.attn.k, blocks.N.attn.v)");
    }

    bool isPositionCount(const Node& node) const
    {
        return node.op == "aten::size" && node.overload == "int" && node.inputs[0].value == m_target && node.inputs[1].isConstant() &&
               node.inputs[1].constant.isInt() && (node.inputs[1].constant.toInt() == 1 || node.inputs[1].constant.toInt() == -1);
    }

    void classify()
    {
        m_dependence.assign(m_old.values.size(), {});
        m_dependence[std::size_t(m_target)].tokens = true;
        for (const Node& node : m_old.body.nodes) {
            if (!node.blocks.empty())
                throw core::InputError(fmt::format("the graph has control flow ({})", node.name));
            Dependence depends;
            if (isPositionCount(node))
                depends.positions = true;
            else
                for (std::size_t i = 0; i < node.inputs.size(); ++i)
                    if (!node.inputs[i].isConstant() && !readsKindOnly(node, i))
                        depends.join(m_dependence[std::size_t(node.inputs[i].value)]);
            for (const ValueId output : node.outputs)
                m_dependence[std::size_t(output)] = depends;
        }
    }

    /// Weights that are kept packed are unpacked where they are read: kept unpacked they would take the memory that packing saves. So are views of them.
    bool isUnpackedWeight(const Node& node) const
    {
        if (node.op == "orrery::unpack_blocks")
            return true;
        bool readsUnpacked = false;
        for (const Operand& operand : node.inputs) {
            if (operand.isConstant() || m_model.graph->parameterOf(operand.value))
                continue;
            const Node* producer = m_model.graph->producer(operand.value);
            if (!producer || !isUnpackedWeight(*producer))
                return false;
            readsUnpacked = true;
        }
        return readsUnpacked;
    }

    /// Values of nodes that stay outside and that a node inside reads.
    void cross(const Node& node, ValueId value)
    {
        const Node* producer = m_model.graph->producer(value);
        const Dependence& depends = m_dependence[std::size_t(value)];
        if (!producer || depends.tokens || m_crossing.contains(value) || m_kept.contains(producer->name))
            return;
        if (isPositionCount(*producer) || producer->op == "prim::ListConstruct" || isUnpackedWeight(*producer)) {
            keepOutside(*producer);
            return;
        }
        if (depends.positions && m_old.values[std::size_t(value)].type != "Tensor")
            throw core::InputError(fmt::format("{} reads the number {} of all positions", node.name, m_old.values[std::size_t(value)].name));
        m_crossing.insert(value);
        (depends.positions ? m_result.tables : m_result.constants).push_back(m_old.values[std::size_t(value)].name);
    }

    /// A count or a list of counts is cheap and has no table: it is computed anew inside.
    void keepOutside(const Node& producer)
    {
        m_kept.insert(producer.name);
        for (const Operand& operand : producer.inputs)
            if (!operand.isConstant() && operand.value != m_target)
                cross(producer, operand.value);
    }

    void chooseNodes()
    {
        for (const Node& node : m_old.body.nodes) {
            const bool inside =
                std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return m_dependence[std::size_t(id)].tokens; });
            if (inside)
                m_kept.insert(node.name);
        }
        for (const Node& node : m_old.body.nodes)
            if (m_kept.contains(node.name))
                for (const Operand& operand : node.inputs)
                    if (!operand.isConstant())
                        cross(node, operand.value);
    }

    ValueId addValue(std::string name, std::string type = "Tensor")
    {
        m_new.values.push_back({std::move(name), std::move(type)});
        return ValueId(m_new.values.size() - 1);
    }

    ValueId addInput(const std::string& name, const std::string& type = "Tensor")
    {
        const ValueId id = addValue(name, type);
        m_new.inputs.push_back({name, id});
        return id;
    }

    /// Values keep their numbers, so that nodes are copied as they are. Those that are not used any more stay in the list and cost nothing.
    void build()
    {
        m_new = m_old;
        m_new.name = m_old.name + ".step";
        m_new.inputs.clear();
        m_new.body.nodes.clear();
        m_new.bufferUpdates.clear();
        m_new.body.outputs.resize(1);
        m_new.outputNames.resize(1);
        for (auto& value : m_new.values)
            value.name = "whole:" + value.name;  // free for what the new graph defines
        const auto define = [&](ValueId id) { m_new.values[std::size_t(id)].name = m_old.values[std::size_t(id)].name; };
        for (const auto& parameter : m_new.parameters)
            define(parameter.value);
        if (m_new.training)
            define(*m_new.training);
        m_new.inputs.push_back({m_result.target, m_target});
        define(m_target);
        const ValueId past = addInput("cache_past", "int");
        for (const auto* list : {&m_result.constants, &m_result.tables})
            for (const auto& name : *list) {
                const ValueId id = *m_model.graph->findValue(name);
                m_new.inputs.push_back({name, id});
                define(id);
            }
        std::map<ValueId, ValueId> buffers;
        for (std::size_t i = 0; i < m_result.cached.size(); ++i)
            buffers[*m_model.graph->findValue(m_result.cached[i])] = addInput(fmt::format("cache_buffer.{}", i));
        copyNodes(past, buffers, define);
        m_result.step = std::make_shared<const graph::Graph>(std::move(m_new));
    }

    template <class Define>
    void copyNodes(ValueId past, const std::map<ValueId, ValueId>& buffers, const Define& define)
    {
        const ValueId last = m_lastOnly ? lastBlock() : -1;
        for (const Node& node : m_old.body.nodes) {
            if (!m_kept.contains(node.name))
                continue;
            Node copy = node;
            freeKeyCount(copy);
            for (auto& operand : copy.inputs)
                if (const auto found = m_replaced.find(operand.value); !operand.isConstant() && found != m_replaced.end())
                    operand.value = found->second;
            for (const ValueId output : copy.outputs)
                define(output);
            m_new.body.nodes.push_back(std::move(copy));
            for (const ValueId output : node.outputs) {
                if (const auto buffer = buffers.find(output); buffer != buffers.end())
                    append(output, kAppend, "", {Operand::of(buffer->second), Operand::of(output), Operand::of(past)}, "_all");
                if (output == last)
                    append(output, "aten::slice", "Tensor",
                           {Operand::of(output), Operand::literal(std::int64_t(1)), Operand::literal(std::int64_t(-1)),
                            Operand::literal(std::numeric_limits<std::int64_t>::max()), Operand::literal(std::int64_t(1))},
                           "_last");
            }
        }
    }

    /// A node behind `value` whose result takes its place for all that follows.
    void append(ValueId value, const std::string& op, const std::string& overload, std::vector<Operand> inputs, const char* suffix)
    {
        Node node;
        node.name = m_old.values[std::size_t(value)].name + suffix;
        node.op = op;
        node.overload = overload;
        node.inputs = std::move(inputs);
        const ValueId made = addValue(node.name);
        node.outputs = {made};
        m_new.body.nodes.push_back(std::move(node));
        m_replaced[value] = made;
    }

    /// Sizes that hold the number of positions twice are [.., query, key]: with a cache there are more keys than queries.
    void freeKeyCount(Node& node) const
    {
        if (node.op != "prim::ListConstruct")
            return;
        std::vector<std::size_t> counts;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            const Node* producer = node.inputs[i].isConstant() ? nullptr : m_model.graph->producer(node.inputs[i].value);
            if (producer && isPositionCount(*producer))
                counts.push_back(i);
        }
        if (counts.size() == 2)
            node.inputs[counts[1]] = Operand::literal(std::int64_t(-1));
    }

    /// The last residual stream, if everything behind it treats each position for itself: it reads nothing else that the tokens or their number decide.
    ValueId lastBlock() const
    {
        int block = 0;
        const auto& names = m_model.card.canonicalNames;
        while (names.contains(fmt::format("blocks.{}.resid_post", block)))
            ++block;
        const auto id = block == 0 ? std::nullopt : m_model.graph->findValue(names.at(fmt::format("blocks.{}.resid_post", block - 1)));
        if (!id)
            return -1;
        std::set<ValueId> behind{*id};
        bool started = false;
        for (const Node& node : m_old.body.nodes) {
            const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](const Operand& each) { return behind.contains(each.value); });
            started = started || std::find(node.outputs.begin(), node.outputs.end(), *id) != node.outputs.end();
            if (!reads)
                continue;
            for (const Operand& operand : node.inputs)
                if (!operand.isConstant() && !behind.contains(operand.value) &&
                    (m_dependence[std::size_t(operand.value)].tokens || m_dependence[std::size_t(operand.value)].positions))
                    return -1;
            behind.insert(node.outputs.begin(), node.outputs.end());
        }
        return behind.contains(m_old.body.outputs[0].value) ? *id : -1;
    }

    const graph::Model& m_model;
    const GraphData& m_old;
    const bool m_lastOnly;
    GraphData m_new;
    CachedGraph m_result;
    ValueId m_target = -1;
    std::vector<Dependence> m_dependence;
    std::set<std::string> m_kept;  ///< names of nodes of the new graph
    std::set<ValueId> m_crossing;  ///< values that become inputs
    std::map<ValueId, ValueId> m_replaced;
};

}  // namespace

CachedGraph cachedGraph(const graph::Model& model, bool lastOnly)
{
    return Cutter(model, lastOnly).cut();
}

}  // namespace orrery::generation
