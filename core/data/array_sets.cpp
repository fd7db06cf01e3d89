// Sets made of arrays: NPY and NPZ, IDX (MNIST and relatives), CIFAR.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/cifar.h>
#include <core/io/idx.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;
using std::filesystem::path;

std::string shapeText(const at::Tensor& tensor)
{
    return core::formatShape({tensor.sizes().data(), tensor.sizes().size()});
}

std::vector<std::string> numberedClasses(std::int64_t count)
{
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < count; ++i)
        names.push_back(std::to_string(i));
    return names;
}

/// [n] -> [n, 1] table; [n, f] table; [n, h, w] -> one channel; [n, c, h, w] images.
void setInputs(RawData& raw, at::Tensor inputs, const std::string& name)
{
    if (inputs.is_complex() || inputs.dim() < 1 || inputs.dim() > 4)
        throw core::ShapeError(
            fmt::format("{}: expected inputs [sample, feature], [sample, height, width] or [sample, channel, height, width], got {} {}", name,
                        at::toString(inputs.scalar_type()), shapeText(inputs)));
    if (inputs.numel() == 0)
        throw core::FormatError(fmt::format("{}: expected samples, got the shape {}", name, shapeText(inputs)));
    raw.info.kind = inputs.dim() < 3 ? DataKind::Table : DataKind::Image;
    if (inputs.dim() == 1 || inputs.dim() == 3)
        inputs = inputs.unsqueeze(1);
    const bool bytes = inputs.scalar_type() == at::kByte && raw.info.kind == DataKind::Image;
    raw.inputs = bytes ? inputs : inputs.to(at::kDouble);
    if (bytes)
        raw.divisor = 255;
    for (std::int64_t i = 0; raw.info.kind == DataKind::Table && i < inputs.size(1); ++i)
        raw.info.featureNames.push_back(fmt::format("feature_{}", i + 1));
}

/// Integers are classes, floats values to be predicted.
void setTargets(RawData& raw, const at::Tensor& targets, const std::string& name)
{
    if (targets.dim() < 1 || targets.dim() > 2 || targets.size(0) != raw.inputs.size(0) || targets.is_complex())
        throw core::ShapeError(
            fmt::format("{}: expected targets [{}] or [{}, output], got {}", name, raw.inputs.size(0), raw.inputs.size(0), shapeText(targets)));
    if (targets.is_floating_point()) {
        raw.info.task = Task::Regression;
        raw.targets = (targets.dim() == 1 ? targets.unsqueeze(1) : targets).to(at::kFloat).contiguous();
        for (std::int64_t i = 0; i < raw.targets.size(1); ++i)
            raw.info.targetNames.push_back(fmt::format("target_{}", i + 1));
        return;
    }
    if (targets.dim() == 2 && targets.size(1) != 1)
        throw core::ShapeError(fmt::format("{}: expected class numbers [{}], got {}", name, raw.inputs.size(0), shapeText(targets)));
    raw.info.task = Task::Classification;
    raw.targets = targets.reshape({-1}).to(at::kLong).contiguous();
    constexpr std::int64_t kMaxClasses = 1'000'000;
    const std::int64_t low = raw.targets.min().item<std::int64_t>(), high = raw.targets.max().item<std::int64_t>();
    if (low < 0 || high >= kMaxClasses)
        throw core::FormatError(fmt::format("{}: expected class numbers from 0 to {}, got {}", name, kMaxClasses - 1, low < 0 ? low : high));
    raw.info.classNames = numberedClasses(high + 1);
}

/// One array of an NPY file, or of an NPZ archive by key.
at::Tensor readArray(const path& file, const std::string& key)
{
    const std::string name = file.filename().string(), bytes = readDataFile("npy", file);
    if (!bytes.starts_with("PK"))
        return io::toTensor(io::parseNpy(bytes, name));
    std::vector<std::string> keys;
    for (auto& [entry, array] : io::parseNpz(bytes, name)) {
        if (entry == key)
            return io::toTensor(array);
        keys.push_back(entry);
    }
    throw core::InputError(fmt::format("{}: no array \"{}\"{} (arrays: {})", name, key, core::didYouMean(key, keys), core::join(keys, ", ")));
}

DataSetPtr openNpy(const Json& parameters, const path& base)
{
    const path inputs = core::resolvePath(parameters.at("inputs").get<std::string>(), base);
    RawData raw;
    raw.info.id = "npy";
    raw.info.title = inputs.filename().string();
    setInputs(raw, readArray(inputs, parameters.at("inputs_key").get<std::string>()), inputs.filename().string());
    raw.info.task = Task::None;
    raw.place = [name = inputs.filename().string(), shape = raw.inputs.sizes().vec()](std::int64_t sample, std::int64_t feature) {
        return feature < 0 ? fmt::format("target of sample {}", sample) : fmt::format("{}: sample {}, value {}", name, sample, feature);
    };
    const std::string targets = parameters.at("targets").get<std::string>();
    const bool archive = inputs.extension() == ".npz";
    if (!targets.empty() || archive) {
        const path file = targets.empty() ? inputs : core::resolvePath(targets, base);
        setTargets(raw, readArray(file, parameters.at("targets_key").get<std::string>()), file.filename().string());
    }
    return prepare(std::move(raw), parameters);
}

/// A file of a known set under one of its usual names, plain or gzip; empty if there is none.
path findFile(const path& folder, std::initializer_list<const char*> names)
{
    std::error_code ignored;
    for (const std::string name : names)
        for (const char* const ending : {"", ".gz"})
            if (std::filesystem::is_regular_file(folder / (name + ending), ignored))
                return folder / (name + ending);
    return {};
}

struct IdxPair {
    at::Tensor images, labels;
};

IdxPair readIdxPair(const path& images, const path& labels)
{
    IdxPair pair{io::toTensor(io::parseIdx(readDataFile("idx", images), images.filename().string())),
                 io::toTensor(io::parseIdx(readDataFile("idx", labels), labels.filename().string()))};
    if (pair.images.dim() < 1 || pair.labels.dim() != 1 || pair.images.size(0) != pair.labels.size(0))
        throw core::ShapeError(fmt::format("{} and {}: expected as many labels as images, got {} and {}", labels.filename().string(),
                                           images.filename().string(), shapeText(pair.labels), shapeText(pair.images)));
    return pair;
}

DataSetPtr openIdx(const Json& parameters, const path& base)
{
    const path folder = core::resolvePath(parameters.at("folder").get<std::string>(), base);
    const path trainImages = findFile(folder, {"train-images-idx3-ubyte", "train-images.idx3-ubyte"}),
               trainLabels = findFile(folder, {"train-labels-idx1-ubyte", "train-labels.idx1-ubyte"});
    const path testImages = findFile(folder, {"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"}),
               testLabels = findFile(folder, {"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"});
    if (trainImages.empty() || trainLabels.empty())
        throw core::StorageError(
            fmt::format("idx: expected train-images-idx3-ubyte and train-labels-idx1-ubyte (or the same with .gz) in {}, found none. "
                        "Put the four files of MNIST or a relative there, or name their folder in `folder`",
                        folder.string()));
    IdxPair all = readIdxPair(trainImages, trainLabels);
    RawData raw;
    if (!testImages.empty() && !testLabels.empty()) {
        const IdxPair test = readIdxPair(testImages, testLabels);
        for (std::int64_t i = 0; i < test.images.size(0); ++i)
            raw.testSamples.push_back(all.images.size(0) + i);
        if (all.images.sizes().slice(1) != test.images.sizes().slice(1))
            throw core::ShapeError(
                fmt::format("idx: expected test images like the training images {}, got {}", shapeText(all.images), shapeText(test.images)));
        all = {at::cat({all.images, test.images}), at::cat({all.labels, test.labels})};
    }
    raw.info.id = "idx";
    raw.info.title = folder.filename().string();
    setInputs(raw, all.images, trainImages.filename().string());
    setTargets(raw, all.labels, trainLabels.filename().string());
    return prepare(std::move(raw), parameters);
}

struct CifarFiles {
    int classes;
    const char* folder;
    std::vector<const char*> train, test;
    const char* names;  ///< file of class names, if it is there
};

const CifarFiles& cifarFiles(int classes)
{
    static const CifarFiles ten{10,
                                "cifar-10-batches-bin",
                                {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
                                {"test_batch.bin"},
                                "batches.meta.txt"};
    static const CifarFiles hundred{100, "cifar-100-binary", {"train.bin"}, {"test.bin"}, "fine_label_names.txt"};
    return classes == 10 ? ten : hundred;
}

std::vector<std::string> cifarClassNames(const path& file, int classes)
{
    std::vector<std::string> names;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(file, ignored))
        for (const std::string& line : core::split(core::readFile(file, 1 << 20), '\n'))
            if (!core::trim(line).empty())
                names.emplace_back(core::trim(line));
    if (names.size() == std::size_t(classes))
        return names;
    if (classes == 10)
        return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    return numberedClasses(classes);
}

DataSetPtr openCifar(int classes, const Json& parameters, const path& base)
{
    const CifarFiles& files = cifarFiles(classes);
    const path folder = core::resolvePath(parameters.at("folder").get<std::string>(), base);
    std::vector<std::uint8_t> labels, pixels;
    RawData raw;
    raw.info.id = fmt::format("cifar{}", classes);
    const auto read = [&](const char* name, bool isTest) {
        std::error_code ignored;
        if (!std::filesystem::is_regular_file(folder / name, ignored))
            throw core::StorageError(fmt::format("{}: expected {} in {}, found none. Get \"CIFAR-{} binary version\" from "
                                                 "https://www.cs.toronto.edu/~kriz/cifar.html, unpack it and name its folder in `folder`",
                                                 raw.info.id, name, folder.string(), classes));
        const io::CifarBatch batch = io::parseCifar(core::readFile(folder / name), classes, name);
        for (std::size_t i = 0; isTest && i < batch.labels.size(); ++i)
            raw.testSamples.push_back(std::int64_t(labels.size() + i));
        labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
        pixels.insert(pixels.end(), batch.pixels.begin(), batch.pixels.end());
    };
    for (const char* const name : files.train)
        read(name, false);
    for (const char* const name : files.test)
        read(name, true);
    raw.info.title = fmt::format("CIFAR-{}", classes);
    raw.info.kind = DataKind::Image;
    raw.info.task = Task::Classification;
    raw.info.classNames = cifarClassNames(folder / files.names, classes);
    raw.divisor = 255;
    raw.inputs = at::from_blob(pixels.data(), {std::int64_t(labels.size()), 3, 32, 32}, at::kByte).clone();
    raw.targets = at::from_blob(labels.data(), {std::int64_t(labels.size())}, at::kByte).to(at::kLong);
    return prepare(std::move(raw), parameters);
}

void addCifar(DataRegistry& registry, int classes)
{
    core::Schema schema{core::text("folder", cifarFiles(classes).folder, "Folder with the files of the binary version.")};
    registry.add({fmt::format("cifar{}", classes),
                  fmt::format("CIFAR-{}", classes),
                  fmt::format("60,000 colour pictures of 32 x 32 pixels in {} classes, from files of your own.", classes),
                  "Krizhevsky (2009), \"Learning Multiple Layers of Features from Tiny Images\"",
                  withCommon(schema, {{0, 0.1, 0, true}, true, false, true}),
                  {},
                  {{"image", "float", {"batch", "channel", "height", "width"}}}},
                 [classes](const Json& parameters, const path& base) { return openCifar(classes, parameters, base); });
}

}  // namespace

void addNpy(DataRegistry& registry)
{
    core::Schema schema{
        core::required(core::text(
            "inputs", "", "An .npy file, or an .npz archive: [sample, feature], [sample, height, width] or [sample, channel, height, width].")),
        core::text("targets", "", "An .npy or .npz file: integers are classes, floats values; empty: from the same archive, or none."),
        core::text("inputs_key", "x", "Name of the inputs in an archive."), core::text("targets_key", "y", "Name of the targets in an archive.")};
    registry.add({"npy",
                  "Arrays (NPY, NPZ)",
                  "Inputs and targets from NumPy files. Images of bytes are scaled to 0..1.",
                  "NEP 1, numpy.lib.format 3.0",
                  withCommon(schema, {{}, false, true, true}),
                  {},
                  {}},
                 openNpy);
}

void addIdx(DataRegistry& registry)
{
    core::Schema schema{
        core::text("folder", "mnist", "Folder with the train-images, train-labels, t10k-images and t10k-labels files, plain or gzip.")};
    registry.add({"idx",
                  "IDX files (MNIST and relatives)",
                  "Grey pictures with classes from IDX files of your own.",
                  "LeCun, Cortes & Burges, \"The MNIST database of handwritten digits\"",
                  withCommon(schema, {{0.2, 0.1, 0, true}, false, false, true}),
                  {},
                  {{"image", "float", {"batch", "channel", "height", "width"}}}},
                 openIdx);
}

void addCifar10(DataRegistry& registry)
{
    addCifar(registry, 10);
}

void addCifar100(DataRegistry& registry)
{
    addCifar(registry, 100);
}

}  // namespace orrery::data
