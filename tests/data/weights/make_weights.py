"""Writes the files of weights beside this script that Debian's python3-torch (1.13) and NumPy can write. Run it here: python3 make_weights.py FOLDER
FOLDER is where ../hf/make_hf.py wrote its checkpoints (their weights are not kept here).

state.pt, legacy.pt, checkpoint.pt, bf16.pt, module.pt, module-legacy.pt and views.pt come from torch 2.11 (`pickles` in ../onnx/make_programs.py); `expected` reads them with torch itself and keeps
what it found as NAME.npz, so that our reader is compared with torch and not with itself. GGUF files are written from the description of the format, with NumPy alone.
"""
import collections, io, json, os, pickle, struct, sys, zipfile
import argparse
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
path = lambda name: os.path.join(HERE, name)


# --- what torch says ---

def flat(value, prefix=""):
    if isinstance(value, torch.Tensor):
        t = value.detach()
        return {prefix[:-1]: (t.float() if t.dtype == torch.bfloat16 else t).numpy()}
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, prefix + str(key) + ".").items()}
    return {}


def expected():
    for name, inside in (("state", None), ("legacy", None), ("checkpoint", "model"), ("bf16", None), ("views", None)):
        content = torch.load(path(name + ".pt"))
        np.savez_compressed(path(name + ".npz"), **flat(content[inside] if inside else content))


# --- written by torch 1.13 ---

def by_torch():
    torch.manual_seed(1)
    w = lambda *shape: torch.arange(float(np.prod(shape))).reshape(shape) / 8
    torch.save({"encoder": {"weight": w(2, 3), "bias": w(2)}, "decoder": {"weight": w(3, 2)}, "version": 7}, path("nested.pt"))
    torch.save([w(2), w(3)], path("list.pt"))
    torch.save(w(2, 2), path("lone.pt"))
    torch.save({"state_dict": collections.OrderedDict([("module.a.weight", w(2, 2)), ("module.a.num_batches_tracked", torch.tensor(5))]), "epoch": 12, "global_step": 3400,
                "pytorch-lightning_version": "1.9.0", "hyper_parameters": argparse.Namespace(lr=0.1), "best": np.float64(0.5), "rng": np.arange(3),
                "optimizer_states": [{"state": {0: {"exp_avg": w(2, 2)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]}]}, path("lightning.pt"))
    tied = w(3, 3)
    torch.save({"embed.weight": tied, "head.weight": tied, "window": tied[1], "every_second": tied.flatten()[::2], "expanded": torch.ones(1).expand(4)}, path("tied.pt"))
    torch.save(collections.OrderedDict(a=torch.nn.Parameter(w(2)), b=w(2)), path("parameters.pt"), pickle_protocol=4)
    torch.save({"old": w(4).double()}, path("old.pt"), _use_new_zipfile_serialization=False)
    torch.save({"q": torch.quantize_per_tensor(w(4), 0.1, 0, torch.qint8)}, path("quantised.pt"))
    torch.save({"s": w(2, 2).to_sparse()}, path("sparse.pt"))


# --- archives of another kind ---

def rewritten(source, target, change=lambda name, data: data, compression=zipfile.ZIP_STORED, prefix=None):
    with zipfile.ZipFile(path(source)) as old, zipfile.ZipFile(path(target), "w", compression) as new:
        for name in old.namelist():
            inner = name.split("/", 1)[1]
            new.writestr((prefix if prefix is not None else name.split("/")[0]) + "/" + inner, change(inner, old.read(name)))
        if target == "big_endian.pt":
            new.writestr("nested/byteorder", "big")


def archives():
    rewritten("nested.pt", "unaligned.pt", prefix="another name")
    rewritten("nested.pt", "deflated_pickle.pt")
    with zipfile.ZipFile(path("nested.pt")) as old, zipfile.ZipFile(path("deflated_pickle.pt"), "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name), zipfile.ZIP_DEFLATED if name.endswith(".pkl") else zipfile.ZIP_STORED)
    rewritten("nested.pt", "deflated.pt", compression=zipfile.ZIP_DEFLATED)
    rewritten("nested.pt", "big_endian.pt", lambda name, data: np.frombuffer(data, "<f4").astype(">f4").tobytes() if name.startswith("data/") else data)


# --- pickles that ask for more than data ---

class Calls:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)
    def __reduce__(self):
        return self.call


def pickled(name, content, protocol=2):
    """A zip as torch.save writes it, around any pickle."""
    with zipfile.ZipFile(path(name), "w") as archive:
        archive.writestr("archive/data.pkl", content if isinstance(content, bytes) else pickle.dumps(content, protocol))
        archive.writestr("archive/version", "3\n")


def hostile():
    pickled("calls_system.pt", {"weight": Calls(os.system, "touch executed_by_orrery")})
    pickled("calls_eval.pt", {"weight": Calls(eval, "1/0")}, 4)
    old = io.BytesIO()
    torch.save({"weight": Calls(os.system, "touch executed_by_orrery")}, old, _use_new_zipfile_serialization=False)
    open(path("calls_system_legacy.pt"), "wb").write(old.getvalue())
    # os.system as a class and as an old-style instance
    pickled("object_of_system.pt", b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85\x81.")
    pickled("instance_of_system.pt", b"\x80\x02(X\x04\x00\x00\x00trueiposix\nsystem\n.")
    knot = []
    knot.append(knot)
    pickled("knot.pt", {"knot": knot, "again": knot})


# --- GGUF ---

def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    kind = 8 if isinstance(value[0], str) else 6
    return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(gguf_text(v) if kind == 8 else struct.pack("<f", v) for v in value)


def q8_0(x):
    blocks = x.reshape(-1, 32).astype(np.float32)
    d = (np.abs(blocks).max(1) / 127).astype(np.float16)
    q = np.round(blocks / np.where(d == 0, 1, d.astype(np.float32))[:, None]).clip(-127, 127).astype(np.int8)
    return b"".join(d[i].tobytes() + q[i].tobytes() for i in range(len(d))), (d.astype(np.float32)[:, None] * q).reshape(x.shape)


def q4_0(x):
    blocks = x.reshape(-1, 32).astype(np.float32)
    largest = blocks[np.arange(len(blocks)), np.abs(blocks).argmax(1)]
    d = (largest / -8).astype(np.float16)
    q = np.floor(blocks / np.where(d == 0, 1, d.astype(np.float32))[:, None] + 8.5).clip(0, 15).astype(np.uint8)
    data = b"".join(d[i].tobytes() + (q[i, :16] | (q[i, 16:] << 4)).tobytes() for i in range(len(d)))
    return data, (d.astype(np.float32)[:, None] * (q.astype(np.float32) - 8)).reshape(x.shape)


def bf16(x):
    bits = x.astype(np.float32).view(np.uint32)
    high = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return high.tobytes(), (high.astype(np.uint32) << 16).view(np.float32)


KINDS = {"F32": (0, lambda x: (x.astype("<f4").tobytes(), x.astype(np.float32))), "F16": (1, lambda x: (x.astype("<f2").tobytes(), x.astype(np.float16).astype(np.float32))),
         "BF16": (30, bf16), "Q8_0": (8, q8_0), "Q4_0": (2, q4_0), "I32": (26, lambda x: (x.astype("<i4").tobytes(), x.astype(np.float32)))}


def write_gguf(name, metadata, tensors, version=3, alignment=32):
    """tensors: name -> (array, kind). Gives what a reader has to find."""
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        header += gguf_text(key) + gguf_value(value)
    data, found = b"", {}
    for key, (array, kind) in tensors.items():
        code, pack = KINDS[kind]
        packed, found[key] = pack(array)
        header += gguf_text(key) + struct.pack("<I", array.ndim) + b"".join(struct.pack("<Q", n) for n in reversed(array.shape)) + struct.pack("<IQ", code, len(data))
        data += packed + b"\0" * (-len(packed) % alignment)
    header += b"\0" * (-len(header) % alignment)
    open(path(name), "wb").write(header + data)
    return found


def permuted(weight, heads):
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def read_safetensors(file):
    data = open(file, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    return {k: np.frombuffer(data[8 + length + v["data_offsets"][0]:8 + length + v["data_offsets"][1]], "<f4").reshape(v["shape"])
            for k, v in header.items() if k != "__metadata__" and v["dtype"] == "F32"}


def llama_like(source, target, architecture, kind="F32"):
    folder = os.path.join(sys.argv[1], source)
    config, weights = json.load(open(os.path.join(folder, "config.json"))), read_safetensors(os.path.join(folder, "model.safetensors"))
    parts = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    tensors = {}
    for name, array in weights.items():
        words = name.split(".")
        if words[1] == "layers":
            part = parts[".".join(words[3:-1])]
            if architecture == "llama" and part in ("attn_q", "attn_k"):
                array = permuted(array, config["num_attention_heads" if part == "attn_q" else "num_key_value_heads"])
            own = f"blk.{words[2]}.{part}.{words[-1]}"
        else:
            own = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}[name]
        tensors[own] = (array, kind if array.ndim == 2 and array.shape[1] % 32 == 0 else "F32")
    rope = config.get("rope_parameters", {})
    a = architecture + "."
    write_gguf(target, {"general.architecture": architecture, "general.name": source, a + "context_length": config["max_position_embeddings"], a + "embedding_length": config["hidden_size"],
                        a + "block_count": config["num_hidden_layers"], a + "feed_forward_length": config["intermediate_size"], a + "attention.head_count": config["num_attention_heads"],
                        a + "attention.head_count_kv": config["num_key_value_heads"], a + "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
                        a + "rope.freq_base": float(rope.get("rope_theta", 10000.0)), "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": [f"t{i}" for i in range(97)]}, tensors)


def gpt2_like(source, target):
    folder = os.path.join(sys.argv[1], source)
    config, weights = json.load(open(os.path.join(folder, "config.json"))), read_safetensors(os.path.join(folder, "model.safetensors"))
    parts = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
    outside = {"wte.weight": "token_embd.weight", "wpe.weight": "position_embd.weight", "ln_f.weight": "output_norm.weight", "ln_f.bias": "output_norm.bias"}
    tensors = {}
    for name, array in weights.items():
        name = name.removeprefix("transformer.")
        words = name.split(".")
        if words[0] == "h":
            own = f"blk.{words[1]}.{parts['.'.join(words[2:-1])]}.{words[-1]}"
            tensors[own] = (array.T.copy() if array.ndim == 2 else array, "F32")
        elif name in outside:
            tensors[outside[name]] = (array, "F32")
    write_gguf(target, {"general.architecture": "gpt2", "gpt2.context_length": config["n_positions"], "gpt2.embedding_length": config["n_embd"], "gpt2.block_count": config["n_layer"],
                        "gpt2.feed_forward_length": 4 * config["n_embd"], "gpt2.attention.head_count": config["n_head"], "gpt2.attention.layer_norm_epsilon": config["layer_norm_epsilon"]},
               tensors, version=2)


def gguf():
    random = np.random.default_rng(5)
    x = lambda *shape: random.standard_normal(shape).astype(np.float32)
    found = write_gguf("types.gguf", {"general.architecture": "unheard_of", "general.alignment": 64, "a.number": 7, "a.real": 0.5, "a.truth": True, "a.text": "Grüße", "a.texts": ["x", "yz"],
                                      "a.numbers": [0.5, 1.5]},
                       {"f32": (x(3, 5), "F32"), "f16": (x(4, 3), "F16"), "bf16": (x(2, 3, 4), "BF16"), "q8": (x(3, 64), "Q8_0"), "q4": (x(2, 32), "Q4_0"), "zeros": (np.zeros((1, 32), np.float32), "Q4_0"),
                        "i32": (np.arange(4), "I32")}, alignment=64)
    np.savez(path("types_gguf.npz"), **found)
    llama_like("llama", "llama.gguf", "llama")
    llama_like("llama", "llama_q8.gguf", "llama", "Q8_0")
    llama_like("qwen2", "qwen2.gguf", "qwen2")
    gpt2_like("gpt2", "gpt2.gguf")


if __name__ == "__main__":
    by_torch()
    archives()
    hostile()
    gguf()
    expected()
