#!/usr/bin/env python3
"""Steps of projects/digits as one writes them by hand in PyTorch: the other side of the comparison in tests/bench.

Prints one JSON line: median milliseconds a training step. Needs torch (1.13 or later) and nothing else. Images are made up (time does not depend on them)
and are not shifted, which spares Python the augmentation that Orrery's loader does.
"""
import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def model_of():
    def stage(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*stage(1, 32), *stage(32, 64), nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def step_milliseconds(steps, warmup, batch=64):
    torch.manual_seed(0)
    model = model_of()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=warmup + steps + 1)
    images, labels = torch.randn(1437, 1, 8, 8), torch.randint(10, (1437,))
    times, order, at = [], torch.randperm(1437), 0
    for step in range(warmup + steps):
        start = time.perf_counter()
        if at + batch > len(order):
            order, at = torch.randperm(1437), 0
        chosen = order[at : at + batch]
        at += batch
        loss = F.cross_entropy(model(images[chosen]), labels[chosen], label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        loss.item()
        if step >= warmup:
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--warmup", type=int, default=20)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    json.dump({"step_ms": step_milliseconds(arguments.steps, arguments.warmup), "threads": torch.get_num_threads(), "torch": torch.__version__}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
