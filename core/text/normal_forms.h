#pragma once
#include <string_view>
#include <vector>

#include "aligned_text.h"

namespace orrery::text {

enum class NormalForm { Nfc, Nfd, Nfkc, Nfkd };

/// A text in a Unicode normal form, with what each of its code points stands for before: a decomposed character's first part replaces it and the others are
/// inserted; of composed characters the first is replaced and the others go. Source: UAX 15; decompositions and compositions by the character database.
std::vector<Change> normalForm(std::string_view text, NormalForm form);

}  // namespace orrery::text
