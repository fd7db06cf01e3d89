#include "greeklish.h"

#include <map>
#include <vector>

#include "normal_forms.h"
#include "unicode.h"

namespace orrery::text {
namespace {

/// A letter of the text; its accent and diaeresis are remembered apart, since they take a pair of vowels apart.
struct GreekLetter {
    char32_t point = 0;  ///< lower case
    bool upper = false, diaeresis = false, accent = false;
    std::string other;  ///< what is no Greek letter, as it stands
};

constexpr char32_t kFinalSigma = U'ς', kDiaeresis = 0x308;

bool isGreekLetter(char32_t point)
{
    return point >= U'α' && point <= U'ω';
}

std::vector<GreekLetter> lettersOf(std::string_view text)
{
    std::vector<GreekLetter> letters;
    const std::string whole = withReplacements(text);
    for (const char32_t point : pointsOf(whole)) {
        const auto parts = normalForm(utf8Of(point), NormalForm::Nfd);
        const auto lower = lowerCase(parts[0].point)[0];
        const bool isMarkOfGreek = isNonSpacingMark(point) && !letters.empty() && letters.back().point;
        if (isGreekLetter(lower))
            letters.push_back({lower == kFinalSigma ? U'σ' : lower, lower != parts[0].point});
        else if (!isMarkOfGreek)
            letters.push_back({.other = utf8Of(point)});
        for (std::size_t i = isMarkOfGreek ? 0 : 1; letters.back().point && i < parts.size(); ++i)
            (parts[i].point == kDiaeresis ? letters.back().diaeresis : letters.back().accent) = true;
    }
    return letters;
}

/// Pairs of letters with one sound.
const std::map<std::u32string, std::string>& soundPairs()
{
    static const std::map<std::u32string, std::string> kPairs = {{U"ου", "ou"}, {U"γγ", "ng"}, {U"γξ", "nx"}, {U"γχ", "nch"}, {U"μπ", "mp"}};
    return kPairs;
}

const std::map<char32_t, std::string>& sounds()
{
    static const std::map<char32_t, std::string> kSounds = {{U'α', "a"}, {U'β', "v"},  {U'γ', "g"}, {U'δ', "d"},  {U'ε', "e"},  {U'ζ', "z"},
                                                            {U'η', "i"}, {U'θ', "th"}, {U'ι', "i"}, {U'κ', "k"},  {U'λ', "l"},  {U'μ', "m"},
                                                            {U'ν', "n"}, {U'ξ', "x"},  {U'ο', "o"}, {U'π', "p"},  {U'ρ', "r"},  {U'σ', "s"},
                                                            {U'τ', "t"}, {U'υ', "y"},  {U'φ', "f"}, {U'χ', "ch"}, {U'ψ', "ps"}, {U'ω', "o"}};
    return kSounds;
}

/// αυ, ευ, ηυ end in v before vowels and voiced consonants, in f elsewhere.
bool isVoiced(char32_t point)
{
    return point != 0 && std::u32string_view(U"αεηιουωβγδζλμνρ").find(point) != std::u32string_view::npos;
}

/// Latin letters for a Greek sound, in the case of what they stand for.
std::string cased(std::string latin, bool firstUpper, bool restUpper)
{
    for (std::size_t i = 0; i < latin.size(); ++i)
        if (i == 0 ? firstUpper : restUpper)
            latin[i] = char(latin[i] - 'a' + 'A');
    return latin;
}

}  // namespace

std::string greeklish(std::string_view text)
{
    const auto letters = lettersOf(text);
    const auto at = [&](std::size_t i) { return i < letters.size() ? letters[i] : GreekLetter(); };
    std::string out;
    for (std::size_t i = 0; i < letters.size(); ++i) {
        const auto &here = letters[i], next = at(i + 1);
        if (here.point == 0) {
            out += here.other;
            continue;
        }
        const bool upper = here.upper;
        const std::u32string pair = {here.point, next.point};
        if (next.point == U'υ' && !next.diaeresis && !here.accent && (here.point == U'α' || here.point == U'ε' || here.point == U'η')) {
            out += cased(sounds().at(here.point) + (isVoiced(at(i + 2).point) ? "v" : "f"), upper, next.upper);
            ++i;
        } else if (const auto found = soundPairs().find(pair); found != soundPairs().end() && !next.diaeresis && !here.accent) {
            const bool begins = i == 0 || letters[i - 1].point == 0;
            out += cased(found->second == "mp" && begins ? "b" : found->second, upper, next.upper);
            ++i;
        } else {
            // A capital that becomes two letters keeps the second small, unless the word goes on, or has come, in capitals.
            const bool capitals = next.point ? next.upper : i > 0 && letters[i - 1].upper;
            out += cased(sounds().at(here.point), upper, upper && capitals);
        }
    }
    return out;
}

}  // namespace orrery::text
