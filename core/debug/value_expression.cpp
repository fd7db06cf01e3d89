#include "value_expression.h"

#include <ATen/ATen.h>

#include <charconv>
#include <cmath>
#include <limits>

#include <core/base/error.h>
#include <core/base/expression.h>
#include <core/base/text.h>

#include "condition.h"

namespace orrery::debug {
namespace {

std::optional<std::int64_t> wholeNumber(std::string_view text)
{
    text = core::trim(text);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

at::Tensor selected(const at::Tensor& tensor, std::int64_t axis, std::int64_t index)
{
    const auto size = tensor.size(axis);
    if (index < -size || index >= size)
        throw core::InputError(
            fmt::format("index {} is out of range: axis {} of {} has {} elements", index, axis, core::formatShape(tensor.sizes()), size));
    return tensor.select(axis, index);
}

at::Tensor ranged(const at::Tensor& tensor, std::int64_t axis, const std::vector<std::string>& parts, std::string_view text)
{
    const auto part = [&](std::size_t i, std::int64_t standard) {
        if (i >= parts.size() || core::trim(parts[i]).empty())
            return standard;
        const auto number = wholeNumber(parts[i]);
        if (!number)
            throw core::InputError(fmt::format("slice \"{}\": expected from:to:step in whole numbers, got \"{}\"", text, parts[i]));
        return *number;
    };
    const auto step = part(2, 1), size = tensor.size(axis);
    if (parts.size() > 3 || step < 1)
        throw core::InputError(fmt::format("slice \"{}\": expected from:to:step with a step of at least 1", text));
    return tensor.slice(axis, part(0, 0), part(1, size), step);
}

/// Text of a bracket that begins at `at`, without the brackets; `at` goes behind it. Brackets in quotes are parts of names.
std::string bracketed(std::string_view text, std::size_t& at, char open, char close)
{
    const std::size_t start = ++at;
    bool quoted = false;
    for (int depth = 1; at < text.size(); ++at) {
        if (text[at] == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        depth += text[at] == open ? 1 : text[at] == close ? -1 : 0;
        if (depth == 0)
            return std::string(text.substr(start, at++ - start));
    }
    throw core::InputError(fmt::format("\"{}\": expected a \"{}\" at the end", text, close));
}

bool startsName(char c)
{
    return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}

bool continuesName(char c)
{
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '#' || c == '@' || c == ':';
}

using Exists = std::function<bool(const std::string&)>;

/// A name at `at`, which goes behind it: in quotes whatever it holds ("" stands for a quote), else letters, digits and a few signs. One that begins with a digit is a name if there is such a value.
std::optional<std::string> nameAt(std::string_view text, std::size_t& at, const Exists& exists)
{
    std::string name;
    if (text[at] == '"') {
        for (std::size_t i = at + 1; i < text.size(); ++i) {
            if (text[i] != '"') {
                name += text[i];
            } else if (i + 1 < text.size() && text[i + 1] == '"') {
                name += text[i++];
            } else {
                at = i + 1;
                return name;
            }
        }
        throw core::InputError(fmt::format("\"{}\": expected a \" behind the name", text));
    }
    std::size_t end = at;
    while (end < text.size() && continuesName(text[end]))
        name += text[end++];
    const bool isDigit = std::isdigit(static_cast<unsigned char>(text[at])) != 0;
    if (!startsName(text[at]) && !(isDigit && !wholeNumber(name) && exists(name)))
        return std::nullopt;
    at = end;
    return name;
}

/// The text as one value with or without a slice, if there is such a value: names of other programs may hold any sign.
std::optional<ValueReference> wholeReference(std::string_view text, const Exists& exists)
{
    if (exists(std::string(text)))
        return ValueReference{std::string(text), {}, false};
    if (!text.ends_with(']'))
        return std::nullopt;
    for (auto open = text.rfind('['); open != std::string_view::npos && open > 0; open = text.rfind('[', open - 1))
        if (std::string name(core::trim(text.substr(0, open))); exists(name)) {
            const auto slice = text.substr(open + 1, text.size() - open - 2);
            if (slice.find(']') == std::string_view::npos)
                return ValueReference{std::move(name), std::string(slice), true};
        }
    return std::nullopt;
}

/// A comma outside all brackets: `max(a, b)` is element by element, `max(a)` the largest element.
bool hasTopComma(std::string_view text)
{
    int depth = 0;
    bool quoted = false;
    for (const char c : text) {
        if (c == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
        if (c == ',' && depth == 0)
            return true;
    }
    return false;
}

at::Tensor reduced(const std::string& statistic, const at::Tensor& tensor)
{
    const at::Tensor values = tensor.to(at::kDouble);
    if (values.numel() == 0 && statistic != "norm" && statistic != "sum")
        return at::scalar_tensor(std::nan(""), at::kDouble);
    if (statistic == "max")
        return values.max();
    if (statistic == "min")
        return values.min();
    if (statistic == "absmax")
        return values.abs().max();
    if (statistic == "mean")
        return values.mean();
    if (statistic == "std")
        return values.std(false);
    if (statistic == "norm")
        return values.norm();
    return statistic == "sum" ? values.sum() : values.eq(0).to(at::kDouble).mean();
}

at::Tensor applied(const core::Expression::Node& node, std::vector<at::Tensor> a)
{
    using Kind = core::Expression::Kind;
    switch (node.kind) {
    case Kind::Negate: return -a[0];
    case Kind::Add: return a[0] + a[1];
    case Kind::Subtract: return a[0] - a[1];
    case Kind::Multiply: return a[0] * a[1];
    case Kind::Divide: return a[0] / a[1];
    case Kind::Power: return a[0].pow(a[1]);
    default: break;
    }
    const std::string& name = node.name;
    if (name == "min" || name == "max") {
        at::Tensor out = a[0];
        for (std::size_t i = 1; i < a.size(); ++i)
            out = name == "min" ? at::minimum(out, a[i]) : at::maximum(out, a[i]);
        return out;
    }
    if (name == "clamp")
        return at::minimum(at::maximum(a[0], a[1]), a[2]);
    const std::map<std::string, at::Tensor (*)(const at::Tensor&)> functions = {{"relu", at::relu},       {"abs", at::abs},   {"exp", at::exp},
                                                                                {"log", at::log},         {"sqrt", at::sqrt}, {"tanh", at::tanh},
                                                                                {"sigmoid", at::sigmoid}, {"sign", at::sign}};
    return functions.at(name)(a[0]);
}

/// Rewrites a text into an expression over v0, v1, ... and the tensors these stand for.
class ExpressionReader {
public:
    ExpressionReader(std::string_view text, const ValueScope& scope) : m_text(text), m_scope(scope) {}
    at::Tensor value()
    {
        if (const auto whole = wholeReference(core::trim(m_text), m_scope.exists)) {
            const at::Tensor tensor = m_scope.value(whole->name);
            return whole->hasSlice ? sliced(tensor, whole->slice) : tensor;
        }
        read();
        if (m_variables.size() == 1 && m_out == "v0")
            return m_variables[0];
        std::set<std::string> names;
        for (std::size_t i = 0; i < m_variables.size(); ++i)
            names.insert("v" + std::to_string(i));
        const core::Expression expression = parsed(names.empty() ? std::set<std::string>{"v0"} : names);
        try {
            return expression.fold<at::Tensor>(
                [&](const core::Expression::Node& leaf) {
                    if (leaf.kind == core::Expression::Kind::Number)
                        return at::scalar_tensor(leaf.number, at::kDouble);
                    return m_variables.at(std::size_t(std::stoul(leaf.name.substr(1)))).to(at::kDouble);
                },
                applied);
        } catch (const c10::Error& error) {
            const std::string message = error.what_without_backtrace();
            throw core::InputError(fmt::format("\"{}\": {}", m_text, message.substr(0, message.find('\n'))));
        }
    }

private:
    /// What is wrong is told in the text as it was written, not in the rewritten one.
    core::Expression parsed(const std::set<std::string>& names) const
    {
        try {
            return core::parseExpression(m_out, names);
        } catch (const core::InputError& error) {
            const std::string message = error.what(), head = fmt::format("expression \"{}\", column ", m_out);
            if (!message.starts_with(head))
                throw;
            std::size_t length = 0;
            const auto column = std::stoul(message.substr(head.size()), &length);
            const std::size_t place = column >= 1 && column <= m_places.size() ? m_places[column - 1] : m_text.size();
            throw core::InputError(fmt::format("\"{}\", column {}{}", m_text, place + 1, message.substr(head.size() + length)));
        }
    }
    /// Adds to the rewritten text what stands for the text from `from` on.
    void put(std::string_view text, std::size_t from)
    {
        m_out += text;
        m_places.resize(m_out.size(), from);
    }
    void read()
    {
        while (m_at < m_text.size()) {
            m_from = m_at;
            if (const auto name = nameAt(m_text, m_at, m_scope.exists))
                readName(*name);
            else if (std::isdigit(static_cast<unsigned char>(m_text[m_at])) || m_text[m_at] == '.')
                readNumber();
            else if (!std::isspace(static_cast<unsigned char>(m_text[m_at])))
                putNext();
            else
                ++m_at;
        }
    }
    void readNumber()
    {
        std::size_t end = m_at;
        while (end < m_text.size() && continuesName(m_text[end]))
            ++end;
        if (const std::string word(m_text.substr(m_at, end - m_at)); word.find_first_of("_#@:") != std::string::npos)
            return add(m_scope.value(word));  // no number: it says that there is no such value
        // An exponent's sign belongs to the number: 1e-5.
        while (m_at < m_text.size() && (std::isalnum(static_cast<unsigned char>(m_text[m_at])) || m_text[m_at] == '.' ||
                                        ((m_text[m_at] == '-' || m_text[m_at] == '+') && std::tolower(m_text[m_at - 1]) == 'e')))
            putNext();
    }
    void putNext()
    {
        put(m_text.substr(m_at, 1), m_at);
        ++m_at;
    }
    void readName(std::string name)
    {
        const bool isQuoted = m_text[m_from] == '"';
        if (m_at < m_text.size() && m_text[m_at] == '(' && !isQuoted)
            return readCall(name);
        while (m_at < m_text.size() && m_text[m_at] == '[') {
            std::size_t end = m_at;
            const std::string group = "[" + bracketed(m_text, end, '[', ']') + "]";
            if (!m_scope.exists(name + group))
                break;
            name += group;
            m_at = end;
        }
        if ((name == "nan" || name == "inf") && !m_scope.exists(name))
            return add(at::scalar_tensor(name == "nan" ? std::nan("") : std::numeric_limits<double>::infinity(), at::kDouble));
        add(m_scope.value(name));
    }
    void readCall(const std::string& called)
    {
        const std::string name = called == "sd" ? "std" : called;  // as it stands in the lists of values
        std::size_t end = m_at;
        const std::string inside = bracketed(m_text, end, '(', ')');
        const auto& statistics = statisticNames();
        const bool isStatistic = std::find(statistics.begin(), statistics.end(), name) != statistics.end() && !hasTopComma(inside);
        if (name != "grad" && !isStatistic) {
            if (!core::expressionFunctions().count(name)) {
                std::vector<std::string> known = statistics;
                known.push_back("grad");
                for (const auto& each : core::expressionFunctions())
                    known.push_back(each.first);
                throw core::InputError(fmt::format("there is no function \"{}\"{}", name, core::didYouMean(name, known)));
            }
            return put(name, m_from);
        }
        m_at = end;
        if (name != "grad")
            return add(reduced(name, ExpressionReader(inside, m_scope).value()));
        if (!m_scope.gradient)
            throw core::InputError("grad(...) is known after a backward pass only");
        add(m_scope.gradient(std::string(core::trim(inside))));
    }
    void add(at::Tensor tensor)
    {
        if (m_at < m_text.size() && m_text[m_at] == '[')
            tensor = sliced(tensor, bracketed(m_text, m_at, '[', ']'));
        put("v" + std::to_string(m_variables.size()), m_from);
        m_variables.push_back(std::move(tensor));
    }

    std::string_view m_text;
    const ValueScope& m_scope;
    std::size_t m_at = 0, m_from = 0;  // where what is being read begins
    std::string m_out;
    std::vector<std::size_t> m_places;  // of each character of `m_out` in the text
    std::vector<at::Tensor> m_variables;
};

}  // namespace

at::Tensor sliced(const at::Tensor& tensor, std::string_view slice)
{
    if (core::trim(slice).empty())
        throw core::InputError("empty slice: expected numbers or from:to:step, one an axis");
    const std::vector<std::string> parts = core::split(slice, ',');
    const auto dots = std::count_if(parts.begin(), parts.end(), [](const auto& part) { return core::trim(part) == "..."; });
    if (dots > 1 || std::int64_t(parts.size()) - dots > tensor.dim())
        throw core::InputError(fmt::format("slice \"{}\": expected at most {} axes for {}", slice, tensor.dim(), core::formatShape(tensor.sizes())));
    at::Tensor out = tensor;
    std::int64_t axis = 0;
    for (const auto& part : parts) {
        const std::string_view text = core::trim(part);
        if (text == "...") {
            axis += tensor.dim() - (std::int64_t(parts.size()) - 1);
        } else if (text.find(':') != std::string_view::npos) {
            out = ranged(out, axis, core::split(text, ':'), slice);
            ++axis;
        } else if (const auto index = wholeNumber(text)) {
            out = selected(out, axis, *index);
        } else {
            throw core::InputError(fmt::format("slice \"{}\": expected a whole number, from:to:step or ..., got \"{}\"", slice, text));
        }
    }
    return out;
}

at::Tensor evaluateValue(std::string_view text, const ValueScope& scope)
{
    if (core::trim(text).empty())
        throw core::InputError("expected a value, such as logits[0] or max(logits)");
    return ExpressionReader(core::trim(text), scope).value();
}

std::vector<std::string> valuesOf(std::string_view text, const std::function<bool(const std::string&)>& exists)
{
    // Names are found as in `evaluateValue`, with what stands in brackets left out of the slices.
    if (const auto whole = wholeReference(core::trim(text), exists))
        return {whole->name};
    std::vector<std::string> names;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] == '[') {
            bracketed(text, at, '[', ']');
            continue;
        }
        const bool isQuoted = text[at] == '"';
        auto found = nameAt(text, at, exists);
        if (!found) {
            const bool number = std::isdigit(static_cast<unsigned char>(text[at++])) != 0;
            while (number && at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '.'))
                ++at;
            continue;
        }
        std::string name = std::move(*found);
        if (at < text.size() && text[at] == '(' && !isQuoted)
            continue;
        while (at < text.size() && text[at] == '[') {
            std::size_t end = at;
            const std::string group = "[" + bracketed(text, end, '[', ']') + "]";
            if (!exists(name + group))
                break;
            name += group;
            at = end;
        }
        if (std::find(names.begin(), names.end(), name) == names.end())
            names.push_back(name);
    }
    return names;
}

ValueReference parseReference(std::string_view source, const std::function<bool(const std::string&)>& exists)
{
    const std::string_view text = core::trim(source);
    if (const auto whole = wholeReference(text, exists))
        return *whole;
    ValueReference reference;
    std::size_t at = 0;
    if (!text.empty())
        reference.name = nameAt(text, at, exists).value_or("");
    while (at < text.size() && text[at] == '[') {
        const std::string group = bracketed(text, at, '[', ']');
        if (!reference.hasSlice && exists(reference.name + "[" + group + "]")) {
            reference.name += "[" + group + "]";
            continue;
        }
        if (reference.hasSlice)
            throw core::InputError(fmt::format("\"{}\": expected one slice", text));
        reference.slice = group;
        reference.hasSlice = true;
    }
    if (at < text.size() || reference.name.empty())
        throw core::InputError(fmt::format("expected NAME or NAME[slice], got \"{}\"", text));
    return reference;
}

}  // namespace orrery::debug
