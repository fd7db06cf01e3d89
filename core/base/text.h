#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::core {

/// The candidate with the smallest edit distance to `name` (case-insensitive), if it is near enough to be a typo
/// (distance at most max(2, length / 3)); ties go to the first. Any thread.
std::optional<std::string> nearestName(std::string_view name, std::span<const std::string> candidates);

/// `; did you mean "x"?` or an empty string: to be appended to messages about unknown names.
std::string didYouMean(std::string_view name, std::span<const std::string> candidates);

/// Shell-like pattern over dotted paths: `*` matches within one component (no dot), `**` across components (a leading `**.` also none), `?` one character,
/// `[...]` is literal (it holds loop steps), except that `[*]` matches any step.
bool matchesGlob(std::string_view pattern, std::string_view path);
/// True if `pattern` holds one of the characters that `matchesGlob` treats specially.
bool isGlob(std::string_view pattern);

std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);

/// Shortest decimal text that reads back as the same double ("0.1", "1e-05", "nan", "inf").
std::string formatNumber(double value);
/// "1.5 MiB", "312 B".
std::string formatBytes(std::uint64_t bytes);
/// "[2, 3, 4]".
std::string formatShape(std::span<const std::int64_t> shape);
/// "1:05", "2:03:10": minutes and seconds, or hours.
std::string formatDuration(double seconds);
/// Current UTC time as ISO 8601 with milliseconds: "2024-05-01T12:34:56.789Z".
std::string isoTimeNow();

}  // namespace orrery::core
