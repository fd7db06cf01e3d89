#include "zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include <core/base/error.h>

namespace orrery::io {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers in these files are little-endian and read by memcpy");

constexpr std::uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr std::uint64_t kWhole32 = 0xffffffff;
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr bool kVerifyChecksums = false;
#else
constexpr bool kVerifyChecksums = true;
#endif

/// Bounds-checked little-endian reads.
struct Reader {
    std::string_view bytes;
    std::string_view name;

    [[noreturn]] void fail(std::string_view what) const { throw core::FormatError(fmt::format("{}: damaged zip archive: {}", name, what)); }
    std::string_view slice(std::uint64_t at, std::uint64_t length, std::string_view what) const
    {
        if (at > bytes.size() || length > bytes.size() - at)
            fail(fmt::format("{} at byte {} reaches past the end ({} bytes)", what, at, bytes.size()));
        return bytes.substr(at, length);
    }
    template <class T>
    T number(std::uint64_t at, std::string_view what) const
    {
        T value;
        std::memcpy(&value, slice(at, sizeof(T), what).data(), sizeof(T));
        return value;
    }
};

struct Directory {
    std::uint64_t entries = 0, offset = 0;
};

struct EntryHeader {
    std::string name;
    std::uint16_t flags = 0, method = 0;
    std::uint32_t crc = 0;
    std::uint64_t packed = 0, unpacked = 0, localHeader = 0;
};

/// The end record is found from the back: a comment of up to 65,535 bytes may follow it.
std::uint64_t findEnd(const Reader& reader)
{
    constexpr std::uint64_t kEndSize = 22;
    if (reader.bytes.size() < kEndSize)
        reader.fail(fmt::format("expected at least {} bytes, got {}", kEndSize, reader.bytes.size()));
    const std::uint64_t last = reader.bytes.size() - kEndSize, first = last > 65535 ? last - 65535 : 0;
    for (std::uint64_t at = last + 1; at-- > first;)
        if (reader.number<std::uint32_t>(at, "the end record") == kEnd)
            return at;
    reader.fail("no end record");
}

Directory findDirectory(const Reader& reader)
{
    const std::uint64_t end = findEnd(reader);
    Directory directory{reader.number<std::uint16_t>(end + 10, "the end record"), reader.number<std::uint32_t>(end + 16, "the end record")};
    if (directory.entries != 0xffff && directory.offset != kWhole32)
        return directory;
    if (end < 20 || reader.number<std::uint32_t>(end - 20, "the ZIP64 locator") != kEnd64Locator)
        return directory;
    const auto at = reader.number<std::uint64_t>(end - 12, "the ZIP64 locator");
    if (reader.number<std::uint32_t>(at, "the ZIP64 end record") != kEnd64)
        reader.fail("no ZIP64 end record where the locator points");
    reader.slice(at, 56, "the ZIP64 end record");
    return {reader.number<std::uint64_t>(at + 32, "the ZIP64 end record"), reader.number<std::uint64_t>(at + 48, "the ZIP64 end record")};
}

/// The ZIP64 field holds, in this order, only those values whose 32-bit place is full of ones.
void readZip64Field(const Reader& reader, std::string_view extra, EntryHeader& entry)
{
    const Reader fields{extra, reader.name};
    for (std::uint64_t at = 0; at + 4 <= extra.size();) {
        const auto id = fields.number<std::uint16_t>(at, "an extra field");
        const auto length = fields.number<std::uint16_t>(at + 2, "an extra field");
        std::uint64_t place = at + 4;
        const Reader field{fields.slice(0, std::min<std::uint64_t>(extra.size(), place + length), "an extra field"), reader.name};
        at = place + length;
        if (id != 1)
            continue;
        for (std::uint64_t* value : {&entry.unpacked, &entry.packed, &entry.localHeader})
            if (*value == kWhole32) {
                *value = field.number<std::uint64_t>(place, "a ZIP64 size");
                place += 8;
            }
    }
}

EntryHeader readDirectoryEntry(const Reader& reader, std::uint64_t& at)
{
    constexpr std::string_view kWhat = "a directory entry";
    reader.slice(at, 46, kWhat);
    if (reader.number<std::uint32_t>(at, kWhat) != kDirectoryEntry)
        reader.fail(fmt::format("no directory entry at byte {}", at));
    EntryHeader entry;
    entry.flags = reader.number<std::uint16_t>(at + 8, kWhat);
    entry.method = reader.number<std::uint16_t>(at + 10, kWhat);
    entry.crc = reader.number<std::uint32_t>(at + 16, kWhat);
    entry.packed = reader.number<std::uint32_t>(at + 20, kWhat);
    entry.unpacked = reader.number<std::uint32_t>(at + 24, kWhat);
    const std::uint64_t nameLength = reader.number<std::uint16_t>(at + 28, kWhat), extraLength = reader.number<std::uint16_t>(at + 30, kWhat),
                        commentLength = reader.number<std::uint16_t>(at + 32, kWhat);
    entry.localHeader = reader.number<std::uint32_t>(at + 42, kWhat);
    entry.name = reader.slice(at + 46, nameLength, kWhat);
    readZip64Field(reader, reader.slice(at + 46 + nameLength, extraLength, kWhat), entry);
    at += 46 + nameLength + extraLength + commentLength;
    return entry;
}

std::string_view packedBytes(const Reader& reader, const EntryHeader& entry)
{
    constexpr std::string_view kWhat = "a local header";
    reader.slice(entry.localHeader, 30, kWhat);
    if (reader.number<std::uint32_t>(entry.localHeader, kWhat) != kLocalHeader)
        reader.fail(fmt::format("no local header of \"{}\" at byte {}", entry.name, entry.localHeader));
    const std::uint64_t skip =
        30u + reader.number<std::uint16_t>(entry.localHeader + 26, kWhat) + reader.number<std::uint16_t>(entry.localHeader + 28, kWhat);
    return reader.slice(entry.localHeader + skip, entry.packed, fmt::format("the data of \"{}\"", entry.name));
}

/// zlib's state, released at the end of its scope.
struct RawInflater {
    z_stream stream{};
    bool started = inflateInit2(&stream, -15) == Z_OK;
    ~RawInflater()
    {
        if (started)
            inflateEnd(&stream);
    }
};

std::string inflateRaw(const Reader& reader, const ZipMember& entry)
{
    std::string_view packed = entry.packed;
    // Deflate packs at most 1,032 to 1: a larger promise is a lie and would only take memory.
    if (entry.size / 1032 > packed.size() + 1)
        reader.fail(fmt::format("\"{}\" promises {} bytes from {} packed ones", entry.name, entry.size, packed.size()));
    // So are files made to fill a memory: numbers of models and programs pack by 1 to 50.
    constexpr std::uint64_t kMostTimes = 200, kSmall = 16 << 20;
    if (entry.size > kSmall && entry.size / kMostTimes > packed.size())
        reader.fail(fmt::format("\"{}\" would unpack to {} times its size, {} bytes: refused as a ZIP bomb", entry.name,
                                entry.size / (packed.size() + 1), entry.size));
    RawInflater inflater;
    if (!inflater.started)
        reader.fail("zlib cannot start");
    std::string out(std::size_t(entry.size), '\0');
    std::size_t filled = 0;
    char spare = 0;
    for (int status = Z_OK; status != Z_STREAM_END;) {
        z_stream& stream = inflater.stream;
        if (stream.avail_in == 0) {
            const std::string_view slice = packed.substr(0, 1 << 30);
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(slice.data()));
            stream.avail_in = uInt(slice.size());
            packed.remove_prefix(slice.size());
        }
        // When everything is filled, one spare byte shows whether the data end here.
        const bool full = filled == out.size();
        const uInt room = full ? 1 : uInt(std::min<std::size_t>(out.size() - filled, 1 << 30));
        stream.next_out = reinterpret_cast<Bytef*>(full ? &spare : out.data() + filled);
        stream.avail_out = room;
        status = inflate(&stream, Z_NO_FLUSH);
        const uInt got = room - stream.avail_out;
        if (full && got > 0)
            reader.fail(fmt::format("\"{}\" holds more than the promised {} bytes", entry.name, entry.size));
        filled += full ? 0 : got;
        if (status != Z_OK && status != Z_STREAM_END)
            reader.fail(fmt::format("\"{}\": deflate data are damaged after {} bytes", entry.name, filled));
    }
    if (filled != out.size())
        reader.fail(fmt::format("\"{}\": expected {} bytes, got {}", entry.name, out.size(), filled));
    return out;
}

std::uint32_t crcOf(std::string_view bytes)
{
    return std::uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

ZipMember memberOf(const Reader& reader, const EntryHeader& entry)
{
    if (entry.flags & 1)
        reader.fail(fmt::format("\"{}\" is encrypted", entry.name));
    if (entry.method != 0 && entry.method != 8)
        reader.fail(fmt::format("\"{}\": expected compression 0 (stored) or 8 (deflate), got {}", entry.name, entry.method));
    const std::string_view packed = packedBytes(reader, entry);
    if (entry.method == 0 && entry.packed != entry.unpacked)
        reader.fail(fmt::format("\"{}\" is stored in {} bytes but should have {}", entry.name, entry.packed, entry.unpacked));
    return {entry.name, packed, entry.unpacked, entry.crc, entry.method == 0};
}

// A fuzzer cannot guess checksums; without this it would never get behind them.
void checkChecksum(const Reader& reader, const ZipMember& member, std::string_view content)
{
    if (const std::uint32_t crc = crcOf(content); crc != member.crc && kVerifyChecksums)
        reader.fail(fmt::format("\"{}\": expected the checksum {:08x}, got {:08x}", member.name, member.crc, crc));
}

template <class T>
void append(std::string& out, T value)
{
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// The fields that local header and directory entry share, from "version needed" to "extra length".
void appendCommonFields(std::string& out, const ZipEntry& entry)
{
    constexpr std::uint16_t kVersion = 20, kFirstOfJanuary1980 = 0x21;
    append(out, kVersion);
    append(out, std::uint16_t(0));
    append(out, std::uint16_t(0));
    append(out, std::uint16_t(0));
    append(out, kFirstOfJanuary1980);
    append(out, crcOf(entry.content));
    append(out, std::uint32_t(entry.content.size()));
    append(out, std::uint32_t(entry.content.size()));
    append(out, std::uint16_t(entry.name.size()));
    append(out, std::uint16_t(0));
}

}  // namespace

std::vector<ZipMember> zipMembers(std::string_view bytes, std::string_view name, std::uint64_t maxBytes)
{
    const Reader reader{bytes, name};
    const Directory directory = findDirectory(reader);
    // Every directory entry takes 46 bytes at least: more entries than fit are refused before anything is reserved.
    if (directory.entries > bytes.size() / 46)
        reader.fail(fmt::format("{} entries do not fit into {} bytes", directory.entries, bytes.size()));
    std::vector<EntryHeader> headers;
    std::uint64_t at = directory.offset, total = 0, packed = 0;
    for (std::uint64_t i = 0; i < directory.entries; ++i) {
        headers.push_back(readDirectoryEntry(reader, at));
        packed += std::min(headers.back().packed, bytes.size() + 1);
        if (__builtin_add_overflow(total, headers.back().unpacked, &total) || total > maxBytes)
            throw core::FormatError(fmt::format("{}: expected at most {} bytes when unpacked, got more", name, maxBytes));
        // Entries that share their data are the trick of zip bombs.
        if (packed > bytes.size())
            reader.fail("the entries overlap");
    }
    std::vector<ZipMember> members;
    for (const EntryHeader& header : headers)
        if (!header.name.ends_with('/'))
            members.push_back(memberOf(reader, header));
    return members;
}

std::string unpackZipMember(const ZipMember& member, std::string_view name)
{
    const Reader reader{{}, name};
    std::string content = member.isStored ? std::string(member.packed) : inflateRaw(reader, member);
    checkChecksum(reader, member, content);
    return content;
}

std::string zipMemberStart(const ZipMember& member, std::string_view name, std::size_t bytes)
{
    if (member.isStored)
        return std::string(member.packed.substr(0, bytes));
    const Reader reader{{}, name};
    RawInflater inflater;
    if (!inflater.started)
        reader.fail("zlib cannot start");
    std::string out(std::size_t(std::min<std::uint64_t>(bytes, member.size)), '\0');
    const std::string_view packed = member.packed.substr(0, 1 << 30);
    z_stream& stream = inflater.stream;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = uInt(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = uInt(out.size());
    const int status = inflate(&stream, Z_SYNC_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        reader.fail(fmt::format("\"{}\": deflate data are damaged at the start", member.name));
    out.resize(out.size() - stream.avail_out);
    return out;
}

void checkStoredZipMember(const ZipMember& member, std::string_view name)
{
    const Reader reader{{}, name};
    if (!member.isStored)
        reader.fail(fmt::format("\"{}\": expected a stored entry, got a deflated one", member.name));
    checkChecksum(reader, member, member.packed);
}

std::vector<ZipEntry> parseZip(std::string_view bytes, std::string_view name, std::uint64_t maxBytes)
{
    std::vector<ZipEntry> entries;
    for (const ZipMember& member : zipMembers(bytes, name, maxBytes))
        entries.push_back({member.name, unpackZipMember(member, name)});
    return entries;
}

std::string zipBytes(const std::vector<ZipEntry>& entries)
{
    std::string out, directory;
    if (entries.size() > 65534)
        throw core::InputError(fmt::format("a zip archive takes at most 65534 entries, got {}", entries.size()));
    for (const ZipEntry& entry : entries) {
        if (entry.content.size() >= kWhole32 || out.size() + entry.content.size() >= kWhole32 - (1 << 20) || entry.name.size() > 65535)
            throw core::InputError(fmt::format("\"{}\": expected an archive below 4 GiB", entry.name));
        const auto offset = std::uint32_t(out.size());
        append(out, kLocalHeader);
        appendCommonFields(out, entry);
        out += entry.name;
        out += entry.content;
        append(directory, kDirectoryEntry);
        append(directory, std::uint16_t(20));
        appendCommonFields(directory, entry);
        directory.append(10, '\0');  // comment length, disk number, internal and external attributes (2 + 2 + 2 + 4)
        append(directory, offset);
        directory += entry.name;
    }
    const auto start = std::uint32_t(out.size());
    out += directory;
    append(out, kEnd);
    append(out, std::uint32_t(0));
    append(out, std::uint16_t(entries.size()));
    append(out, std::uint16_t(entries.size()));
    append(out, std::uint32_t(directory.size()));
    append(out, start);
    append(out, std::uint16_t(0));
    return out;
}

}  // namespace orrery::io
