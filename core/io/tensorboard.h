#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::io {

/// One recorded value of a TensorBoard event file.
struct ScalarEvent {
    std::string tag;  ///< "loss/train"
    std::int64_t step = 0;
    double time = 0;  ///< seconds since 1970
    double value = 0;
};

struct EventFile {
    std::vector<ScalarEvent> scalars;  ///< in the order of the file
    std::size_t records = 0;
    std::size_t others = 0;  ///< values of other kinds (pictures, histograms, texts), which are left out
    /// Where the last record breaks off, as in a file that is still being written; nothing if it is whole.
    std::optional<std::size_t> brokenAt;
};

/// Reads the scalars of a TensorBoard event file: records of TFRecord (length, masked CRC-32C of it, data, masked CRC-32C of it), each a protobuf `Event`.
/// Scalars come as `simple_value`, or as a tensor of one number (float, double, half, bfloat16, int32, int64).
/// @throws core::FormatError naming file, byte, what was expected and what was found: no event file, a checksum that is wrong, a message that breaks off.
/// Source: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto and tensor.proto; Protocol
/// Buffers encoding, https://protobuf.dev/programming-guides/encoding.
EventFile parseEventFile(std::string_view bytes, const std::string& name);

/// An event file with these scalars: those that single precision holds as `simple_value`, the others as tensors of one double, which TensorBoard shows as scalars, too. The first
/// record names the format version ("brain.Event:2").
std::string eventFileBytes(std::span<const ScalarEvent> scalars, double startTime);

/// CRC-32C (Castagnoli) of RFC 3720, appendix B.4.
std::uint32_t crc32c(std::string_view bytes);
/// As TFRecord keeps it: turned by 15 bits, plus 0xa282ead8.
std::uint32_t maskedCrc32c(std::string_view bytes);

}  // namespace orrery::io
