"""Writes a tiny Mixtral checkpoint and what it computes: OUT/mixtral/{config.json, model.safetensors, expect.safetensors}. Needs nothing but Python.

The forward pass is written from the papers, number by number: Jiang et al. (2024), "Mixtral of Experts", section 2 (arXiv:2401.04088): y = sum_i Softmax(Top2(x W_g))_i SwiGLU_i(x);
Shazeer (2020), arXiv:2002.05202 (SwiGLU); Su et al. (2021), arXiv:2104.09864 (rotary positions, halves side by side); Ainslie et al. (2023), arXiv:2305.13245 (grouped queries);
Zhang & Sennrich (2019), arXiv:1910.07467 (RMSNorm)."""
import json, math, os, random, struct, sys

FOLDER = os.path.join(sys.argv[1], "mixtral")
os.makedirs(FOLDER, exist_ok=True)
V, D, HEADS, KEYS, SIZE, HIDDEN, LAYERS, EXPERTS, TOP, THETA, EPSILON = 97, 16, 4, 2, 4, 12, 2, 4, 2, 1e6, 1e-5
IDS = [[5, 17, 3, 44, 96, 8, 21], [9, 2, 60, 60, 13, 77, 30]]
CONFIG = {"architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2, "head_dim": SIZE, "hidden_act": "silu", "hidden_size": D,
          "intermediate_size": HIDDEN, "max_position_embeddings": 64, "model_type": "mixtral", "num_attention_heads": HEADS, "num_experts_per_tok": TOP, "num_hidden_layers": LAYERS,
          "num_key_value_heads": KEYS, "num_local_experts": EXPERTS, "output_router_logits": False, "rms_norm_eps": EPSILON, "rope_theta": THETA, "router_aux_loss_coef": 0.02,
          "sliding_window": None, "tie_word_embeddings": False, "torch_dtype": "float32", "vocab_size": V}
rng = random.Random(11)


def single(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def matrix(rows, columns):
    return [[single(rng.gauss(0, 1.2 / math.sqrt(columns))) for _ in range(columns)] for _ in range(rows)]


def gains():
    return [single(1 + 0.2 * rng.gauss(0, 1)) for _ in range(D)]


weights = {"model.embed_tokens.weight": matrix(V, D), "model.norm.weight": gains(), "lm_head.weight": matrix(V, D)}
for i in range(LAYERS):
    layer = f"model.layers.{i}."
    weights[layer + "input_layernorm.weight"] = gains()
    weights[layer + "post_attention_layernorm.weight"] = gains()
    weights[layer + "self_attn.q_proj.weight"] = matrix(HEADS * SIZE, D)
    weights[layer + "self_attn.k_proj.weight"] = matrix(KEYS * SIZE, D)
    weights[layer + "self_attn.v_proj.weight"] = matrix(KEYS * SIZE, D)
    weights[layer + "self_attn.o_proj.weight"] = matrix(D, HEADS * SIZE)
    weights[layer + "block_sparse_moe.gate.weight"] = matrix(EXPERTS, D)
    for e in range(EXPERTS):
        weights[layer + f"block_sparse_moe.experts.{e}.w1.weight"] = matrix(HIDDEN, D)
        weights[layer + f"block_sparse_moe.experts.{e}.w2.weight"] = matrix(D, HIDDEN)
        weights[layer + f"block_sparse_moe.experts.{e}.w3.weight"] = matrix(HIDDEN, D)


def times(m, x):
    return [sum(a * b for a, b in zip(row, x)) for row in m]


def normed(x, gain):
    scale = 1 / math.sqrt(sum(v * v for v in x) / len(x) + EPSILON)
    return [v * scale * g for v, g in zip(x, gain)]


def softmax(x):
    top = max(x)
    e = [math.exp(v - top) for v in x]
    return [v / sum(e) for v in e]


def turned(head, position):
    half = len(head) // 2
    out = list(head)
    for i in range(half):
        angle = position * THETA ** (-2 * i / len(head))
        out[i] = head[i] * math.cos(angle) - head[i + half] * math.sin(angle)
        out[i + half] = head[i + half] * math.cos(angle) + head[i] * math.sin(angle)
    return out


def heads(x, count, position=None):
    parts = [x[h * SIZE:(h + 1) * SIZE] for h in range(count)]
    return parts if position is None else [turned(p, position) for p in parts]


def attention(xs, layer):
    q = [heads(times(weights[layer + "self_attn.q_proj.weight"], x), HEADS, t) for t, x in enumerate(xs)]
    k = [heads(times(weights[layer + "self_attn.k_proj.weight"], x), KEYS, t) for t, x in enumerate(xs)]
    v = [heads(times(weights[layer + "self_attn.v_proj.weight"], x), KEYS) for x in xs]
    out = []
    for t in range(len(xs)):
        joined = []
        for h in range(HEADS):
            g = h * KEYS // HEADS
            p = softmax([sum(a * b for a, b in zip(q[t][h], k[s][g])) / math.sqrt(SIZE) for s in range(t + 1)])
            joined += [sum(p[s] * v[s][g][i] for s in range(t + 1)) for i in range(SIZE)]
        out.append(times(weights[layer + "self_attn.o_proj.weight"], joined))
    return out


def mixture(x, layer):
    logits = times(weights[layer + "block_sparse_moe.gate.weight"], x)
    chosen = sorted(range(EXPERTS), key=lambda e: -logits[e])[:TOP]
    share = softmax([logits[e] for e in chosen])
    out = [0.0] * D
    for e, s in zip(chosen, share):
        w = [weights[layer + f"block_sparse_moe.experts.{e}.w{i}.weight"] for i in (1, 2, 3)]
        gate, up = times(w[0], x), times(w[2], x)
        y = times(w[1], [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)])
        out = [o + s * v for o, v in zip(out, y)]
    used.update((layer, e) for e in chosen)
    return out


used = set()
states = [[] for _ in range(LAYERS + 1)]
logits = []
for row in IDS:
    xs = [weights["model.embed_tokens.weight"][t] for t in row]
    for i in range(LAYERS):
        states[i].append(xs)
        layer = f"model.layers.{i}."
        xs = [[a + b for a, b in zip(x, y)] for x, y in zip(xs, attention([normed(x, weights[layer + "input_layernorm.weight"]) for x in xs], layer))]
        xs = [[a + b for a, b in zip(x, mixture(normed(x, weights[layer + "post_attention_layernorm.weight"]), layer))] for x in xs]
    xs = [normed(x, weights["model.norm.weight"]) for x in xs]
    states[LAYERS].append(xs)
    logits.append([times(weights["lm_head.weight"], x) for x in xs])
assert len(used) == LAYERS * EXPERTS, "an expert that no token goes to would not be compared"


def shape(value):
    return [len(value)] + shape(value[0]) if isinstance(value, list) else []


def flat(value):
    return [v for part in value for v in flat(part)] if isinstance(value, list) else [value]


def save(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, (dtype, value) in sorted(tensors.items(), key=lambda item: item[1][0] != "I64"):
        part = struct.pack("<%d%s" % (len(flat(value)), "q" if dtype == "I64" else "f"), *flat(value))
        header[name] = {"dtype": dtype, "shape": shape(value), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


expected = {"input_ids": ("I64", IDS), "logits": ("F32", logits)}
expected.update({f"hidden_states.{i}": ("F32", state) for i, state in enumerate(states)})
count = sum(len(flat(w)) for w in weights.values())
save(os.path.join(FOLDER, "expect.safetensors"), expected, {"parameters": str(count), "class": "MixtralForCausalLM", "written by": "make_mixtral.py"})
save(os.path.join(FOLDER, "model.safetensors"), {n: ("F32", w) for n, w in weights.items()}, {"format": "pt"})
with open(os.path.join(FOLDER, "config.json"), "w") as file:
    json.dump(CONFIG, file, indent=2)
    file.write("\n")
