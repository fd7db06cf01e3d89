#include "loader.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <condition_variable>
#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include <core/base/rng.h>

#include "augmentation.h"
#include "splits.h"

namespace orrery::data {
namespace {

/// A finished batch, or what went wrong while it was made.
struct Made {
    Batch batch;
    std::exception_ptr error;
};

/// The samples of an epoch in their order, and where each batch begins (with the end behind the last).
struct EpochPlan {
    std::vector<std::int64_t> samples, begins;
};

void sortByLength(const DataSet& data, std::vector<std::int64_t>& samples)
{
    std::stable_sort(samples.begin(), samples.end(), [&](std::int64_t a, std::int64_t b) { return data.length(a) < data.length(b); });
}

/// Where batches begin in samples of ascending length. It depends on the lengths alone, so every epoch has the same number of batches.
std::vector<std::int64_t> beginsByTokens(const DataSet& data, std::span<const std::int64_t> sorted, const LoaderOptions& options)
{
    std::vector<std::int64_t> begins{0};
    for (std::int64_t i = 0; i < std::int64_t(sorted.size()); ++i) {
        const std::int64_t length = data.length(sorted[std::size_t(i)]), rows = i - begins.back() + 1;
        if (length > options.maxTokens)
            throw core::InputError(fmt::format("{}: expected samples of at most {} tokens (max_tokens), sample {} has {}", data.info().id,
                                               options.maxTokens, sorted[std::size_t(i)], length));
        if (rows * length > options.maxTokens || rows > options.batchSize)
            begins.push_back(i);
    }
    begins.push_back(std::int64_t(sorted.size()));
    return begins;
}

}  // namespace

core::Json LoaderState::toJson() const
{
    return {{"epoch", epoch}, {"batch", batch}};
}

LoaderState LoaderState::fromJson(const core::Json& json)
{
    try {
        return {json.at("epoch").get<std::int64_t>(), json.at("batch").get<std::int64_t>()};
    } catch (const nlohmann::json::exception&) {
        throw core::FormatError("loader state: expected {\"epoch\": ..., \"batch\": ...}, got " + json.dump());
    }
}

/// The workers number the batches of all epochs through: batch b of epoch e has the number e * batchesPerEpoch + b.
struct Loader::Impl {
    DataSetPtr data;
    std::vector<std::int64_t> indices;
    LoaderOptions options;
    std::stop_token stop;
    std::int64_t batches = 0, samples = 0;
    std::vector<float> fill;
    bool augment = false;

    std::int64_t consumed = 0;  ///< number of the next batch to give out
    bool atEpochEnd = false;    ///< the end of the epoch before `consumed` has not been reported yet

    std::mutex mutex;  ///< guards everything below
    std::condition_variable_any changed;
    std::int64_t claimed = 0;  ///< number of the next batch to be made
    std::int64_t wanted = 0;   ///< copy of `consumed` for the workers
    std::map<std::int64_t, Made> finished;
    std::int64_t orderEpoch = -1;
    std::shared_ptr<const EpochPlan> order;

    std::vector<std::jthread> workers;  ///< last: joined before the rest goes away

    ~Impl() { stopWorkers(); }

    void stopWorkers()
    {
        for (std::jthread& worker : workers)
            worker.request_stop();
        workers.clear();
    }

    void startWorkers()
    {
        {
            const std::lock_guard lock(mutex);
            finished.clear();
            claimed = wanted = consumed;
        }
        for (int i = 0; i < options.threads; ++i)
            workers.emplace_back([this](std::stop_token own) { work(own); });
    }

    void work(const std::stop_token& own)
    {
        // The batch is prepared beside the training step: it gets this one core and no more.
        at::set_num_threads(1);
        while (true) {
            std::int64_t number = 0;
            std::shared_ptr<const EpochPlan> epochOrder;
            {
                std::unique_lock lock(mutex);
                if (!changed.wait(lock, own, [this] { return claimed - wanted < std::max(1, options.prefetch); }))
                    return;
                number = claimed++;
                epochOrder = orderOf(number / batches);
            }
            Made made;
            try {
                made.batch = make(number, *epochOrder);
            } catch (...) {
                made.error = std::current_exception();
            }
            const std::lock_guard lock(mutex);
            finished.emplace(number, std::move(made));
            changed.notify_all();
        }
    }

    EpochPlan computeOrder(std::int64_t epoch) const
    {
        EpochPlan plan{indices, {}};
        const std::uint64_t seed = core::deriveSeed(options.seed, std::uint64_t(epoch), "data/order");
        if (options.order == Order::Shuffled)
            shuffle(plan.samples, seed);
        if (options.maxTokens > 0)
            return byTokens(std::move(plan.samples), seed);
        for (std::int64_t batch = 0; batch <= batches; ++batch)
            plan.begins.push_back(std::min(batch * options.batchSize, std::int64_t(plan.samples.size())));
        return plan;
    }

    // Samples of equal length stay in their shuffled order; the batches then come in a random order, too.
    EpochPlan byTokens(std::vector<std::int64_t> samples, std::uint64_t seed) const
    {
        sortByLength(*data, samples);
        const std::vector<std::int64_t> begins = beginsByTokens(*data, samples, options);
        std::vector<std::int64_t> batchOrder(begins.size() - 1);
        std::iota(batchOrder.begin(), batchOrder.end(), 0);
        if (options.order == Order::Shuffled)
            shuffle(batchOrder, seed + 1);
        EpochPlan plan{{}, {0}};
        for (const std::int64_t batch : batchOrder) {
            plan.samples.insert(plan.samples.end(), samples.begin() + begins[std::size_t(batch)], samples.begin() + begins[std::size_t(batch) + 1]);
            plan.begins.push_back(std::int64_t(plan.samples.size()));
        }
        return plan;
    }

    /// Called with the mutex held.
    std::shared_ptr<const EpochPlan> orderOf(std::int64_t epoch)
    {
        if (orderEpoch != epoch) {
            order = std::make_shared<const EpochPlan>(computeOrder(epoch));
            orderEpoch = epoch;
        }
        return order;
    }

    Batch make(std::int64_t number, const EpochPlan& plan) const
    {
        const auto batchIndex = std::size_t(number % batches);
        const std::int64_t first = plan.begins[batchIndex], count = plan.begins[batchIndex + 1] - first;
        Batch batch = data->fetch({plan.samples.data() + first, std::size_t(count)});
        if (augment)
            augmentBatch(batch, number / batches);
        return batch;
    }

    void augmentBatch(Batch& batch, std::int64_t epoch) const
    {
        for (std::int64_t i = 0; i < batch.size(); ++i) {
            // One generator a sample and epoch: neither its place in the batch nor the thread matters.
            core::SplitMix64 random(core::deriveSeed(core::deriveSeed(options.seed, std::uint64_t(epoch), "data/augment"),
                                                     std::uint64_t(batch.indices[std::size_t(i)]), "sample"));
            for (const auto& augmentation : data->augmentations())
                if (data->info().kind == DataKind::Image)
                    augmentation->apply(imageOf(batch, i), random);
                else
                    augmentation->applyToTokens(tokensOf(batch, i), random);
        }
    }

    ImageView imageOf(Batch& batch, std::int64_t row) const
    {
        at::Tensor& images = batch.inputs[0];
        return {images.data_ptr<float>() + row * images.stride(0), images.size(1), images.size(2), images.size(3), fill};
    }

    static TokenView tokensOf(Batch& batch, std::int64_t row)
    {
        const std::int64_t count = batch.inputs[0].size(1);
        return {batch.inputs[0].data_ptr<std::int64_t>() + row * count, batch.targets.data_ptr<std::int64_t>() + row * count, count};
    }

    void throwIfStopped() const
    {
        if (stop.stop_requested())
            throw core::Cancelled{};
    }

    Batch take()
    {
        if (options.threads == 0) {
            const std::lock_guard lock(mutex);
            return make(consumed, *orderOf(consumed / batches));
        }
        if (workers.empty())
            startWorkers();
        // The callback is gone again before the lock is: it may run in the thread that asks to stop.
        const std::stop_callback wake(stop, [this] {
            const std::lock_guard lock(mutex);
            changed.notify_all();
        });
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return finished.contains(consumed) || stop.stop_requested(); });
        const auto found = finished.find(consumed);
        if (found == finished.end())
            return {};
        Made made = std::move(found->second);
        finished.erase(found);
        if (!made.error) {
            wanted = consumed + 1;
            changed.notify_all();
        }
        lock.unlock();
        if (made.error) {
            // The next call tries this batch again: everything made ahead is dropped with the workers.
            stopWorkers();
            std::rethrow_exception(made.error);
        }
        return std::move(made.batch);
    }
};

std::int64_t batchesPerEpoch(const DataSet& data, std::span<const std::int64_t> indices, const LoaderOptions& options)
{
    const auto samples = std::int64_t(indices.size());
    if (options.maxTokens == 0)
        return options.dropLast ? samples / options.batchSize : (samples + options.batchSize - 1) / options.batchSize;
    std::vector<std::int64_t> sorted(indices.begin(), indices.end());
    sortByLength(data, sorted);
    return std::int64_t(beginsByTokens(data, sorted, options).size()) - 1;
}

Loader::Loader(DataSetPtr data, std::vector<std::int64_t> indices, LoaderOptions options, std::stop_token stop) : m_impl(std::make_unique<Impl>())
{
    const auto samples = std::int64_t(indices.size());
    if (options.batchSize < 1)
        throw core::InputError(fmt::format("expected a batch size of at least 1, got {}", options.batchSize));
    if (samples == 0)
        throw core::InputError(fmt::format("{}: expected samples to load, got none", data->info().id));
    if (options.batchSize > samples && options.largeBatch == LargeBatch::Refuse && options.maxTokens == 0)
        throw core::InputError(
            fmt::format("{}: expected a batch size of at most the {} samples, got {}", data->info().id, samples, options.batchSize));
    options.batchSize = std::min(options.batchSize, samples);
    Impl& impl = *m_impl;
    impl.augment = options.augment && !data->augmentations().empty();
    if (options.threads < 0)
        options.threads = data->isInMemory() && !impl.augment ? 0 : 1;
    impl.batches = data::batchesPerEpoch(*data, indices, options);
    impl.samples = options.dropLast && options.maxTokens == 0 ? impl.batches * options.batchSize : samples;
    const DataInfo& info = data->info();
    for (std::int64_t c = 0; impl.augment && info.kind == DataKind::Image && c < info.inputShape[0]; ++c)
        impl.fill.push_back(info.mean.empty() ? float(info.displayLow)
                                              : float((info.displayLow - info.mean[std::size_t(c)]) / info.std[std::size_t(c)]));
    impl.data = std::move(data);
    impl.indices = std::move(indices);
    impl.options = options;
    impl.stop = std::move(stop);
}

Loader::Loader(DataSetPtr data, Split part, LoaderOptions options, std::stop_token stop) : Loader(data, data->split(part), options, std::move(stop))
{
}

Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

std::int64_t Loader::batchesPerEpoch() const
{
    return m_impl->batches;
}

std::int64_t Loader::samplesPerEpoch() const
{
    return m_impl->samples;
}

std::optional<Batch> Loader::next()
{
    Impl& impl = *m_impl;
    impl.throwIfStopped();
    if (impl.atEpochEnd) {
        impl.atEpochEnd = false;
        return {};
    }
    Batch batch = impl.take();
    if (batch.inputs.empty())
        throw core::Cancelled{};
    ++impl.consumed;
    impl.atEpochEnd = impl.consumed % impl.batches == 0;
    return batch;
}

LoaderState Loader::state() const
{
    const Impl& impl = *m_impl;
    // The end of an epoch that has not been reported yet is a position of its own.
    if (impl.atEpochEnd)
        return {impl.consumed / impl.batches - 1, impl.batches};
    return {impl.consumed / impl.batches, impl.consumed % impl.batches};
}

void Loader::restore(const LoaderState& state)
{
    Impl& impl = *m_impl;
    if (state.epoch < 0 || state.batch < 0 || state.batch > impl.batches)
        throw core::InputError(
            fmt::format("expected a position of at most {} batches in an epoch, got epoch {}, batch {}", impl.batches, state.epoch, state.batch));
    impl.stopWorkers();
    impl.consumed = state.epoch * impl.batches + state.batch;
    impl.atEpochEnd = state.batch == impl.batches;
}

std::vector<std::int64_t> Loader::epochOrder(std::int64_t epoch) const
{
    std::vector<std::int64_t> order = m_impl->computeOrder(epoch).samples;
    order.resize(std::size_t(m_impl->samples));
    return order;
}

}  // namespace orrery::data
