#include "data_order.h"

#include <core/base/hash.h>
#include <core/data/loader.h>

namespace orrery::train {

std::string dataOrderHash(const Experiment& experiment)
{
    data::LoaderOptions options = trainingLoader(experiment.document["train"]);
    options.seed = experiment.document["seed"].get<std::uint64_t>();
    options.threads = 0;
    options.largeBatch = data::LargeBatch::Shrink;  // the training says what is wrong with it
    if (experiment.data->split(data::Split::Train).empty())
        return {};
    const data::Loader loader(experiment.data, data::Split::Train, options);
    core::Hasher hasher;
    hasher.add(experiment.data->contentHash());
    hasher.add(std::to_string(options.batchSize) + ' ' + std::to_string(options.maxTokens));
    for (std::int64_t epoch = 0; epoch < kHashedEpochs; ++epoch) {
        const auto order = loader.epochOrder(epoch);
        hasher.add(order.data(), order.size() * sizeof(order[0]));
    }
    return hasher.hex();
}

}  // namespace orrery::train
