#include "source_lines.h"

#include <algorithm>

namespace orrery::text {
namespace {

bool isBlank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r';
}

// As `Tokenizer::tokenText` writes them.
bool beginsWithBlank(std::string_view token)
{
    return token.starts_with(' ') || token.starts_with("\\n") || token.starts_with("\\t") || token.starts_with("\\r");
}

}  // namespace

std::vector<std::string> blanksOfLines(const Tokenizer& tokenizer, std::string_view text, std::optional<std::string_view> pair)
{
    if (text.find('\n') == text.npos && (!pair || pair->find('\n') == pair->npos))
        return {};
    EncodeOptions options;
    options.pair = pair;
    const Encoding encoding = tokenizer.encode(text, options);
    const std::string_view texts[] = {text, pair.value_or(std::string_view())};
    std::size_t ends[] = {0, 0};
    std::vector<std::string> blanks(encoding.size());
    for (std::size_t i = 0; i < encoding.size(); ++i) {
        const int which = encoding.sequenceIds[i];
        if (encoding.special[i] || which < 0 || which > 1)
            continue;
        const auto begin = std::size_t(encoding.offsets[i].begin), end = std::size_t(encoding.offsets[i].end);
        if (begin > ends[which] && begin <= texts[which].size() && !beginsWithBlank(tokenizer.tokenText(encoding.ids[i]))) {
            const auto between = texts[which].substr(ends[which], begin - ends[which]);
            if (std::all_of(between.begin(), between.end(), isBlank))
                blanks[i] = between;
        }
        ends[which] = std::max(ends[which], end);
    }
    return blanks;
}

}  // namespace orrery::text
