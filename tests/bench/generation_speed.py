#!/usr/bin/env python3
"""Writing with a cache of keys and values: orrery-cli against the same model in plain PyTorch, batch 1, float32, random weights of GPT-2's smallest size.

usage: tests/bench/generation_speed.py [--cli build/release/bin/orrery-cli] [--tokens 64] [--prompt 32] [--repeat 3] [--threads 1 2] [--busy 0] [--folder DIR] [--json]

Needs python3-torch (1.13). Prints tokens per second of both, medians, and whether both wrote the same tokens."""
import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import torch

CONFIG = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
          "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}


def random_weights():
    generator = torch.Generator().manual_seed(3)
    weights = {}

    def add(name, *shape):
        vector = len(shape) == 1
        start = torch.ones(shape) if name.endswith("weight") and vector else torch.zeros(shape)
        weights["transformer." + name] = start + torch.randn(shape, generator=generator) * (0.1 if vector else 0.05)

    add("wte.weight", 50257, 768)
    add("wpe.weight", 1024, 768)
    for i in range(12):
        for norm in ("ln_1", "ln_2"):
            add(f"h.{i}.{norm}.weight", 768), add(f"h.{i}.{norm}.bias", 768)
        for name, a, b in (("attn.c_attn", 768, 2304), ("attn.c_proj", 768, 768), ("mlp.c_fc", 768, 3072), ("mlp.c_proj", 3072, 768)):
            add(f"h.{i}.{name}.weight", a, b), add(f"h.{i}.{name}.bias", b)
    add("ln_f.weight", 768), add("ln_f.bias", 768)
    return weights


def write_folder(folder, weights):
    """config.json and model.safetensors, written by hand."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(CONFIG, file)
    header, offset = {}, 0
    for name, tensor in weights.items():
        size = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in weights.values():
            file.write(tensor.numpy().tobytes())


class Model:
    """GPT-2 with a cache, as one writes it plainly."""

    def __init__(self, weights):
        self.w = {name[len("transformer."):]: tensor for name, tensor in weights.items()}
        self.cache = [None] * 12

    def step(self, tokens):
        w, past = self.w, 0 if self.cache[0] is None else self.cache[0][0].shape[2]
        n = tokens.shape[1]
        x = w["wte.weight"][tokens] + w["wpe.weight"][past:past + n]
        mask = torch.full((n, past + n), -math.inf).triu(past + 1) if n > 1 else None
        for i in range(12):
            p = f"h.{i}."
            h = torch.layer_norm(x, (768,), w[p + "ln_1.weight"], w[p + "ln_1.bias"], 1e-5)
            qkv = torch.addmm(w[p + "attn.c_attn.bias"], h.view(-1, 768), w[p + "attn.c_attn.weight"]).view(1, n, 3, 12, 64)
            q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
            if self.cache[i] is not None:
                k, v = torch.cat([self.cache[i][0], k], 2), torch.cat([self.cache[i][1], v], 2)
            self.cache[i] = (k, v)
            scores = q @ k.transpose(-2, -1) / 8
            if mask is not None:
                scores = scores + mask
            z = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 768)
            x = x + torch.addmm(w[p + "attn.c_proj.bias"], z, w[p + "attn.c_proj.weight"]).view(1, n, 768)
            h = torch.layer_norm(x, (768,), w[p + "ln_2.weight"], w[p + "ln_2.bias"], 1e-5)
            h = torch.nn.functional.gelu(torch.addmm(w[p + "mlp.c_fc.bias"], h.view(-1, 768), w[p + "mlp.c_fc.weight"]), approximate="tanh")
            x = x + torch.addmm(w[p + "mlp.c_proj.bias"], h, w[p + "mlp.c_proj.weight"]).view(1, n, 768)
        x = torch.layer_norm(x[:, -1:], (768,), w["ln_f.weight"], w["ln_f.bias"], 1e-5)
        return x @ w["wte.weight"].t()


def python_text(weights, prompt, count):
    model, text, times = Model(weights), [], []
    tokens = torch.tensor([prompt])
    with torch.inference_mode():
        for _ in range(count):
            start = time.perf_counter()
            tokens = model.step(tokens)[:, -1].argmax(-1, keepdim=True)
            times.append(time.perf_counter() - start)
            text.append(int(tokens))
    return text, (count - 1) / sum(times[1:])


def our_text(options, folder, prompt, threads):
    command = [options.cli, "generate", folder, "--tokens", ",".join(map(str, prompt)), "--max-tokens", str(options.tokens), "--json", "--quiet", "--alternatives", "0", "--threads", str(threads)]
    written = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [token["token"] for token in written["tokens"]], written["tokens_per_second"]


def busy_processes(count):
    """Other programs that want the processors."""
    return [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]


def measured(options, folder, weights, threads):
    """Medians of both in turn."""
    torch.set_num_threads(threads)
    prompt = [(37 * i + 11) % 50257 for i in range(options.prompt)]
    ours, theirs = [], []
    for _ in range(options.repeat):
        our_tokens, speed = our_text(options, folder, prompt, threads)
        ours.append(speed)
        tokens, speed = python_text(weights, prompt, options.tokens)
        theirs.append(speed)
    return {"threads": threads, "busy": options.busy, "tokens_per_second": statistics.median(ours), "slowest": min(ours), "fastest": max(ours), "python_tokens_per_second": statistics.median(theirs),
            "ratio": statistics.median(ours) / statistics.median(theirs), "same_tokens": sum(a == b for a, b in zip(our_tokens, tokens)), "tokens": len(tokens)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cli", default="build/release/bin/orrery-cli")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--busy", type=int, default=0, help="so many other processes compute beside")
    parser.add_argument("--folder", help="where the model is written; else a folder for temporary files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        weights = random_weights()
        write_folder(folder, weights)
        others = busy_processes(options.busy)
        try:
            rows = [measured(options, folder, weights, threads) for threads in options.threads]
        finally:
            for other in others:
                other.kill()
    if options.json:
        print(json.dumps({"torch": torch.__version__, "rows": rows}))
        return
    for row in rows:
        print(f"{row['threads']} thread(s): orrery-cli {row['tokens_per_second']:.1f} tokens/s ({row['slowest']:.1f} to {row['fastest']:.1f}), PyTorch {torch.__version__} "
              f"{row['python_tokens_per_second']:.1f}, {row['ratio']:.2f} times; {row['same_tokens']} of {row['tokens']} tokens are the same")


if __name__ == "__main__":
    main()
