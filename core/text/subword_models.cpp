#include <fmt/format.h>

#include <core/base/error.h>

#include "subword_model.h"
#include "unicode.h"

namespace orrery::text {
namespace {

constexpr std::int64_t kMaxPieceNumber = std::int64_t(1) << 24;

class WordPiece final : public SubwordModel {
public:
    explicit WordPiece(const JsonPlace& json)
        : m_pieces(pieceTableOf(json.at("vocab"))), m_unknown(json.text("unk_token", "[UNK]")),
          m_prefix(json.text("continuing_subword_prefix", "##")), m_longestWord(std::size_t(json.number("max_input_chars_per_word", 100)))
    {
    }

    void tokenize(std::string_view word, std::vector<Piece>& out) const override
    {
        const auto before = out.size();
        if (countPoints(word) <= m_longestWord && takeLongest(word, out))
            return;
        out.resize(before);
        if (unknownId() < 0)
            throw core::InputError(fmt::format("word \"{}\": expected a vocabulary with the unknown token \"{}\", found none", word, m_unknown));
        out.push_back({unknownId(), 0, std::uint32_t(word.size())});
    }
    const PieceTable& pieces() const override { return m_pieces; }
    std::string name() const override { return "WordPiece"; }
    std::int32_t unknownId() const override { return m_pieces.find(m_unknown); }
    std::string continuation() const override { return m_prefix; }

private:
    /// The longest piece at each place, from the left. Source: Wu et al. (2016), "Google's Neural Machine Translation System", section 4.1 (arXiv:1609.08144).
    bool takeLongest(std::string_view word, std::vector<Piece>& out) const
    {
        std::string candidate;
        for (std::size_t begin = 0; begin < word.size();) {
            std::size_t end = std::min(word.size(), begin + m_pieces.longest());
            while (end < word.size() && end > begin && (static_cast<unsigned char>(word[end]) & 0xc0) == 0x80)
                --end;
            std::int32_t id = -1;
            while (end > begin) {
                candidate = begin > 0 ? m_prefix : std::string();
                candidate += word.substr(begin, end - begin);
                if ((id = m_pieces.find(candidate)) >= 0)
                    break;
                end -= pointBefore(word, end).bytes;
            }
            if (id < 0)
                return false;
            out.push_back({id, std::uint32_t(begin), std::uint32_t(end)});
            begin = end;
        }
        return true;
    }

    PieceTable m_pieces;
    std::string m_unknown, m_prefix;
    std::size_t m_longestWord;
};

class WordLevel final : public SubwordModel {
public:
    explicit WordLevel(const JsonPlace& json) : m_pieces(pieceTableOf(json.at("vocab"))), m_unknown(json.text("unk_token", "<unk>")) {}

    void tokenize(std::string_view word, std::vector<Piece>& out) const override
    {
        const auto found = m_pieces.find(word);
        if (found < 0 && unknownId() < 0)
            throw core::InputError(fmt::format("word \"{}\": expected a word of the vocabulary, which has no unknown token \"{}\"", word, m_unknown));
        out.push_back({found < 0 ? unknownId() : found, 0, std::uint32_t(word.size())});
    }
    const PieceTable& pieces() const override { return m_pieces; }
    std::string name() const override { return "WordLevel"; }
    std::int32_t unknownId() const override { return m_pieces.find(m_unknown); }

private:
    PieceTable m_pieces;
    std::string m_unknown;
};

}  // namespace

void PieceTable::add(std::string piece, std::int64_t id, const std::string& place)
{
    if (id < 0 || id >= kMaxPieceNumber)
        throw core::FormatError(
            fmt::format("{}: expected numbers of pieces from 0 to {}, got {} for \"{}\"", place, kMaxPieceNumber - 1, id, piece.substr(0, 80)));
    m_longest = std::max(m_longest, piece.size());
    const auto [entry, isNew] = m_ids.insert_or_assign(std::move(piece), std::int32_t(id));
    if (std::size_t(id) >= m_pieces.size())
        m_pieces.resize(std::size_t(id) + 1, nullptr);
    m_pieces[std::size_t(id)] = &entry->first;
}

std::int32_t PieceTable::find(std::string_view piece) const
{
    const auto found = m_ids.find(piece);
    return found == m_ids.end() ? -1 : found->second;
}

const std::string* PieceTable::pieceOf(std::int64_t id) const
{
    return id >= 0 && std::size_t(id) < m_pieces.size() ? m_pieces[std::size_t(id)] : nullptr;
}

PieceTable pieceTableOf(const JsonPlace& vocabulary)
{
    if (!vocabulary.isObject())
        vocabulary.fail("an object of pieces and their numbers");
    PieceTable table;
    // A gap of numbers takes memory, too: there may be no more of them than a vocabulary that is cut down has.
    const std::int64_t limit = std::max<std::int64_t>(1 << 20, std::int64_t(vocabulary.value().size()) * 8);
    for (const io::JsonValue id : vocabulary.value()) {
        const std::string piece(id.key());
        const JsonPlace entry(id, fmt::format("{}[\"{}\"]", vocabulary.place(), piece.substr(0, 80)));
        table.add(piece, entry.number(0, limit), vocabulary.place());
    }
    return table;
}

SubwordModelPtr wordPieceModel(const JsonPlace& json)
{
    return std::make_shared<WordPiece>(json);
}

SubwordModelPtr wordLevelModel(const JsonPlace& json)
{
    return std::make_shared<WordLevel>(json);
}

SubwordModelPtr subwordModel(const JsonPlace& json)
{
    std::string type = json.text("type", "");
    if (type.empty())  // files of the library's first versions
        type = json.has("merges")                      ? "BPE"
               : json.has("continuing_subword_prefix") ? "WordPiece"
               : json.at("vocab").isObject()           ? "WordLevel"
                                                       : "Unigram";
    if (type == "BPE")
        return bytePairModel(json);
    if (type == "WordPiece")
        return wordPieceModel(json);
    if (type == "WordLevel")
        return wordLevelModel(json);
    if (type == "Unigram")
        return unigramModel(json);
    json.at("type").fail("BPE, WordPiece, Unigram or WordLevel");
}

}  // namespace orrery::text
