#pragma once
#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include <core/base/json.h>

#include "cli.h"

namespace orrery::cli {

inline double secondsOf(const std::function<void()>& work)
{
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Median of repeated runs, at least `seconds` long in all; one before them is not counted.
inline double medianSeconds(const std::function<void()>& work, double seconds = 1)
{
    work();
    std::vector<double> times;
    for (double total = 0; total < seconds || times.size() < 5;) {
        times.push_back(secondsOf(work));
        total += times.back();
    }
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    return times[times.size() / 2];
}

// Suites of `bench` that live in files of their own. Each gives an object of numbers and texts.

/// A ResNet-20 explained by integrated gradients, occlusion and sampled Shapley values.
core::Json explainSuite(const Session& session);
/// 384 patches of a small GPT, against whole runs in batches and one by one.
core::Json patchingSuite(const Session& session);
/// A run with an intervention beside a plain one, in early and late blocks of a small GPT, against two whole runs.
core::Json interveneSuite(const Session& session);
/// Opening a checkpoint folder the size of GPT-2 small (half a gigabyte in four shards, written to the folder for temporary files first): structure alone, nothing of the weights is read.
core::Json importSuite(const Session& session);
/// Byte-level BPE over the bundled book (one thread): learning some ten thousand pieces, reading them from their document, taking the book apart.
core::Json tokenizerSuite(const Session& session);
/// Models of the zoo, and one of GPT-2 small's size, run once: the executor and libtorch's own interpreter on the same model as TorchScript, in turn.
core::Json forwardSuite(const Session& session);
/// A model of GPT-2 small's size writes with kept keys and values: tokens a second on one thread and on all.
core::Json generationSuite(const Session& session);

}  // namespace orrery::cli
