#include "frames.h"

#include <bit>
#include <fmt/format.h>

#include <core/base/error.h>

namespace orrery::jobs {
namespace {

constexpr std::size_t kHeader = 5;
constexpr std::string_view kTypes = "HPLMRSEJprc";

template <class T>
void appendNumber(std::string& out, T value)
{
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out.push_back(char(std::uint8_t(value >> (8 * i))));
}

void appendDouble(std::string& out, double value)
{
    appendNumber(out, std::bit_cast<std::uint64_t>(value));
}

/// Takes fields off the front of a content.
class FieldReader {
public:
    FieldReader(std::string_view content, const char* what) : m_rest(content), m_what(what) {}
    template <class T>
    T number()
    {
        const std::string_view bytes = text(sizeof(T));
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i)
            value |= std::uint64_t(std::uint8_t(bytes[i])) << (8 * i);
        return T(value);
    }
    double real() { return std::bit_cast<double>(number<std::uint64_t>()); }
    std::string_view text(std::size_t length)
    {
        if (length > m_rest.size())
            throw core::FormatError(fmt::format("a {} message: expected {} more bytes, found {}", m_what, length, m_rest.size()));
        const std::string_view out = m_rest.substr(0, length);
        m_rest.remove_prefix(length);
        return out;
    }
    std::string_view rest() const { return m_rest; }

private:
    std::string_view m_rest;
    const char* m_what;
};

}  // namespace

std::uint64_t frameLimit(FrameType type)
{
    switch (type) {
    case FrameType::Partial: return std::uint64_t(1) << 30;
    case FrameType::Ended:
    case FrameType::Job: return std::uint64_t(64) << 20;
    default: return std::uint64_t(1) << 20;
    }
}

std::string frameBytes(FrameType type, std::string_view content)
{
    content = content.substr(0, frameLimit(type));
    std::string out;
    out.reserve(kHeader + content.size());
    out.push_back(char(type));
    appendNumber(out, std::uint32_t(content.size()));
    out += content;
    return out;
}

std::string progressContent(double done, double total, std::string_view unit, std::string_view phase)
{
    unit = unit.substr(0, 0xffff);
    std::string out;
    appendDouble(out, done);
    appendDouble(out, total);
    appendNumber(out, std::uint16_t(unit.size()));
    out += unit;
    out += phase;
    return out;
}

std::string logContent(int level, std::string_view text)
{
    std::string out(1, char(level));
    out += text;
    return out;
}

std::string metricContent(std::string_view name, std::int64_t step, double value)
{
    std::string out;
    appendNumber(out, std::uint64_t(step));
    appendDouble(out, value);
    out += name;
    return out;
}

std::string numberContent(std::uint64_t number)
{
    std::string out;
    appendNumber(out, number);
    return out;
}

std::string endedContent(Outcome outcome, std::string_view text)
{
    std::string out(1, char(outcome));
    out += text;
    return out;
}

ProgressFrame readProgress(std::string_view content)
{
    FieldReader reader(content, "progress");
    ProgressFrame out;
    out.done = reader.real();
    out.total = reader.real();
    out.unit = reader.text(reader.number<std::uint16_t>());
    out.phase = reader.rest();
    return out;
}

LogFrame readLog(std::string_view content)
{
    FieldReader reader(content, "log");
    const int level = reader.number<std::uint8_t>();
    if (level > 3)
        throw core::FormatError(fmt::format("a log message: expected a level of 0 to 3, found {}", level));
    return {level, std::string(reader.rest())};
}

MetricFrame readMetric(std::string_view content)
{
    FieldReader reader(content, "metric");
    MetricFrame out;
    out.step = reader.number<std::int64_t>();
    out.value = reader.real();
    out.name = reader.rest();
    return out;
}

std::uint64_t readNumber(std::string_view content)
{
    return FieldReader(content, "pause").number<std::uint64_t>();
}

EndedFrame readEnded(std::string_view content)
{
    FieldReader reader(content, "final");
    const int outcome = reader.number<std::uint8_t>();
    if (outcome > int(Outcome::NoMemory))
        throw core::FormatError(fmt::format("a final message: expected an outcome of 0 to {}, found {}", int(Outcome::NoMemory), outcome));
    return {Outcome(outcome), std::string(reader.rest())};
}

std::optional<Frame> FrameReader::next()
{
    // What has been handed out is let go once it outweighs the rest.
    if (m_at > m_bytes.size() / 2) {
        m_bytes.erase(0, m_at);
        m_at = 0;
    }
    const std::string_view rest = std::string_view(m_bytes).substr(m_at);
    if (rest.empty())
        return std::nullopt;
    if (kTypes.find(rest[0]) == std::string_view::npos)
        throw core::FormatError(fmt::format("expected a message, found the byte 0x{:02x}", std::uint8_t(rest[0])));
    if (rest.size() < kHeader)
        return std::nullopt;
    const auto type = FrameType(std::uint8_t(rest[0]));
    const auto length = FieldReader(rest.substr(1), "any").number<std::uint32_t>();
    if (length > frameLimit(type))
        throw core::FormatError(fmt::format("a message of type {}: expected at most {} bytes, found {}", rest[0], frameLimit(type), length));
    if (rest.size() - kHeader < length)
        return std::nullopt;
    m_at += kHeader + length;
    return Frame{type, std::string(rest.substr(kHeader, length))};
}

}  // namespace orrery::jobs
