#include "text.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fmt/format.h>
#include <numeric>

namespace orrery::core {
namespace {

char lowerChar(char c)
{
    return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count one each.
std::size_t editDistance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
    std::iota(previous.begin(), previous.end(), std::size_t(0));
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                current[j] = std::min(current[j], before[j - 2] + 1);
        }
        before.swap(previous);
        previous.swap(current);
    }
    return previous[b.size()];
}

/// Length of a bracketed step `[...]` at the start of `text`; 0 if there is none.
std::size_t stepLength(std::string_view text)
{
    if (text.empty() || text[0] != '[')
        return 0;
    const std::size_t close = text.find(']');
    return close == std::string_view::npos ? 0 : close + 1;
}

bool globMatches(std::string_view pattern, std::string_view path);

/// `*` (within a component) or `**` (across components) at the start of `pattern`.
bool starMatches(std::string_view pattern, std::string_view path)
{
    const bool across = pattern.starts_with("**");
    pattern.remove_prefix(across ? 2 : 1);
    for (std::size_t taken = 0;; ++taken) {
        if (globMatches(pattern, path.substr(taken)))
            return true;
        if (taken == path.size() || (!across && path[taken] == '.'))
            return false;
    }
}

bool globMatches(std::string_view pattern, std::string_view path)
{
    while (!pattern.empty()) {
        if (pattern[0] == '*')
            return starMatches(pattern, path);
        if (pattern.starts_with("[*]")) {
            const std::size_t length = stepLength(path);
            if (length == 0)
                return false;
            pattern.remove_prefix(3);
            path.remove_prefix(length);
            continue;
        }
        if (path.empty() || (pattern[0] == '?' ? path[0] == '.' : pattern[0] != path[0]))
            return false;
        pattern.remove_prefix(1);
        path.remove_prefix(1);
    }
    return path.empty();
}

/// Runs of three and more stars mean `**`, and neighbouring star groups are one: otherwise matching would be exponential in their number.
std::string collapseStars(std::string_view pattern)
{
    std::string out;
    for (const char c : pattern)
        if (c != '*' || !out.ends_with("**"))
            out += c;
    return out;
}

}  // namespace

std::optional<std::string> nearestName(std::string_view name, std::span<const std::string> candidates)
{
    const std::string wanted = lower(name);
    const std::size_t limit = std::max<std::size_t>(2, name.size() / 3);
    std::size_t best = limit + 1;
    std::optional<std::string> found;
    for (const std::string& candidate : candidates) {
        // Names much longer or shorter cannot be near; a one-letter name is never a typo of another unless they agree in something.
        const std::size_t difference = candidate.size() > name.size() ? candidate.size() - name.size() : name.size() - candidate.size();
        if (difference >= best)
            continue;
        const std::size_t distance = editDistance(wanted, lower(candidate));
        if (distance < best && distance < std::max(name.size(), candidate.size())) {
            best = distance;
            found = candidate;
        }
    }
    return found;
}

std::string didYouMean(std::string_view name, std::span<const std::string> candidates)
{
    const std::optional<std::string> nearest = nearestName(name, candidates);
    return nearest ? "; did you mean \"" + *nearest + "\"?" : std::string();
}

bool matchesGlob(std::string_view pattern, std::string_view path)
{
    const std::string collapsed = collapseStars(pattern);
    // Like the leading **/ of a shell: no component at all is enough.
    if (collapsed.starts_with("**.") && globMatches(std::string_view(collapsed).substr(3), path))
        return true;
    return globMatches(collapsed, path);
}

bool isGlob(std::string_view pattern)
{
    return pattern.find_first_of("*?") != std::string_view::npos;
}

std::vector<std::string> split(std::string_view text, char separator)
{
    std::vector<std::string> parts;
    std::size_t start = 0;
    for (std::size_t end = text.find(separator); end != std::string_view::npos; end = text.find(separator, start)) {
        parts.emplace_back(text.substr(start, end - start));
        start = end + 1;
    }
    parts.emplace_back(text.substr(start));
    return parts;
}

std::string join(std::span<const std::string> parts, std::string_view separator)
{
    std::string out;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0)
            out += separator;
        out += parts[i];
    }
    return out;
}

std::string_view trim(std::string_view text)
{
    constexpr std::string_view kSpace = " \t\r\n\f\v";
    const std::size_t first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string lower(std::string_view text)
{
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), lowerChar);
    return out;
}

std::string formatNumber(double value)
{
    if (std::isnan(value))
        return "nan";
    if (std::isinf(value))
        return value > 0 ? "inf" : "-inf";
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    return std::string(buffer, end);
}

std::string formatBytes(std::uint64_t bytes)
{
    if (bytes < 1024)
        return fmt::format("{} B", bytes);
    double value = double(bytes);
    const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    value /= 1024;
    // 1023.95 would print as 1024.0: go up one unit before that.
    while (value >= 1023.95 && unit + 1 < std::size(units)) {
        value /= 1024;
        ++unit;
    }
    return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string formatShape(std::span<const std::int64_t> shape)
{
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string formatDuration(double seconds)
{
    if (!std::isfinite(seconds))
        return "?";
    const auto total = std::int64_t(std::llround(std::clamp(seconds, 0.0, 1e15)));
    const std::int64_t hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
    return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, rest) : fmt::format("{}:{:02}", minutes, rest);
}

std::string isoTimeNow()
{
    const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    const std::time_t whole = std::chrono::system_clock::to_time_t(now);
    std::tm utc{};
    gmtime_r(&whole, &utc);
    const auto millis = now.time_since_epoch().count() % 1000;
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                       utc.tm_sec, millis);
}

}  // namespace orrery::core
