#include "json_lines.h"

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::io {
namespace {

constexpr int kMaxDepth = 64;

core::Json parseLine(std::string_view text, std::string_view name, std::size_t line)
{
    const auto fail = [&](std::string_view what) { throw core::FormatError(fmt::format("{}: line {}: {}", name, line, what)); };
    try {
        const auto checkDepth = [&](int depth, core::Json::parse_event_t, core::Json&) {
            if (depth > kMaxDepth)
                fail(fmt::format("expected at most {} nested levels", kMaxDepth));
            return true;
        };
        core::Json value = core::Json::parse(text.begin(), text.end(), checkDepth);
        if (!value.is_object())
            fail(fmt::format("expected a JSON object, got {}", value.type_name()));
        return value;
    } catch (const nlohmann::json::exception& error) {
        fail(fmt::format("expected a JSON object: {}", error.what()));
    }
    return {};
}

}  // namespace

std::vector<core::Json> parseJsonLines(std::string_view bytes, std::string_view name)
{
    if (bytes.starts_with("\xef\xbb\xbf"))
        bytes.remove_prefix(3);
    std::vector<core::Json> objects;
    std::size_t line = 1;
    for (std::size_t at = 0; at < bytes.size(); ++line) {
        const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
        const std::string_view text = core::trim(bytes.substr(at, end - at));
        at = end + 1;
        if (!text.empty())
            objects.push_back(parseLine(text, name, line));
    }
    if (objects.empty())
        throw core::FormatError(fmt::format("{}: expected one JSON object a line, got none", name));
    return objects;
}

}  // namespace orrery::io
