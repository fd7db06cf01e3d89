#include "prepare.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/hash.h>

#include "augmentation.h"

namespace orrery::data {
namespace {

/// Images and tables held as one tensor: a batch is one index_select.
class TensorDataSet : public DataSet {
public:
    TensorDataSet(at::Tensor inputs, at::Tensor targets, at::Tensor scale, at::Tensor offset)
        : m_inputs(std::move(inputs)), m_targets(std::move(targets)), m_scale(std::move(scale)), m_offset(std::move(offset))
    {
    }
    std::int64_t size() const override { return m_inputs.size(0); }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        const at::Tensor which = at::from_blob(const_cast<std::int64_t*>(indices.data()), {std::int64_t(indices.size())}, at::kLong);
        Batch batch;
        at::Tensor inputs = m_inputs.index_select(0, which);
        // Bytes stay bytes in memory (a quarter of the size) and become numbers here.
        if (inputs.scalar_type() == at::kByte)
            inputs = inputs.to(at::kFloat).mul_(m_scale).add_(m_offset);
        batch.inputs.push_back(inputs);
        if (m_targets.defined())
            batch.targets = m_targets.index_select(0, which);
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        for (const at::Tensor& tensor : {m_inputs, m_targets, m_scale, m_offset}) {
            if (!tensor.defined())
                continue;
            hasher.add(fmt::format("{} {};", at::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), " ")));
            hasher.add(tensor.data_ptr(), tensor.nbytes());
        }
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(fmt::format(";{}", fmt::join(split(part), " ")));
        return hasher.hex();
    }

private:
    at::Tensor m_inputs, m_targets, m_scale, m_offset;
};

Missing missingPolicy(const core::Json& parameters)
{
    const std::string name = parameters.value("missing", std::string("error"));
    return name == "mean" ? Missing::Mean : name == "drop" ? Missing::Drop : Missing::Refuse;
}

std::string placeOf(const RawData& raw, std::int64_t sample, std::int64_t feature)
{
    if (raw.place)
        return raw.place(sample, feature);
    return feature < 0 ? fmt::format("{}: sample {}, target", raw.info.id, sample)
                       : fmt::format("{}: sample {}, value {}", raw.info.id, sample, feature);
}

/// Rows with a missing value. Infinite values are never accepted.
std::vector<std::uint8_t> rowsWithMissing(const RawData& raw, Missing policy)
{
    const std::int64_t samples = raw.inputs.size(0), width = samples ? raw.inputs.numel() / samples : 0;
    std::vector<std::uint8_t> rows(std::size_t(samples), 0);
    const auto note = [&](double value, std::int64_t sample, std::int64_t feature) {
        if (std::isinf(value))
            throw core::FormatError(fmt::format("{}: expected a finite number, got {}", placeOf(raw, sample, feature), value > 0 ? "inf" : "-inf"));
        if (!std::isnan(value))
            return;
        if (policy == Missing::Refuse || (policy == Missing::Mean && feature < 0))
            throw core::FormatError(fmt::format("{}: expected a number, got a missing value or NaN ({})", placeOf(raw, sample, feature),
                                                feature < 0 ? "set `missing` to drop to leave such rows out" : "set `missing` to mean or drop"));
        rows[std::size_t(sample)] |= feature < 0 ? 2 : 1;
    };
    if (raw.inputs.is_floating_point()) {
        const at::Tensor values = raw.inputs.to(at::kDouble).contiguous();
        const double* const data = values.data_ptr<double>();
        for (std::int64_t i = 0; i < samples * width; ++i)
            if (!std::isfinite(data[i]))
                note(data[i], i / width, i % width);
    }
    if (!raw.targets.defined())
        return rows;
    const std::int64_t outputs = samples ? raw.targets.numel() / samples : 0;
    const at::Tensor targets = raw.targets.to(at::kDouble).contiguous();
    const bool classes = raw.targets.scalar_type() == at::kLong;
    for (std::int64_t i = 0; i < samples * outputs; ++i) {
        const double value = targets.data_ptr<double>()[i];
        note(classes && value < 0 ? std::nan("") : value, i / outputs, -1);
    }
    return rows;
}

void dropRows(RawData& raw, const std::vector<std::uint8_t>& rows)
{
    std::vector<std::int64_t> kept;
    std::vector<std::int64_t> newNumber(rows.size(), -1);
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (!rows[i]) {
            newNumber[i] = std::int64_t(kept.size());
            kept.push_back(std::int64_t(i));
        }
    if (kept.empty())
        throw core::InputError(fmt::format("{}: every one of the {} samples has a missing value; nothing is left", raw.info.id, rows.size()));
    const at::Tensor which = at::tensor(kept, at::kLong);
    raw.inputs = raw.inputs.index_select(0, which);
    if (raw.targets.defined())
        raw.targets = raw.targets.index_select(0, which);
    std::vector<std::int64_t> test;
    for (const std::int64_t sample : raw.testSamples)
        if (newNumber[std::size_t(sample)] >= 0)
            test.push_back(newNumber[std::size_t(sample)]);
    raw.testSamples = std::move(test);
}

SplitLists makeSplits(const RawData& raw, const core::Json& parameters)
{
    const SplitOptions options = SplitOptions::fromJson(parameters.at("split"));
    const std::int64_t samples = raw.inputs.size(0);
    std::span<const std::int64_t> classes;
    if (raw.info.task == Task::Classification)
        classes = {raw.targets.data_ptr<std::int64_t>(), std::size_t(samples)};
    if (raw.testSamples.empty())
        return randomSplit(samples, options, classes);
    std::vector<std::int64_t> trainable;
    for (std::int64_t i = 0; i < samples; ++i)
        if (!std::binary_search(raw.testSamples.begin(), raw.testSamples.end(), i))
            trainable.push_back(i);
    return splitWithTest(trainable, raw.testSamples, options, classes);
}

struct Statistics {
    std::vector<double> mean, std;
};

/// Mean and population standard deviation per channel or feature over the training part, missing values left out; summed in file order, so that the
/// result does not depend on threads. A constant feature gets standard deviation 1.
template <class T>
Statistics statisticsOf(const at::Tensor& inputs, std::span<const std::int64_t> train, double divisor)
{
    const std::int64_t channels = inputs.size(1), area = inputs.numel() / std::max<std::int64_t>(1, inputs.size(0) * channels);
    std::vector<double> mean(std::size_t(channels), 0), variance(std::size_t(channels), 0);
    std::vector<std::int64_t> counts(std::size_t(channels), 0);
    const auto pass = [&](auto&& add) {
        for (const std::int64_t sample : train)
            for (std::int64_t c = 0; c < channels; ++c) {
                const T* const values = inputs.data_ptr<T>() + (sample * channels + c) * area;
                for (std::int64_t i = 0; i < area; ++i)
                    if (const double value = double(values[i]) / divisor; !std::isnan(value))
                        add(std::size_t(c), value);
            }
    };
    pass([&](std::size_t c, double value) {
        mean[c] += value;
        ++counts[c];
    });
    for (std::size_t c = 0; c < mean.size(); ++c)
        mean[c] /= double(std::max<std::int64_t>(1, counts[c]));
    pass([&](std::size_t c, double value) { variance[c] += (value - mean[c]) * (value - mean[c]); });
    Statistics out{mean, {}};
    for (std::size_t c = 0; c < mean.size(); ++c) {
        const double std = std::sqrt(variance[c] / double(std::max<std::int64_t>(1, counts[c])));
        out.std.push_back(std > 1e-12 * std::max(1.0, std::abs(mean[c])) ? std : 1.0);
    }
    return out;
}

at::Tensor perChannel(const std::vector<double>& values, const at::Tensor& inputs)
{
    std::vector<std::int64_t> shape(std::size_t(inputs.dim()), 1);
    shape[1] = std::int64_t(values.size());
    return at::tensor(values, at::kDouble).view(shape);
}

/// Replaces NaN by the training mean of its feature.
at::Tensor filled(const at::Tensor& inputs, const Statistics& statistics)
{
    return at::where(inputs.isnan(), perChannel(statistics.mean, inputs), inputs);
}

std::shared_ptr<DataSet> makeFloatSet(RawData& raw, const SplitLists& splits, bool standardize)
{
    at::Tensor inputs = (raw.inputs.to(at::kDouble) / raw.divisor).contiguous();
    const Statistics statistics = statisticsOf<double>(inputs, splits.train, 1);
    inputs = filled(inputs, statistics);
    if (standardize) {
        inputs = (inputs - perChannel(statistics.mean, inputs)) / perChannel(statistics.std, inputs);
        raw.info.mean = statistics.mean;
        raw.info.std = statistics.std;
    }
    return std::make_shared<TensorDataSet>(inputs.to(at::kFloat).contiguous(), raw.targets, at::Tensor(), at::Tensor());
}

std::shared_ptr<DataSet> makeByteSet(RawData& raw, const SplitLists& splits, bool standardize)
{
    Statistics statistics{std::vector<double>(std::size_t(raw.inputs.size(1)), 0), std::vector<double>(std::size_t(raw.inputs.size(1)), 1)};
    raw.inputs = raw.inputs.contiguous();
    if (standardize) {
        statistics = statisticsOf<std::uint8_t>(raw.inputs, splits.train, raw.divisor);
        raw.info.mean = statistics.mean;
        raw.info.std = statistics.std;
    }
    const at::Tensor mean = perChannel(statistics.mean, raw.inputs), std = perChannel(statistics.std, raw.inputs);
    return std::make_shared<TensorDataSet>(raw.inputs, raw.targets, (1 / (std * raw.divisor)).to(at::kFloat), (-mean / std).to(at::kFloat));
}

}  // namespace

void DataBuilder::setUp(DataSet& set, DataInfo info, SplitLists splits, std::vector<std::shared_ptr<const Augmentation>> augmentations)
{
    set.m_info = std::move(info);
    set.m_splits[0] = std::move(splits.train);
    set.m_splits[1] = std::move(splits.val);
    set.m_splits[2] = std::move(splits.test);
    set.m_augmentations = std::move(augmentations);
}

core::Schema withCommon(core::Schema own, const CommonDefaults& defaults)
{
    own.add(splitParameter(defaults.split));
    own.add(core::boolean("standardize", defaults.standardize,
                          "Subtract the mean and divide by the standard deviation of each channel or feature, taken from the training part."));
    if (defaults.missing)
        own.add(core::choice("missing", {"error", "mean", "drop"}, "error",
                             "Missing values and NaN: refuse them, put in the training mean of the feature, or leave such samples out."));
    addLimits(own);
    if (defaults.augment)
        own.add(core::list("augment", core::component("", "augmentation", nullptr, ""), core::Json::array(),
                           "Random changes of training images, in this order."));
    return own;
}

std::vector<std::shared_ptr<const Augmentation>> augmentationsOf(const core::Json& parameters)
{
    std::vector<std::shared_ptr<const Augmentation>> out;
    if (parameters.contains("augment"))
        for (const core::Json& document : parameters["augment"])
            out.push_back(augmentationRegistry().factory(document.at("id").get<std::string>())(document));
    return out;
}

void addLimits(core::Schema& schema)
{
    schema.add(core::integer("limit", 1, "Use at most so many samples in all, every part in proportion.").atLeast(1).noneByDefault());
    schema.add(core::real("fraction", 1, "Train on this fraction of the training part; the validation and the test part stay whole.")
                   .range(0, 1)
                   .above(0)
                   .noneByDefault());
}

void applyLimit(SplitLists& splits, const core::Json& parameters)
{
    const auto seed = parameters.at("split").at("seed").get<std::uint64_t>();
    if (parameters.contains("limit") && !parameters["limit"].is_null())
        limitSplits(splits, parameters["limit"].get<std::int64_t>(), seed);
    if (parameters.contains("fraction") && !parameters["fraction"].is_null())
        keepFraction(splits.train, parameters["fraction"].get<double>(), seed);
}

void describe(DataInfo& info, std::vector<std::int64_t> sample)
{
    info.inputShape = std::move(sample);
    switch (info.kind) {
    case DataKind::Image: info.inputs = {{"image", "float", {"batch", "channel", "height", "width"}}}; break;
    case DataKind::Table: info.inputs = {{"table", "float", {"batch", "feature"}}}; break;
    case DataKind::Tokens: info.inputs = {{"tokens", "token_id", {"batch", "position"}}}; break;
    }
    switch (info.task) {
    case Task::Classification:
        info.target = {"class", "class_index", {"batch"}};
        info.outputSize = std::int64_t(info.classNames.size());
        break;
    case Task::Regression:
        info.target = {"value", "float", {"batch", "output"}};
        info.outputSize = std::int64_t(info.targetNames.size());
        break;
    case Task::NextToken:
        info.target = {"next_token", "token_id", {"batch", "position"}};
        info.outputSize = info.vocabularySize;
        break;
    case Task::None: break;
    }
}

DataSetPtr prepare(RawData raw, const core::Json& parameters)
{
    if (raw.inputs.size(0) == 0)
        throw core::FormatError(fmt::format("{}: expected samples, got none", raw.info.id));
    std::sort(raw.testSamples.begin(), raw.testSamples.end());
    const Missing policy = missingPolicy(parameters);
    const std::vector<std::uint8_t> rows = rowsWithMissing(raw, policy);
    if (policy == Missing::Drop && std::find_if(rows.begin(), rows.end(), [](auto row) { return row != 0; }) != rows.end())
        dropRows(raw, rows);
    if (raw.targets.defined())
        raw.targets = raw.targets.contiguous();
    SplitLists splits = makeSplits(raw, parameters);
    applyLimit(splits, parameters);
    const bool standardize = parameters.at("standardize").get<bool>();
    describe(raw.info, raw.inputs.sizes().slice(1).vec());
    auto augmentations = augmentationsOf(parameters);
    if (!augmentations.empty() && raw.info.kind != DataKind::Image)
        throw core::InputError(fmt::format("data.augment: expected images to augment, got a table ({})", raw.info.id));
    const std::shared_ptr<DataSet> set =
        raw.inputs.scalar_type() == at::kByte ? makeByteSet(raw, splits, standardize) : makeFloatSet(raw, splits, standardize);
    DataBuilder::setUp(*set, std::move(raw.info), std::move(splits), std::move(augmentations));
    return set;
}

}  // namespace orrery::data
