#!/usr/bin/env python3
"""Attributions of a ResNet-20 as one writes them by hand in PyTorch: the other side of `orrery-cli bench explain` in tests/bench.

Prints one JSON line: median seconds of integrated gradients (50 Gauss-Legendre steps in one batch), of occlusion (8x8 windows, stride 4, all in one batch)
and of Shapley value sampling (16 features of 8x8, 25 orders, one batch an order). Needs torch (1.13 or later) and nothing else. Weights and picture are made
up: time does not depend on them. Batched like this it is what a careful user writes; a library that evaluates one window or one feature at a time takes longer.
"""
import argparse
import json
import math
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.short = nn.Identity() if stride == 1 and inputs == outputs else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(inner)) + self.short(x))


def resnet20():
    blocks, width = [], 16
    for stage in (16, 32, 64):
        for number in range(3):
            blocks.append(Block(width, stage, 2 if number == 0 and stage > 16 else 1))
            width = stage
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def gauss_legendre(count):
    """Nodes and weights on [0, 1] by Newton's method."""
    nodes, weights = [], []
    for i in range(count):
        x = math.cos(math.pi * (i + 0.75) / (count + 0.5))
        for _ in range(20):
            p, before = 1.0, 0.0
            for k in range(1, count + 1):
                p, before = ((2 * k - 1) * x * p - (k - 1) * before) / k, p
            slope = count * (x * p - before) / (x * x - 1)
            x -= p / slope
        nodes.append((1 - x) / 2)
        weights.append(1 / ((1 - x * x) * slope * slope))
    return torch.tensor(nodes), torch.tensor(weights)


def integrated_gradients(model, x, target, rule):
    nodes, weights = rule
    points = (nodes.reshape(-1, 1, 1, 1) * x).requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(points)[:, target].sum(), points)
    return (gradient * weights.reshape(-1, 1, 1, 1)).sum(0, keepdim=True) * x


@torch.no_grad()
def occlusion(model, x, target, window=8, stride=4):
    places = [(top, left) for top in range(0, x.shape[2] - window + 1, stride) for left in range(0, x.shape[3] - window + 1, stride)]
    covered = x.repeat(len(places), 1, 1, 1)
    for row, (top, left) in enumerate(places):
        covered[row, :, top : top + window, left : left + window] = 0
    drops = model(x)[0, target] - model(covered)[:, target]
    total, count = torch.zeros(x.shape[2:]), torch.zeros(x.shape[2:])
    for drop, (top, left) in zip(drops, places):
        total[top : top + window, left : left + window] += drop
        count[top : top + window, left : left + window] += 1
    return total / count


@torch.no_grad()
def shapley_sampling(model, x, target, orders=25, patch=8):
    across = x.shape[3] // patch
    rows = torch.arange(x.shape[2]).div(patch, rounding_mode="floor").reshape(-1, 1)
    feature = rows * across + torch.arange(x.shape[3]).div(patch, rounding_mode="floor")
    count = int(feature.max()) + 1
    shares = torch.zeros(count)
    for _ in range(orders):
        order = torch.randperm(count)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(count)
        present = (rank[feature].unsqueeze(0) < torch.arange(count + 1).reshape(-1, 1, 1)).unsqueeze(1)
        outputs = model(present * x)[:, target]
        shares[order] += outputs[1:] - outputs[:-1]
    return (shares / orders)[feature]


def median_seconds(work, seconds):
    work()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--seconds", type=float, default=2, help="each figure is the median of runs over this time, at least three")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, x, rule = resnet20().eval().requires_grad_(False), torch.randn(1, 3, 32, 32), gauss_legendre(50)
    # What the attributions must add up to; a wrong loop would be fast for the wrong reason.
    sampled = shapley_sampling(model, x, 3, orders=2).reshape(4, 8, 4, 8)[:, 0, :, 0].sum()
    with torch.no_grad():
        change = (model(x) - model(torch.zeros_like(x)))[0, 3]
    assert abs(sampled - change) < 1e-3 and abs(integrated_gradients(model, x, 3, rule).sum() - change) < 0.1 * abs(change) + 1e-2
    figures = {"integrated_gradients_50_s": median_seconds(lambda: integrated_gradients(model, x, 3, rule), arguments.seconds),
               "occlusion_8x8_stride_4_s": median_seconds(lambda: occlusion(model, x, 3), arguments.seconds),
               "shapley_value_sampling_16x25_s": median_seconds(lambda: shapley_sampling(model, x, 3), arguments.seconds)}
    json.dump({**figures, "threads": torch.get_num_threads(), "torch": torch.__version__}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
