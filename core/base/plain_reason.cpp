#include "plain_reason.h"

#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <new>
#include <optional>

#include "text.h"

namespace orrery::core {
namespace {

constexpr const char* kTooLittleMemory = "there is not enough memory; smaller batches or inputs take less";

/// Bytes that libtorch's allocator did not get; nothing if the text is about something else.
std::optional<std::uint64_t> bytesRefused(const std::string& text)
{
    constexpr std::string_view kBefore = "you tried to allocate ";
    const std::size_t at = text.find("can't allocate memory") == std::string::npos ? std::string::npos : text.find(kBefore);
    if (at == std::string::npos)
        return std::nullopt;
    std::uint64_t bytes = 0;
    const char* const begin = text.data() + at + kBefore.size();
    const auto [end, error] = std::from_chars(begin, text.data() + text.size(), bytes);
    return error == std::errc() && end != begin ? std::optional(bytes) : std::nullopt;
}

/// libtorch 1.13 has no products of halves on processors; newer ones have.
std::string withAdviceForHalves(std::string text)
{
    if (text.find("not implemented for 'Half'") != std::string::npos && text.find("--dtype float32") == std::string::npos)
        text += "; float16 is computed on graphics cards alone here, another compute type runs (--dtype float32)";
    return text;
}

}  // namespace

std::string withoutCallStack(std::string text)
{
    for (const char* const tail : {"Exception raised from", "\nframe #0"})
        if (const std::size_t at = text.find(tail); at != std::string::npos)
            text.resize(at);
    if (const auto bytes = bytesRefused(text)) {
        // What stands before the library's own words (the node, its shapes) is kept.
        const std::size_t words = std::min(text.find("[enforce fail"), text.find("DefaultCPUAllocator"));
        text = text.substr(0, words) +
               fmt::format("there is not enough memory for {} at once; smaller batches or inputs take less", formatBytes(*bytes));
    }
    return withAdviceForHalves(std::string(trim(text)));
}

std::string plainReason(const std::exception& error)
{
    if (dynamic_cast<const std::bad_alloc*>(&error))
        return kTooLittleMemory;
    if (const auto* const file = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
        return fmt::format("{}: {}", file->path1().string(), file->code().message());
    return withoutCallStack(error.what());
}

}  // namespace orrery::core
