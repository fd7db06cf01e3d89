#pragma once
#include <ATen/core/ivalue.h>

#include <functional>
#include <string>

namespace orrery::graph {

/// Names values and says what happens to them when they are computed. Several probes on one value act in a fixed order whatever order they were given in:
/// set or replace (at most one), add (sorted by label), leaf, observe, gradient probes, stop. So every observer sees the same, final value.
struct Probe {
    enum class Kind {
        Observe,          ///< calls `observe` with the final value
        Replace,          ///< value becomes `replace(name, value)`
        Set,              ///< value becomes `tensor`; the node that makes it is not run if nothing else needs it
        Add,              ///< value becomes value + tensor
        Leaf,             ///< value is cut from what came before and requires grad: gradients at an inner value; kept in the result
        ObserveGradient,  ///< calls `observe` with the gradient when the caller runs backward; needs a gradient run
        ReplaceGradient,  ///< the gradient becomes `replace(name, gradient)`
        Stop              ///< the run ends after this value
    };
    Kind kind = Kind::Observe;
    std::string pattern;  ///< see Graph::resolve; inside loops `cell[3]` one step, `cell[*]` or `cell` every step
    std::function<void(const std::string& name, const c10::IValue& value)> observe;
    std::function<c10::IValue(const std::string& name, const c10::IValue& value)> replace;
    at::Tensor tensor;
    std::string label;  ///< orders several Adds; otherwise free

    static Probe onValue(std::string pattern, std::function<void(const std::string&, const c10::IValue&)> observe);
    static Probe replacing(std::string pattern, std::function<c10::IValue(const std::string&, const c10::IValue&)> replace);
    static Probe setting(std::string pattern, at::Tensor tensor);
    static Probe adding(std::string pattern, at::Tensor tensor, std::string label = {});
    static Probe leaf(std::string pattern);
    static Probe onGradient(std::string pattern, std::function<void(const std::string&, const c10::IValue&)> observe);
    static Probe replacingGradient(std::string pattern, std::function<c10::IValue(const std::string&, const c10::IValue&)> replace);
    static Probe stopAfter(std::string pattern);
};

}  // namespace orrery::graph
