#include "lzf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include <core/base/error.h>

namespace orrery::scene {
namespace {

constexpr std::size_t kLongestRun = 32, kLongestCopy = 264, kFarthest = 8192;

std::uint32_t hashOf(const char* at)
{
    const auto byte = [&](int i) { return std::uint32_t(static_cast<unsigned char>(at[i])); };
    return ((byte(0) << 16 | byte(1) << 8 | byte(2)) * 2654435761u) >> 18;  // 14 bits
}

void appendLiterals(std::string& out, std::string_view literals)
{
    for (; !literals.empty(); literals.remove_prefix(std::min(kLongestRun, literals.size()))) {
        out += char(std::min(kLongestRun, literals.size()) - 1);
        out += literals.substr(0, kLongestRun);
    }
}

void appendCopy(std::string& out, std::size_t distance, std::size_t length)
{
    const std::size_t back = distance - 1, coded = length - 2;
    out += char(std::min<std::size_t>(coded, 7) << 5 | back >> 8);
    if (coded >= 7)
        out += char(coded - 7);
    out += char(back & 255);
}

}  // namespace

std::size_t lzfMostBytes(std::size_t bytes)
{
    return bytes > std::numeric_limits<std::size_t>::max() / kLongestCopy ? std::numeric_limits<std::size_t>::max() : bytes * kLongestCopy;
}

std::string lzfDecompress(std::string_view bytes, std::size_t size, std::string_view name)
{
    std::string out;
    out.reserve(size);
    const auto fail = [&](const char* what) { throw core::FormatError(fmt::format("{}: compressed data is damaged: {}", name, what)); };
    std::size_t at = 0;
    const auto next = [&] {
        if (at >= bytes.size())
            fail("it ends too early");
        return static_cast<unsigned char>(bytes[at++]);
    };
    while (at < bytes.size()) {
        const std::size_t control = next();
        if (control < kLongestRun) {
            if (bytes.size() - at < control + 1)
                fail("it ends too early");
            if (size - out.size() < control + 1)
                fail("it is longer than announced");
            out += bytes.substr(at, control + 1);
            at += control + 1;
            continue;
        }
        std::size_t length = control >> 5;
        if (length == 7)
            length += next();
        length += 2;
        const std::size_t distance = ((control & 31) << 8 | next()) + 1;
        if (distance > out.size())
            fail("a copy from before the beginning");
        if (size - out.size() < length)
            fail("it is longer than announced");
        for (std::size_t i = 0; i < length; ++i)  // may overlap itself
            out += out[out.size() - distance];
    }
    if (out.size() != size)
        fail("it is shorter than announced");
    return out;
}

std::string lzfCompress(std::string_view text)
{
    std::string out;
    std::vector<std::size_t> seen(1 << 14, std::numeric_limits<std::size_t>::max());
    std::size_t literals = 0;  // where the run that is not written yet begins
    for (std::size_t at = 0; at + 3 <= text.size();) {
        auto& slot = seen[hashOf(text.data() + at)];
        const std::size_t before = slot;
        slot = at;
        std::size_t length = 0;
        if (before < at && at - before <= kFarthest)
            while (length < kLongestCopy && at + length < text.size() && text[before + length] == text[at + length])
                ++length;
        if (length < 3) {
            ++at;
            continue;
        }
        appendLiterals(out, text.substr(literals, at - literals));
        appendCopy(out, at - before, length);
        at += length;
        literals = at;
    }
    appendLiterals(out, text.substr(literals));
    return out;
}

}  // namespace orrery::scene
