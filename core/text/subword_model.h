#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json_place.h"
#include "string_map.h"

namespace orrery::text {

/// A piece of a word: its number and the bytes [begin, end) of the word that it stands for.
struct Piece {
    std::int32_t id = 0;
    std::uint32_t begin = 0, end = 0;
    bool literal = false;  ///< shown as the word's own text, not as the vocabulary's (an unknown piece of a Unigram model)
};

/// Pieces with their numbers. Numbers may have gaps.
class PieceTable {
public:
    /// @throws core::FormatError for a number outside [0, 16,777,216) .
    void add(std::string piece, std::int64_t id, const std::string& place);
    std::int32_t find(std::string_view piece) const;  ///< -1: none
    /// The piece of a number; null: none.
    const std::string* pieceOf(std::int64_t id) const;
    std::int64_t size() const { return std::int64_t(m_pieces.size()); }  ///< largest number + 1
    std::size_t longest() const { return m_longest; }                    ///< bytes
    std::size_t count() const { return m_ids.size(); }

private:
    TextMap<std::int32_t> m_ids;
    std::vector<const std::string*> m_pieces;  ///< keys of m_ids; null: none
    std::size_t m_longest = 0;
};

/// {"piece": number, ...}. @throws core::FormatError.
PieceTable pieceTableOf(const JsonPlace& vocabulary);

/// Words to pieces. Immutable, any thread.
class SubwordModel {
public:
    virtual ~SubwordModel() = default;
    /// Appends the pieces of one word. @throws core::InputError for a word that the model has no piece and no unknown token for.
    virtual void tokenize(std::string_view word, std::vector<Piece>& out) const = 0;
    virtual const PieceTable& pieces() const = 0;
    virtual std::string name() const = 0;  ///< "BPE"
    virtual std::int32_t unknownId() const { return -1; }
    virtual std::string continuation() const { return {}; }  ///< prefix of pieces inside a word: "##"
};
using SubwordModelPtr = std::shared_ptr<const SubwordModel>;

// One a "type" of the file's "model". @throws core::FormatError naming the place.
SubwordModelPtr bytePairModel(const JsonPlace& json);
SubwordModelPtr wordPieceModel(const JsonPlace& json);
SubwordModelPtr wordLevelModel(const JsonPlace& json);
SubwordModelPtr unigramModel(const JsonPlace& json);
/// By the "type", or by what is there where none is written.
SubwordModelPtr subwordModel(const JsonPlace& json);

}  // namespace orrery::text
