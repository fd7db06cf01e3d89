#include "gguf_weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <sys/mman.h>
#include <unistd.h>

#include <set>

#include <core/base/error.h>
#include <core/base/plural.h>
#include <core/base/stop.h>
#include <core/base/text.h>
#include <core/io/gguf.h>

#include "gguf_tokenizer.h"

namespace orrery::models {
namespace {

using io::GgufTensorType;

/// How the parts of one architecture are called in both worlds.
struct NamePair {
    std::string_view gguf, checkpoint;  // within a block without "blk.N." and its counterpart
};

struct GgufArchitecture {
    std::string_view id;      // general.architecture and model_type
    std::string_view blocks;  // "model.layers."
    std::vector<NamePair> outside, inside;
};

// Mistral's files say llama.
const std::vector<NamePair> kLlamaOutside = {
    {"token_embd.weight", "model.embed_tokens.weight"}, {"output_norm.weight", "model.norm.weight"}, {"output.weight", "lm_head.weight"}};
const std::vector<NamePair> kLlamaInside = {{"attn_norm", "input_layernorm"},    {"ffn_norm", "post_attention_layernorm"},
                                            {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
                                            {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
                                            {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
                                            {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
                                            {"ffn_down", "mlp.down_proj"}};

const std::vector<GgufArchitecture>& ggufArchitectures()
{
    static const std::vector<GgufArchitecture> list = {
        {"llama", "model.layers.", kLlamaOutside, kLlamaInside},
        {"qwen2", "model.layers.", kLlamaOutside, kLlamaInside},
        {"qwen3", "model.layers.", kLlamaOutside, kLlamaInside},
        {"gpt2",
         "transformer.h.",
         {{"token_embd.weight", "transformer.wte.weight"},
          {"position_embd.weight", "transformer.wpe.weight"},
          {"output_norm.weight", "transformer.ln_f.weight"},
          {"output_norm.bias", "transformer.ln_f.bias"},
          {"output.weight", "lm_head.weight"}},
         {{"attn_norm", "ln_1"},
          {"attn_qkv", "attn.c_attn"},
          {"attn_output", "attn.c_proj"},
          {"ffn_norm", "ln_2"},
          {"ffn_up", "mlp.c_fc"},
          {"ffn_down", "mlp.c_proj"}}},
    };
    return list;
}

const GgufArchitecture* architectureOf(std::string_view id)
{
    for (const auto& architecture : ggufArchitectures())
        if (architecture.id == id)
            return &architecture;
    return nullptr;
}

std::optional<std::string_view> counterpart(const std::vector<NamePair>& names, std::string_view name)
{
    for (const auto& pair : names)
        if (pair.gguf == name)
            return pair.checkpoint;
    return {};
}

/// Gives the pages that lie wholly in these bytes back to the system. Nothing else looks at them, and nobody wrote to them: read again, they come from the file.
void giveBack(std::string_view bytes)
{
    const auto page = std::uintptr_t(::sysconf(_SC_PAGESIZE));
    const auto begin = (std::uintptr_t(bytes.data()) + page - 1) / page * page, end = std::uintptr_t(bytes.data() + bytes.size()) / page * page;
    if (end > begin)
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

/// Part by part: file and numbers are never both in memory as a whole, which would be a quarter more.
at::Tensor unpacked(std::string_view bytes, const io::GgufTensor& tensor)
{
    constexpr std::size_t kBlock = io::kGgufBlock, kTogether = std::size_t(1) << 17;
    auto values = at::empty(tensor.shape, at::kFloat);
    const std::size_t blocks = std::size_t(values.numel()) / kBlock;
    for (std::size_t first = 0; first < blocks; first += kTogether) {
        core::throwIfStopped();
        const std::size_t count = std::min(kTogether, blocks - first), blockBytes = bytes.size() / blocks;
        const auto part = bytes.substr(first * blockBytes, count * blockBytes);
        io::dequantise(tensor.type, part, {values.data_ptr<float>() + first * kBlock, count * kBlock});
        giveBack(part);
    }
    return values;
}

at::Tensor tensorOf(const Mapping& file, const io::GgufTensor& tensor)
{
    using io::ElementType;
    if (io::isQuantised(tensor.type))
        return unpacked(file->text().substr(tensor.begin, tensor.end - tensor.begin), tensor);
    const auto type = tensor.type == GgufTensorType::Float32    ? ElementType::Float32
                      : tensor.type == GgufTensorType::Float16  ? ElementType::Float16
                      : tensor.type == GgufTensorType::BFloat16 ? ElementType::BFloat16
                      : tensor.type == GgufTensorType::Float64  ? ElementType::Float64
                      : tensor.type == GgufTensorType::Int8     ? ElementType::Int8
                      : tensor.type == GgufTensorType::Int16    ? ElementType::Int16
                      : tensor.type == GgufTensorType::Int32    ? ElementType::Int32
                                                                : ElementType::Int64;
    return mappedTensor(file, type, tensor.shape, tensor.begin, tensor.end);
}

/// A matrix as it lies in the file.
PackedTensor packedTensorOf(const Mapping& file, const io::GgufTensor& tensor)
{
    const auto rows = tensor.shape.at(0);
    const auto bytes = std::int64_t(tensor.end - tensor.begin);
    return {mappedTensor(file, io::ElementType::UInt8, {rows, rows > 0 ? bytes / rows : 0}, tensor.begin, tensor.end),
            std::string(io::ggufTypeName(tensor.type))};
}

std::vector<std::string> notesOf(const io::GgufFile& file, OpenOptions::Quantised quantised = OpenOptions::Quantised::Unpack)
{
    std::map<std::string_view, std::size_t> counts;
    for (const auto& tensor : file.tensors)
        if (io::isQuantised(tensor.type))
            ++counts[io::ggufTypeName(tensor.type)];
    std::vector<std::string> notes;
    for (const auto& [type, count] : counts)
        notes.push_back(fmt::format("{} of type {} {}", core::counted(count, "tensor"), type,
                                    quantised == OpenOptions::Quantised::Keep ? "kept, and unpacked where they are used" : "unpacked to float32"));
    return notes;
}

// Source: convert_hf_to_gguf.py, LlamaModel.permute: within each head the rows (half, i) stand as (i, half).
at::Tensor rowsPutBack(const at::Tensor& tensor, std::int64_t heads)
{
    auto sizes = tensor.sizes().vec();
    const auto rows = sizes.at(0), width = rows / heads / 2;
    return tensor.reshape({heads, width, 2, -1}).transpose(1, 2).reshape(sizes).contiguous();
}

/// One tensor in the checkpoint's layout.
at::Tensor inLayout(const std::string& modelType, std::string_view name, const at::Tensor& tensor, std::int64_t heads, std::int64_t keyHeads,
                    const std::string& where)
{
    const bool isQuery = name.ends_with(".attn_q.weight") || name.ends_with(".attn_q.bias"),
               isKey = name.ends_with(".attn_k.weight") || name.ends_with(".attn_k.bias");
    if (modelType == "llama" && (isQuery || isKey)) {
        const auto count = isQuery ? heads : keyHeads;
        if (tensor.dim() < 1 || tensor.numel() == 0 || tensor.size(0) % (2 * count) != 0)
            throw core::FormatError(fmt::format("{}: tensor {}: expected rows for {} heads of even width, found {}", where, name, count,
                                                core::formatShape(tensor.sizes())));
        return rowsPutBack(tensor, count);
    }
    const bool isGpt2Matrix = modelType == "gpt2" && tensor.dim() == 2 && name.starts_with("blk.");
    return isGpt2Matrix ? tensor.t() : tensor;
}

/// The metadata of an architecture under the names of `config.json`.
class GgufConfig {
public:
    GgufConfig(const io::GgufFile& file, const std::string& modelType, const std::string& name) : m_file(file), m_type(modelType), m_name(name) {}
    std::int64_t count(const std::string& key) const
    {
        const auto value = io::ggufInteger(m_file, m_type + "." + key, m_name);
        if (value < 1)
            throw core::FormatError(fmt::format("{}: expected {}.{} of 1 or more, found {}", m_name, m_type, key, value));
        return value;
    }
    bool has(const std::string& key) const { return m_file.find(m_type + "." + key) != nullptr; }
    std::int64_t count(const std::string& key, std::int64_t otherwise) const { return has(key) ? count(key) : otherwise; }
    double real(const std::string& key, double otherwise) const { return io::ggufReal(m_file, m_type + "." + key, otherwise, m_name); }
    std::int64_t rowsOf(std::string_view tensor) const
    {
        for (const auto& each : m_file.tensors)
            if (each.name == tensor && !each.shape.empty())
                return each.shape[0];
        throw core::FormatError(fmt::format("{}: expected a tensor {}, found none", m_name, tensor));
    }
    bool hasTensor(std::string_view tensor) const
    {
        return std::any_of(m_file.tensors.begin(), m_file.tensors.end(), [&](const io::GgufTensor& each) { return each.name == tensor; });
    }
    core::Json json() const { return m_type == "gpt2" ? gpt2() : llama(); }

private:
    core::Json gpt2() const;
    core::Json llama() const;
    const io::GgufFile& m_file;
    const std::string &m_type, &m_name;
};

core::Json GgufConfig::gpt2() const
{
    return {{"model_type", "gpt2"},
            {"architectures", {"GPT2LMHeadModel"}},
            {"vocab_size", rowsOf("token_embd.weight")},
            {"n_positions", count("context_length")},
            {"n_embd", count("embedding_length")},
            {"n_layer", count("block_count")},
            {"n_head", count("attention.head_count")},
            {"n_inner", count("feed_forward_length", 4 * count("embedding_length"))},
            {"activation_function", "gelu_new"},
            {"layer_norm_epsilon", real("attention.layer_norm_epsilon", 1e-5)},
            {"tie_word_embeddings", !hasTensor("output.weight")}};
}

core::Json GgufConfig::llama() const
{
    const std::string architecture = m_type == "llama" ? "LlamaForCausalLM" : m_type == "qwen2" ? "Qwen2ForCausalLM" : "Qwen3ForCausalLM";
    const auto heads = count("attention.head_count");
    core::Json json = {{"model_type", m_type},
                       {"architectures", {architecture}},
                       {"vocab_size", rowsOf("token_embd.weight")},
                       {"hidden_size", count("embedding_length")},
                       {"intermediate_size", count("feed_forward_length")},
                       {"num_hidden_layers", count("block_count")},
                       {"num_attention_heads", heads},
                       {"num_key_value_heads", count("attention.head_count_kv", heads)},
                       {"max_position_embeddings", count("context_length")},
                       {"rms_norm_eps", real("attention.layer_norm_rms_epsilon", 1e-5)},
                       {"rope_theta", real("rope.freq_base", 10000)},
                       {"hidden_act", "silu"},
                       {"attention_bias", hasTensor("blk.0.attn_q.bias")},
                       {"tie_word_embeddings", !hasTensor("output.weight")}};
    if (has("attention.key_length"))
        json["head_dim"] = count("attention.key_length");
    if (has("rope.scaling.type"))
        throw core::FormatError(fmt::format("{}: scaled rotary positions (rope.scaling.type) are not read", m_name));
    return json;
}

/// llama.cpp keeps vectors in float32 beside matrices in half precision; here one operator has one type.
void unifyTypes(GgufCheckpoint& checkpoint)
{
    std::set<at::ScalarType> types;
    for (const auto& [name, tensor] : checkpoint.tensors.tensors())
        types.insert(tensor.scalar_type());
    if (types.size() < 2)
        return;
    checkpoint.tensors = checkpoint.tensors.to(at::kCPU, at::kFloat);
    checkpoint.notes.push_back("the file mixes element types: all weights were converted to float32");
}

}  // namespace

WeightFile readGgufWeights(const Mapping& file, const std::string& name)
{
    const auto parsed = io::parseGguf(file->text(), name);
    WeightFile result;
    result.format = "GGUF";
    for (const auto& [key, value] : parsed.metadata)
        if (result.about.size() < kMaxAbout)
            result.about[std::string(key)] = io::toJson(value);
    for (const auto& tensor : parsed.tensors)
        result.tensors.set(std::string(tensor.name), tensorOf(file, tensor));
    result.notes = notesOf(parsed);
    if (parsed.metadata.size() > kMaxAbout)
        result.notes.push_back(fmt::format("{} of {} entries of metadata are shown", kMaxAbout, parsed.metadata.size()));
    return result;
}

std::optional<std::string> ggufToHuggingFace(const std::string& modelType, std::string_view name)
{
    const auto* architecture = architectureOf(modelType);
    if (!architecture)
        return {};
    if (const auto found = counterpart(architecture->outside, name))
        return std::string(*found);
    constexpr std::string_view kBlocks = "blk.";
    const auto dot = name.find('.', kBlocks.size()), last = name.rfind('.');
    if (!name.starts_with(kBlocks) || dot == std::string_view::npos || last <= dot)
        return {};
    const auto number = name.substr(kBlocks.size(), dot - kBlocks.size()), kind = name.substr(last + 1);
    const bool isNumber = !number.empty() && number.size() < 6 && number.find_first_not_of("0123456789") == std::string_view::npos;
    const auto part = counterpart(architecture->inside, name.substr(dot + 1, last - dot - 1));
    if (!isNumber || !part || (kind != "weight" && kind != "bias"))
        return {};
    return fmt::format("{}{}.{}.{}", architecture->blocks, number, *part, kind);
}

std::string ggufModelType(std::string_view bytes)
{
    try {
        const auto type = io::isGguf(bytes) ? io::ggufText(io::parseGguf(bytes, ""), "general.architecture") : std::string();
        return architectureOf(type) ? type : std::string();
    } catch (const core::FormatError&) {
        return {};
    }
}

namespace {

/// A model without its tokenizer still computes: what is wrong with it is told, not thrown.
void readTokenizer(const io::GgufFile& file, const std::string& name, GgufCheckpoint& result)
{
    try {
        result.tokenizer = ggufTokenizerCard(file, name);
        result.config.update(ggufSpecialTokens(file, name));
    } catch (const core::Error& error) {
        result.notes.push_back(fmt::format("the file's tokenizer is left out: {}", error.what()));
    }
}

}  // namespace

GgufCheckpoint readGgufCheckpoint(const Mapping& file, const std::string& name, OpenOptions::Quantised quantised)
{
    const auto parsed = io::parseGguf(file->text(), name);
    const auto modelType = io::ggufText(parsed, "general.architecture");
    if (!architectureOf(modelType))
        throw core::FormatError(
            fmt::format("{}: expected an architecture that can be run (llama, qwen2, qwen3, gpt2), found \"{}\"", name, modelType));
    const GgufConfig config(parsed, modelType, name);
    GgufCheckpoint result{config.json(), {}, {}, {}, notesOf(parsed, quantised)};
    readTokenizer(parsed, name, result);
    const auto heads = config.count("attention.head_count"), keyHeads = config.count("attention.head_count_kv", heads);
    for (const auto& tensor : parsed.tensors) {
        core::throwIfStopped();
        const std::string own(tensor.name);
        if (own == "rope_freqs.weight")
            throw core::FormatError(fmt::format("{}: scaled rotary positions (rope_freqs.weight) are not read", name));
        const auto other = ggufToHuggingFace(modelType, own);
        if (!other)
            throw core::FormatError(fmt::format("{}: tensor {} is none of {}", name, own, modelType));
        if (quantised == OpenOptions::Quantised::Keep && io::isQuantised(tensor.type) && tensor.shape.size() == 2) {
            auto packed = packedTensorOf(file, tensor);
            packed.transposed = modelType == "gpt2" && own.starts_with("blk.");
            if (!packed.transposed)
                packed.blocks = inLayout(modelType, own, packed.blocks, heads, keyHeads, name);
            auto shape = tensor.shape;
            if (packed.transposed)
                std::swap(shape[0], shape[1]);
            result.tensors.set(*other, at::zeros({1}).expand(shape));
            result.packed[*other] = std::move(packed);
            continue;
        }
        result.tensors.set(*other, inLayout(modelType, own, tensorOf(file, tensor), heads, keyHeads, name));
    }
    unifyTypes(result);
    return result;
}

}  // namespace orrery::models
