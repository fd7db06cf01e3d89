"""Writes NAME.onnx by the exporter of PyTorch 1.13 (python3-torch) and NAME.npz beside it: inputs as input.N, outputs as output.N, gradients of the sum of squares of output.0 with respect to
the inputs as inputgrad.N and to the weights as grad.NAME. Constants are not folded, so that initialisers keep the names of the parameters."""
import os, sys
import numpy as np
import torch
from torch import nn

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.fc = nn.Conv2d(6, 4, 3, stride=2), nn.Linear(4 * 9, 5)
    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = nn.functional.avg_pool2d(nn.functional.hardswish(self.conv2(x)), 1)
        return self.fc(x.flatten(1))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru, self.fc = nn.LSTM(5, 6, bidirectional=True), nn.GRU(12, 4), nn.Linear(4, 3)
    def forward(self, x):
        y, (h, c) = self.lstm(x)
        z, n = self.gru(y)
        return self.fc(z), h, c


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj, self.norm1, self.norm2 = nn.Linear(16, 48), nn.Linear(16, 16), nn.LayerNorm(16), nn.LayerNorm(16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, 4, 4).permute(2, 0, 3, 1, 4)
        mask = torch.ones(t, t).tril().view(1, 1, t, t)
        att = (q @ k.transpose(-2, -1) / 2).masked_fill(mask == 0, float("-inf")).softmax(-1)
        x = x + self.proj((att @ v).transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.norm2(x))


MODELS = {"cnn-1.13": (Cnn, (2, 3, 16, 16), {0: "batch"}), "lstm-1.13": (Lstm, (7, 3, 5), {1: "batch"}), "layer-1.13": (Layer, (2, 6, 16), {0: "batch", 1: "time"})}
for name, (kind, shape, axes) in MODELS.items():
    torch.manual_seed(3)
    model = kind()
    for n, b in model.named_buffers():
        if n.endswith("running_mean"): b.copy_(0.1 * torch.randn(b.shape))
        if n.endswith("running_var"): b.copy_(1 + 0.3 * torch.rand(b.shape))
    model.eval()
    x = torch.randn(*shape, requires_grad=True)
    torch.onnx.export(model, (x.detach(),), os.path.join(OUT, name + ".onnx"), opset_version=14, input_names=["x"], dynamic_axes={"x": axes},
                      do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE)
    outputs = model(x)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    (outputs[0] ** 2).sum().backward()
    arrays = {"input.0": x.detach().numpy(), "inputgrad.0": x.grad.numpy()}
    arrays.update({f"output.{i}": o.detach().numpy() for i, o in enumerate(outputs)})
    arrays.update({"grad." + n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None})
    np.savez(os.path.join(OUT, name + ".npz"), **arrays)
