#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aligned_text.h"

namespace orrery::text {

/// Something that is looked for in a text. Immutable, any thread.
class Pattern {
public:
    virtual ~Pattern() = default;
    /// The matches and what lies between them, in order, all of the text. Matches may be empty.
    virtual std::vector<Match> find(std::string_view text) const = 0;
    /// The same one after the other, without a list of them all.
    virtual void each(std::string_view text, const std::function<void(const Match&)>& found) const
    {
        for (const Match& match : find(text))
            found(match);
    }
};
using PatternPtr = std::shared_ptr<const Pattern>;

/// A regular expression as the `tokenizers` library reads it: Unicode, ^ and $ at every line, `.` everything but a line feed.
/// @param place  For messages.  @throws core::FormatError if it is none; `find` throws core::InputError where one takes too long on a text.
PatternPtr regularExpression(std::string_view expression, const std::string& place);
/// A text as it stands. Empty: matches nothing.
PatternPtr literalText(std::string text);
/// Each character that the function says yes to.
PatternPtr characters(bool (*isWanted)(char32_t));
PatternPtr character(char32_t point);

/// What happens to the matches when a text is split at them.
enum class SplitBehaviour { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };
/// The parts of a text, in order; empty ones are left out.
std::vector<std::pair<std::size_t, std::size_t>> splitAt(const std::vector<Match>& matches, SplitBehaviour behaviour);

}  // namespace orrery::text
