#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace orrery::jobs {

/// The messages between a process that asked for a job and the one that does it, over a pipe each way. One frame is: type (1 byte), length of what follows
/// (4 bytes, little-endian), content. A worker says Hello first, then anything, Ended once and last.
enum class FrameType : std::uint8_t {
    // From the worker
    Hello = 'H',     ///< version text of the program
    Progress = 'P',  ///< done, total (doubles), length of the unit (2 bytes), unit, phase
    Log = 'L',       ///< level (1 byte), text
    Metric = 'M',    ///< step (8 bytes), value (double), name
    Partial = 'R',   ///< bytes of a partial result
    Paused = 'S',    ///< number of the pause (8 bytes) it answers
    Ended = 'E',     ///< outcome (1 byte), text: the result as JSON, or the message
    // To the worker
    Job = 'J',     ///< JSON
    Pause = 'p',   ///< number of the pause (8 bytes)
    Resume = 'r',  ///< empty
    Cancel = 'c',  ///< empty
};

/// How a job ended, and if by an error, of which type.
enum class Outcome : std::uint8_t { Finished, Cancelled, Error, InputError, FormatError, ShapeError, StorageError, DeviceError, NoMemory };

struct Frame {
    FrameType type = FrameType::Log;
    std::string content;
};

struct ProgressFrame {
    double done = 0, total = 0;
    std::string unit, phase;
};
struct LogFrame {
    int level = 0;  ///< 0..3, as LogLevel
    std::string text;
};
struct MetricFrame {
    std::int64_t step = 0;
    double value = 0;  ///< every bit as it was sent
    std::string name;
};
struct EndedFrame {
    Outcome outcome = Outcome::Error;
    std::string text;
};

/// Longest content of each type; more is refused before memory is taken.
std::uint64_t frameLimit(FrameType type);
/// The bytes of one frame. A content over its limit is cut (texts).
std::string frameBytes(FrameType type, std::string_view content = {});

std::string progressContent(double done, double total, std::string_view unit, std::string_view phase);
std::string logContent(int level, std::string_view text);
std::string metricContent(std::string_view name, std::int64_t step, double value);
std::string numberContent(std::uint64_t number);
std::string endedContent(Outcome outcome, std::string_view text);

/// The other way. @throws core::FormatError for a content that is too short or out of range.
ProgressFrame readProgress(std::string_view content);
LogFrame readLog(std::string_view content);
MetricFrame readMetric(std::string_view content);
std::uint64_t readNumber(std::string_view content);
EndedFrame readEnded(std::string_view content);

/// Cuts a stream of bytes that arrive in pieces of any size into frames.
class FrameReader {
public:
    void append(std::string_view bytes) { m_bytes += bytes; }
    /// The next whole frame; nothing while it is not complete.
    /// @throws core::FormatError for a type that does not exist or a length over its limit: the stream is lost then.
    std::optional<Frame> next();
    /// True in the middle of a frame.
    bool isPartway() const { return m_at < m_bytes.size(); }

private:
    std::string m_bytes;
    std::size_t m_at = 0;
};

}  // namespace orrery::jobs
