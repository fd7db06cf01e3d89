#include "loader.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <condition_variable>
#include <map>
#include <mutex>
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
    std::shared_ptr<const std::vector<std::int64_t>> order;

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
            std::shared_ptr<const std::vector<std::int64_t>> epochOrder;
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

    std::vector<std::int64_t> computeOrder(std::int64_t epoch) const
    {
        std::vector<std::int64_t> out = indices;
        if (options.order == Order::Shuffled)
            shuffle(out, core::deriveSeed(options.seed, std::uint64_t(epoch), "data/order"));
        return out;
    }

    /// Called with the mutex held.
    std::shared_ptr<const std::vector<std::int64_t>> orderOf(std::int64_t epoch)
    {
        if (orderEpoch != epoch) {
            order = std::make_shared<const std::vector<std::int64_t>>(computeOrder(epoch));
            orderEpoch = epoch;
        }
        return order;
    }

    Batch make(std::int64_t number, const std::vector<std::int64_t>& epochOrder) const
    {
        const std::int64_t first = number % batches * options.batchSize, count = std::min(options.batchSize, std::int64_t(epochOrder.size()) - first);
        Batch batch = data->fetch({epochOrder.data() + first, std::size_t(count)});
        if (augment)
            augmentBatch(batch, number / batches);
        return batch;
    }

    void augmentBatch(Batch& batch, std::int64_t epoch) const
    {
        at::Tensor& images = batch.inputs[0];
        float* const values = images.data_ptr<float>();
        const std::int64_t size = images.numel() / images.size(0);
        for (std::int64_t i = 0; i < batch.size(); ++i) {
            // One generator a sample and epoch: neither its place in the batch nor the thread matters.
            core::SplitMix64 random(core::deriveSeed(core::deriveSeed(options.seed, std::uint64_t(epoch), "data/augment"),
                                                     std::uint64_t(batch.indices[std::size_t(i)]), "sample"));
            for (const auto& augmentation : data->augmentations())
                augmentation->apply({values + i * size, images.size(1), images.size(2), images.size(3), fill}, random);
        }
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

Loader::Loader(DataSetPtr data, std::vector<std::int64_t> indices, LoaderOptions options, std::stop_token stop) : m_impl(std::make_unique<Impl>())
{
    const auto samples = std::int64_t(indices.size());
    if (options.batchSize < 1)
        throw core::InputError(fmt::format("expected a batch size of at least 1, got {}", options.batchSize));
    if (samples == 0)
        throw core::InputError(fmt::format("{}: expected samples to load, got none", data->info().id));
    if (options.batchSize > samples && options.largeBatch == LargeBatch::Refuse)
        throw core::InputError(
            fmt::format("{}: expected a batch size of at most the {} samples, got {}", data->info().id, samples, options.batchSize));
    options.batchSize = std::min(options.batchSize, samples);
    Impl& impl = *m_impl;
    impl.augment = options.augment && !data->augmentations().empty();
    if (options.threads < 0)
        options.threads = data->isInMemory() && !impl.augment ? 0 : 1;
    impl.batches = options.dropLast ? samples / options.batchSize : (samples + options.batchSize - 1) / options.batchSize;
    impl.samples = options.dropLast ? impl.batches * options.batchSize : samples;
    const DataInfo& info = data->info();
    for (std::int64_t c = 0; impl.augment && c < info.inputShape[0]; ++c)
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
    std::vector<std::int64_t> order = m_impl->computeOrder(epoch);
    order.resize(std::size_t(m_impl->samples));
    return order;
}

}  // namespace orrery::data
