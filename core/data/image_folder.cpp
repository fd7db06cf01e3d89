#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/base/text.h>
#include <core/io/image.h>

#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;
using std::filesystem::path;

enum class Fit { Stretch, Crop };

struct ImageFile {
    path file;
    std::int64_t label = 0;
};

/// Scales so that the whole square is covered and cuts what stands over on both sides.
io::Image coverCentre(const io::Image& image, int side)
{
    const double scale = double(side) / std::min(image.width, image.height);
    const int width = std::max(side, int(std::lround(image.width * scale))), height = std::max(side, int(std::lround(image.height * scale)));
    const io::Image scaled = io::resize(image, width, height);
    io::Image out{side, side, scaled.channels, {}};
    const int left = (width - side) / 2, top = (height - side) / 2;
    for (int y = 0; y < side; ++y) {
        const auto row = scaled.pixels.begin() + (std::ptrdiff_t(y + top) * width + left) * scaled.channels;
        out.pixels.insert(out.pixels.end(), row, row + std::ptrdiff_t(side) * scaled.channels);
    }
    return out;
}

/// Files are decoded when they are asked for; small sets stay in memory afterwards.
class ImageFolderSet : public DataSet {
public:
    ImageFolderSet(std::vector<ImageFile> files, int side, int channels, Fit fit)
        : m_files(std::move(files)), m_side(side), m_channels(channels), m_fit(fit)
    {
        constexpr std::uint64_t kCacheBytes = std::uint64_t(1) << 30;
        if (std::uint64_t(m_files.size()) * sampleBytes() <= kCacheBytes)
            m_cache.resize(m_files.size());
    }
    std::int64_t size() const override { return std::int64_t(m_files.size()); }
    bool isInMemory() const override { return false; }

    /// Planes of bytes, [channel, row, column].
    std::shared_ptr<const std::vector<std::uint8_t>> planes(std::int64_t index) const
    {
        if (!m_cache.empty()) {
            const std::lock_guard lock(m_mutex);
            if (m_cache[std::size_t(index)])
                return m_cache[std::size_t(index)];
        }
        auto decoded = std::make_shared<const std::vector<std::uint8_t>>(decode(m_files[std::size_t(index)].file));
        if (!m_cache.empty()) {
            const std::lock_guard lock(m_mutex);
            m_cache[std::size_t(index)] = decoded;
        }
        return decoded;
    }
    /// value = byte * scale + offset, per channel.
    void setScale(std::vector<float> scale, std::vector<float> offset)
    {
        m_scale = std::move(scale);
        m_offset = std::move(offset);
    }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        Batch batch;
        const auto count = std::int64_t(indices.size());
        batch.inputs.push_back(at::empty({count, m_channels, m_side, m_side}, at::kFloat));
        batch.targets = at::empty({count}, at::kLong);
        float* target = batch.inputs[0].data_ptr<float>();
        const std::size_t area = std::size_t(m_side) * std::size_t(m_side);
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t index = indices[std::size_t(i)];
            const auto bytes = planes(index);
            for (std::size_t at = 0; at < bytes->size(); ++at)
                *target++ = float((*bytes)[at]) * m_scale[at / area] + m_offset[at / area];
            batch.targets.data_ptr<std::int64_t>()[i] = m_files[std::size_t(index)].label;
        }
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        hasher.add(fmt::format("images {} {} {};", m_side, m_channels, int(m_fit)));
        for (const ImageFile& file : m_files)
            hasher.add(fmt::format("{} {};", file.label, core::hashFileHex(file.file)));
        hasher.add(m_scale.data(), m_scale.size() * sizeof(float));
        hasher.add(m_offset.data(), m_offset.size() * sizeof(float));
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(fmt::format(";{}", fmt::join(split(part), " ")));
        return hasher.hex();
    }

private:
    std::uint64_t sampleBytes() const { return std::uint64_t(m_side) * std::uint64_t(m_side) * std::uint64_t(m_channels); }

    std::vector<std::uint8_t> decode(const path& file) const
    {
        const io::Image image = io::toChannels(io::readImage(file), m_channels);
        const io::Image square = m_fit == Fit::Crop ? coverCentre(image, m_side) : io::resize(image, m_side, m_side);
        std::vector<std::uint8_t> out(square.pixels.size());
        const std::size_t area = out.size() / std::size_t(m_channels);
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i % std::size_t(m_channels) * area + i / std::size_t(m_channels)] = square.pixels[i];
        return out;
    }

    std::vector<ImageFile> m_files;
    int m_side, m_channels;
    Fit m_fit;
    std::vector<float> m_scale, m_offset;
    mutable std::mutex m_mutex;  ///< guards the elements of m_cache
    mutable std::vector<std::shared_ptr<const std::vector<std::uint8_t>>> m_cache;
};

std::vector<path> sortedEntries(const path& folder, bool folders)
{
    std::vector<path> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string(), ending = core::lower(entry.path().extension().string());
        const bool picture = ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".webp";
        if (!name.starts_with('.') && (folders ? entry.is_directory() : entry.is_regular_file() && picture))
            out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
}

struct Listing {
    std::vector<ImageFile> files;
    std::vector<std::string> classNames;
    std::vector<std::int64_t> val, test;
    bool hasParts = false;
};

void addClasses(Listing& listing, const path& folder, std::vector<std::int64_t>* part)
{
    for (const path& classFolder : sortedEntries(folder, true)) {
        const std::string name = classFolder.filename().string();
        auto found = std::find(listing.classNames.begin(), listing.classNames.end(), name);
        if (found == listing.classNames.end())
            found = listing.classNames.insert(found, name);
        for (const path& file : sortedEntries(classFolder, false)) {
            if (part)
                part->push_back(std::int64_t(listing.files.size()));
            listing.files.push_back({file, found - listing.classNames.begin()});
        }
    }
}

/// `folder/class/picture`, or `folder/train|val|test/class/picture`.
Listing listFiles(const path& folder)
{
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder, ignored))
        throw core::StorageError(fmt::format("image_folder: expected a folder at {}, found none", folder.string()));
    Listing listing;
    listing.hasParts = std::filesystem::is_directory(folder / "train", ignored) &&
                       (std::filesystem::is_directory(folder / "test", ignored) || std::filesystem::is_directory(folder / "val", ignored));
    if (listing.hasParts) {
        addClasses(listing, folder / "train", nullptr);
        if (std::filesystem::is_directory(folder / "val", ignored))
            addClasses(listing, folder / "val", &listing.val);
        if (std::filesystem::is_directory(folder / "test", ignored))
            addClasses(listing, folder / "test", &listing.test);
    } else {
        addClasses(listing, folder, nullptr);
    }
    if (listing.files.empty())
        throw core::InputError(
            fmt::format("image_folder: expected one subfolder a class with PNG, JPEG or WebP pictures in {}, found none", folder.string()));
    return listing;
}

SplitLists splitListing(const Listing& listing, const Json& parameters)
{
    const SplitOptions options = SplitOptions::fromJson(parameters.at("split"));
    std::vector<std::int64_t> labels, train;
    for (const ImageFile& file : listing.files)
        labels.push_back(file.label);
    if (!listing.hasParts)
        return randomSplit(std::int64_t(labels.size()), options, labels);
    for (std::int64_t i = 0; i < std::int64_t(labels.size()); ++i)
        if (!std::binary_search(listing.val.begin(), listing.val.end(), i) && !std::binary_search(listing.test.begin(), listing.test.end(), i))
            train.push_back(i);
    if (listing.val.empty())
        return splitWithTest(train, listing.test, options, labels);
    return {train, listing.val, listing.test};
}

/// Channel statistics from the histograms of the training part.
void standardize(const ImageFolderSet& set, const SplitLists& splits, int channels, DataInfo& info)
{
    std::vector<std::array<std::uint64_t, 256>> histograms(std::size_t(channels), std::array<std::uint64_t, 256>{});
    for (const std::int64_t index : splits.train) {
        const auto bytes = set.planes(index);
        for (std::size_t i = 0; i < bytes->size(); ++i)
            ++histograms[i / (bytes->size() / std::size_t(channels))][(*bytes)[i]];
    }
    for (const auto& histogram : histograms) {
        double count = 0, sum = 0, squares = 0;
        for (std::size_t value = 0; value < 256; ++value) {
            const double n = double(histogram[value]), x = double(value) / 255;
            count += n;
            sum += n * x;
            squares += n * x * x;
        }
        const double mean = sum / count, variance = squares / count - mean * mean;
        info.mean.push_back(mean);
        info.std.push_back(variance > 1e-12 ? std::sqrt(variance) : 1.0);
    }
}

DataSetPtr openImageFolder(const Json& parameters, const path& base)
{
    const path folder = core::resolvePath(parameters.at("path").get<std::string>(), base);
    Listing listing = listFiles(folder);
    const int side = parameters.at("size").get<int>(), channels = parameters.at("colour") == "grey" ? 1 : 3;
    SplitLists splits = splitListing(listing, parameters);
    applyLimit(splits, parameters);
    DataInfo info;
    info.id = "image_folder";
    info.title = folder.filename().string();
    info.kind = DataKind::Image;
    info.task = Task::Classification;
    info.classNames = std::move(listing.classNames);
    describe(info, {channels, side, side});
    auto set = std::make_shared<ImageFolderSet>(std::move(listing.files), side, channels, parameters.at("fit") == "crop" ? Fit::Crop : Fit::Stretch);
    if (parameters.at("standardize").get<bool>())
        standardize(*set, splits, channels, info);
    std::vector<float> scale, offset;
    for (std::size_t c = 0; c < std::size_t(channels); ++c) {
        scale.push_back(float(1 / (255 * (info.std.empty() ? 1 : info.std[c]))));
        offset.push_back(info.mean.empty() ? 0 : float(-info.mean[c] / info.std[c]));
    }
    set->setScale(std::move(scale), std::move(offset));
    DataBuilder::setUp(*set, std::move(info), std::move(splits), augmentationsOf(parameters));
    return set;
}

}  // namespace

void addImageFolder(DataRegistry& registry)
{
    core::Schema schema{core::required(core::text("path", "", "Folder with one subfolder a class, or with train, val and test folders of such.")),
                        core::integer("size", 64, "Side of the square that each picture is scaled to.").range(1, 4096).withUnit("px"),
                        core::choice("colour", {"rgb", "grey"}, "rgb", "Channels: three or one."),
                        core::choice("fit", {"crop", "stretch"}, "crop", "Keep the proportions and cut the longer side, or stretch.")};
    registry.add({"image_folder",
                  "Folder of pictures",
                  "PNG, JPEG and WebP files, one subfolder a class, decoded when needed; values 0..1.",
                  "",
                  withCommon(schema, {{}, false, false, true}),
                  {},
                  {{"image", "float", {"batch", "channel", "height", "width"}}}},
                 openImageFolder);
}

}  // namespace orrery::data
