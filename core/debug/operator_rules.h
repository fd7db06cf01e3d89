#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/json.h>

/// Rules of operators that are learned from recorded calls: which are valid, and what shape comes out.
/// Source of the idea: Liu et al. (2023), "NeuRI: Diversifying DNN Generation via Inductive Rule Inference", arXiv:2302.02261.
namespace orrery::debug {

/// One call of an operator on tensors of some shapes, tried on libtorch.
struct OperatorCall {
    std::string op;
    /// What a rule has to hold for: operator, number of axes of each tensor, attributes that choose an axis: "cat x2 y2 axis=0".
    std::string form;
    std::map<std::string, std::int64_t> symbols;  ///< sizes "x.0", "w.1"; attributes "stride", "groups"; elements "x.numel"
    bool valid = false;
    std::vector<std::int64_t> output;  ///< shape of what came out, if valid
};

/// Calls with shapes and attributes drawn at random, small and often equal, so that valid and invalid ones are both frequent. The same seed gives the same calls.
/// @throws core::Cancelled.
std::vector<OperatorCall> recordCalls(int perOperator, std::uint64_t seed, std::stop_token stop = {},
                                      const std::function<void(double done, double total)>& progress = {});

/// What was learned. Immutable; any thread.
class OperatorRules {
public:
    /// For each form: conditions out of a vocabulary (equal, at most, below, broadcasts to, divides, between symbols, their products, windows and small numbers) that hold in every
    /// valid call, as few as reject all invalid ones that can be rejected; and for each axis of the output the simplest term that gives its size in every valid call.
    static OperatorRules learn(const std::vector<OperatorCall>& calls);

    /// Empty if the call keeps all rules; else the first it breaks, as text. A form that was never seen valid is refused.
    std::string objection(const OperatorCall& call) const;
    /// Nothing if the form is unknown or no term was found for an axis.
    std::optional<std::vector<std::int64_t>> outputShape(const OperatorCall& call) const;
    /// "bmm x3 y3: x.2 = y.1, x.0 = y.0 -> [x.0, x.1, y.2]"
    std::vector<std::string> texts() const;

    struct Term {
        enum class Kind { Symbol, Number, Product, Sum, Larger, Padded, Window } kind = Kind::Symbol;
        std::string a, b;
        std::int64_t number = 0;
        std::string text() const;
        std::int64_t value(const std::map<std::string, std::int64_t>& symbols) const;
    };
    struct Condition {
        enum class Kind { Equal, AtMost, Below, Broadcasts, Divides } kind = Kind::Equal;
        Term a, b;
        std::string text() const;
        bool holds(const std::map<std::string, std::int64_t>& symbols) const;
    };

private:
    struct Rule {
        bool everValid = false;
        std::vector<Condition> conditions;
        std::vector<std::optional<Term>> output;
    };
    static Rule learnForm(const std::vector<const OperatorCall*>& calls);
    std::map<std::string, Rule> m_rules;
};

/// How learned rules do on calls.
struct RuleQuality {
    int valid = 0, invalid = 0, accepted = 0, rejected = 0;  ///< accepted of the valid ones, rejected of the invalid ones
    int shapes = 0, rightShapes = 0;                         ///< of accepted valid calls: predicted output shapes, and those that are right
    std::map<std::string, std::pair<int, int>> missed;       ///< operator -> valid calls that were rejected, invalid ones that were accepted
    core::Json toJson() const;
};
RuleQuality judgeRules(const OperatorRules& rules, const std::vector<OperatorCall>& calls);

}  // namespace orrery::debug
