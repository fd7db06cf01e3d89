#include "script_stubs.h"

#include <torch/csrc/jit/runtime/operator.h>

#include <mutex>

#include <core/base/text.h>

namespace orrery::models {
namespace {

std::mutex g_standInMutex;
std::set<std::string> g_standIns;  ///< guarded by g_standInMutex

bool isWordCharacter(char c)
{
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

/// Walks over the arguments of a call from behind its bracket; strings and nested brackets are skipped.
void readKeywords(const std::string& source, std::size_t at, std::set<std::string>& keywords)
{
    int depth = 1;
    bool atStart = true;
    for (; at < source.size() && depth > 0; ++at) {
        const char c = source[at];
        if (c == '"' || c == '\'') {
            for (++at; at < source.size() && source[at] != c; ++at)
                at += source[at] == '\\';
        } else if (c == '(' || c == '[' || c == '{') {
            ++depth;
        } else if (c == ')' || c == ']' || c == '}') {
            --depth;
        } else if (depth == 1 && atStart && isWordCharacter(c)) {
            std::size_t end = at;
            while (end < source.size() && isWordCharacter(source[end]))
                ++end;
            if (end + 1 < source.size() && source[end] == '=' && source[end + 1] != '=')
                keywords.insert(source.substr(at, end - at));
            at = end - 1;
        }
        atStart = (depth == 1 && c == ',') || (atStart && (c == ' ' || c == '\n'));
    }
}

/// "a, b, = torch.wobble(" has two results.
std::size_t resultsBefore(const std::string& source, std::size_t call)
{
    const auto line = source.rfind('\n', call) + 1;
    const auto equals = source.find('=', line);
    if (equals == std::string::npos || equals >= call)
        return 1;
    std::size_t results = 0;
    for (const auto& name : core::split(source.substr(line, equals - line), ','))
        results += !core::trim(name).empty();
    return std::max<std::size_t>(results, 1);
}

}  // namespace

std::optional<std::string> unknownOperatorIn(const std::string& message)
{
    const std::string_view mark = "Unknown builtin op: ";
    const auto at = message.find(mark);
    if (at == std::string::npos)
        return std::nullopt;
    auto end = at + mark.size();
    while (end < message.size() && (isWordCharacter(message[end]) || message[end] == ':'))
        ++end;
    auto op = message.substr(at + mark.size(), end - at - mark.size());
    return op.find("::") == std::string::npos ? std::nullopt : std::optional(op);
}

CalledOperator callsIn(const std::vector<std::string>& sources, const std::string& op)
{
    const auto space = op.substr(0, op.find("::")), name = op.substr(op.find("::") + 2);
    CalledOperator called;
    for (const auto& pattern : {"torch." + name + "(", "ops." + space + "." + name + "("})
        for (const auto& source : sources)
            for (auto at = source.find(pattern); at != std::string::npos; at = source.find(pattern, at + 1)) {
                readKeywords(source, at + pattern.size(), called.keywords);
                called.results = std::max(called.results, resultsBefore(source, at));
            }
    return called;
}

void registerStandIn(const std::string& op, const CalledOperator& called)
{
    const std::lock_guard lock(g_standInMutex);
    if (!g_standIns.insert(op).second)
        return;
    std::string schema = op + "(";
    if (!called.keywords.empty())
        schema += "*, ";
    for (const auto& keyword : called.keywords)
        schema += "Any? " + keyword + "=None, ";
    schema += "...) -> ";
    std::vector<std::string> results(called.results, "Tensor");
    schema += results.size() == 1 ? results[0] : "(" + core::join(results, ", ") + ")";
    const auto fail = [op](torch::jit::Stack&) { throw std::runtime_error("libtorch has no operator " + op); };
    torch::jit::registerOperator(torch::jit::Operator(schema, torch::jit::Operation(fail), c10::AliasAnalysisKind::CONSERVATIVE));
}

bool isStandIn(const std::string& op)
{
    const std::lock_guard lock(g_standInMutex);
    return g_standIns.count(op) > 0;
}

}  // namespace orrery::models
