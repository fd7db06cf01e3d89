#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/base/registry.h>

/// Data sets: samples by index, split into training, validation and test part, with what is needed to show them. Registered in family `data`.
namespace orrery::data {

class Augmentation;
class Vocabulary;

enum class DataKind { Image, Table, Tokens };
/// NextToken: targets are the inputs shifted by one. None: the set has no targets.
enum class Task { Classification, Regression, NextToken, None };
enum class Split { Train, Val, Test };
std::string_view splitName(Split split);  ///< "train", "val", "test"
/// @throws core::InputError for another name.
Split splitFromName(std::string_view name);

/// Targets of this value are padding: losses and metrics leave them out.
constexpr std::int64_t kIgnoredTarget = -100;
/// The marks of paired texts: they are the control characters U+0000, U+0002 and U+0003 of the vocabulary.
constexpr std::int64_t kPaddingToken = 0, kBeginToken = 1, kEndToken = 2;

/// Samples as CPU tensors, contiguous, without gradient.
struct Batch {
    std::vector<at::Tensor>
        inputs;  ///< one a port, [batch, ...]: Image [batch, channel, height, width] float; Table [batch, feature] float; Tokens [batch, position] int64
    at::Tensor targets;  ///< Classification [batch] int64; Regression [batch, output] float; NextToken [batch, position] int64; None: undefined
    std::vector<std::int64_t> indices;
    std::int64_t size() const { return std::int64_t(indices.size()); }
};

/// What a set says of itself.
struct DataInfo {
    std::string id;  ///< registered name: `digits`
    std::string title, source;
    DataKind kind = DataKind::Table;
    Task task = Task::Classification;
    std::vector<core::Port> inputs;         ///< "image": batch, channel, height, width; "table": batch, feature; "tokens": batch, position
    core::Port target;                      ///< kind "class_index", "float" or "token_id"
    std::vector<std::int64_t> inputShape;   ///< of one sample: [channel, height, width], [feature] or [position]
    std::vector<std::string> classNames;    ///< Classification
    std::vector<std::string> featureNames;  ///< Table
    std::vector<std::string> targetNames;   ///< Regression: one an output
    std::int64_t vocabularySize = 0;        ///< Tokens
    /// Size of the last axis of a fitting model's output: classes, outputs of a regression, or the vocabulary; 0 without targets.
    std::int64_t outputSize = 0;
    /// Value shown = x * std + mean, per channel or feature; empty if the values were not standardised. Taken from the training part only.
    std::vector<double> mean, std;
    double displayLow = 0, displayHigh = 1;  ///< image values (standardisation undone) shown as black and white
};

class DataSet {
public:
    virtual ~DataSet();
    DataSet(const DataSet&) = delete;
    DataSet& operator=(const DataSet&) = delete;

    const DataInfo& info() const { return m_info; }
    virtual std::int64_t size() const = 0;
    /// Sample numbers of a part, ascending. Parts are disjoint.
    const std::vector<std::int64_t>& split(Split part) const { return m_splits[std::size_t(part)]; }

    /// The samples as they are, without augmentation. Any thread.
    /// @throws core::InputError for an index outside [0, size); core::FormatError or core::StorageError where samples are read from files only now.
    Batch fetch(std::span<const std::int64_t> indices) const;

    /// Tokens of a sample before padding: what a cap on tokens counts. Any thread. 1 for samples that are no sequences.
    virtual std::int64_t length(std::int64_t index) const { return m_info.kind == DataKind::Tokens && !m_info.inputShape.empty() ? m_info.inputShape[0] : 1; }

    /// Applied by the loader to training batches, in this order.
    const std::vector<std::shared_ptr<const Augmentation>>& augmentations() const { return m_augmentations; }
    /// True if `fetch` only copies memory: a loader then needs no threads of its own.
    virtual bool isInMemory() const { return true; }
    /// 32 hexadecimal digits: same digits, same samples, targets, parts and preprocessing. Computed on the first call. Any thread.
    const std::string& contentHash() const;
    /// Tokens: text <-> numbers; else null.
    virtual const Vocabulary* vocabulary() const { return nullptr; }
    /// One line for lists: the class name, the target value or the start of the text.
    std::string targetText(std::int64_t index) const;

protected:
    DataSet() = default;
    virtual Batch fetchChecked(std::span<const std::int64_t> indices) const = 0;
    virtual std::string computeHash() const = 0;

    DataInfo m_info;
    std::vector<std::int64_t> m_splits[3];
    std::vector<std::shared_ptr<const Augmentation>> m_augmentations;
    friend class DataBuilder;

private:
    mutable std::once_flag m_hashOnce;
    mutable std::string m_hash;
};
using DataSetPtr = std::shared_ptr<const DataSet>;

/// An input image of a set, one sample [channel, height, width], as bytes to be shown: [height, width, 1 or 3] uint8, standardisation undone.
at::Tensor toDisplay(const DataInfo& info, const at::Tensor& image);

/// Opens a set from resolved parameters; paths among them are relative to `base`.
using DataFactory = std::function<DataSetPtr(const core::Json& parameters, const std::filesystem::path& base)>;
/// Family `data`. Any thread.
const core::Registry<DataFactory>& dataRegistry();

/// The `data` part of an experiment document: `{"id": "digits", ...}` or just `"digits"`. Checks the parameters against the schema, fills in defaults, opens.
/// @throws core::InputError for an unknown set or parameter, or one that does not fit the data; core::StorageError if files are missing (a known set says
///         where to put them); core::FormatError if files are broken, or hold values that are missing or not finite.
DataSetPtr openData(const core::Json& document, const std::filesystem::path& base = {});

/// A document for a command-line argument `--data ID|PATH`: a registered id, JSON text, or a path whose reader is chosen by its ending
/// (.csv .tsv .npy .npz .jsonl .txt [.gz], or a folder: class folders with pictures, CIFAR or IDX files).
/// @throws core::InputError if it is none of these.
core::Json dataDocument(const std::string& reference, const std::filesystem::path& base = {});

}  // namespace orrery::data
