#pragma once
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "dataset.h"

namespace orrery::data {

enum class Order { Sequential, Shuffled };
/// What to do with a batch size above the number of samples.
enum class LargeBatch { Refuse, Shrink };

struct LoaderOptions {
    std::int64_t batchSize = 32;
    /// Above 0: samples of like length come together, and a batch is ended before its tokens, padding counted (rows times the longest row), exceed this;
    /// `batchSize` stays the most rows. `dropLast` is not looked at.
    std::int64_t maxTokens = 0;
    Order order = Order::Shuffled;
    bool dropLast = false;  ///< leave out a last batch with fewer samples
    bool augment = true;    ///< apply the set's augmentations
    LargeBatch largeBatch = LargeBatch::Refuse;
    std::uint64_t seed = 0;
    int threads = -1;  ///< 0: batches are made by the caller's thread; -1: 0 for sets in memory without augmentation, else 1
    int prefetch = 4;  ///< at most so many finished batches wait
};

/// Where a loader stands: after `batch` batches of epoch `epoch`. Stored in checkpoints.
struct LoaderState {
    std::int64_t epoch = 0, batch = 0;
    core::Json toJson() const;
    static LoaderState fromJson(const core::Json& json);  ///< @throws core::FormatError
};

/// Batches an epoch has. @throws core::InputError for a sample that alone exceeds `maxTokens`.
std::int64_t batchesPerEpoch(const DataSet& data, std::span<const std::int64_t> indices, const LoaderOptions& options);

/// Gives the samples of a part batch by batch, made ahead by threads of its own. Order and augmentation depend on (seed, epoch, sample number) alone: not on
/// threads, batch size of the prefetching or what was read before. One thread uses a loader.
class Loader {
public:
    /// @throws core::InputError if there are no samples, the batch size is below 1, or it exceeds the number of samples (both are named).
    Loader(DataSetPtr data, std::vector<std::int64_t> indices, LoaderOptions options, std::stop_token stop = {});
    Loader(DataSetPtr data, Split part, LoaderOptions options, std::stop_token stop = {});
    ~Loader();
    Loader(Loader&&) noexcept;
    Loader& operator=(Loader&&) noexcept;

    std::int64_t batchesPerEpoch() const;
    std::int64_t samplesPerEpoch() const;
    /// The next batch, or nothing at the end of an epoch; the call after that starts the next epoch.
    /// @throws core::Cancelled when asked to stop; what making the batch threw (the loader then stays at this batch).
    std::optional<Batch> next();
    /// The position behind the last batch that was given out.
    LoaderState state() const;
    /// Goes to a position. @throws core::InputError if it is outside an epoch.
    void restore(const LoaderState& state);
    /// Sample numbers of an epoch in their order.
    std::vector<std::int64_t> epochOrder(std::int64_t epoch) const;

private:
    struct Impl;
    std::unique_ptr<Impl> m_impl;
};

}  // namespace orrery::data
