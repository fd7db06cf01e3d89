#include "weight_file.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/io/gguf.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/io/torch_file.h>
#include <core/io/zip.h>
#include <core/models/zip_check.h>

#include "gguf_weights.h"
#include "mapped_tensors.h"
#include "torch_weights.h"

namespace orrery::models {
namespace {

bool isZip(std::string_view bytes)
{
    return bytes.starts_with("PK\x03\x04");
}

// A safetensors file begins with the length of a JSON object.
bool isSafetensors(std::string_view bytes)
{
    return bytes.size() > 9 && bytes[8] == '{';
}

bool isNpz(std::string_view bytes)
{
    if (!isZip(bytes))
        return false;
    const auto names = zipEntryNames(bytes);
    return !names.empty() && std::all_of(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(".npy"); });
}

WeightFile readSafetensors(const Mapping& file, const std::string& name)
{
    const auto header = io::parseSafetensors(file->text(), name);
    WeightFile result{mappedTensors(file, header), "safetensors", {}, {}, {}, {}};
    for (const auto& [key, value] : header.metadata)
        if (key != "format" && result.about.size() < kMaxAbout)  // "pt", as nearly every file has it
            result.about[key] = value;
    return result;
}

/// One array after another, so that no more than one is there twice. Most lie at addresses that are no multiple of their element size: they are not mapped.
WeightFile readNpzWeights(const Mapping& file, const std::string& name)
{
    // Weights are noise and hardly deflate; a file that promises far more than it holds is a trap.
    constexpr std::uint64_t kAlwaysUnpacked = std::uint64_t(256) << 20, kMaxRatio = 20;
    constexpr std::string_view kEnding = ".npy";
    WeightFile result{{}, "npz", {}, {}, {}, {}};
    for (const auto& member : io::zipMembers(file->text(), name, std::max(kAlwaysUnpacked, kMaxRatio * file->text().size()))) {
        const auto place = fmt::format("{}: {}", name, member.name);
        if (member.isStored)
            io::checkStoredZipMember(member, name);
        else
            io::checkNpyMember(member, place);
        const auto unpacked = member.isStored ? std::string() : io::unpackZipMember(member, name);
        const auto array = io::parseNpy(member.isStored ? member.packed : std::string_view(unpacked), place);
        result.tensors.set(member.name.substr(0, member.name.size() - kEnding.size()), io::toTensor(array));
    }
    return result;
}

/// One format of weights. The one list of them.
struct WeightFormat {
    bool (*recognises)(std::string_view bytes);
    WeightFile (*read)(const Mapping& file, const std::string& name);
};
constexpr WeightFormat kWeightFormats[] = {
    {isSafetensors, readSafetensors}, {isNpz, readNpzWeights}, {io::isTorchFile, readTorchWeights}, {io::isGguf, readGgufWeights}};

/// The file's own words in one sentence.
std::string sentenceOf(const core::Json& about)
{
    constexpr std::size_t kShown = 8, kLongest = 80;
    std::vector<std::string> parts;
    for (const auto& [key, value] : about.items()) {
        const auto text = value.dump(-1, ' ', false, core::Json::error_handler_t::replace);
        parts.push_back(value.is_primitive() && text.size() <= kLongest ? fmt::format("{} = {}", key, text) : key);
    }
    const auto count = parts.size();
    parts.resize(std::min(count, kShown));
    return fmt::format("the file also says: {}{}", core::join(parts, ", "),
                       count > kShown ? fmt::format(" and {} more", count - kShown) : std::string());
}

}  // namespace

bool isWeightFile(std::string_view bytes)
{
    return std::any_of(std::begin(kWeightFormats), std::end(kWeightFormats), [&](const WeightFormat& format) { return format.recognises(bytes); });
}

WeightFile readWeightFile(const std::filesystem::path& file)
{
    const auto mapped = std::make_shared<core::MappedFile>(file);
    for (const auto& format : kWeightFormats)
        if (format.recognises(mapped->text())) {
            auto read = format.read(mapped, file.string());
            if (!read.about.empty())
                read.notes.push_back(sentenceOf(read.about));
            return read;
        }
    throw core::InputError(fmt::format("{}: expected a file of weights (.safetensors, .npz, torch.save, GGUF), found none of them", file.string()));
}

}  // namespace orrery::models
