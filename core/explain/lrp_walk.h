#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "attribution.h"
#include "lrp_operators.h"
#include "lrp_rules.h"

/// Internal to layer-wise relevance propagation: relevance carried from the output back to the site, node by node.
namespace orrery::explain::lrp {

/// Which rule a layer with weights follows.
struct RuleChoice {
    Rule first = Rule::Epsilon, convolution = Rule::Epsilon, linear = Rule::Epsilon;
};

/// What happened at one node; sums over all samples.
struct Crossing {
    std::string node, op, rule;
    double relevance = 0;  ///< what is on its way to the input after this node: all values cut at this place together
    double bias = 0;       ///< taken by its bias
    double other = 0;      ///< taken by values that do not depend on the site, by padding and by the stabiliser
};

/// A shape of `dims` ones with `count` at `axis`: what makes a vector of channels broadcast.
std::vector<std::int64_t> alongAxis(std::int64_t dims, std::int64_t axis, std::int64_t count);

class Walk {
public:
    Walk(const ScalarFunction& function, RuleChoice choice, const RuleSettings& settings, const Control& control);
    /// The relevance of the site's value. @throws core::InputError naming a node whose operator has no rule.
    at::Tensor run();
    const std::vector<Crossing>& crossings() const { return m_crossings; }

private:
    struct Leaf {
        graph::ValueId id;
        at::Tensor value;
        bool isSignal = false;  ///< depends on the site and takes relevance
        int uses = 1;           ///< how often the node reads it
        double share = 1;       ///< one half of a product of two signals
    };
    using Relevances = std::map<graph::ValueId, at::Tensor>;

    void runModel();
    void findSignals();
    void start();
    void findFirstLayers();
    void visit(const graph::Node& node);
    void passThrough(const graph::Node& node, const at::Tensor& relevance);
    void move(const graph::Node& node);
    void share(const graph::Node& node, const at::Tensor& relevance);
    void weighted(const graph::Node& node, const WeightedOperands& operands, const at::Tensor& relevance, const graph::Node* norm);
    void normalised(const graph::Node& node, const at::Tensor& relevance);
    void batchNorm(const graph::Node& node, const at::Tensor& relevance);

    bool isSignal(const graph::Operand& operand) const;
    bool isGate(graph::ValueId id) const;
    [[noreturn]] void refuse(const graph::Node& node) const;
    void mergeNorm(const graph::Node& norm, const WeightedOperands& operands, WeightedLayer& layer) const;
    const graph::Node* mergedLayer(const graph::Node& norm) const;
    void collectLeaves(const graph::Node& node, std::vector<Leaf>& leaves, std::set<std::string>& fixed) const;
    std::vector<Leaf> leavesOf(const graph::Node& node, std::set<std::string>& fixed) const;
    void halveProducts(const graph::Node& node, std::vector<Leaf>& leaves) const;
    std::vector<at::Tensor> evaluate(const std::vector<graph::ValueId>& targets, graph::KeptValues given) const;
    graph::KeptValues othersOf(const graph::Node& node) const;
    at::Tensor tensorOf(const graph::Operand& operand) const;
    const c10::IValue* content(graph::ValueId id) const;
    void give(graph::ValueId id, const at::Tensor& relevance);
    double pending() const;

    const ScalarFunction& m_function;
    const graph::Graph& m_graph;
    RuleChoice m_choice;
    RuleSettings m_settings;
    const Control& m_control;
    graph::KeptValues m_values;
    graph::ValueId m_site = -1;
    std::set<graph::ValueId> m_signals;  ///< values that depend on the site, and the site
    std::set<std::string> m_firstLayers;
    Relevances m_relevance;
    Crossing m_current;
    std::vector<Crossing> m_crossings;
};

}  // namespace orrery::explain::lrp
