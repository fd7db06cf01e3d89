#include "scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include <core/base/error.h>

namespace orrery::scene {
namespace {

bool isBlank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

}  // namespace

void Scanner::skipBlanks()
{
    while (m_at < m_text.size() && isBlank(m_text[m_at]))
        ++m_at;
}

void throwIfStopped(const std::stop_token& stop)
{
    if (stop.stop_requested())
        throw core::Cancelled();
}

std::string_view Scanner::line()
{
    heedStop();
    const std::size_t end = std::min(m_text.find('\n', m_at), m_text.size());
    auto line = m_text.substr(m_at, end - m_at);
    m_at = std::min(end + 1, m_text.size());
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    return line;
}

std::string_view Scanner::word()
{
    heedStop();
    skipBlanks();
    const std::size_t start = m_at;
    while (m_at < m_text.size() && !isBlank(m_text[m_at]))
        ++m_at;
    return m_text.substr(start, m_at - start);
}

bool Scanner::number(double& value)
{
    heedStop();
    skipBlanks();
    const char* first = m_text.data() + m_at;
    const char* last = m_text.data() + m_text.size();
    first += first != last && *first == '+';
    const auto [end, error] = std::from_chars(first, last, value);
    if (error == std::errc::result_out_of_range)  // beyond double: infinite or zero, which from_chars does not say
        value = std::strtod(std::string(first, end).c_str(), nullptr);
    else if (error != std::errc())
        return false;
    if (end != last && !isBlank(*end))
        return false;
    m_at = std::size_t(end - m_text.data());
    return true;
}

std::size_t Scanner::lineNumber() const
{
    return std::size_t(std::count(m_text.begin(), m_text.begin() + std::ptrdiff_t(m_at), '\n')) + 1;
}

void Scanner::fail(std::string_view what)
{
    skipBlanks();
    const std::size_t line = lineNumber();
    const auto found = word();
    if (found.empty())
        throw core::FormatError(fmt::format("{}: line {}: expected {}, but the file ends", m_name, line, what));
    throw core::FormatError(fmt::format("{}: line {}: expected {}, got \"{}\"", m_name, line, what, printable(found.substr(0, 40))));
}

bool parseNumber(std::string_view text, double& value)
{
    Scanner scanner(text, {});
    return !text.empty() && !isBlank(text.front()) && scanner.number(value) && scanner.isAtEnd();
}

bool parseCount(std::string_view text, std::uint64_t& value)
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

std::string printable(std::string_view text)
{
    std::string out(text);
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126)
            c = '?';
    return out;
}

std::string plainName(std::string_view name)
{
    std::string out(name.empty() ? "field" : name);
    for (char& c : out)
        if (static_cast<unsigned char>(c) <= 32)
            c = '_';
    return out;
}

}  // namespace orrery::scene
