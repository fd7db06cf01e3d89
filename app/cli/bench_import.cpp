#include "bench_suites.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <core/base/files.h>
#include <core/graph/inspect.h>
#include <core/models/checkpoint_folder.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kShards = 4, kRepeats = 9;
// GPT-2 small as its config.json says it.
constexpr const char* kConfig =
    R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257, "activation_function": "gelu_new"})";

/// A folder for temporary files that is gone in the end.
class ImportFolder {
public:
    ImportFolder() : m_path(fs::temp_directory_path() / fmt::format("orrery-bench-import-{}", ::getpid())) { fs::create_directories(m_path); }
    ImportFolder(const ImportFolder&) = delete;
    ImportFolder& operator=(const ImportFolder&) = delete;
    ~ImportFolder()
    {
        std::error_code ignored;
        fs::remove_all(m_path, ignored);
    }
    const fs::path& path() const { return m_path; }

private:
    fs::path m_path;
};

/// Names and shapes of GPT-2 small's tensors.
std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensorShapes()
{
    constexpr std::int64_t kWidth = 768, kLayers = 12;
    std::vector<std::pair<std::string, std::vector<std::int64_t>>> shapes = {
        {"wte.weight", {50257, kWidth}}, {"wpe.weight", {1024, kWidth}}, {"ln_f.weight", {kWidth}}, {"ln_f.bias", {kWidth}}};
    for (std::int64_t i = 0; i < kLayers; ++i) {
        const auto add = [&](const std::string& name, std::vector<std::int64_t> weight) {
            shapes.push_back({fmt::format("h.{}.{}.bias", i, name), {weight.back()}});
            shapes.push_back({fmt::format("h.{}.{}.weight", i, name), std::move(weight)});
        };
        add("ln_1", {kWidth});
        add("ln_2", {kWidth});
        add("attn.c_attn", {kWidth, 3 * kWidth});
        add("attn.c_proj", {kWidth, kWidth});
        add("mlp.c_fc", {kWidth, 4 * kWidth});
        add("mlp.c_proj", {4 * kWidth, kWidth});
    }
    return shapes;
}

std::int64_t writeFolder(const fs::path& folder)
{
    std::vector<std::map<std::string, at::Tensor>> shards(kShards);
    core::Json map = core::Json::object();
    const auto shapes = tensorShapes();
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        const auto shard = i * kShards / shapes.size();
        shards[shard][shapes[i].first] = at::zeros(shapes[i].second);
        map[shapes[i].first] = fmt::format("model-{}.safetensors", shard);
    }
    std::int64_t bytes = 0;
    for (std::size_t shard = 0; shard < shards.size(); ++shard) {
        const auto file = folder / fmt::format("model-{}.safetensors", shard);
        models::saveWeights(file, graph::Weights(std::move(shards[shard])));
        bytes += std::int64_t(fs::file_size(file));
    }
    core::writeFileAtomically(folder / "config.json", kConfig);
    core::writeFileAtomically(folder / "model.safetensors.index.json", core::Json{{"weight_map", map}}.dump());
    return bytes;
}

double medianOfSome(const std::function<void()>& work)
{
    std::vector<double> times;
    for (int i = 0; i <= kRepeats; ++i) {
        const auto start = std::chrono::steady_clock::now();
        work();
        times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    times.erase(times.begin());
    std::nth_element(times.begin(), times.begin() + kRepeats / 2, times.end());
    return times[kRepeats / 2];
}

}  // namespace

core::Json importSuite(const Session&)
{
    const ImportFolder folder;
    const auto bytes = writeFolder(folder.path());
    const auto open = [&] { return models::openModel(folder.path().string()); };
    const auto tensors = medianOfSome([&] { models::loadFolderTensors(models::readCheckpointFolder(folder.path())); });
    const auto model = medianOfSome([&] { open(); });
    const auto structure = medianOfSome([&] {
        const auto opened = open();
        graph::inspect(graph::Executor(opened.graph), opened.weights, {});
    });
    return {{"megabytes", double(bytes) / 1e6}, {"shards", kShards},  {"tensors_seconds", tensors}, {"model_seconds", model},
            {"inspect_seconds", structure},     {"repeats", kRepeats}};
}

}  // namespace orrery::cli
