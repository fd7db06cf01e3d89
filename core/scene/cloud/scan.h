#pragma once
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

/// Words and numbers of text files, numbers of binary ones.
namespace orrery::scene {

/// Corners of one face: polygons are cut into fans, so that a face of millions of them would take many times its bytes.
constexpr std::size_t kMaxCorners = 10'000;

/// @throws core::Cancelled if asked to stop.
void throwIfStopped(const std::stop_token& stop);

/// Goes through text word by word; blanks are spaces, tabs and carriage returns, and line ends where `word` and `number` may cross lines.
class Scanner {
public:
    /// @param name  Of the file, for messages; must outlive the scanner, as the text must.
    /// @param stop  Looked at every few thousand words or lines: they then throw core::Cancelled.
    Scanner(std::string_view text, std::string_view name, std::size_t at = 0, std::stop_token stop = {})
        : m_text(text), m_name(name), m_at(at), m_stop(std::move(stop))
    {
    }

    std::size_t at() const { return m_at; }
    bool isAtEnd() const { return m_at >= m_text.size(); }
    /// The rest of the line without its end; the scanner stands on the next one.
    std::string_view line();
    /// The next word on any line; empty at the end.
    std::string_view word();
    /// Reads the next word as a number. @return false, and nothing is taken, if it is none.
    bool number(double& value);
    /// The number of the line where the scanner stands, from 1: for messages.
    std::size_t lineNumber() const;
    /// @throws core::FormatError "NAME: line 7: expected WHAT, got "abc"" with the next word.
    [[noreturn]] void fail(std::string_view what);

private:
    void skipBlanks();
    void heedStop()
    {
        if ((++m_taken & 0xfff) == 0)
            throwIfStopped(m_stop);
    }
    std::string_view m_text, m_name;
    std::size_t m_at = 0, m_taken = 0;
    std::stop_token m_stop;
};

/// A text that is a number as a whole. `+1` is one, too.
bool parseNumber(std::string_view text, double& value);
bool parseCount(std::string_view text, std::uint64_t& value);
/// For messages: what is not printable ASCII becomes `?`.
std::string printable(std::string_view text);
/// As a name in a header: blanks and control characters become `_`; an empty one becomes "field".
std::string plainName(std::string_view name);

/// Shortest decimal text that reads back as the same number.
template <class Number>
void appendNumber(std::string& out, Number value)
{
    char buffer[40];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

template <class Number>
Number byteSwapped(Number value)
{
    char bytes[sizeof(Number)];
    std::memcpy(bytes, &value, sizeof value);
    for (std::size_t i = 0; i < sizeof(Number) / 2; ++i)
        std::swap(bytes[i], bytes[sizeof(Number) - 1 - i]);
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

/// A number at any address, in the given byte order.
template <class Number, std::endian order = std::endian::little>
Number load(const char* at)
{
    Number value;
    std::memcpy(&value, at, sizeof value);
    return order == std::endian::native ? value : byteSwapped(value);
}

template <class Number>
void appendBytes(std::string& out, Number value, std::endian order = std::endian::little)
{
    if (order != std::endian::native)
        value = byteSwapped(value);
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Gathers what a writer appends into pieces of a megabyte.
template <class Append>
class Pieces {
public:
    explicit Pieces(const Append& append) : m_append(append) {}
    std::string text;  ///< append here, then call `passOn` now and then
    void passOn(bool all = false)
    {
        if (text.size() < (std::size_t(1) << 20) && !all)
            return;
        m_append(text);
        text.clear();
    }

private:
    const Append& m_append;
};

}  // namespace orrery::scene
