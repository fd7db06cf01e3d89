#pragma once
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.h"

namespace orrery::text {

/// The merges of byte-pair encoding, learned from counted words.
struct MergeTraining {
    std::size_t vocabulary = 1000;     ///< pieces at most, special ones and single characters included
    std::int64_t minimumCount = 2;     ///< a pair that is seen less often is not merged
    std::vector<std::string> special;  ///< the first numbers; each one once
    std::vector<char32_t> alphabet;    ///< characters that are pieces although no word has them
    std::size_t alphabetLimit = 1000;  ///< of the characters of words only the most frequent ones are pieces; words with others lose them
    std::string continuation;          ///< prefix of pieces inside a word: "##"
    std::stop_token stop;              ///< @throws core::Cancelled
    std::function<void(double done, double total)> progress;
};
struct TrainedMerges {
    std::vector<std::string> pieces;  ///< by number
    std::vector<std::pair<std::string, std::string>> merges;
};
/// Again and again the most frequent pair of neighbouring pieces becomes one; of several as frequent the one with the smaller numbers. The result depends on the
/// words alone. Source: Sennrich, Haddow & Birch (2016), arXiv:1508.07909, algorithm 1.
TrainedMerges trainMerges(const std::map<std::string, std::int64_t>& words, const MergeTraining& training);

enum class TrainedKind { BytePairs, WordPiece, Unigram };
/// A tokenizer made from a text: byte-level BPE with GPT-2's words and the special token <|endoftext|>; or WordPiece with BERT's words (lower case, without accents)
/// and its special tokens, its pieces learned as BPE; or Unigram with words that keep the blank before them, and <unk> (unigram_training.h).
/// @param training  Its alphabet is set here; its special tokens come behind those of the kind ("<mask>" for a model that fills masks). @throws core::InputError if the vocabulary is too small for the characters, or the text has no words.
TokenizerPtr trainTokenizer(TrainedKind kind, std::string_view text, MergeTraining training);

}  // namespace orrery::text
