"""Writes tiny checkpoints of decoder families and what they compute, from the definitions: OUT/NAME/{config.json, expect.safetensors}. Needs NumPy, and torch for its random numbers alone.

Weights are drawn as make_hf.py draws them (`scatter`), so no file of them is needed; "-fused" cases store them, since their point is how they lie in the file. Everything is computed in float64,
one head, one expert and one position at a time where that is the definition. Sources, beside the model's own paper (see each function):
Su et al. (2021), arXiv:2104.09864 (rotary positions: pairs side by side as in eq. 34, or halves as GPT-NeoX lays them); Press et al. (2022), arXiv:2108.12409, section 3 (ALiBi);
Shazeer (2020), arXiv:2002.05202 (SwiGLU); Shazeer (2019), arXiv:1911.02150, and Ainslie et al. (2023), arXiv:2305.13245 (shared keys); Zhang & Sennrich (2019), arXiv:1910.07467 (RMSNorm)."""
import json, math, os, struct, sys

import numpy as np
import torch

OUT = sys.argv[1]
V, D, LAYERS, HEADS, EPSILON = 53, 24, 2, 4, 1e-5
SIZE = D // HEADS
IDS = np.array([[5, 17, 3, 44, 52, 8, 21], [9, 2, 50, 50, 13, 37, 30]])
COMMON = {"attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2, "hidden_size": D, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "torch_dtype": "float32",
          "vocab_size": V, "max_position_embeddings": 64}


class Weights(dict):
    """Declares shapes first; `draw` gives them numbers in the order of their names."""

    def matrix(self, name, *shape):
        self[name] = (shape, 0.0)

    def linear(self, name, n_in, n_out, bias):
        self.matrix(name + ".weight", n_out, n_in)
        if bias:
            self[name + ".bias"] = ((n_out,), 0.0)

    def norm(self, name, size=D, bias=False):
        self[name + ".weight"] = ((size,), 1.0)
        if bias:
            self[name + ".bias"] = ((size,), 0.0)

    def draw(self):
        generator = torch.Generator().manual_seed(7)
        for name in sorted(self):
            shape, start = self[name]
            noise = torch.randn(shape, generator=generator)
            drawn = start + 0.1 * noise if len(shape) <= 1 else noise * (0.5 / max(1.0, noise[0].numel() ** 0.5)) + 0.02 * noise
            self[name] = drawn.numpy()

    def at(self, name):
        return self[name].astype(np.float64)

    def apply(self, name, x):
        y = x @ self.at(name + ".weight").T
        return y + self.at(name + ".bias") if name + ".bias" in self else y

    def layer_norm(self, name, x, epsilon=EPSILON):
        y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * self.at(name + ".weight")
        return y + self.at(name + ".bias") if name + ".bias" in self else y

    def rms_norm(self, name, x, epsilon=EPSILON):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * self.at(name + ".weight")


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def turned(head, theta, part=None, pairs=False):
    """head [position, feature]; the first `part` features are turned, as pairs (2i, 2i + 1) or (i, i + part / 2)."""
    part = part or head.shape[1]
    out = head.copy()
    for t in range(head.shape[0]):
        for i in range(part // 2):
            a, b = (2 * i, 2 * i + 1) if pairs else (i, i + part // 2)
            angle = t * theta ** (-2 * i / part)
            out[t, a] = head[t, a] * math.cos(angle) - head[t, b] * math.sin(angle)
            out[t, b] = head[t, b] * math.cos(angle) + head[t, a] * math.sin(angle)
    return out


def slopes(heads):
    """Press et al., section 3: 2^(-8/n), 2^(-16/n), ... for n a power of two; else those of the power below, then every second one of twice as many."""
    def of(n):
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]

    lower = 2 ** int(math.floor(math.log2(heads)))
    return of(lower) + of(2 * lower)[0::2][: heads - lower]


def attend(q, k, v, scale, window=None, bias=None):
    """Lists of heads [position, feature]; query head h reads key head h * keys // heads. `bias` [head] is a slope on the distance."""
    length, out = q[0].shape[0], []
    for h in range(len(q)):
        g = h * len(k) // len(q)
        rows = []
        for t in range(length):
            first = 0 if window is None else max(0, t - window + 1)
            scores = np.array([q[h][t] @ k[g][s] * scale - (0 if bias is None else bias[h] * (t - s)) for s in range(first, t + 1)])
            rows.append(softmax(scores) @ v[g][first : t + 1])
        out.append(np.array(rows))
    return np.concatenate(out, -1)


def split(x, heads):
    return np.split(x, heads, -1)


def write(name, config, w, embed, block, final, head, stored=None):
    """Runs the two rows of IDS and writes the case."""
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    states, logits = [[] for _ in range(LAYERS + 1)], []
    for row in IDS:
        x = embed(row)
        for i in range(LAYERS):
            states[i].append(x)
            x = block(i, x)
        x = final(x)
        states[LAYERS].append(x)
        logits.append(head(x))
    tensors = {"input_ids": IDS.astype(np.int64), "logits": np.array(logits).astype(np.float32)}
    tensors.update({f"hidden_states.{i}": np.array(s).astype(np.float32) for i, s in enumerate(states)})
    save(os.path.join(folder, "expect.safetensors"), tensors,
         {"parameters": str(sum(t.size for t in w.values())), "class": config["architectures"][0], "written by": "make_definitions.py"})
    if stored is not None:
        save(os.path.join(folder, "model.safetensors"), stored, {"format": "pt"})
    with open(os.path.join(folder, "config.json"), "w") as file:
        common = {k: v for k, v in COMMON.items() if "n_layer" not in config or k not in ("num_hidden_layers", "num_attention_heads")}
        json.dump({**common, **config}, file, indent=1, sort_keys=True)
        file.write("\n")
    print(name, np.abs(tensors["logits"]).max())


def save(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, t in sorted(tensors.items(), key=lambda item: item[1].dtype.name != "int64"):
        part = np.ascontiguousarray(t).tobytes()
        header[name] = {"dtype": {"int64": "I64", "float32": "F32"}[t.dtype.name], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def projections(w, layer, keys, bias, out="o_proj", out_bias=False, size=SIZE):
    for p, heads in (("q", HEADS), ("k", keys), ("v", keys)):
        w.linear(f"{layer}self_attn.{p}_proj", D, heads * size, bias)
    w.linear(f"{layer}self_attn.{out}", HEADS * size, D, out_bias)


def gated(w, name, x):
    return w.apply(name + ".down_proj", silu(w.apply(name + ".gate_proj", x)) * w.apply(name + ".up_proj", x))


def gated_shapes(w, name, hidden):
    w.linear(name + ".gate_proj", D, hidden, False)
    w.linear(name + ".up_proj", D, hidden, False)
    w.linear(name + ".down_proj", hidden, D, False)


def decoder_shapes(w, norm_bias=False):
    w.matrix("model.embed_tokens.weight", V, D)
    w.norm("model.norm", bias=norm_bias)
    w.matrix("lm_head.weight", V, D)


def qwen_moe(name, model_type, normalised, shared, dense_first, fused=False):
    """Qwen team (2024), arXiv:2407.10671, section 2.2.2: p = softmax(x G), y = sum over the k best of p_i E_i(x); with shared experts sigmoid(x g) E_s(x) is added, and the shares are
    divided by their sum where `norm_topk_prob` says so. Qwen3 (arXiv:2505.09388, section 2): no shared experts, norms of q and k, no biases."""
    w, keys, experts, top, hidden, wide = Weights(), 2, 5, 2, 10, 14
    qwen3 = model_type == "qwen3_moe"
    decoder_shapes(w)
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        w.norm(layer + "input_layernorm")
        w.norm(layer + "post_attention_layernorm")
        projections(w, layer, keys, not qwen3)
        if qwen3:
            w.norm(layer + "self_attn.q_norm", SIZE)
            w.norm(layer + "self_attn.k_norm", SIZE)
        if dense_first and i == 0:
            gated_shapes(w, layer + "mlp", wide)
            continue
        w.linear(layer + "mlp.gate", D, experts, False)
        for e in range(experts):
            gated_shapes(w, f"{layer}mlp.experts.{e}", hidden)
        if shared:
            gated_shapes(w, layer + "mlp.shared_expert", wide)
            w.linear(layer + "mlp.shared_expert_gate", D, 1, False)
    w.draw()
    used = set()

    def mixture(layer, x):
        p, y = softmax(w.apply(layer + "mlp.gate", x)), np.zeros_like(x)
        for t in range(len(x)):
            best = np.argsort(-p[t])[:top]
            whole = p[t][best].sum() if normalised else 1.0
            for e in best:
                used.add((layer, e))
                y[t] += p[t][e] / whole * gated(w, f"{layer}mlp.experts.{e}", x[t])
        if shared:
            y += gated(w, layer + "mlp.shared_expert", x) / (1 + np.exp(-w.apply(layer + "mlp.shared_expert_gate", x)))
        return y

    def block(i, x):
        layer = f"model.layers.{i}."
        normed = w.rms_norm(layer + "input_layernorm", x)
        q, k, v = (split(w.apply(f"{layer}self_attn.{p}_proj", normed), n) for p, n in (("q", HEADS), ("k", keys), ("v", keys)))
        if qwen3:
            q, k = ([w.rms_norm(f"{layer}self_attn.{p}_norm", h) for h in heads] for p, heads in (("q", q), ("k", k)))
        q, k = ([turned(h, 1e6) for h in heads] for heads in (q, k))
        x = x + w.apply(layer + "self_attn.o_proj", attend(q, k, v, 1 / math.sqrt(SIZE)))
        normed = w.rms_norm(layer + "post_attention_layernorm", x)
        return x + (gated(w, layer + "mlp", normed) if dense_first and i == 0 else mixture(layer, normed))

    config = {"architectures": ["Qwen3MoeForCausalLM" if qwen3 else "Qwen2MoeForCausalLM"], "model_type": model_type, "hidden_act": "silu", "num_key_value_heads": keys,
              "rms_norm_eps": EPSILON, "rope_theta": 1e6, "num_experts": experts, "num_experts_per_tok": top, "moe_intermediate_size": hidden, "intermediate_size": wide,
              "norm_topk_prob": normalised, "decoder_sparse_step": 1, "mlp_only_layers": [0] if dense_first else [], "tie_word_embeddings": False, "head_dim": SIZE,
              "use_sliding_window": False}
    if shared:
        config["shared_expert_intermediate_size"] = wide
    stored = None
    if fused:  # as transformers 5 names them: [expert, gate above up, in] and [expert, out, in]
        stored = {n: t for n, t in w.items() if ".experts." not in n}
        for i in range(LAYERS):
            of = lambda p: np.stack([w[f"model.layers.{i}.mlp.experts.{e}.{p}.weight"] for e in range(experts)])
            if not (dense_first and i == 0):
                stored[f"model.layers.{i}.mlp.experts.gate_up_proj"] = np.concatenate([of("gate_proj"), of("up_proj")], 1)
                stored[f"model.layers.{i}.mlp.experts.down_proj"] = of("down_proj")
    write(name, config, w, lambda row: w.at("model.embed_tokens.weight")[row], block, lambda x: w.rms_norm("model.norm", x), lambda x: w.apply("lm_head", x), stored)
    assert len(used) == experts * (LAYERS - (1 if dense_first else 0)), (name, "an expert that no token goes to would not be compared")


def stablelm(name, parallel):
    """Bellagente et al. (2024), "Stable LM 2 1.6B", arXiv:2402.17834, section 3.1: layer norms, rotary positions on a quarter of a head, biases of q, k, v alone; the 12B model computes attention
    and MLP side by side from one norm and normalises q and k in each head."""
    w, keys, hidden, part = Weights(), 2, 20, 2
    decoder_shapes(w, True)
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        w.norm(layer + "input_layernorm", bias=True)
        projections(w, layer, keys, not parallel)
        gated_shapes(w, layer + "mlp", hidden)
        if parallel:
            for p, n in (("q", HEADS), ("k", keys)):
                for h in range(n):
                    w.norm(f"{layer}self_attn.{p}_layernorm.norms.{h}", SIZE)
        else:
            w.norm(layer + "post_attention_layernorm", bias=True)
    w.draw()

    def block(i, x):
        layer = f"model.layers.{i}."
        normed = w.layer_norm(layer + "input_layernorm", x)
        q, k, v = (split(w.apply(f"{layer}self_attn.{p}_proj", normed), n) for p, n in (("q", HEADS), ("k", keys), ("v", keys)))
        if parallel:
            q, k = ([w.layer_norm(f"{layer}self_attn.{p}_layernorm.norms.{h}", each) for h, each in enumerate(heads)] for p, heads in (("q", q), ("k", k)))
        q, k = ([turned(h, 10000, part) for h in heads] for heads in (q, k))
        attended = w.apply(layer + "self_attn.o_proj", attend(q, k, v, 1 / math.sqrt(SIZE)))
        if parallel:
            return x + attended + gated(w, layer + "mlp", normed)
        x = x + attended
        return x + gated(w, layer + "mlp", w.layer_norm(layer + "post_attention_layernorm", x))

    config = {"architectures": ["StableLmForCausalLM"], "model_type": "stablelm", "hidden_act": "silu", "num_key_value_heads": keys, "layer_norm_eps": EPSILON, "rope_theta": 10000,
              "partial_rotary_factor": part / SIZE, "intermediate_size": hidden, "use_qkv_bias": not parallel, "use_parallel_residual": parallel, "qk_layernorm": parallel,
              "tie_word_embeddings": False}
    write(name, config, w, lambda row: w.at("model.embed_tokens.weight")[row], block, lambda x: w.layer_norm("model.norm", x), lambda x: w.apply("lm_head", x))


def olmo2():
    """OLMo team (2024), "2 OLMo 2 Furious", arXiv:2501.00656, section 2.1: norms behind attention and MLP instead of before them; q and k normalised over all heads before they are split."""
    w, keys, hidden = Weights(), 2, 20
    decoder_shapes(w)
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        w.norm(layer + "post_attention_layernorm")
        w.norm(layer + "post_feedforward_layernorm")
        projections(w, layer, keys, False)
        w.norm(layer + "self_attn.q_norm", HEADS * SIZE)
        w.norm(layer + "self_attn.k_norm", keys * SIZE)
        gated_shapes(w, layer + "mlp", hidden)
    w.draw()

    def block(i, x):
        layer = f"model.layers.{i}."
        q, k, v = (w.apply(f"{layer}self_attn.{p}_proj", x) for p in "qkv")
        q = [turned(h, 500000) for h in split(w.rms_norm(layer + "self_attn.q_norm", q), HEADS)]
        k = [turned(h, 500000) for h in split(w.rms_norm(layer + "self_attn.k_norm", k), keys)]
        x = x + w.rms_norm(layer + "post_attention_layernorm", w.apply(layer + "self_attn.o_proj", attend(q, k, split(v, keys), 1 / math.sqrt(SIZE))))
        return x + w.rms_norm(layer + "post_feedforward_layernorm", gated(w, layer + "mlp", x))

    config = {"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "hidden_act": "silu", "num_key_value_heads": keys, "rms_norm_eps": EPSILON, "rope_theta": 500000,
              "intermediate_size": hidden, "tie_word_embeddings": False}
    write("olmo2", config, w, lambda row: w.at("model.embed_tokens.weight")[row], block, lambda x: w.rms_norm("model.norm", x), lambda x: w.apply("lm_head", x))


def granite():
    """Granite team (2024), "Granite 3.0 Language Models", section 2: a LLaMA with four multipliers, on the embedding, the scores (instead of 1/sqrt(size)), each branch and (as a divisor) the logits."""
    w, keys, hidden, (embedding, attention, residual, logit) = Weights(), 2, 20, (12.0, 0.25, 0.22, 8.0)
    decoder_shapes(w)
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        w.norm(layer + "input_layernorm")
        w.norm(layer + "post_attention_layernorm")
        projections(w, layer, keys, False)
        gated_shapes(w, layer + "mlp", hidden)
    del w["lm_head.weight"]  # the embedding's
    w.draw()

    def block(i, x):
        layer = f"model.layers.{i}."
        normed = w.rms_norm(layer + "input_layernorm", x)
        q, k, v = (split(w.apply(f"{layer}self_attn.{p}_proj", normed), n) for p, n in (("q", HEADS), ("k", keys), ("v", keys)))
        q, k = ([turned(h, 10000) for h in heads] for heads in (q, k))
        x = x + residual * w.apply(layer + "self_attn.o_proj", attend(q, k, v, attention))
        return x + residual * gated(w, layer + "mlp", w.rms_norm(layer + "post_attention_layernorm", x))

    config = {"architectures": ["GraniteForCausalLM"], "model_type": "granite", "hidden_act": "silu", "num_key_value_heads": keys, "rms_norm_eps": EPSILON, "rope_theta": 10000,
              "intermediate_size": hidden, "tie_word_embeddings": True, "embedding_multiplier": embedding, "attention_multiplier": attention, "residual_multiplier": residual,
              "logits_scaling": logit, "attention_bias": False, "mlp_bias": False}
    write("granite", config, w, lambda row: embedding * w.at("model.embed_tokens.weight")[row], block, lambda x: w.rms_norm("model.norm", x),
          lambda x: w.apply("model.embed_tokens", x) / logit)


def starcoder2():
    """Lozhkov et al. (2024), "StarCoder 2 and The Stack v2", arXiv:2402.19173, section 6.1: layer norms, biases everywhere, shared keys, a sliding window, a plain MLP with GELU (by tanh)."""
    w, keys, hidden, window = Weights(), 2, 20, 3
    decoder_shapes(w, True)
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        w.norm(layer + "input_layernorm", bias=True)
        w.norm(layer + "post_attention_layernorm", bias=True)
        projections(w, layer, keys, True, out_bias=True)
        w.linear(layer + "mlp.c_fc", D, hidden, True)
        w.linear(layer + "mlp.c_proj", hidden, D, True)
    del w["lm_head.weight"]
    w.draw()

    def block(i, x):
        layer = f"model.layers.{i}."
        normed = w.layer_norm(layer + "input_layernorm", x)
        q, k, v = (split(w.apply(f"{layer}self_attn.{p}_proj", normed), n) for p, n in (("q", HEADS), ("k", keys), ("v", keys)))
        q, k = ([turned(h, 100000) for h in heads] for heads in (q, k))
        x = x + w.apply(layer + "self_attn.o_proj", attend(q, k, v, 1 / math.sqrt(SIZE), window))
        return x + w.apply(layer + "mlp.c_proj", gelu_tanh(w.apply(layer + "mlp.c_fc", w.layer_norm(layer + "post_attention_layernorm", x))))

    config = {"architectures": ["Starcoder2ForCausalLM"], "model_type": "starcoder2", "hidden_act": "gelu_pytorch_tanh", "num_key_value_heads": keys, "norm_epsilon": EPSILON,
              "rope_theta": 100000, "intermediate_size": hidden, "sliding_window": window, "use_bias": True, "tie_word_embeddings": True, "embedding_dropout": 0.0, "residual_dropout": 0.0}
    write("starcoder2", config, w, lambda row: w.at("model.embed_tokens.weight")[row], block, lambda x: w.layer_norm("model.norm", x), lambda x: w.apply("model.embed_tokens", x))


def gptj():
    """Wang & Komatsuzaki (2021), "GPT-J-6B" (mesh-transformer-jax): attention and MLP side by side from one norm, rotary positions on pairs (2i, 2i + 1) of the first `rotary_dim` features,
    biases in the MLP and the head alone."""
    w, hidden, part = Weights(), 4 * D, 4
    w.matrix("transformer.wte.weight", V, D)
    w.norm("transformer.ln_f", bias=True)
    w.linear("lm_head", D, V, True)
    for i in range(LAYERS):
        layer = f"transformer.h.{i}."
        w.norm(layer + "ln_1", bias=True)
        for p in ("q_proj", "k_proj", "v_proj", "out_proj"):
            w.linear(layer + "attn." + p, D, D, False)
        w.linear(layer + "mlp.fc_in", D, hidden, True)
        w.linear(layer + "mlp.fc_out", hidden, D, True)
    w.draw()

    def block(i, x):
        layer = f"transformer.h.{i}."
        normed = w.layer_norm(layer + "ln_1", x)
        q, k, v = (split(w.apply(f"{layer}attn.{p}_proj", normed), HEADS) for p in "qkv")
        q, k = ([turned(h, 10000, part, pairs=True) for h in heads] for heads in (q, k))
        attended = w.apply(layer + "attn.out_proj", attend(q, k, v, 1 / math.sqrt(SIZE)))
        return x + attended + w.apply(layer + "mlp.fc_out", gelu_tanh(w.apply(layer + "mlp.fc_in", normed)))

    config = {"architectures": ["GPTJForCausalLM"], "model_type": "gptj", "n_embd": D, "n_head": HEADS, "n_layer": LAYERS, "n_positions": 64, "n_inner": None, "rotary_dim": part,
              "activation_function": "gelu_new", "layer_norm_epsilon": EPSILON, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "tie_word_embeddings": False}
    write("gptj", config, w, lambda row: w.at("transformer.wte.weight")[row], block, lambda x: w.layer_norm("transformer.ln_f", x), lambda x: w.apply("lm_head", x))


def bloom(name, heads):
    """BigScience (2022), "BLOOM", arXiv:2211.05100, section 3.2: ALiBi, a norm behind the embedding, q, k and v of each head side by side in one matrix, GELU by tanh, tied head."""
    w, size = Weights(), D // heads
    w.matrix("transformer.word_embeddings.weight", V, D)
    w.norm("transformer.word_embeddings_layernorm", bias=True)
    w.norm("transformer.ln_f", bias=True)
    for i in range(LAYERS):
        layer = f"transformer.h.{i}."
        w.norm(layer + "input_layernorm", bias=True)
        w.norm(layer + "post_attention_layernorm", bias=True)
        w.linear(layer + "self_attention.query_key_value", D, 3 * D, True)
        w.linear(layer + "self_attention.dense", D, D, True)
        w.linear(layer + "mlp.dense_h_to_4h", D, 4 * D, True)
        w.linear(layer + "mlp.dense_4h_to_h", 4 * D, D, True)
    w.draw()

    def block(i, x):
        layer = f"transformer.h.{i}."
        fused = split(w.apply(layer + "self_attention.query_key_value", w.layer_norm(layer + "input_layernorm", x)), heads)
        q, k, v = ([h[:, p * size : (p + 1) * size] for h in fused] for p in range(3))
        x = x + w.apply(layer + "self_attention.dense", attend(q, k, v, 1 / math.sqrt(size), bias=slopes(heads)))
        return x + w.apply(layer + "mlp.dense_4h_to_h", gelu_tanh(w.apply(layer + "mlp.dense_h_to_4h", w.layer_norm(layer + "post_attention_layernorm", x))))

    config = {"architectures": ["BloomForCausalLM"], "model_type": "bloom", "n_head": heads, "n_layer": LAYERS, "layer_norm_epsilon": EPSILON,
              "hidden_dropout": 0.0, "apply_residual_connection_post_layernorm": False, "tie_word_embeddings": True}
    write(name, config, w, lambda row: w.layer_norm("transformer.word_embeddings_layernorm", w.at("transformer.word_embeddings.weight")[row]), block,
          lambda x: w.layer_norm("transformer.ln_f", x), lambda x: w.apply("transformer.word_embeddings", x))


def falcon(name, kind):
    """Almazrouei et al. (2023), "The Falcon Series", arXiv:2311.16867, section 4.3: "7b" one key head for all, attention and MLP side by side from one norm; "40b" groups of queries, each with
    its key and value behind it in the matrix, and a norm for either branch; "11b" the same with one norm; "rw" ALiBi (scaled with the scores), one branch after the other, biases."""
    w, groups = Weights(), {"7b": 1, "40b": 2, "11b": 2, "rw": HEADS}[kind]
    bias = kind == "rw"
    w.matrix("transformer.word_embeddings.weight", V, D)
    w.norm("transformer.ln_f", bias=True)
    for i in range(LAYERS):
        layer = f"transformer.h.{i}."
        for norm in {"7b": ["input_layernorm"], "11b": ["input_layernorm"], "40b": ["ln_attn", "ln_mlp"], "rw": ["input_layernorm", "post_attention_layernorm"]}[kind]:
            w.norm(layer + norm, bias=True)
        w.linear(layer + "self_attention.query_key_value", D, (HEADS + 2 * groups) * SIZE, bias)
        w.linear(layer + "self_attention.dense", D, D, bias)
        w.linear(layer + "mlp.dense_h_to_4h", D, 4 * D, bias)
        w.linear(layer + "mlp.dense_4h_to_h", 4 * D, D, bias)
    w.draw()

    def mlp(layer, x):
        return w.apply(layer + "mlp.dense_4h_to_h", gelu(w.apply(layer + "mlp.dense_h_to_4h", x)))

    def block(i, x):
        layer = f"transformer.h.{i}."
        normed = w.layer_norm(layer + ("ln_attn" if kind == "40b" else "input_layernorm"), x)
        q, k, v = [], [], []
        for group in split(w.apply(layer + "self_attention.query_key_value", normed), groups):
            parts = split(group, HEADS // groups + 2)
            q, k, v = q + parts[:-2], k + [parts[-2]], v + [parts[-1]]
        if kind != "rw":
            q, k = ([turned(h, 10000) for h in heads] for heads in (q, k))
        slope = [s / math.sqrt(SIZE) for s in slopes(HEADS)] if kind == "rw" else None
        attended = w.apply(layer + "self_attention.dense", attend(q, k, v, 1 / math.sqrt(SIZE), bias=slope))
        if kind == "rw":
            x = x + attended
            return x + mlp(layer, w.layer_norm(layer + "post_attention_layernorm", x))
        return x + attended + mlp(layer, w.layer_norm(layer + "ln_mlp", x) if kind == "40b" else normed)

    config = {"architectures": ["FalconForCausalLM"], "model_type": "falcon", "layer_norm_epsilon": EPSILON, "hidden_dropout": 0.0, "alibi": kind == "rw", "bias": bias,
              "multi_query": kind != "rw", "parallel_attn": kind != "rw", "new_decoder_architecture": kind in ("40b", "11b"), "num_kv_heads": groups, "rope_theta": 10000.0,
              "tie_word_embeddings": True, "activation": "gelu"}
    if kind == "11b":
        config["num_ln_in_parallel_attn"] = 1
    write(name, config, w, lambda row: w.at("transformer.word_embeddings.weight")[row], block, lambda x: w.layer_norm("transformer.ln_f", x),
          lambda x: w.apply("transformer.word_embeddings", x))


if __name__ == "__main__":
    qwen_moe("qwen2_moe", "qwen2_moe", False, True, False)
    qwen_moe("qwen3_moe", "qwen3_moe", True, False, True)
    qwen_moe("qwen3_moe-fused", "qwen3_moe", True, False, True, fused=True)
    stablelm("stablelm", False)
    stablelm("stablelm-parallel", True)
    olmo2()
    granite()
    starcoder2()
    gptj()
    bloom("bloom", HEADS)
    bloom("bloom-6-heads", 6)
    falcon("falcon", "7b")
    falcon("falcon-40b-like", "40b")
    falcon("falcon-11b-like", "11b")
    falcon("falcon-rw-like", "rw")
