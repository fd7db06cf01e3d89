#include "expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "error.h"
#include "text.h"

namespace orrery::core {
namespace {

constexpr int kMostNesting = 200;  // parentheses and signs nest by recursion
constexpr std::size_t kMaxLength = 10'000;

bool isLetter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool isDigit(char c)
{
    return c >= '0' && c <= '9';
}

class Parser {
public:
    Parser(std::string_view text, const std::set<std::string>& variables, const std::map<std::string, int>& functions)
        : m_text(text), m_variables(variables), m_functions(functions)
    {
        m_result.text = text;
    }

    Expression parse()
    {
        if (m_text.size() > kMaxLength)
            throw InputError(fmt::format("expression: expected at most {} characters, got {}", kMaxLength, m_text.size()));
        sum();
        if (peek() != '\0')
            fail("expected an operator or the end");
        return std::move(m_result);
    }

private:
    using Kind = Expression::Kind;

    [[noreturn]] void failAt(std::size_t at, const std::string& message) const
    {
        throw InputError(fmt::format("expression \"{}\", column {}: {}", m_text, at + 1, message));
    }

    [[noreturn]] void fail(const std::string& expected)
    {
        const char next = peek();
        // A letter of several bytes (UTF-8) is quoted whole.
        auto end = m_at + 1;
        while (end < m_text.size() && (static_cast<unsigned char>(m_text[end]) & 0xc0) == 0x80)
            ++end;
        failAt(m_at, expected + (next == '\0' ? std::string(", found the end") : fmt::format(", found \"{}\"", m_text.substr(m_at, end - m_at))));
    }

    char peek()
    {
        while (m_at < m_text.size() && (m_text[m_at] == ' ' || m_text[m_at] == '\t' || m_text[m_at] == '\n'))
            ++m_at;
        return m_at < m_text.size() ? m_text[m_at] : '\0';
    }

    bool accept(char wanted)
    {
        if (peek() != wanted)
            return false;
        ++m_at;
        return true;
    }

    std::size_t add(Expression::Node node)
    {
        m_result.nodes.push_back(std::move(node));
        return m_result.nodes.size() - 1;
    }

    std::size_t sum()
    {
        if (++m_depth > kMostNesting)
            failAt(m_at, fmt::format("nested deeper than {} levels", kMostNesting));
        auto left = product();
        for (char sign = peek(); sign == '+' || sign == '-'; sign = peek()) {
            const auto column = ++m_at;
            const auto right = product();
            left = add({sign == '+' ? Kind::Add : Kind::Subtract, 0, {}, {left, right}, column});
        }
        --m_depth;
        return left;
    }

    std::size_t product()
    {
        auto left = factor();
        for (char sign = peek(); sign == '*' || sign == '/'; sign = peek()) {
            const auto column = ++m_at;
            const auto right = factor();
            left = add({sign == '*' ? Kind::Multiply : Kind::Divide, 0, {}, {left, right}, column});
        }
        return left;
    }

    std::size_t factor()
    {
        if (++m_depth > kMostNesting)
            failAt(m_at, fmt::format("nested deeper than {} levels", kMostNesting));
        std::size_t result = 0;
        if (accept('-')) {
            const auto column = m_at;
            const auto operand = factor();
            result = add({Kind::Negate, 0, {}, {operand}, column});
        } else {
            result = accept('+') ? factor() : power();
        }
        --m_depth;
        return result;
    }

    std::size_t power()
    {
        const auto base = operand();
        if (!accept('^'))
            return base;
        const auto column = m_at;
        const auto exponent = factor();
        return add({Kind::Power, 0, {}, {base, exponent}, column});
    }

    std::size_t operand()
    {
        const char next = peek();
        if (accept('(')) {
            const auto inner = sum();
            if (!accept(')'))
                fail("expected an operator or \")\"");
            return inner;
        }
        if (isDigit(next) || next == '.')
            return number();
        if (isLetter(next))
            return named();
        fail("expected a number, a name or \"(\"");
    }

    std::size_t number()
    {
        const auto start = m_at;
        double value = 0;
        const auto [end, error] = std::from_chars(m_text.data() + m_at, m_text.data() + m_text.size(), value);
        if (error != std::errc())
            failAt(start, "expected a number that fits into double precision");
        m_at = std::size_t(end - m_text.data());
        return add({Kind::Number, value, {}, {}, start + 1});
    }

    std::size_t named()
    {
        const auto start = m_at;
        while (m_at < m_text.size() && (isLetter(m_text[m_at]) || isDigit(m_text[m_at]) || m_text[m_at] == '.'))
            ++m_at;
        std::string name(m_text.substr(start, m_at - start));
        if (accept('('))
            return call(name, start);
        if (peek() == '[')
            name += index();
        checkVariable(name, start);
        return add({Kind::Variable, 0, name, {}, start + 1});
    }

    std::string index()
    {
        const auto end = m_text.find(']', m_at);
        if (end == std::string_view::npos)
            fail("expected an index with its \"]\"");
        std::string result(m_text.substr(m_at, end + 1 - m_at));
        std::erase(result, ' ');
        m_at = end + 1;
        return result;
    }

    void checkVariable(const std::string& name, std::size_t start) const
    {
        if (m_variables.empty() || m_variables.contains(name))
            return;
        const std::vector<std::string> known(m_variables.begin(), m_variables.end());
        const auto hint = didYouMean(name, known);
        failAt(start, fmt::format("unknown name \"{}\"{}", name, hint.empty() ? "; known are " + join(known, ", ") : hint));
    }

    std::size_t call(const std::string& name, std::size_t start)
    {
        const auto known = m_functions.find(name);
        if (known == m_functions.end()) {
            std::vector<std::string> names;
            for (const auto& function : m_functions)
                names.push_back(function.first);
            const auto hint = didYouMean(name, names);
            failAt(start, fmt::format("unknown function \"{}\"{}", name, hint.empty() ? "; known are " + join(names, ", ") : hint));
        }
        std::vector<std::size_t> arguments = {sum()};
        while (accept(','))
            arguments.push_back(sum());
        if (!accept(')'))
            fail("expected an operator, \",\" or \")\"");
        if (known->second >= 0 && int(arguments.size()) != known->second)
            failAt(start, fmt::format("{} takes {} argument{}, got {}", name, known->second, known->second == 1 ? "" : "s", arguments.size()));
        return add({Kind::Call, 0, name, std::move(arguments), start + 1});
    }

    std::string_view m_text;
    const std::set<std::string>& m_variables;
    const std::map<std::string, int>& m_functions;
    Expression m_result;
    std::size_t m_at = 0;
    int m_depth = 0;
};

// As tensor libraries have it: NaN goes through, and of clamp's bounds the upper one wins.
double smaller(double a, double b)
{
    return std::isnan(a) || a < b ? a : b;
}

double larger(double a, double b)
{
    return std::isnan(a) || a > b ? a : b;
}

double called(const std::string& name, const std::vector<double>& x)
{
    if (name == "relu")
        return std::isnan(x[0]) ? x[0] : std::max(x[0], 0.0);
    if (name == "abs")
        return std::abs(x[0]);
    if (name == "exp")
        return std::exp(x[0]);
    if (name == "log")
        return std::log(x[0]);
    if (name == "sqrt")
        return std::sqrt(x[0]);
    if (name == "tanh")
        return std::tanh(x[0]);
    if (name == "sigmoid")
        return 1 / (1 + std::exp(-x[0]));
    if (name == "sign")
        return std::isnan(x[0]) ? x[0] : double(x[0] > 0) - double(x[0] < 0);
    if (name == "clamp")
        return smaller(larger(x[0], x[1]), x[2]);
    double result = x[0];
    for (std::size_t i = 1; i < x.size(); ++i)
        result = name == "min" ? smaller(result, x[i]) : larger(result, x[i]);
    return result;
}

double applied(const Expression::Node& node, const std::vector<double>& x)
{
    switch (node.kind) {
    case Expression::Kind::Negate: return -x[0];
    case Expression::Kind::Add: return x[0] + x[1];
    case Expression::Kind::Subtract: return x[0] - x[1];
    case Expression::Kind::Multiply: return x[0] * x[1];
    case Expression::Kind::Divide: return x[0] / x[1];
    case Expression::Kind::Power: return std::pow(x[0], x[1]);
    default: return called(node.name, x);
    }
}

}  // namespace

std::set<std::string> Expression::variables() const
{
    std::set<std::string> names;
    for (const auto& node : nodes)
        if (node.kind == Kind::Variable)
            names.insert(node.name);
    return names;
}

Expression parseExpression(std::string_view text, const std::set<std::string>& variables, const std::map<std::string, int>& functions)
{
    return Parser(text, variables, functions).parse();
}

const std::map<std::string, int>& expressionFunctions()
{
    static const std::map<std::string, int> kFunctions = {{"relu", 1},    {"abs", 1},  {"exp", 1},  {"log", 1},  {"sqrt", 1}, {"tanh", 1},
                                                          {"sigmoid", 1}, {"sign", 1}, {"min", -1}, {"max", -1}, {"clamp", 3}};
    return kFunctions;
}

double evaluate(const Expression& expression, const std::map<std::string, double>& variables)
{
    return expression.fold<double>(
        [&](const Expression::Node& node) {
            if (node.kind == Expression::Kind::Number)
                return node.number;
            const auto it = variables.find(node.name);
            if (it == variables.end())
                throw InputError(fmt::format("expression \"{}\": \"{}\" has no value", expression.text, node.name));
            return it->second;
        },
        [](const Expression::Node& node, std::vector<double> arguments) { return applied(node, arguments); });
}

}  // namespace orrery::core
