#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace orrery::core {

/// XXH3 with 128 bits: names artifacts by content and recognises data sets, graphs and documents. Not a cryptographic hash.
class Hasher {
public:
    Hasher();
    ~Hasher();
    Hasher(const Hasher&) = delete;
    Hasher& operator=(const Hasher&) = delete;
    void add(const void* data, std::size_t bytes);
    void add(std::string_view text) { add(text.data(), text.size()); }
    /// 32 lower-case hexadecimal digits of everything added so far.
    std::string hex() const;

private:
    struct State;
    std::unique_ptr<State> m_state;
};

std::string hashHex(std::string_view bytes);
/// @throws StorageError if the file cannot be read.
std::string hashFileHex(const std::filesystem::path& file);
/// 64-bit hash for seeds and look-up; the same on every machine.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace orrery::core
