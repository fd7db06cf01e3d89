"""Writes small models by torch 2.x as torch.export archives (pt2/NAME.pt2), TorchScript (ts2/NAME.pt), ONNX (onnx/NAME.onnx) and pickles (pickle/NAME.pt), each with NAME.safetensors beside it:
inputs as input.N, outputs as output.N, weights' gradients of the sum of squares of output.0 as grad.NAME where it has any."""
import os, sys, traceback, warnings
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from safetensors.torch import save_file
warnings.filterwarnings("ignore")
OUT = sys.argv[1]
for d in ("pt2", "ts2", "onnx", "pickle"):
    os.makedirs(os.path.join(OUT, d), exist_ok=True)


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


def attempt(what, f):
    try:
        f()
        print("ok", what)
    except Exception as e:
        print("FAILED", what, type(e).__name__, str(e)[:600])


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


D = torch.export.Dim
NAMES = ["mlp", "cnn", "gpt", "recurrent", "encoder", "layer", "branch", "dictionary", "counter", "shapes", "masked"]
for name in NAMES:
    args = inputs(name)
    def exported(dynamic=True):
        model = build(name)
        shapes = None
        if dynamic and name in ("mlp", "cnn", "gpt", "encoder", "layer", "dictionary"):
            dims = {0: D("batch", min=1, max=64)}
            if name in ("gpt",):
                dims[1] = D("time", min=2, max=24)
            shapes = (dims,) if name != "dictionary" else {"x": dims}
        return torch.export.export(model, args, dynamic_shapes=shapes)
    def pt2():
        torch.export.save(exported(), os.path.join(OUT, "pt2", name + ".pt2"))
        expect(os.path.join(OUT, "pt2", name), build(name), args)
    attempt("pt2 " + name, pt2)
    if name in ("gpt", "cnn", "recurrent"):
        def decomposed():
            torch.export.save(exported().run_decompositions(), os.path.join(OUT, "pt2", name + "-core.pt2"))
            expect(os.path.join(OUT, "pt2", name + "-core"), build(name), args)
        attempt("pt2 core " + name, decomposed)
    if name == "cnn":
        def training():
            model = build(name).train()
            torch.export.save(torch.export.export(model, args), os.path.join(OUT, "pt2", "cnn-training.pt2"))
            expect(os.path.join(OUT, "pt2", "cnn-training"), build(name).train(), args)
        attempt("pt2 training", training)
    def scripted():
        torch.jit.save(torch.jit.script(build(name)), os.path.join(OUT, "ts2", name + "-scripted.pt"))
        expect(os.path.join(OUT, "ts2", name + "-scripted"), build(name), args)
    if name not in ("branch", "dictionary"):
        attempt("ts2 scripted " + name, scripted)
    def traced():
        torch.jit.save(torch.jit.trace(build(name), args, strict=False), os.path.join(OUT, "ts2", name + "-traced.pt"))
        expect(os.path.join(OUT, "ts2", name + "-traced"), build(name), args)
    if name != "branch":
        attempt("ts2 traced " + name, traced)
    for dynamo in (True, False):
        def onnx():
            path = os.path.join(OUT, "onnx", name + ("" if dynamo else "-ts"))
            kwargs = dict(opset_version=18 if dynamo else 17, dynamo=dynamo)
            if not dynamo:
                kwargs["dynamic_axes"] = {"x": {0: "batch"}}
                kwargs["input_names"] = ["x", "y"][: len(args)]
            torch.onnx.export(build(name), args, path + ".onnx", external_data=False, **kwargs) if dynamo else torch.onnx.export(build(name), args, path + ".onnx", **kwargs)
            import onnxruntime as ort
            session = ort.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"])
            feed = {i.name: a.numpy() for i, a in zip(session.get_inputs(), args)}
            outs = session.run(None, feed)
            result = {f"input.{i}": a.clone() for i, a in enumerate(args)}
            result.update({f"output.{i}": torch.from_numpy(np.ascontiguousarray(o)) for i, o in enumerate(outs)})
            save_file(result, path + ".safetensors")
        if name not in ("counter",):
            attempt(f"onnx dynamo={dynamo} " + name, onnx)


def quantised():
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
    import onnxruntime as ort
    class Reader(CalibrationDataReader):
        def __init__(self, n, a):
            self.items = iter([{n: a}])
        def get_next(self):
            return next(self.items, None)
    for name in ("mlp-ts", "cnn-ts"):
        source = os.path.join(OUT, "onnx", name + ".onnx")
        a = inputs(name[:-3])[0].numpy()
        for kind in ("dynamic", "qdq", "qoperator"):
            path = os.path.join(OUT, "onnx", name[:-3] + "-" + kind)
            if kind == "dynamic":
                if name == "cnn-ts": continue
                quantize_dynamic(source, path + ".onnx", weight_type=QuantType.QInt8)
            else:
                quantize_static(source, path + ".onnx", Reader("x", a), quant_format=QuantFormat.QDQ if kind == "qdq" else QuantFormat.QOperator, per_channel=False)
            outs = ort.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"]).run(None, {"x": a})
            save_file({"input.0": torch.from_numpy(a), **{f"output.{i}": torch.from_numpy(np.ascontiguousarray(o)) for i, o in enumerate(outs)}}, path + ".safetensors")
            print("ok quantised", path)
attempt("quantised", quantised)


def halves():
    import onnx, onnxruntime as ort
    from onnx import numpy_helper
    m = build("mlp").half()
    a = inputs("mlp")[0].half()
    path = os.path.join(OUT, "onnx", "mlp-half")
    torch.onnx.export(m, (a,), path + ".onnx", dynamo=False, opset_version=17, input_names=["x"])
    outs = ort.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"]).run(None, {"x": a.numpy()})
    save_file({"input.0": a, "output.0": torch.from_numpy(outs[0])}, path + ".safetensors")
attempt("half", halves)


def external():
    m = build("mlp")
    folder = os.path.join(OUT, "onnx", "external")
    os.makedirs(folder, exist_ok=True)
    torch.onnx.export(m, inputs("mlp"), os.path.join(folder, "mlp.onnx"), dynamo=True, external_data=True)
attempt("external", external)


def pickles():
    p = lambda n: os.path.join(OUT, "pickle", n)
    m = build("cnn")
    sd = m.state_dict()
    torch.save(sd, p("state.pt"))
    torch.save(sd, p("legacy.pt"), _use_new_zipfile_serialization=False)
    opt = torch.optim.AdamW(m.parameters(), 1e-3)
    m.train()(inputs("cnn")[0]).sum().backward()
    opt.step()
    torch.save({"epoch": 3, "model": m.state_dict(), "optimizer": opt.state_dict(), "loss": 0.25, "name": "cnn", "args": {"lr": 1e-3, "betas": (0.9, 0.95), "flags": [True, None]}}, p("checkpoint.pt"))
    torch.save({k: v.bfloat16() if v.is_floating_point() else v for k, v in build("gpt").state_dict().items()}, p("bf16.pt"))
    torch.save(build("cnn"), p("module.pt"))
    torch.save(build("cnn"), p("module-legacy.pt"), _use_new_zipfile_serialization=False)
    base = torch.arange(24.0)
    torch.save({"whole": base, "view": base[4:16].view(3, 4), "transposed": base.view(4, 6).t(), "half": base.half(), "long": base.long(), "bool": base > 3, "complex": torch.complex(base, base), "u8": base.to(torch.uint8), "empty": torch.empty(0, 3), "scalar": torch.tensor(2.5)}, p("views.pt"))
    save_file({"cnn." + k: v.clone() for k, v in sd.items()}, p("state.safetensors"))
attempt("pickles", pickles)
