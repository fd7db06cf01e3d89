// The list of everything that can be opened as data, and how a document or an argument names it.
#include <fmt/format.h>

#include <core/base/files.h>
#include <core/base/text.h>

#include "augmentation.h"
#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;

DataRegistry makeDataSets()
{
    // The schemas below refer to this family.
    core::addFamily(augmentationRegistry());
    DataRegistry registry("data", "Data sets");
    for (const auto add : {addDigits, addDigitRows, addIris, addWine, addBreastCancer, addKjv, addTextFile, addRepeatedSequences, addStringReversal, addTextPairs, addVariableMisuse, addCsv, addJsonLines, addNpy, addIdx,
                           addCifar10, addCifar100, addImageFolder, addLabelledPictures, addRays, addViews})
        add(registry);
    return registry;
}

bool isThere(const std::filesystem::path& file)
{
    std::error_code ignored;
    return std::filesystem::exists(file, ignored);
}

/// What a folder holds, by its files.
Json folderDocument(const std::string& reference, const std::filesystem::path& folder)
{
    if (isThere(folder / "data_batch_1.bin"))
        return {{"id", "cifar10"}, {"folder", reference}};
    if (isThere(folder / "train.bin") && isThere(folder / "test.bin"))
        return {{"id", "cifar100"}, {"folder", reference}};
    for (const char* const name : {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"})
        if (isThere(folder / name))
            return {{"id", "idx"}, {"folder", reference}};
    if (isThere(folder / "transforms.json") || isThere(folder / "transforms_train.json") || isThere(folder / "sparse"))
        return {{"id", "rays"}, {"path", reference}};
    return {{"id", "image_folder"}, {"path", reference}};
}

Json parseJsonArgument(const std::string& text)
{
    Json document = Json::parse(text, nullptr, false);
    if (document.is_discarded())
        throw core::InputError(fmt::format("data: expected a JSON object such as {{\"id\": \"csv\", \"path\": \"FILE\"}}, got {}", text));
    return document;
}

}  // namespace

const core::Registry<DataFactory>& dataRegistry()
{
    static const DataRegistry registry = makeDataSets();
    return registry;
}

DataSetPtr openData(const Json& document, const std::filesystem::path& base)
{
    const bool isObject = document.is_object() && document.contains("id") && document["id"].is_string();
    if (!isObject && !document.is_string())
        throw core::InputError("data: expected the id of a data set or an object with \"id\", got " + document.dump());
    const std::string id = isObject ? document["id"].get<std::string>() : document.get<std::string>();
    const core::Component& component = dataRegistry().at(id);
    Json parameters = isObject ? document : Json::object();
    parameters.erase("id");
    return dataRegistry().factory(id)(component.schema.resolve(parameters, "data"), base);
}

Json dataDocument(const std::string& reference, const std::filesystem::path& base)
{
    if (reference.starts_with('{'))
        return parseJsonArgument(reference);
    if (dataRegistry().find(reference))
        return {{"id", reference}};
    const std::filesystem::path file = core::resolvePath(reference, base);
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored))
        return folderDocument(reference, file);
    if (!isThere(file))
        throw core::InputError(
            fmt::format("expected the id of a data set or a file, got \"{}\"{}", reference, core::didYouMean(reference, dataRegistry().ids())));
    std::string name = core::lower(file.filename().string());
    if (name.ends_with(".gz"))
        name.resize(name.size() - 3);
    const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
    if (ends(".csv") || ends(".tsv"))
        return {{"id", "csv"}, {"path", reference}};
    if (ends(".jsonl") || ends(".ndjson"))
        return {{"id", "json_lines"}, {"path", reference}};
    if (name.starts_with("transforms") && ends(".json"))
        return {{"id", "rays"}, {"path", reference}};
    if (ends(".npy") || ends(".npz"))
        return {{"id", "npy"}, {"inputs", reference}};
    if (ends(".txt") || ends(".md"))
        return {{"id", "text_file"}, {"path", reference}};
    throw core::InputError(
        fmt::format("{}: expected a file ending in .csv, .tsv, .jsonl, .npy, .npz or .txt (also with .gz), or a folder", reference));
}

}  // namespace orrery::data
