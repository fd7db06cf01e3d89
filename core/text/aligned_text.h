#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::text {

/// Bytes [begin, end) of the text that was given.
struct Span {
    std::uint32_t begin = 0, end = 0;
    bool operator==(const Span&) const = default;
};

/// A stretch [begin, end) of a text; `isMatch`: what was looked for, else what lies between.
struct Match {
    std::size_t begin = 0, end = 0;
    bool isMatch = false;
};

/// One code point of a changed text, and what it stands for in the text before: 0 the next code point, 1 nothing (put behind the one before),
/// -n the next one and n more behind it, which go.
struct Change {
    char32_t point = 0;
    int shift = 0;
};

/// A text being prepared, each byte of which knows the stretch of the given text that it comes from. Always well-formed UTF-8, except that bytes that were
/// none may be kept as lone surrogates U+DC80 to U+DCFF in three bytes. Offsets of an inserted character are those of the character before it.
class AlignedText {
public:
    enum class Invalid { Replace, Escape };  ///< U+FFFD for what is no UTF-8, or U+DC00 + byte for each such byte
    /// @throws core::InputError for 4 GiB or more.
    static AlignedText ofBytes(std::string_view bytes, Invalid invalid);

    const std::string& text() const { return m_text; }
    bool empty() const { return m_text.empty(); }
    /// Where the text begins in the given one.
    std::uint32_t begin() const { return m_begin; }
    /// What bytes [first, last) stand for. An empty stretch: nothing, where it begins.
    Span spanOf(std::size_t first, std::size_t last) const;
    AlignedText slice(std::size_t first, std::size_t last) const;

    /// The whole text anew; the first `dropped` code points go.
    void transform(const std::vector<Change>& changes, std::size_t dropped = 0);
    /// Keeps the code points that `keeps` says yes to.
    void filter(const std::function<bool(char32_t)>& keeps);
    /// Each match becomes `content`, which is aligned with the match's last character.
    /// @throws core::InputError, as `prepend`, beyond 16 MiB and 64 times the given text.
    void replace(const std::vector<Match>& matches, std::string_view content);
    /// Puts `prefix` in front, aligned with the first character. An empty text stays empty.
    void prepend(std::string_view prefix);
    /// The bytes of the text itself, mapped to printable characters as GPT-2's byte-level tokenizers do.
    void mapBytes();

    /// @throws core::InputError if it may not become that many bytes.
    void checkGrowth(std::size_t wanted) const;

private:
    Span spanOfByte(std::size_t at) const;
    std::string m_text;
    std::vector<Span> m_spans;  ///< one a byte; empty: the text is the given one from m_begin on
    std::uint32_t m_begin = 0;
};

/// The printable character that stands for a byte in byte-level vocabularies: the byte's own where it is printable in Latin-1, else one from U+0100 on.
/// Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.2, and the table of its released encoder.
char32_t byteCharacter(unsigned char byte);
/// The same for all bytes of a text as `AlignedText` holds it.
std::string mappedBytes(std::string_view text);
/// The byte that a character stands for; -1: none.
int characterByte(char32_t point);

}  // namespace orrery::text
