"""Writes tiny checkpoints with random weights by the real transformers library, and what they compute: OUT/FAMILY/{config.json, model.safetensors, expect.safetensors}.
expect.safetensors: inputs under their argument names, outputs under theirs, hidden states as hidden_states.N; `generated`: greedy continuation of input_ids."""
import json, os, sys, traceback
import torch, transformers
from transformers import *  # noqa
from safetensors.torch import save_file

OUT = sys.argv[1]
os.makedirs(OUT, exist_ok=True)
V = 97
IDS = torch.tensor([[5, 17, 3, 44, 96, 8, 21], [9, 2, 60, 60, 13, 77, 30]])


def scatter(model):
    """Weights far from their starting point, so that a forgotten bias or norm shows."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if p.ndim <= 1:
                p.add_(0.1 * noise)
            else:
                p.copy_(noise * (0.5 / max(1.0, p[0].numel() ** 0.5)) + 0.02 * noise)
        for name, b in sorted(model.named_buffers()):
            if name.endswith("running_mean"):
                b.copy_(0.1 * torch.randn(b.shape, generator=generator))
            if name.endswith("running_var"):
                b.copy_(1 + 0.3 * torch.rand(b.shape, generator=generator))


def flat(prefix, value, into):
    if torch.is_tensor(value):
        into[prefix] = value.detach().clone().contiguous()
    elif isinstance(value, (tuple, list)):
        for i, v in enumerate(value):
            flat(f"{prefix}.{i}", v, into)
    elif hasattr(value, "items"):
        for k, v in value.items():
            flat(f"{prefix}.{k}" if prefix else k, v, into)


def case(name, make, inputs, generate=0, shard=None, **kwargs):
    try:
        torch.manual_seed(0)
        model = make()
        scatter(model)
        model.eval()
        try:
            model.set_attn_implementation("eager")
        except Exception as e:
            print("  eager:", e)
        folder = os.path.join(OUT, name)
        model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
        with torch.no_grad():
            output = model(**inputs, **kwargs)
        result = {}
        flat("", {k: v for k, v in output.items() if "past_key" not in k}, result)
        result.update({k: v.clone() for k, v in inputs.items()})
        if generate:
            ids = {k: v[:1] for k, v in inputs.items() if k in ("input_ids", "attention_mask")}
            result["generated"] = model.generate(**ids, max_new_tokens=generate, min_new_tokens=generate, do_sample=False, pad_token_id=0).clone()
        save_file(result, os.path.join(folder, "expect.safetensors"), metadata={"class": type(model).__name__, "transformers": transformers.__version__, "torch": torch.__version__,
            "parameters": str(sum(p.numel() for p in model.parameters()))})
        print("ok", name, type(model).__name__, {k: list(v.shape) for k, v in result.items()})
    except Exception:
        print("FAILED", name)
        traceback.print_exc()


text = dict(vocab_size=V)
hs = dict(output_hidden_states=True)
ids = {"input_ids": IDS}
mask = {"input_ids": IDS, "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])}
nospecial = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)

case("gpt2", lambda: GPT2LMHeadModel(GPT2Config(**text, n_positions=32, n_embd=24, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2)), ids, 8, **hs)
case("gpt2-classifier", lambda: GPT2ForSequenceClassification(GPT2Config(**text, n_positions=32, n_embd=24, n_layer=2, n_head=3, num_labels=4, pad_token_id=0)), ids, **hs)
case("gpt2-sharded", lambda: GPT2LMHeadModel(GPT2Config(**text, n_positions=32, n_embd=24, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2)), ids, 0, shard="20KB", **hs)
for parallel in (True, False):
    case("gpt_neox" + ("" if parallel else "-sequential"), lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**text, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=32,
        use_parallel_residual=parallel, rotary_pct=0.25, **nospecial)), ids, 8, **hs)
case("opt", lambda: OPTForCausalLM(OPTConfig(**text, hidden_size=24, num_hidden_layers=2, ffn_dim=48, num_attention_heads=3, max_position_embeddings=32, word_embed_proj_dim=24, **nospecial)), ids, 8, **hs)
case("opt-350m-like", lambda: OPTForCausalLM(OPTConfig(**text, hidden_size=24, num_hidden_layers=2, ffn_dim=48, num_attention_heads=3, max_position_embeddings=32, word_embed_proj_dim=16, do_layer_norm_before=False, **nospecial)), ids, 8, **hs)
llama = dict(**text, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, **nospecial)
case("llama", lambda: LlamaForCausalLM(LlamaConfig(**llama)), ids, 8, **hs)
case("llama-tied", lambda: LlamaForCausalLM(LlamaConfig(**llama, tie_word_embeddings=True, attention_bias=True, mlp_bias=True)), ids, 8, **hs)
for kind, extra in {"linear": {"factor": 2.0}, "llama3": {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}, "dynamic": {"factor": 2.0},
                    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16}}.items():
    case("llama-rope-" + kind, lambda: LlamaForCausalLM(LlamaConfig(**llama, rope_parameters={"rope_type": kind, "rope_theta": 10000.0, **extra})), ids, 8)
case("llama-classifier", lambda: LlamaForSequenceClassification(LlamaConfig(**llama, num_labels=3)), ids)
case("mistral", lambda: MistralForCausalLM(MistralConfig(**llama, sliding_window=4)), ids, 8, **hs)
case("qwen2", lambda: Qwen2ForCausalLM(Qwen2Config(**llama)), ids, 8, **hs)
case("qwen3", lambda: Qwen3ForCausalLM(Qwen3Config(**llama, head_dim=12)), ids, 8, **hs)
case("gemma", lambda: GemmaForCausalLM(GemmaConfig(**llama, head_dim=12)), ids, 8, **hs)
case("gemma2", lambda: Gemma2ForCausalLM(Gemma2Config(**llama, head_dim=12, sliding_window=4, query_pre_attn_scalar=10, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)), ids, 8, **hs)
case("gemma3", lambda: Gemma3ForCausalLM(Gemma3TextConfig(**llama, head_dim=12, sliding_window=4, query_pre_attn_scalar=10)), ids, 8, **hs)
case("phi", lambda: PhiForCausalLM(PhiConfig(**text, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32, partial_rotary_factor=0.5, **nospecial)), ids, 8, **hs)
case("phi3", lambda: Phi3ForCausalLM(Phi3Config(**llama)), ids, 8, **hs)
bert = dict(**text, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, max_position_embeddings=40)
types = {**mask, "token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0]])}
case("bert", lambda: BertModel(BertConfig(**bert)), types, **hs)
case("bert-masked", lambda: BertForMaskedLM(BertConfig(**bert)), ids, **hs)
case("bert-sequence", lambda: BertForSequenceClassification(BertConfig(**bert, num_labels=3)), types)
case("bert-tokens", lambda: BertForTokenClassification(BertConfig(**bert, num_labels=5)), mask)
case("bert-questions", lambda: BertForQuestionAnswering(BertConfig(**bert)), types)
case("roberta", lambda: RobertaModel(RobertaConfig(**bert, pad_token_id=1)), mask, **hs)
case("roberta-masked", lambda: RobertaForMaskedLM(RobertaConfig(**bert, pad_token_id=1)), ids, **hs)
case("roberta-sequence", lambda: RobertaForSequenceClassification(RobertaConfig(**bert, pad_token_id=1, num_labels=3)), mask)
case("roberta-tokens", lambda: RobertaForTokenClassification(RobertaConfig(**bert, pad_token_id=1, num_labels=5)), mask)
distil = dict(**text, dim=24, n_layers=2, n_heads=3, hidden_dim=48, max_position_embeddings=40)
case("distilbert", lambda: DistilBertModel(DistilBertConfig(**distil)), mask, **hs)
case("distilbert-masked", lambda: DistilBertForMaskedLM(DistilBertConfig(**distil)), ids, **hs)
case("distilbert-sequence", lambda: DistilBertForSequenceClassification(DistilBertConfig(**distil, num_labels=3)), mask)
t5 = dict(**text, d_model=24, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=2, num_heads=3, relative_attention_num_buckets=8, relative_attention_max_distance=16, decoder_start_token_id=0)
seq = {**mask, "decoder_input_ids": torch.tensor([[0, 4, 9, 11], [0, 7, 7, 50]])}
case("t5", lambda: T5ForConditionalGeneration(T5Config(**t5)), seq, 6, **hs)
case("t5-gated", lambda: T5ForConditionalGeneration(T5Config(**t5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)), seq, 6, **hs)
case("t5-encoder", lambda: T5EncoderModel(T5Config(**t5)), mask, **hs)
image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
case("vit", lambda: ViTForImageClassification(ViTConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=32, patch_size=8, num_labels=5)), {"pixel_values": image}, **hs)
case("vit-model", lambda: ViTModel(ViTConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=32, patch_size=8)), {"pixel_values": image}, **hs)
clip = CLIPConfig(text_config=dict(**text, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=16, projection_dim=12, bos_token_id=95, eos_token_id=96, pad_token_id=0),
                  vision_config=dict(hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3, image_size=32, patch_size=8, projection_dim=12), projection_dim=12)
clip_ids = torch.tensor([[95, 5, 17, 3, 44, 8, 96], [95, 9, 2, 60, 96, 0, 0], [95, 1, 1, 30, 31, 96, 0]])
case("clip", lambda: CLIPModel(clip), {"input_ids": clip_ids, "pixel_values": image, "attention_mask": (clip_ids != 0).long()})
for kind in ("basic", "bottleneck"):
    case("resnet-" + kind, lambda: ResNetForImageClassification(ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 20] if kind == "basic" else [16, 24, 32, 40], depths=[1, 2, 1, 1], layer_type=kind, num_labels=5)), {"pixel_values": image}, **hs)
case("resnet-downsample", lambda: ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[16, 24], depths=[2, 1], layer_type="bottleneck", downsample_in_first_stage=True, downsample_in_bottleneck=True)), {"pixel_values": image})
case("convnext", lambda: ConvNextForImageClassification(ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 2, 1], num_labels=5)), {"pixel_values": image}, **hs)
case("convnextv2", lambda: ConvNextV2ForImageClassification(ConvNextV2Config(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 2, 1], num_labels=5)), {"pixel_values": image}, **hs)
case("mixtral", lambda: MixtralForCausalLM(MixtralConfig(**llama, num_local_experts=4, num_experts_per_tok=2)), ids, 8)

counts = {}
for name, config, kind in (("gpt2", GPT2Config(), GPT2LMHeadModel), ("pythia-70m", GPTNeoXConfig(vocab_size=50304, hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=2048), GPTNeoXForCausalLM),
                           ("opt-125m", OPTConfig(), OPTForCausalLM), ("tinyllama", LlamaConfig(hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4, vocab_size=32000), LlamaForCausalLM),
                           ("bert-base", BertConfig(), BertModel), ("bert-base-masked", BertConfig(), BertForMaskedLM), ("roberta-base", RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1), RobertaModel),
                           ("distilbert", DistilBertConfig(), DistilBertModel), ("t5-small", T5Config(), T5ForConditionalGeneration), ("vit-b16", ViTConfig(num_labels=1000), ViTForImageClassification),
                           ("clip-b32", CLIPConfig(), CLIPModel), ("resnet-50", ResNetConfig(num_labels=1000), ResNetForImageClassification), ("convnext-tiny", ConvNextConfig(num_labels=1000), ConvNextForImageClassification),
                           ("phi-2", PhiConfig(), PhiForCausalLM), ("gemma-2b", GemmaConfig(num_key_value_heads=1, num_hidden_layers=18, hidden_size=2048, intermediate_size=16384, num_attention_heads=8, head_dim=256, vocab_size=256000), GemmaForCausalLM),
                           ("qwen2-0.5b", Qwen2Config(vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True), Qwen2ForCausalLM),
                           ("qwen3-0.6b", Qwen3Config(vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128, tie_word_embeddings=True), Qwen3ForCausalLM)):
    try:
        with torch.device("meta"):
            model = kind(config)
        counts[name] = {"class": kind.__name__, "config": config.to_dict(), "parameters": sum(p.numel() for p in model.parameters())}
    except Exception as e:
        print("count", name, repr(e))
json.dump(counts, open(os.path.join(OUT, "counts.json"), "w"), default=str, indent=1)
print({k: v["parameters"] for k, v in counts.items()})
