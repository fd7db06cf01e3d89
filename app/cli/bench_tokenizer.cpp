#include <algorithm>
#include <chrono>

#include <core/base/files.h>
#include <core/text/training.h>

#include "bench_suites.h"

namespace orrery::cli {

core::Json tokenizerSuite(const Session& session)
{
    const auto file = core::resolvePath("resource:kjv.txt.gz");
    const auto text = core::inflateIfGzip(core::readFile(file), file.string());
    const auto secondsFor = [](const auto& work) {
        const auto start = std::chrono::steady_clock::now();
        work();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    text::MergeTraining training;
    training.vocabulary = 50257;
    training.minimumCount = 1;
    training.stop = session.stopToken();
    text::TokenizerPtr tokenizer;
    const double learned = secondsFor([&] { tokenizer = text::trainTokenizer(text::TrainedKind::BytePairs, text, training); });
    const auto document = tokenizer->toJson()["json"].get<std::string>();
    std::vector<double> read, taken, whole;
    std::size_t tokens = 0;
    for (int pass = 0; pass < 5; ++pass) {
        read.push_back(secondsFor([&] { tokenizer = text::tokenizerFromJson(document, "bench"); }));
        taken.push_back(secondsFor([&] { tokens = tokenizer->ids(text).size(); }));
        whole.push_back(secondsFor([&] { tokenizer->encode(text, {}); }));
    }
    const auto median = [](std::vector<double> values) {
        std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
        return values[values.size() / 2];
    };
    const double megabytes = double(text.size()) / 1e6;
    return {{"vocabulary", tokenizer->size()},
            {"megabytes", megabytes},
            {"tokens", tokens},
            {"training_seconds", learned},
            {"reading_seconds", median(read)},
            {"numbers_megabytes_per_second", megabytes / median(taken)},
            {"tokens_and_offsets_megabytes_per_second", megabytes / median(whole)}};
}

}  // namespace orrery::cli
