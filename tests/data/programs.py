"""The models of the fixtures that PyTorch 2.x writes (../pt2/generate.py, ../onnx/make_programs.py, ../weights/make_weights.py): `build` makes one with fixed weights, `inputs` its example
inputs, `expect` writes NAME.safetensors: inputs as input.N, outputs as output.N, gradients of the sum of squares of output.0 as grad.NAME. Needs torch and safetensors."""
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

NAMES = ["mlp", "cnn", "gpt", "recurrent", "encoder", "layer", "branch", "dictionary", "counter", "shapes", "masked"]


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Dropout(0.1), nn.Linear(12, 4))
    def forward(self, x):
        return F.softmax(self.net(x), -1)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(8)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)
    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(F.silu(self.bn2(self.conv2(x))), 2)
        return self.head(self.pool(x).flatten(1))


class Attention(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.causal, self.heads = causal, 2
        self.qkv, self.proj = nn.Linear(16, 48), nn.Linear(16, 16)
    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).reshape(b, t, c))


class Layer(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(16), Attention(causal), nn.LayerNorm(16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(approximate="tanh"), nn.Linear(32, 16))
    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(40, 16), nn.Embedding(24, 16)
        self.blocks, self.norm = nn.ModuleList([Layer(True) for _ in range(2)]), nn.RMSNorm(16)
        self.head = nn.Linear(16, 40, bias=False)
        self.head.weight = self.wte.weight
    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(5, 7, num_layers=2, batch_first=True, bidirectional=True), nn.GRU(14, 6, batch_first=True)
    def forward(self, x):
        y, (h, c) = self.lstm(x)
        z, n = self.gru(y)
        return z, h, c, n


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0), 2, enable_nested_tensor=False)
    def forward(self, x):
        return self.encoder(x)


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda v: self.a(v).relu(), lambda v: self.b(v).tanh(), (x,))


class Dictionary(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))
    def forward(self, x, mask=None):
        y = self.fc(x) * self.scale
        if mask is not None:
            y = y.masked_fill(mask, -1.0)
        return {"logits": y, "pair": (y.sum(-1), y.argmax(-1))}


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(4))
    def forward(self, x):
        self.count.add_(1)
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return self.fc(x - self.mean) * self.count


class Shapes(nn.Module):
    def forward(self, x, y):
        b, t = x.shape[0], x.shape[1]
        z = torch.cat([x, y.expand(b, -1, -1)], 1).reshape(b, -1)
        z = z[:, : t * 2] + torch.zeros(t * 2) + float(b)
        a, c = torch.split(z, [t, t], 1)
        idx = torch.tensor([0, 1])
        return torch.stack([a[:, idx], c.index_select(1, idx)], 0), F.pad(a, (1, 2)), torch.where(a > 0, a, c), torch.einsum("bi,bj->bij", a, c), F.interpolate(x.unsqueeze(1), scale_factor=2.0, mode="bilinear")


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.mha, self.norm = nn.Embedding(30, 16, padding_idx=0), nn.MultiheadAttention(16, 4, batch_first=True), nn.GroupNorm(4, 16)
    def forward(self, ids, keep):
        x = self.emb(ids)
        y, w = self.mha(x, x, x, key_padding_mask=~keep, need_weights=True)
        return self.norm((x + y).transpose(1, 2)), w


def inputs(name):
    g = torch.Generator().manual_seed(5)
    r = lambda *s: torch.randn(*s, generator=g)
    return {"mlp": (r(3, 6),), "cnn": (r(2, 3, 16, 16),), "gpt": (torch.randint(0, 40, (2, 9), generator=g),), "recurrent": (r(3, 8, 5),), "encoder": (r(2, 7, 16),), "layer": (r(2, 7, 16),), "branch": (r(2, 4),),
            "dictionary": (r(3, 4),), "counter": (r(3, 4),), "shapes": (r(2, 4, 4), r(1, 3, 4)), "masked": (torch.randint(1, 30, (2, 5), generator=g), torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))}[name]


def flat(value):
    if torch.is_tensor(value):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in flat(v)]
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in flat(v)]
    return []


def expect(path, model, args):
    out = flat(model(*args))
    result = {f"input.{i}": a.clone() for i, a in enumerate(args)}
    result.update({f"output.{i}": o.detach().clone().contiguous() for i, o in enumerate(out)})
    if out[0].requires_grad:
        model.zero_grad()
        (out[0] ** 2).sum().backward()
        for n, p in model.named_parameters():
            if p.grad is not None:
                result["grad." + n] = p.grad.clone().contiguous()
    save_file(result, path + ".safetensors")


def build(name):
    torch.manual_seed(1)
    model = {"mlp": Mlp, "cnn": Cnn, "gpt": Gpt, "recurrent": Recurrent, "encoder": Encoder, "layer": lambda: Layer(False), "branch": Branch, "dictionary": Dictionary, "counter": Counter, "shapes": Shapes, "masked": Masked}[name]()
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for n, b in model.named_buffers():
            if n.endswith("running_mean"): b.copy_(0.1 * torch.randn(b.shape, generator=g))
            if n.endswith("running_var"): b.copy_(1 + 0.3 * torch.rand(b.shape, generator=g))
        for n, p in model.named_parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=g))
    return model.eval()
