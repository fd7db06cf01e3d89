#include "condition.h"

#include <ATen/ATen.h>

#include <charconv>
#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::debug {
namespace {

const std::vector<std::pair<std::string, Condition::Relation>>& relations()
{
    using Relation = Condition::Relation;
    static const std::vector<std::pair<std::string, Relation>> kRelations = {{">=", Relation::AtLeast}, {"<=", Relation::AtMost},
                                                                             {"==", Relation::Equal},   {"!=", Relation::Differs},
                                                                             {">", Relation::Above},    {"<", Relation::Below}};
    return kRelations;
}

bool holds(Condition::Relation relation, double a, double b)
{
    switch (relation) {
    case Condition::Relation::Above: return a > b;
    case Condition::Relation::AtLeast: return a >= b;
    case Condition::Relation::Below: return a < b;
    case Condition::Relation::AtMost: return a <= b;
    case Condition::Relation::Equal: return a == b;
    case Condition::Relation::Differs: return a != b;
    }
    return false;
}

void parseStatistic(Condition& condition, const std::string& text)
{
    const auto at = text.find_first_of("<>=!");
    const std::string written = text.substr(0, at), word = written == "sd" ? "std" : written;  // as it stands in the lists of values
    std::vector<std::string> known = statisticNames();
    if (at == std::string::npos) {
        known.insert(known.end(), {"nan", "inf", "nonfinite", "shape"});
        throw core::InputError(fmt::format("condition \"{}\": expected nan, inf, nonfinite, shape, or a statistic with a number (max > 5){}",
                                           condition.text, core::didYouMean(word, known)));
    }
    if (std::find(known.begin(), known.end(), word) == known.end())
        throw core::InputError(fmt::format("condition \"{}\": no statistic \"{}\"{}; expected one of {}", condition.text, word,
                                           core::didYouMean(word, known), core::join(known, ", ")));
    condition.kind = Condition::Kind::Statistic;
    condition.statistic = word;
    const std::string rest = text.substr(at);
    for (const auto& [sign, relation] : relations()) {
        if (!rest.starts_with(sign))
            continue;
        const std::string number = rest.substr(sign.size());
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), condition.threshold);
        if (error != std::errc() || end != number.data() + number.size() || std::isnan(condition.threshold))
            throw core::InputError(fmt::format("condition \"{}\": expected a number behind \"{}\", got \"{}\"", condition.text, sign, number));
        condition.relation = relation;
        return;
    }
    throw core::InputError(fmt::format("condition \"{}\": expected one of > >= < <= == !=, got \"{}\"", condition.text, rest));
}

std::optional<std::string> counted(const at::Tensor& which, const char* what)
{
    const auto count = which.sum().item<std::int64_t>();
    if (count == 0)
        return std::nullopt;
    return fmt::format("{} {} in {} elements", count, what, which.numel());
}

}  // namespace

Condition parseCondition(std::string_view source)
{
    Condition condition;
    for (const char c : source)
        if (!std::isspace(static_cast<unsigned char>(c)))
            condition.text += c;
    std::string text = core::lower(condition.text);
    if (text.starts_with("grad.")) {
        condition.ofGradient = true;
        text.erase(0, 5);
    }
    if (text == "nan")
        condition.kind = Condition::Kind::NaN;
    else if (text == "inf")
        condition.kind = Condition::Kind::Infinite;
    else if (text == "nonfinite")
        condition.kind = Condition::Kind::NotFinite;
    else if (text == "shape")
        condition.kind = Condition::Kind::Shape;
    else
        parseStatistic(condition, text);
    return condition;
}

const std::vector<std::string>& statisticNames()
{
    static const std::vector<std::string> kNames = {"max", "min", "absmax", "mean", "std", "norm", "sum", "zeros"};
    return kNames;
}

double statisticOf(const std::string& name, const at::Tensor& tensor)
{
    const auto& known = statisticNames();
    if (std::find(known.begin(), known.end(), name) == known.end())
        throw core::InputError(fmt::format("no statistic \"{}\"{}", name, core::didYouMean(name, known)));
    at::NoGradGuard noGrad;
    const at::Tensor plain = tensor.detach();
    // Extremes need no conversion of the whole; sums are taken in double.
    if (plain.numel() > 0 && (name == "max" || name == "min"))
        return (name == "max" ? plain.max() : plain.min()).to(at::kDouble).item<double>();
    const at::Tensor values = plain.to(at::kDouble);
    if (name == "norm")
        return values.norm().item<double>();
    if (name == "sum")
        return values.sum().item<double>();
    if (values.numel() == 0)
        return std::nan("");
    if (name == "absmax")
        return values.abs().max().item<double>();
    if (name == "mean")
        return values.mean().item<double>();
    if (name == "std")
        return values.std(false).item<double>();
    return values.eq(0).to(at::kDouble).mean().item<double>();
}

std::optional<std::string> fulfilled(const Condition& condition, const c10::IValue& value, const std::vector<std::int64_t>* before)
{
    if (!value.isTensor() || !value.toTensor().defined())
        return std::nullopt;
    at::NoGradGuard noGrad;
    const at::Tensor& tensor = value.toTensor();
    if (condition.kind == Condition::Kind::Shape) {
        if (!before || tensor.sizes() == at::IntArrayRef(*before))
            return std::nullopt;
        return fmt::format("shape {}, before {}", core::formatShape(tensor.sizes()), core::formatShape(*before));
    }
    if (tensor.numel() == 0 || tensor.is_complex())
        return std::nullopt;
    const bool floats = at::isFloatingType(tensor.scalar_type());
    switch (condition.kind) {
    case Condition::Kind::NaN: return floats ? counted(at::isnan(tensor), "NaN") : std::nullopt;
    case Condition::Kind::Infinite: return floats ? counted(at::isinf(tensor), "infinite") : std::nullopt;
    case Condition::Kind::NotFinite: return floats ? counted(at::isfinite(tensor).logical_not(), "not finite") : std::nullopt;
    default: break;
    }
    const double found = statisticOf(condition.statistic, tensor);
    if (!holds(condition.relation, found, condition.threshold))
        return std::nullopt;
    const auto sign = std::find_if(relations().begin(), relations().end(), [&](const auto& each) { return each.second == condition.relation; });
    return fmt::format("{} {:.6g} {} {}", condition.statistic, found, sign->first, core::formatNumber(condition.threshold));
}

}  // namespace orrery::debug
