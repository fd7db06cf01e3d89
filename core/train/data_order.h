#pragma once
#include <cstdint>
#include <string>

#include "experiment.h"

namespace orrery::train {

/// Epochs whose order goes into the hash. The order of each is a function of (seed, epoch) alone, so that later ones add nothing.
inline constexpr std::int64_t kHashedEpochs = 2;

/// Which samples a training is given in which order, as one hash: of the content of the data, the batch size, and the sample numbers of the first epochs as
/// the loader gives them. Runs that differ in the model alone have the same hash; runs of another seed, batch size or part of the data do not. Kept with each
/// run as `data_order` of its environment.
/// Empty without training samples.
/// Source of the idea: Biderman et al. (2023), "Pythia: A Suite for Analyzing Large Language Models Across Training and Scaling", arXiv:2304.01373, whose
/// models of all sizes saw the same data in the same order.
std::string dataOrderHash(const Experiment& experiment);

}  // namespace orrery::train
