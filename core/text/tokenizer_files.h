#pragma once
#include <filesystem>

#include "tokenizer.h"

namespace orrery::text {

/// Opens a tokenizer: a `tokenizer.json`; a `vocab.txt` (WordPiece) or `vocab.json` (byte-level BPE, with `merges.txt` beside it); a list of words, one a line,
/// in a file ending in `.words`; a SentencePiece model (`tokenizer.model`, `spiece.model`, any file ending in `.model`); or a folder with one of them, a list of words excepted. `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` beside them are read, too.
/// @throws core::InputError for something else (says what was expected), core::FormatError, core::StorageError.
TokenizerPtr openTokenizer(const std::filesystem::path& path);

/// True if the folder holds files that `openTokenizer` knows.
bool holdsTokenizer(const std::filesystem::path& folder);
/// What goes into the card of a model from a checkpoint folder; null where there is no tokenizer.
core::Json folderTokenizerCard(const std::filesystem::path& folder);

}  // namespace orrery::text
