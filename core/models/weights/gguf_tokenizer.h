#pragma once
#include <core/base/json.h>
#include <core/io/gguf.h>

/// The tokenizer that a GGUF file brings with it.
namespace orrery::models {

/// What a model card keeps of `tokenizer.ggml.*`: byte-level BPE (model gpt2, with the words of GPT-2, Llama 3 and Qwen 2) or SentencePiece's scored pairs (model llama). Null where the file has none.
/// @throws core::FormatError naming the key that is missing or of another kind; core::InputError for a model or a way of cutting words (`tokenizer.ggml.pre`) that is not read.
/// Source: ggml, docs/gguf.md, "Tokenizer"; llama.cpp, src/llama-vocab.cpp (the words).
core::Json ggufTokenizerCard(const io::GgufFile& file, const std::string& name);

/// The special tokens of `config.json` out of the same keys: {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}, those that are there.
core::Json ggufSpecialTokens(const io::GgufFile& file, const std::string& name);

}  // namespace orrery::models
