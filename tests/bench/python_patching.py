#!/usr/bin/env python3
"""A patching sweep as one writes it by hand in PyTorch: the other side of `orrery-cli bench patching` in tests/bench.

Prints one JSON line: median seconds of 384 patches of a 6-layer GPT of width 128 at 64 positions (the residual stream before each block, one position at a
time, from a clean into a corrupted run; the metric is a difference of two logits): by hooks, one patch a run, and with all positions of a block as one batch.
Both are checked to give the same numbers. Needs torch (1.13 or later) and nothing else. Weights are made up: time does not depend on them.
"""
import argparse
import json
import statistics
import sys
import time

import torch

from python_tiny_gpt import Gpt

POSITIONS, LAYERS = 64, 6


def metric_of(model, tokens):
    """Difference of two logits at the last position, [rows]."""
    logits = model.logits(tokens)[:, -1]
    return logits[:, 1] - logits[:, 2]


def clean_streams(model, clean):
    """The residual stream before each block of the clean run."""
    kept = []
    hooks = [block.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0])) for block in model.blocks]
    model.logits(clean)
    for hook in hooks:
        hook.remove()
    return kept


def patched(model, tokens, block, change):
    hook = block.register_forward_pre_hook(lambda _, inputs: (change(inputs[0].clone()),))
    metric = metric_of(model, tokens)
    hook.remove()
    return metric


def one_by_one(model, clean, corrupted):
    kept, found = clean_streams(model, clean), torch.empty(LAYERS, POSITIONS)
    for layer, block in enumerate(model.blocks):
        for position in range(POSITIONS):
            def change(x):
                x[:, position] = kept[layer][:, position]
                return x
            found[layer, position] = patched(model, corrupted, block, change)[0]
    return found


def batched(model, clean, corrupted):
    kept, found, rows = clean_streams(model, clean), torch.empty(LAYERS, POSITIONS), torch.arange(POSITIONS)
    for layer, block in enumerate(model.blocks):
        def change(x):
            x[rows, rows] = kept[layer][0]
            return x
        found[layer] = patched(model, corrupted.expand(POSITIONS, -1), block, change)
    return found


def median_seconds(work, repeats):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = Gpt(length=POSITIONS, layers=LAYERS).eval()
    tokens = torch.arange(POSITIONS).unsqueeze(0)
    clean, corrupted = tokens * 37 % 256, tokens * 91 % 256
    with torch.no_grad():
        if not torch.allclose(one_by_one(model, clean, corrupted), batched(model, clean, corrupted), atol=1e-4):
            sys.exit("python_patching: the two ways differ")
        found = {"one_by_one_s": median_seconds(lambda: one_by_one(model, clean, corrupted), arguments.repeats),
                 "batched_s": median_seconds(lambda: batched(model, clean, corrupted), arguments.repeats)}
    json.dump({**found, "threads": torch.get_num_threads(), "torch": torch.__version__}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
