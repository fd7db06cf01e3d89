#!/usr/bin/env python3
"""Writes the TorchScript fixtures of this folder with PyTorch 1.13 (Debian's python3-torch). Run it here; nothing else needs Python.

The debug files inside the archives (paths of the machine that wrote them) are left out; the archives are written again with fixed dates.
"""
import os
import zipfile
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

HERE = os.path.dirname(os.path.abspath(__file__))


class Mlp(nn.Module):
    def __init__(self, drop: float = 0.5):
        super().__init__()
        self.fc1 = nn.Linear(6, 8)
        self.bn = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(drop)
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc2(self.drop(F.relu(self.bn(self.fc1(x)))))


class Cnn(nn.Module):
    def __init__(self, drop: float = 0.25):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.block = nn.Conv2d(4, 4, 3, padding=1)
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.features(x)
        y = self.block(x)
        y += x
        return self.head(self.drop(F.relu(y).mean((2, 3))))


class RnnLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x, steps: int):
        h = torch.zeros(x.size(1), 4)
        states: List[Tensor] = []
        for t in range(steps):
            h = self.cell(x[t], h)
            states.append(h)
        i = 0
        while i < 2:
            h = torch.tanh(h)
            i += 1
        return self.out(torch.stack(states)), h


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)

    def forward(self, x):
        if x.dim() != 2:
            raise ValueError("expected two dimensions")
        if bool(x.sum() > 0):
            y = self.a(x)
        else:
            y = self.b(x) * 2
        return y + 1


class Containers(nn.Module):
    def forward(self, x, y):
        pair = (x + y, [x * 2, y * 3])
        parts = torch.split(x, 1, 1)
        return {"sum": pair[0], "parts": parts[0] + parts[1], "nested": (pair[1][0], pair[1][1])[1]}


class TupleOut(nn.Module):
    def forward(self, x) -> Tuple[Tensor, List[Tensor], Tuple[Tensor, int]]:
        return x + 1, [x, x * 2], (x.sum(), x.size(0))


class InPlace(nn.Module):
    """Writes through views, before and after their other readers."""

    def forward(self, x, flag: bool):
        y = x * 2
        row = y[0]
        y.add_(1)
        y[:, 1] = 5.0
        y[1] += row
        z = y.transpose(0, 1)
        z.mul_(0.5)
        w = y.view(-1)
        w[0:2] = x[0, 0:2]
        if flag:
            y[2].zero_()
        for i in range(2):
            y[i, 0] += y[i, 1]
        kept = [z]
        z.sub_(1)
        return y, row, kept[0], F.relu_(y.clone())


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.act(self.fc(self.act(self.fc(x))))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        return self.head(self.wte(ids))


class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.scale: float = 2.0
        self.shift = nn.Parameter(torch.ones(3))

    def forward(self, x):
        if self.training:
            self.count.add_(1)
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return (x - self.mean) * self.scale + self.shift + torch.tensor([1.0, 2.0, 3.0])


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x, state: Optional[Tuple[Tensor, Tensor]] = None):
        y, (h, c) = self.lstm(x, state)
        return self.head(y), h, c


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, drop: float):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.heads = heads
        self.drop = nn.Dropout(drop)
        self.register_buffer("mask", torch.tril(torch.ones(16, 16)).view(1, 1, 16, 16))

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.qkv(x).split(c, dim=2)
        q = q.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        k = k.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        v = v.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / (c // self.heads) ** 0.5)
        att = att.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        att = self.drop(F.softmax(att, dim=-1))
        return self.proj((att @ v).transpose(1, 2).contiguous().view(b, t, c))


class Block(nn.Module):
    def __init__(self, width: int, drop: float):
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.attn = Attention(width, 2, drop)
        self.ln2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(drop))

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class Gpt(nn.Module):
    def __init__(self, drop: float = 0.1):
        super().__init__()
        self.wte = nn.Embedding(11, 8)
        self.wpe = nn.Embedding(16, 8)
        self.blocks = nn.ModuleList([Block(8, drop) for _ in range(2)])
        self.ln = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(0, ids.size(1), device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


class DictState(nn.Module):
    """A dict and a list written step by step; a carried tuple; a value kept by a list and then written."""

    def forward(self, x, n: int):
        out: Dict[str, Tensor] = {}
        state = (x, x * 0)
        sizes: List[int] = []
        seen: List[Tensor] = []
        for i in range(n):
            state = (state[1] + x, state[0] * 0.5)
            sizes.append(i * x.size(0))
            seen.append(state[0])
        out["first"] = state[0]
        out["second"] = state[1] + float(sum(sizes))
        out["seen"] = torch.stack(seen)
        out["first"] = out["first"] - 1
        return out


class Views(nn.Module):
    """Chains of views, writes that can be followed, and then writes that cannot."""

    def forward(self, x):
        b = x.clone()
        p = b.permute(2, 0, 1)
        p[0] = torch.ones(2, 3)
        p.unsqueeze(0).mul_(2)
        d = torch.diagonal(b, 0, 0, 1)
        d.fill_(7)
        a, c = b.split(2, 2)
        a.add_(1)
        b.flatten(1)[0, 0] = 3.0
        e = b[:, None]
        e[..., 1:] += 1
        b.masked_fill_(b > 5, 0.0)
        b[b < 0] = -1
        b[torch.tensor([0]), torch.tensor([1])] = 9
        b.view(-1, 4).t().clamp_(max=3)
        return b, a, c, p, d, e


@torch.jit.script
class Sum:
    def __init__(self, total: Tensor):
        self.total = total
        self.count = 0

    def add(self, x: Tensor):
        self.total = self.total + x
        self.count += 1


class OwnClass(nn.Module):
    def forward(self, x):
        sums = Sum(x)
        for i in range(3):
            sums.add(x * i)
        if bool(x.sum() > 0):
            sums.add(x)
        return sums.total, sums.count


class Early(nn.Module):
    """Leaves early, leaves loops, goes on."""

    def forward(self, x):
        if x.size(0) > 3:
            return x * 2
        for i in range(5):
            if i == 2:
                continue
            if bool(x.sum() > 100):
                break
            x = x + i
        while x.size(0) < 2:
            x = torch.cat([x, x])
        return x


class Sdpa(nn.Module):
    """Stands for a file of PyTorch 2.x: its one call is replaced when the file is written (1.13 does not know the operator)."""

    def forward(self, q, k, v):
        return torch.baddbmm(q, k, v)


def save(module, name: str, old: bytes = b"", new: bytes = b"") -> None:
    path = os.path.join(HERE, name + ".pt")
    torch.jit.save(module, path)
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist() if not info.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for entry, data in entries:
            if old and entry.endswith(".py"):
                assert old in data, data
                data = data.replace(old, new)
            archive.writestr(zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0)), data)


def randomise(module: nn.Module) -> nn.Module:
    """Running statistics that are not the trivial ones."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return module


def main() -> None:
    torch.manual_seed(1)
    for name, module in {"mlp_scripted": Mlp(), "rnn_loop": RnnLoop(), "branch": Branch(), "containers": Containers(), "tuple_out": TupleOut(), "in_place": InPlace(), "twice": Twice(),
                         "tied": Tied(), "buffers": Buffers(), "lstm": Lstm(), "gpt": Gpt(), "dict_state": DictState(), "cnn_scripted": Cnn(0.0), "mlp_train": Mlp(0.0),
                         "gpt_train": Gpt(0.0), "views": Views(), "own_class": OwnClass(), "early": Early()}.items():
        save(torch.jit.script(randomise(module)), name)
    cnn = randomise(Cnn()).eval()
    save(torch.jit.trace(cnn, torch.randn(2, 1, 8, 8)), "cnn_traced")
    save(torch.jit.trace(Gpt().eval(), torch.randint(0, 11, (2, 5))), "gpt_traced")
    save(torch.jit.trace(Lstm().eval(), torch.randn(2, 5, 3)), "lstm_traced")
    encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    save(torch.jit.script(encoder), "encoder_layer")
    save(torch.jit.script(Sdpa()), "sdpa", b"torch.baddbmm(q, k, v)", b"torch.scaled_dot_product_attention(q, k, v, None, 0., True, scale=None)")


if __name__ == "__main__":
    main()
