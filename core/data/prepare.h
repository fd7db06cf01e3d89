#pragma once
#include <functional>

#include "dataset.h"
#include "splits.h"

namespace orrery::data {

/// What a reader delivers: everything in memory, in file order, nothing drawn, standardised or filled in yet.
struct RawData {
    DataInfo info;                          ///< id, title, source, kind, task and names; the rest is filled in by `prepare`
    at::Tensor inputs;                      ///< [sample, ...] float32 or float64 (NaN where a value is missing), or uint8 (shown as value / divisor)
    at::Tensor targets;                     ///< [sample] int64 (negative: missing), [sample, output] float32 (NaN: missing), or undefined
    double divisor = 1;                     ///< of uint8 inputs and of image values
    std::vector<std::int64_t> testSamples;  ///< where the data bring a test part of their own
    /// `iris.csv: line 7, column "petal length"`; `feature` is -1 for the target.
    std::function<std::string(std::int64_t sample, std::int64_t feature)> place;
};

enum class Missing { Refuse, Mean, Drop };

/// Parameters that all sets share. Own parameters come first.
struct CommonDefaults {
    SplitOptions split;
    bool standardize = false;
    bool missing = false;  ///< offer `missing`
    bool augment = false;  ///< offer `augment`
};
core::Schema withCommon(core::Schema own, const CommonDefaults& defaults);

/// Missing values, split, limit, standardisation (from the training part alone), ports and augmentations: a set that is ready.
/// @throws core::FormatError for values that are missing (unless `missing` says what to do) or infinite; core::InputError.
DataSetPtr prepare(RawData raw, const core::Json& parameters);

/// Sets what describes a set, once, while it is made.
class DataBuilder {
public:
    static void setUp(DataSet& set, DataInfo info, SplitLists splits, std::vector<std::shared_ptr<const Augmentation>> augmentations);
};

/// The augmentations of a resolved `augment` list; empty if the parameter is not there.
std::vector<std::shared_ptr<const Augmentation>> augmentationsOf(const core::Json& parameters);
/// Fills in ports, input shape and output size from kind, task and names. @param sample  Shape of one input.
void describe(DataInfo& info, std::vector<std::int64_t> sample);
/// The parameters `limit` and `fraction`, which all sets have.
void addLimits(core::Schema& schema);
/// Applies `limit`, then `fraction`, where they are given.
void applyLimit(SplitLists& splits, const core::Json& parameters);

}  // namespace orrery::data
