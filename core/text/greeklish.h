#pragma once
#include <string>
#include <string_view>

namespace orrery::text {

/// Greek in Latin letters (Greeklish) by sound: "καλημέρα" becomes "kalimera", "ευχαριστώ" "efcharisto". Accents go, everything that is no Greek letter stays.
/// Rules: ISO 843 (1997), type 2 (transcription): αυ, ευ, ηυ are av, ev, iv before a vowel or voiced consonant and af, ef, if else, unless an accent on the first
/// letter or a diaeresis takes them apart; ου is ou; γγ, γξ, γχ are ng, nx, nch;
/// μπ is b at the beginning of a word and mp inside; γκ is gk. A capital letter that becomes two keeps the second small unless the word goes on in capitals.
std::string greeklish(std::string_view text);

}  // namespace orrery::text
