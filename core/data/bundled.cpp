// The small sets that ship with the program.
#include <ATen/ATen.h>

#include <core/base/files.h>

#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;

constexpr const char* kDigitsSource =
    "Alpaydin & Kaynak (1998), UCI Optical Recognition of Handwritten Digits, test part, doi:10.24432/C50P49, CC BY 4.0";

/// Features in file order, class number in the last column, one description line at the start.
struct BundledTable {
    const char* id;
    const char* title;
    const char* summary;
    const char* source;
    const char* file;
    std::vector<std::string> classNames, featureNames;
};

const BundledTable& iris()
{
    static const BundledTable table{
        "iris",
        "Iris",
        "150 flowers of three species with four lengths each.",
        "Fisher (1936), \"The use of multiple measurements in taxonomic problems\", doi:10.1111/j.1469-1809.1936.tb02137.x; UCI Iris, CC BY 4.0",
        "iris.csv",
        {"setosa", "versicolor", "virginica"},
        {"sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"}};
    return table;
}

const BundledTable& wine()
{
    static const BundledTable table{"wine",
                                    "Wine",
                                    "178 wines of three cultivars with 13 chemical measurements each.",
                                    "Aeberhard & Forina (1991), UCI Wine, doi:10.24432/C5PC7J, CC BY 4.0",
                                    "wine_data.csv",
                                    {"cultivar 1", "cultivar 2", "cultivar 3"},
                                    {"alcohol", "malic acid", "ash", "alcalinity of ash", "magnesium", "total phenols", "flavanoids",
                                     "nonflavanoid phenols", "proanthocyanins", "color intensity", "hue", "OD280/OD315 of diluted wines", "proline"}};
    return table;
}

std::vector<std::string> breastCancerFeatures()
{
    std::vector<std::string> names;
    for (const char* const statistic : {"mean ", "standard error of ", "worst "})
        for (const char* const quantity :
             {"radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry", "fractal dimension"})
            names.push_back(std::string(statistic) + quantity);
    return names;
}

const BundledTable& breastCancer()
{
    static const BundledTable table{
        "breast_cancer",
        "Breast cancer (Wisconsin, diagnostic)",
        "569 tumours with 30 measurements of their cell nuclei, malignant or benign.",
        "Wolberg, Mangasarian, Street & Street (1995), UCI Breast Cancer Wisconsin (Diagnostic), doi:10.24432/C5DW2B, CC BY 4.0",
        "breast_cancer.csv",
        {"malignant", "benign"},
        breastCancerFeatures()};
    return table;
}

std::string readResource(const char* file)
{
    return core::inflateIfGzip(core::readFile(core::resolvePath(std::string("resource:") + file)), file);
}

DataSetPtr openTable(const BundledTable& description, const Json& parameters)
{
    io::CsvOptions options;
    options.header = io::CsvHeader::Absent;
    options.skipLines = 1;
    const io::CsvTable table = io::parseCsv(readResource(description.file), description.file, options);
    TableRoles roles;
    roles.task = "classification";
    RawData raw = rawFromTable(table, roles, description.file);
    raw.info.id = description.id;
    raw.info.title = description.title;
    raw.info.source = description.source;
    raw.info.classNames = description.classNames;
    raw.info.featureNames = description.featureNames;
    return prepare(std::move(raw), parameters);
}

void addTable(DataRegistry& registry, const BundledTable& table)
{
    registry.add({table.id,
                  table.title,
                  table.summary,
                  table.source,
                  withCommon({}, {{}, true, false, false}),
                  {},
                  {{"table", "float", {"batch", "feature"}}}},
                 [&table](const Json& parameters, const std::filesystem::path&) { return openTable(table, parameters); });
}

/// Pictures [sample, 1, 8, 8] of grey levels 0 to 16.
RawData rawDigits()
{
    io::CsvOptions options;
    options.header = io::CsvHeader::Absent;
    const io::CsvTable table = io::parseCsv(readResource("digits.csv.gz"), "digits.csv.gz", options);
    const auto rows = std::int64_t(table.rows);
    if (table.columns.size() != 65)
        throw core::FormatError("digits.csv.gz: expected 65 columns, got " + std::to_string(table.columns.size()));
    RawData raw;
    raw.info.id = "digits";
    raw.info.title = "Digits, 8 x 8";
    raw.info.source = kDigitsSource;
    raw.info.kind = DataKind::Image;
    raw.info.task = Task::Classification;
    raw.divisor = 16;
    raw.inputs = at::empty({rows, 1, 8, 8}, at::kByte);
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t pixel = 0; pixel < 64; ++pixel)
            raw.inputs.data_ptr<std::uint8_t>()[row * 64 + pixel] = std::uint8_t(table.columns[std::size_t(pixel)].numbers[std::size_t(row)]);
    // So small that it may lie ready as numbers.
    raw.inputs = raw.inputs.to(at::kFloat);
    raw.targets = at::tensor(table.columns[64].numbers, at::kDouble).to(at::kLong);
    for (int digit = 0; digit < 10; ++digit)
        raw.info.classNames.push_back(std::to_string(digit));
    return raw;
}

DataSetPtr openDigits(const Json& parameters, const std::filesystem::path&)
{
    return prepare(rawDigits(), parameters);
}

DataSetPtr openDigitRows(const Json& parameters, const std::filesystem::path&)
{
    RawData raw = rawDigits();
    raw.info.id = "digit_rows";
    raw.info.title = "Digits, 64 features";
    raw.info.kind = DataKind::Table;
    raw.inputs = raw.inputs.div(raw.divisor).flatten(1);
    raw.divisor = 1;
    for (int row = 0; row < 8; ++row)
        for (int column = 0; column < 8; ++column)
            raw.info.featureNames.push_back("pixel " + std::to_string(row) + "," + std::to_string(column));
    return prepare(std::move(raw), parameters);
}

}  // namespace

void addDigits(DataRegistry& registry)
{
    registry.add({"digits",
                  "Digits, 8 x 8",
                  "1,797 handwritten digits of 8 x 8 grey levels, 0 to 1. The default split holds 1,258 for training, 180 for validation and 359 for "
                  "testing, stratified, seed 0.",
                  kDigitsSource,
                  withCommon({}, {{}, false, false, true}),
                  {},
                  {{"image", "float", {"batch", "channel", "height", "width"}}}},
                 openDigits);
}

void addDigitRows(DataRegistry& registry)
{
    registry.add({"digit_rows",
                  "Digits, 64 features",
                  "The 1,797 digits as table rows of 64 grey levels, 0 to 1: for multi-layer perceptrons. Parts are those of digits.",
                  kDigitsSource,
                  withCommon({}, {{}, false, false, false}),
                  {},
                  {{"table", "float", {"batch", "feature"}}}},
                 openDigitRows);
}

void addIris(DataRegistry& registry)
{
    addTable(registry, iris());
}

void addWine(DataRegistry& registry)
{
    addTable(registry, wine());
}

void addBreastCancer(DataRegistry& registry)
{
    addTable(registry, breastCancer());
}

}  // namespace orrery::data
