#include "probe.h"

namespace orrery::graph {

Probe Probe::onValue(std::string pattern, std::function<void(const std::string&, const c10::IValue&)> observe)
{
    Probe probe;
    probe.pattern = std::move(pattern);
    probe.observe = std::move(observe);
    return probe;
}

Probe Probe::replacing(std::string pattern, std::function<c10::IValue(const std::string&, const c10::IValue&)> replace)
{
    Probe probe;
    probe.kind = Kind::Replace;
    probe.pattern = std::move(pattern);
    probe.replace = std::move(replace);
    return probe;
}

Probe Probe::setting(std::string pattern, at::Tensor tensor)
{
    Probe probe;
    probe.kind = Kind::Set;
    probe.pattern = std::move(pattern);
    probe.tensor = std::move(tensor);
    return probe;
}

Probe Probe::adding(std::string pattern, at::Tensor tensor, std::string label)
{
    auto probe = setting(std::move(pattern), std::move(tensor));
    probe.kind = Kind::Add;
    probe.label = std::move(label);
    return probe;
}

Probe Probe::leaf(std::string pattern)
{
    Probe probe;
    probe.kind = Kind::Leaf;
    probe.pattern = std::move(pattern);
    return probe;
}

Probe Probe::onGradient(std::string pattern, std::function<void(const std::string&, const c10::IValue&)> observe)
{
    auto probe = onValue(std::move(pattern), std::move(observe));
    probe.kind = Kind::ObserveGradient;
    return probe;
}

Probe Probe::replacingGradient(std::string pattern, std::function<c10::IValue(const std::string&, const c10::IValue&)> replace)
{
    auto probe = replacing(std::move(pattern), std::move(replace));
    probe.kind = Kind::ReplaceGradient;
    return probe;
}

Probe Probe::stopAfter(std::string pattern)
{
    Probe probe;
    probe.kind = Kind::Stop;
    probe.pattern = std::move(pattern);
    return probe;
}

}  // namespace orrery::graph
