#include "dataset.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include <core/base/text.h>

#include "label_tables.h"
#include "vocabulary.h"

namespace orrery::data {

DataSet::~DataSet() = default;

std::string_view splitName(Split split)
{
    return split == Split::Train ? "train" : split == Split::Val ? "val" : "test";
}

Split splitFromName(std::string_view name)
{
    for (const Split split : {Split::Train, Split::Val, Split::Test})
        if (splitName(split) == name)
            return split;
    throw core::InputError(fmt::format("expected the part train, val or test, got \"{}\"", name));
}

Batch DataSet::fetch(std::span<const std::int64_t> indices) const
{
    for (const std::int64_t index : indices)
        if (index < 0 || index >= size())
            throw core::InputError(fmt::format("{}: expected a sample number from 0 to {}, got {}", m_info.id, size() - 1, index));
    Batch batch = fetchChecked(indices);
    batch.indices.assign(indices.begin(), indices.end());
    return batch;
}

const std::string& DataSet::contentHash() const
{
    std::call_once(m_hashOnce, [this] { m_hash = computeHash(); });
    return m_hash;
}

std::string DataSet::targetText(std::int64_t index) const
{
    const Batch batch = fetch({&index, 1});
    switch (m_info.task) {
    case Task::Classification: return m_info.classNames.at(std::size_t(batch.targets.item<std::int64_t>()));
    case Task::Regression: {
        if (holdsLabels(m_info)) {
            const at::Tensor row = batch.targets[0].contiguous();
            return labelsText({row.data_ptr<float>(), std::size_t(row.numel())}, m_info.targetNames);
        }
        if (batch.targets.dim() > 2)
            return core::formatShape(batch.targets.sizes().slice(1));  // a picture
        std::vector<std::string> values;
        for (std::int64_t i = 0; i < batch.targets.size(1); ++i)
            values.push_back(core::formatNumber(double(batch.targets[0][i].item<float>())));
        return core::join(values, ", ");
    }
    case Task::NextToken: {
        constexpr std::int64_t kShown = 60;
        const at::Tensor tokens = batch.inputs[0][0].slice(0, 0, kShown).contiguous();
        const std::span<const std::int64_t> numbers(tokens.data_ptr<std::int64_t>(), std::size_t(tokens.numel()));
        // A set without a vocabulary has tokens that stand for nothing but their numbers.
        return vocabulary() ? vocabulary()->decode(numbers) : fmt::format("{}", fmt::join(numbers, " "));
    }
    default: return {};
    }
}

at::Tensor toDisplay(const DataInfo& info, const at::Tensor& image)
{
    if (image.dim() != 3 || (image.size(0) != 1 && image.size(0) != 3))
        throw core::ShapeError(
            fmt::format("expected an image [1 or 3, height, width], got {}", core::formatShape({image.sizes().data(), image.sizes().size()})));
    at::Tensor shown = image.detach().to(at::kCPU, at::kDouble);
    if (!info.mean.empty() && std::int64_t(info.mean.size()) == image.size(0)) {
        const auto perChannel = [&](const std::vector<double>& values) { return at::tensor(values, at::kDouble).view({-1, 1, 1}); };
        shown = shown * perChannel(info.std) + perChannel(info.mean);
    }
    shown = (shown - info.displayLow) * (255.0 / (info.displayHigh - info.displayLow));
    return shown.clamp(0, 255).round().to(at::kByte).permute({1, 2, 0}).contiguous();
}

}  // namespace orrery::data
