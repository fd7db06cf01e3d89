// A strict look at a ZIP archive before libtorch reads it without checking sums.
#include <zlib.h>

#include <cstring>

#include <core/base/error.h>

#include "zip_check.h"

namespace orrery::models {
namespace {

constexpr std::uint32_t kEndSignature = 0x06054b50, kEntrySignature = 0x02014b50, kLocalSignature = 0x04034b50, kEnd64Signature = 0x06064b50,
                        kLocator64Signature = 0x07064b50;
constexpr std::uint64_t kMaxEntries = 1'000'000;

struct ZipEntry {
    std::string name;
    std::uint32_t method = 0, crc = 0;
    std::uint64_t packed = 0, size = 0, offset = 0;
};

/// Little-endian numbers out of bytes, with every access checked.
class ZipReader {
public:
    ZipReader(std::string_view bytes, std::string_view name) : m_bytes(bytes), m_name(name) {}
    std::vector<ZipEntry> entries();
    void verify(const ZipEntry& entry);

private:
    [[noreturn]] void fail(const std::string& what) const
    {
        throw core::FormatError(fmt::format("{}: expected a whole ZIP archive, {}", m_name, what));
    }
    std::uint64_t number(std::uint64_t at, int bytes) const
    {
        if (at > m_bytes.size() || m_bytes.size() - at < std::uint64_t(bytes))
            fail(fmt::format("found its end at byte {} (the file is cut off or damaged)", m_bytes.size()));
        std::uint64_t value = 0;
        std::memcpy(&value, m_bytes.data() + at, std::size_t(bytes));
        return value;
    }
    std::string_view text(std::uint64_t at, std::uint64_t length) const
    {
        if (at > m_bytes.size() || m_bytes.size() - at < length)
            fail(fmt::format("found its end at byte {} (the file is cut off or damaged)", m_bytes.size()));
        return m_bytes.substr(at, length);
    }
    std::uint64_t findEnd() const;
    void readWide(ZipEntry& entry, std::string_view extra) const;
    std::string_view packedBytes(const ZipEntry& entry) const;
    std::uint32_t checksum(const ZipEntry& entry, std::string_view packed) const;
    std::string_view m_bytes, m_name;
};

std::uint64_t ZipReader::findEnd() const
{
    constexpr std::uint64_t kEndSize = 22, kMaxComment = 65535;
    if (m_bytes.size() < kEndSize)
        fail(fmt::format("found {} bytes", m_bytes.size()));
    for (std::uint64_t back = kEndSize; back <= std::min<std::uint64_t>(m_bytes.size(), kEndSize + kMaxComment); ++back)
        if (number(m_bytes.size() - back, 4) == kEndSignature && number(m_bytes.size() - back + 20, 2) == back - kEndSize)
            return m_bytes.size() - back;
    fail("found no end record (the file is cut off or no archive)");
}

// Sizes of 4 GiB and more stand in the extra field.
void ZipReader::readWide(ZipEntry& entry, std::string_view extra) const
{
    const ZipReader reader(extra, m_name);
    for (std::uint64_t at = 0; at + 4 <= extra.size();) {
        const auto id = reader.number(at, 2), length = reader.number(at + 2, 2);
        at += 4;
        if (id == 1) {
            std::uint64_t field = at;
            for (auto* value : {&entry.size, &entry.packed, &entry.offset})
                if (*value == 0xffffffff) {
                    *value = reader.number(field, 8);
                    field += 8;
                }
        }
        at += length;
    }
}

std::vector<ZipEntry> ZipReader::entries()
{
    const auto end = findEnd();
    std::uint64_t count = number(end + 10, 2), size = number(end + 12, 4), at = number(end + 16, 4);
    if (end >= 20 && number(end - 20, 4) == kLocator64Signature) {
        const auto end64 = number(end - 12, 8);
        if (number(end64, 4) != kEnd64Signature)
            fail("found a damaged ZIP64 end record");
        count = number(end64 + 32, 8);
        size = number(end64 + 40, 8);
        at = number(end64 + 48, 8);
    }
    if (count > kMaxEntries || at > m_bytes.size() || size > m_bytes.size() - at)
        fail("found a directory that lies outside the file");
    std::vector<ZipEntry> entries;
    const auto limit = at + size;
    for (std::uint64_t i = 0; i < count; ++i) {
        if (number(at, 4) != kEntrySignature)
            fail(fmt::format("found a damaged directory at entry {} of {}", i + 1, count));
        ZipEntry entry;
        entry.method = std::uint32_t(number(at + 10, 2));
        entry.crc = std::uint32_t(number(at + 16, 4));
        entry.packed = number(at + 20, 4);
        entry.size = number(at + 24, 4);
        const auto nameLength = number(at + 28, 2), extraLength = number(at + 30, 2), commentLength = number(at + 32, 2);
        entry.offset = number(at + 42, 4);
        entry.name = text(at + 46, nameLength);
        readWide(entry, text(at + 46 + nameLength, extraLength));
        entries.push_back(std::move(entry));
        at += 46 + nameLength + extraLength + commentLength;
    }
    if (at != limit)
        fail("found a directory of another length than its end record says");
    return entries;
}

std::string_view ZipReader::packedBytes(const ZipEntry& entry) const
{
    if (number(entry.offset, 4) != kLocalSignature)
        fail(fmt::format("found no header of entry {}", entry.name));
    const auto nameLength = number(entry.offset + 26, 2), extraLength = number(entry.offset + 28, 2);
    if (text(entry.offset + 30, nameLength) != entry.name || number(entry.offset + 8, 2) != entry.method)
        fail(fmt::format("found two different headers of entry {}", entry.name));
    return text(entry.offset + 30 + nameLength + extraLength, entry.packed);
}

std::uint32_t ZipReader::checksum(const ZipEntry& entry, std::string_view packed) const
{
    auto sum = ::crc32_z(0, nullptr, 0);
    if (entry.method == 0)
        return std::uint32_t(::crc32_z(sum, reinterpret_cast<const Bytef*>(packed.data()), packed.size()));
    z_stream stream{};
    if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        throw core::Error("zlib could not be started");
    std::string buffer(1 << 16, '\0');
    std::uint64_t total = 0;
    int state = Z_OK;
    while (state == Z_OK && total <= entry.size) {
        if (stream.avail_in == 0 && !packed.empty()) {
            const auto piece = packed.substr(0, 1 << 30);
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
            stream.avail_in = uInt(piece.size());
            packed.remove_prefix(piece.size());
        }
        stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
        stream.avail_out = uInt(buffer.size());
        state = ::inflate(&stream, Z_NO_FLUSH);
        const auto made = buffer.size() - stream.avail_out;
        sum = ::crc32_z(sum, reinterpret_cast<const Bytef*>(buffer.data()), made);
        total += made;
    }
    ::inflateEnd(&stream);
    return state == Z_STREAM_END && total == entry.size ? std::uint32_t(sum) : ~entry.crc;
}

void ZipReader::verify(const ZipEntry& entry)
{
    const auto packed = packedBytes(entry);
    if (entry.method == 0 && entry.packed != entry.size)
        fail(fmt::format("found two different sizes of entry {}", entry.name));
    if (entry.method != 0 && entry.method != 8)
        return;
    if (checksum(entry, packed) != entry.crc)
        fail(fmt::format("found a wrong checksum of entry {} (the file is damaged)", entry.name));
}

}  // namespace

std::vector<std::string> checkedZipEntries(std::string_view bytes, std::string_view name)
{
    ZipReader reader(bytes, name);
    std::vector<std::string> names;
    for (const auto& entry : reader.entries()) {
        reader.verify(entry);
        names.push_back(entry.name);
    }
    return names;
}

std::vector<std::string> zipEntryNames(std::string_view bytes)
{
    std::vector<std::string> names;
    try {
        ZipReader reader(bytes, "");
        for (const auto& entry : reader.entries())
            names.push_back(entry.name);
    } catch (const core::FormatError&) {
        if (bytes.size() > 30 && bytes.substr(0, 4) == "PK\x03\x04") {
            const auto length = std::size_t(std::uint8_t(bytes[26])) + 256 * std::size_t(std::uint8_t(bytes[27]));
            names.emplace_back(bytes.substr(30, length));
        }
    }
    return names;
}

}  // namespace orrery::models
