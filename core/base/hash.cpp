#include "hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <vector>

#include "error.h"

namespace orrery::core {
namespace {

std::string hexOf(const XXH128_hash_t& hash)
{
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

struct Hasher::State {
    XXH3_state_t xxh;
};

Hasher::Hasher() : m_state(std::make_unique<State>())
{
    XXH3_128bits_reset(&m_state->xxh);
}

Hasher::~Hasher() = default;

void Hasher::add(const void* data, std::size_t bytes)
{
    if (bytes > 0)
        XXH3_128bits_update(&m_state->xxh, data, bytes);
}

std::string Hasher::hex() const
{
    return hexOf(XXH3_128bits_digest(&m_state->xxh));
}

std::string hashHex(std::string_view bytes)
{
    return hexOf(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hashFileHex(const std::filesystem::path& file)
{
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(file.c_str(), "rb"), &std::fclose);
    if (!stream)
        throw StorageError(fmt::format("{}: cannot be opened: {}", file.string(), std::strerror(errno)));
    Hasher hasher;
    std::vector<char> buffer(1 << 20);
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), stream.get()))
        hasher.add(buffer.data(), got);
    if (std::ferror(stream.get()))
        throw StorageError(fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno)));
    return hasher.hex();
}

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace orrery::core
