#include "checkpoint.h"

#include <ATen/ATen.h>
#include <cstring>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/io/safetensors.h>
#include <core/io/tensors.h>

namespace orrery::train {
namespace {

using core::FormatError;
using core::Json;
using Tensors = std::map<std::string, at::Tensor>;

constexpr const char* kMetadataKey = "orrery.checkpoint";

/// Adds tensors under `prefix`; `kept` holds contiguous CPU copies where a tensor is not one, for as long as the items look at them.
void addItems(std::vector<io::SafetensorsItem>& items, std::vector<at::Tensor>& kept, const std::string& prefix, const Tensors& tensors)
{
    for (const auto& [name, tensor] : tensors) {
        kept.push_back(tensor.detach().cpu().contiguous());
        const at::Tensor& value = kept.back();
        items.push_back({prefix + name, io::toElementType(value.scalar_type()), value.sizes().vec(),
                         std::string_view(static_cast<const char*>(value.data_ptr()), std::size_t(value.nbytes()))});
    }
}

at::Tensor tensorOf(std::string_view bytes, const io::SafetensorsEntry& entry)
{
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(io::toScalarType(entry.type)));
    if (tensor.nbytes() != entry.end - entry.begin)
        throw FormatError(fmt::format("tensor {}: expected {} bytes, got {}", entry.name, tensor.nbytes(), entry.end - entry.begin));
    if (tensor.nbytes() > 0)
        std::memcpy(tensor.data_ptr(), bytes.data() + entry.begin, tensor.nbytes());
    return tensor;
}

Tensors tensorsBelow(std::string_view bytes, const io::SafetensorsHeader& header, std::string_view prefix)
{
    Tensors out;
    for (const io::SafetensorsEntry& entry : header.entries)
        if (entry.name.starts_with(prefix))
            out[entry.name.substr(prefix.size())] = tensorOf(bytes, entry);
    return out;
}

}  // namespace

void writeCheckpoint(const Checkpoint& checkpoint, const std::function<void(std::string_view)>& write)
{
    std::vector<io::SafetensorsItem> items;
    std::vector<at::Tensor> kept;
    addItems(items, kept, "weights/", checkpoint.weights.tensors());
    addItems(items, kept, "optimizer/", checkpoint.optimizer);
    addItems(items, kept, "average/", checkpoint.average.tensors());
    addItems(items, kept, "best/", checkpoint.best.tensors());
    // A best value may be infinite, which JSON cannot say: it goes as the text of its bits.
    std::uint64_t bits = 0;
    std::memcpy(&bits, &checkpoint.bestValue, sizeof bits);
    const Json state{{"version", 1},
                     {"step", checkpoint.step},
                     {"loader", checkpoint.loader.toJson()},
                     {"best_step", checkpoint.bestStep},
                     {"best_value_bits", bits},
                     {"kept", checkpoint.kept},
                     {"document", checkpoint.documentHash}};
    write(io::safetensorsBytes(items, {{kMetadataKey, state.dump()}}));
}

Checkpoint readCheckpoint(std::string_view bytes, const std::string& name)
{
    const io::SafetensorsHeader header = io::parseSafetensors(bytes, name);
    const std::string* const metadata = header.findMetadata(kMetadataKey);
    if (!metadata)
        throw FormatError(fmt::format("{}: expected a training checkpoint, got a safetensors file without \"{}\"", name, kMetadataKey));
    try {
        const Json state = Json::parse(*metadata);
        if (state.at("version") != 1)
            throw FormatError(fmt::format("{}: expected checkpoint version 1, got {}", name, state.at("version").dump()));
        Checkpoint out;
        out.step = state.at("step");
        out.loader = data::LoaderState::fromJson(state.at("loader"));
        out.bestStep = state.at("best_step");
        const std::uint64_t bits = state.at("best_value_bits");
        std::memcpy(&out.bestValue, &bits, sizeof bits);
        out.kept = state.at("kept").get<std::vector<std::int64_t>>();
        out.documentHash = state.at("document");
        out.weights = graph::Weights(tensorsBelow(bytes, header, "weights/"));
        out.optimizer = tensorsBelow(bytes, header, "optimizer/");
        out.average = graph::Weights(tensorsBelow(bytes, header, "average/"));
        out.best = graph::Weights(tensorsBelow(bytes, header, "best/"));
        return out;
    } catch (const Json::exception& error) {
        throw FormatError(fmt::format("{}: damaged checkpoint state: {}", name, error.what()));
    }
}

}  // namespace orrery::train
