#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json_place.h"
#include "tokenizer.h"

namespace orrery::text {

/// The vocabulary of a SentencePiece model, as its file or a GGUF file has it.
struct ScoredVocabulary {
    enum class Kind { Unigram = 1, BytePairs = 2 };
    enum class PieceType { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };
    struct Entry {
        std::string piece;
        float score = 0;
        PieceType type = PieceType::Normal;
    };
    Kind kind = Kind::Unigram;
    std::vector<Entry> entries;  ///< by number
    bool byteFallback = false;   ///< characters without a piece become the pieces <0x00> to <0xFF>
    std::string charsmap;        ///< replacements before anything else (charsmap.h); empty: none
    bool addDummyPrefix = true, removeExtraWhitespaces = true;
    std::string unknownSurface = " \xe2\x81\x87 ";  ///< what a decoded text has for the unknown piece
};

/// Special tokens that are put around each text; numbers of the vocabulary.
struct TextBounds {
    std::optional<std::int64_t> before, after;
};

/// True for bytes that begin as a SentencePiece model: a piece with its score.
bool isSentencePiece(std::string_view bytes);

/// Reads `tokenizer.model`, `spiece.model`: a message ModelProto.
/// @throws core::FormatError naming `name` and place: bytes that are no such message, a model of whole words or characters, pieces that are no UTF-8, of an unknown type or there twice, settings that are not
///         read here (whitespace as a suffix or not escaped), no pieces.
/// Source: google/sentencepiece, sentencepiece_model.proto.
ScoredVocabulary parseSentencePiece(std::string_view bytes, const std::string& name);

/// The parts of a `tokenizer.json` that say which tokens are added and what stands around a text ("added_tokens", "post_processor").
/// @throws core::FormatError for a bound that is no number of the vocabulary.
JsonTree surroundings(const ScoredVocabulary& vocabulary, const TextBounds& bounds, const std::string& name);

/// The same as the steps of a `tokenizer.json`: pieces of the highest sum of scores (Kudo (2018), arXiv:1804.10959), or pairs merged in the order of their scores. Control pieces are special tokens,
/// found in texts, too; SentencePiece itself takes their spelling for text.
/// @throws core::FormatError for a vocabulary without pieces, or a Unigram one without an unknown piece.
JsonTree tokenizerTree(const ScoredVocabulary& vocabulary, const TextBounds& bounds, const std::string& name);

}  // namespace orrery::text
