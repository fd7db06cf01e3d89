// Grey pictures that bear several labels each, out of tables of several sources.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/base/text.h>
#include <core/io/grey_image.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

#include "grey_scaler.h"
#include "label_tables.h"
#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;
using std::filesystem::path;

constexpr const char* kLabelledId = "labelled_pictures";

/// Where the pictures of one source lie: files below a folder, or one array [sample, height, width].
struct PictureSource {
    path place;
    at::Tensor array;  ///< undefined: a folder
    std::optional<double> maximum;
    std::vector<std::string> images;  ///< names of files, one a row
    std::int64_t first = 0;           ///< number of its first sample
};

struct Shaping {
    std::int64_t side = 224;
    bool crop = true;
    double low = -1024, high = 1024;
};

/// The square in the middle, as large as fits.
at::Tensor centreSquare(const at::Tensor& picture)
{
    const std::int64_t height = picture.size(0), width = picture.size(1), side = std::min(height, width);
    return picture.narrow(0, (height - side) / 2, side).narrow(1, (width - side) / 2, side);
}

/// Scales after the grey levels are in place. The filter is widened where the picture shrinks, so that no pixel is passed over.
at::Tensor resized(const at::Tensor& picture, std::int64_t side)
{
    if (picture.size(0) == side && picture.size(1) == side)
        return picture.contiguous();
    const at::NoGradGuard noGrad;
    return at::_upsample_bilinear2d_aa(picture.unsqueeze(0).unsqueeze(0), {side, side}, false)[0][0].contiguous();
}

class LabelledPictures : public DataSet {
public:
    LabelledPictures(std::vector<PictureSource> sources, at::Tensor targets, Shaping shaping)
        : m_sources(std::move(sources)), m_targets(std::move(targets)), m_shaping(shaping)
    {
        constexpr std::uint64_t kCacheBytes = std::uint64_t(1) << 30;
        const auto bytes = std::uint64_t(m_targets.size(0)) * std::uint64_t(shaping.side) * std::uint64_t(shaping.side) * sizeof(float);
        if (bytes <= kCacheBytes)
            m_cache.resize(std::size_t(m_targets.size(0)));
    }
    std::int64_t size() const override { return m_targets.size(0); }
    bool isInMemory() const override { return false; }

    /// [side, side] in the stated range.
    at::Tensor scaled(std::int64_t index) const
    {
        if (m_cache.empty())
            return shaped(index);
        {
            const std::lock_guard lock(m_mutex);
            if (m_cache[std::size_t(index)].defined())
                return m_cache[std::size_t(index)];
        }
        at::Tensor picture = shaped(index);
        const std::lock_guard lock(m_mutex);
        return m_cache[std::size_t(index)] = std::move(picture);
    }
    void standardizeBy(double mean, double std)
    {
        m_mean = mean;
        m_std = std;
    }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        const auto count = std::int64_t(indices.size());
        const at::Tensor pictures = at::empty({count, 1, m_shaping.side, m_shaping.side}, at::kFloat);
        for (std::int64_t i = 0; i < count; ++i)
            pictures[i][0].copy_(scaled(indices[std::size_t(i)]));
        if (m_mean != 0 || m_std != 1)
            pictures.sub_(m_mean).div_(m_std);
        Batch batch;
        batch.inputs.push_back(pictures);
        batch.targets = m_targets.index_select(0, at::from_blob(const_cast<std::int64_t*>(indices.data()), {count}, at::kLong));
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        hasher.add(fmt::format("labelled pictures {} {} {} {} {} {};", m_shaping.side, m_shaping.crop, m_shaping.low, m_shaping.high, m_mean, m_std));
        for (const PictureSource& source : m_sources) {
            hasher.add(fmt::format("{};", source.maximum.value_or(0)));
            if (source.array.defined())
                hasher.add(core::hashFileHex(source.place));
            for (const std::string& image : source.images)
                hasher.add(core::hashFileHex(source.place / image));
        }
        hasher.add(m_targets.data_ptr(), m_targets.nbytes());
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(fmt::format(";{}", fmt::join(split(part), " ")));
        return hasher.hex();
    }

private:
    at::Tensor shaped(std::int64_t index) const
    {
        const auto after = std::upper_bound(m_sources.begin(), m_sources.end(), index,
                                            [](std::int64_t number, const PictureSource& source) { return number < source.first; });
        const PictureSource& source = *(after - 1);
        GreyScaler scaler{0, m_shaping.low, m_shaping.high};
        const std::int64_t row = index - source.first;
        const std::string name = source.array.defined() ? fmt::format("{}: picture {}", source.place.filename().string(), row)
                                                        : (source.place / source.images[std::size_t(row)]).string();
        at::Tensor picture = source.array.defined() ? source.array[row] : decoded(source, name, scaler.maximum);
        if (source.maximum)
            scaler.maximum = *source.maximum;
        picture = scaler(picture, name);
        return resized(m_shaping.crop ? centreSquare(picture) : picture, m_shaping.side);
    }

    static at::Tensor decoded(const PictureSource&, const std::string& file, double& maximum)
    {
        const io::GreyImage image = io::decodeGrey(core::readFile(file), file);
        maximum = image.maximum;
        const at::Tensor out = at::empty({image.height, image.width}, at::kFloat);
        std::copy(image.values.begin(), image.values.end(), out.data_ptr<float>());
        return out;
    }

    std::vector<PictureSource> m_sources;
    at::Tensor m_targets;  // [sample, label]
    Shaping m_shaping;
    double m_mean = 0, m_std = 1;
    mutable std::mutex m_mutex;  // guards m_cache
    mutable std::vector<at::Tensor> m_cache;
};

LabelColumns columnsOf(const Json& source, const Json& parameters, bool isFolder)
{
    LabelColumns columns;
    columns.image = isFolder ? source.at("image").get<std::string>() : std::string();
    columns.patient = source.at("patient").get<std::string>();
    columns.findings = source.at("findings").get<std::string>();
    columns.labels = source.at("labels").get<std::vector<std::string>>();
    const std::string uncertain = parameters.at("uncertain").get<std::string>();
    columns.uncertain = uncertain == "missing" ? Uncertain::Missing : uncertain == "positive" ? Uncertain::Positive : Uncertain::Negative;
    const Json& rename = source.at("rename");
    if (!rename.is_object() || !std::all_of(rename.begin(), rename.end(), [](const Json& value) { return value.is_string(); }))
        throw core::InputError(
            fmt::format("data.sources: rename: expected an object such as {{\"Pleural Effusion\": \"Effusion\"}}, got {}", rename.dump()));
    for (const auto& [from, to] : rename.items())
        columns.rename[from] = to.get<std::string>();
    return columns;
}

/// [sample, height, width] of real numbers.
at::Tensor pictureArray(const path& file)
{
    const at::Tensor array = io::toTensor(io::parseNpy(readDataFile(kLabelledId, file), file.filename().string()));
    if (array.dim() != 3 || array.is_complex() || array.numel() == 0)
        throw core::ShapeError(fmt::format("{}: expected pictures [sample, height, width], got {} {}", file.filename().string(),
                                           at::toString(array.scalar_type()), core::formatShape(array.sizes())));
    return array;
}

/// A table may come from anywhere: its names stay below the folder.
void checkFiles(const PictureSource& source, const LabelTable& table, const std::string& name)
{
    for (const LabelTable::Row& row : table.rows) {
        const path file = row.image;
        if (file.empty() || file.is_absolute() || std::find(file.begin(), file.end(), "..") != file.end())
            throw core::FormatError(
                fmt::format("{}: line {}: expected the name of a picture below {}, got \"{}\"", name, row.line, source.place.string(), row.image));
        std::error_code ignored;
        if (!std::filesystem::is_regular_file(source.place / file, ignored))
            throw core::StorageError(
                fmt::format("{}: line {}: expected a picture at {}, found none", name, row.line, (source.place / file).string()));
    }
}

struct Opened {
    std::vector<PictureSource> sources;
    std::vector<LabelTable> tables;
    std::vector<std::string> patients;  ///< one a sample; another for each source and, where nobody says, for each sample
};

void openSource(Opened& opened, const Json& document, const Json& parameters, const path& base)
{
    PictureSource source;
    source.place = core::resolvePath(document.at("pictures").get<std::string>(), base);
    std::error_code ignored;
    const bool isFolder = std::filesystem::is_directory(source.place, ignored);
    const path tableFile = core::resolvePath(document.at("table").get<std::string>(), base);
    const std::string name = tableFile.filename().string();
    LabelTable table = parseLabelTable(readDataFile(kLabelledId, tableFile), name, columnsOf(document, parameters, isFolder));
    if (const Json& maximum = document.at("maximum"); maximum.is_number())
        source.maximum = maximum.get<double>();
    if (isFolder) {
        checkFiles(source, table, name);
        for (const LabelTable::Row& row : table.rows)
            source.images.push_back(row.image);
    } else {
        source.array = pictureArray(source.place);
        if (source.array.size(0) != std::int64_t(table.rows.size()))
            throw core::ShapeError(fmt::format("{}: expected {} pictures, one a row of {}, got {}", source.place.filename().string(),
                                               table.rows.size(), name, source.array.size(0)));
        if (!source.maximum && source.array.scalar_type() == at::kByte)
            source.maximum = 255;
        if (!source.maximum)
            throw core::InputError(fmt::format("data.sources: expected `maximum`, the grey level that is white, for {} of {}",
                                               source.place.filename().string(), at::toString(source.array.scalar_type())));
    }
    source.first = std::int64_t(opened.patients.size());
    for (const LabelTable::Row& row : table.rows)
        opened.patients.push_back(row.patient.empty() ? fmt::format("#{}", opened.patients.size())
                                                      : fmt::format("{}/{}", opened.sources.size(), row.patient));
    opened.sources.push_back(std::move(source));
    opened.tables.push_back(std::move(table));
}

/// All pictures of a patient are in one part: else a test would ask for what was learned by heart.
SplitLists splitByPatient(const std::vector<std::string>& patients, const Json& parameters)
{
    std::map<std::string, std::vector<std::int64_t>> samples;
    std::vector<std::string> order;
    for (std::size_t i = 0; i < patients.size(); ++i) {
        if (samples[patients[i]].empty())
            order.push_back(patients[i]);
        samples[patients[i]].push_back(std::int64_t(i));
    }
    SplitOptions options = SplitOptions::fromJson(parameters.at("split"));
    SplitLists lists = randomSplit(std::int64_t(order.size()), options);
    for (auto* list : {&lists.train, &lists.val, &lists.test}) {
        std::vector<std::int64_t> all;
        for (const std::int64_t patient : *list)
            all.insert(all.end(), samples[order[std::size_t(patient)]].begin(), samples[order[std::size_t(patient)]].end());
        std::sort(all.begin(), all.end());
        *list = std::move(all);
    }
    applyLimit(lists, parameters);
    return lists;
}

/// The asked-for labels, or all. A label that no source knows is missing everywhere, which is right for a model that has more outputs; a slip of the pen is not.
std::vector<std::string> chosenLabels(const Opened& opened, const Json& parameters)
{
    const std::vector<std::string> known = unionOfLabels(opened.tables), asked = parameters.at("labels").get<std::vector<std::string>>();
    for (std::size_t i = 0; i < asked.size(); ++i) {
        if (std::find(asked.begin(), asked.begin() + std::ptrdiff_t(i), asked[i]) != asked.begin() + std::ptrdiff_t(i))
            throw core::InputError(fmt::format("data.labels: expected each label once, got \"{}\" twice", asked[i]));
        if (std::find(known.begin(), known.end(), asked[i]) != known.end())
            continue;
        const std::string meant = core::didYouMean(asked[i], known);
        if (!meant.empty() && std::find(asked.begin(), asked.end(), *core::nearestName(asked[i], known)) == asked.end())
            throw core::InputError(fmt::format("data.labels: no source has the label \"{}\"{}", asked[i], meant));
    }
    return asked.empty() ? known : asked;
}

at::Tensor targetsOf(const Opened& opened, const std::vector<std::string>& labels)
{
    const at::Tensor targets = at::empty({std::int64_t(opened.patients.size()), std::int64_t(labels.size())}, at::kFloat);
    float* to = targets.data_ptr<float>();
    for (const LabelTable& table : opened.tables)
        for (const std::vector<float>& row : alignedValues(table, labels))
            to = std::copy(row.begin(), row.end(), to);
    return targets;
}

/// Mean and standard deviation of all pixels of the training part.
void standardizePictures(LabelledPictures& set, const SplitLists& splits, DataInfo& info)
{
    double sum = 0, squares = 0, count = 0;
    for (const std::int64_t index : splits.train) {
        const at::Tensor picture = set.scaled(index).to(at::kDouble);
        sum += picture.sum().item<double>();
        squares += picture.square().sum().item<double>();
        count += double(picture.numel());
    }
    const double mean = sum / count, variance = squares / count - mean * mean;
    info.mean = {mean};
    info.std = {variance > 1e-12 ? std::sqrt(variance) : 1.0};
    set.standardizeBy(info.mean[0], info.std[0]);
}

DataInfo labelledInfo(const Opened& opened, const std::vector<std::string>& labels, const Shaping& shaping)
{
    DataInfo info;
    info.id = kLabelledId;
    info.title = fmt::format("{} pictures of {} source{}", opened.patients.size(), opened.sources.size(), opened.sources.size() == 1 ? "" : "s");
    info.kind = DataKind::Image;
    info.task = Task::Regression;
    info.classNames = info.targetNames = labels;
    info.displayLow = shaping.low;
    info.displayHigh = shaping.high;
    describe(info, {1, shaping.side, shaping.side});
    info.target = {"labels", std::string(kLabelsKind), {"batch", "label"}};
    return info;
}

DataSetPtr openLabelledPictures(const Json& parameters, const path& base)
{
    Opened opened;
    for (const Json& source : parameters.at("sources"))
        openSource(opened, source, parameters, base);
    if (opened.sources.empty())
        throw core::InputError("data.sources: expected at least one table of labels with its pictures, got none");
    const Shaping shaping{parameters.at("size").get<std::int64_t>(), parameters.at("fit") == "crop", parameters.at("low").get<double>(),
                          parameters.at("high").get<double>()};
    if (!(shaping.low < shaping.high))
        throw core::InputError(fmt::format("data.low: expected a number below high, {}, got {}", shaping.high, shaping.low));
    const std::vector<std::string> labels = chosenLabels(opened, parameters);
    SplitLists splits = splitByPatient(opened.patients, parameters);
    DataInfo info = labelledInfo(opened, labels, shaping);
    auto set = std::make_shared<LabelledPictures>(std::move(opened.sources), targetsOf(opened, labels), shaping);
    if (parameters.at("standardize").get<bool>())
        standardizePictures(*set, splits, info);
    DataBuilder::setUp(*set, std::move(info), std::move(splits), augmentationsOf(parameters));
    return set;
}

core::Schema sourceSchema()
{
    const core::Parameter label = core::text("", "", "");
    return {core::required(core::text("table", "", "CSV with one row a picture: 1 present, 0 absent, -1 uncertain, nothing: not known.")),
            core::required(
                core::text("pictures", "", "Folder of PNG, JPEG or WebP files, or a .npy of [sample, height, width] in the order of the rows.")),
            core::text("image", "image", "Column with the names of the files below the folder."),
            core::text("patient", "", "Column that says who is shown: all pictures of a patient come into one part."),
            core::text("findings", "", "Column that lists what is present, as Mass|Nodule; empty: one column a label."),
            core::list("labels", label, Json::array(), "Columns (or words of findings) that are labels; empty: all others."),
            core::any("rename", Json::object(), "The source's label -> the common one, as {\"Pleural Effusion\": \"Effusion\"}."),
            core::real("maximum", 255, "Grey level that is white; none: 255, or 65,535 for 16-bit PNG files.").above(0).noneByDefault()};
}

}  // namespace

void addLabelledPictures(DataRegistry& registry)
{
    core::Schema schema{
        core::required(core::list("sources", core::group("", sourceSchema(), ""), Json::array(), "Tables of labels with their pictures.")),
        core::list("labels", core::text("", "", ""), Json::array(),
                   "The labels and their order; one that a source lacks is missing there, not absent. Empty: those of all sources."),
        core::choice("uncertain", {"missing", "positive", "negative"}, "missing", "What an uncertain label (-1) counts as."),
        core::integer("size", 224, "Side of the square that each picture is scaled to.").range(1, 4096).withUnit("px"),
        core::choice("fit", {"crop", "stretch"}, "crop", "Keep the proportions and cut the longer side, or stretch."),
        core::real("low", -1024, "What black becomes."),
        core::real("high", 1024, "What white becomes.")};
    registry.add({kLabelledId,
                  "Grey pictures with labels",
                  "Grey pictures that bear several labels each, from tables of several sources; grey levels are mapped exactly onto one range.",
                  "Cohen et al. (2022), \"TorchXRayVision: A library of chest X-ray datasets and models\", arXiv:2111.00595",
                  withCommon(schema, {{}, false, false, true}),
                  {},
                  {{"image", "float", {"batch", "channel", "height", "width"}}}},
                 openLabelledPictures);
}

}  // namespace orrery::data
