"""Writes densenet.pt, densenet-old.pt and densenet.npz beside this script, with Debian's python3-torch (1.13): python3 make_densenet.py

torchvision is not at hand, so the network is written here from the paper (Huang et al. 2017, arXiv:1608.06993, section 3 and table 1) with torchvision's names for its modules. Blocks of
2 and 3 layers, growth 4, 8 maps in the stem, one grey channel, 18 outputs as TorchXRayVision's classifiers have. densenet.pt is its state dictionary with a buffer more (op_threshs, which those
files hold); densenet-old.pt the same under the names that torchvision wrote before version 0.3 (norm.1, conv.2 inside a layer). densenet.npz: an input, the output, and the gradient of output 3
by the input.
"""
import collections, os, re
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
GROWTH, WIDTH, BLOCKS, OUTPUTS = 4, 8, (2, 3), 18


class Layer(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(maps), nn.Conv2d(maps, 4 * GROWTH, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * GROWTH), nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))], 1)


class Transition(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(maps), nn.Conv2d(maps, maps // 2, 1, bias=False)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        parts = [("conv0", nn.Conv2d(1, WIDTH, 7, 2, 3, bias=False)), ("norm0", nn.BatchNorm2d(WIDTH)), ("relu0", nn.ReLU()), ("pool0", nn.MaxPool2d(3, 2, 1))]
        maps = WIDTH
        for i, count in enumerate(BLOCKS, 1):
            block = nn.Sequential(collections.OrderedDict((f"denselayer{j + 1}", Layer(maps + j * GROWTH)) for j in range(count)))
            maps += count * GROWTH
            parts.append((f"denseblock{i}", block))
            if i < len(BLOCKS):
                parts.append((f"transition{i}", Transition(maps)))
                maps //= 2
        parts.append(("norm5", nn.BatchNorm2d(maps)))
        self.features = nn.Sequential(collections.OrderedDict(parts))
        self.classifier = nn.Linear(maps, OUTPUTS)

    def forward(self, x):
        return self.classifier(F.relu(self.features(x)).mean((2, 3)))


torch.manual_seed(5)
net = Net()
for module in net.modules():  # norms that change nothing would hide mistakes
    if isinstance(module, nn.BatchNorm2d):
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, 0, 0.2)
        module.running_mean.normal_(0, 0.3)
        module.running_var.uniform_(0.5, 1.5)
net.eval()
x = (torch.rand(2, 1, 40, 40) * 2 - 1) * 1024
x.requires_grad_()
y = net(x / 1024)
y[:, 3].sum().backward()
state = net.state_dict()
# The stored network reads -1024..1024: the first convolution takes the factor.
state["features.conv0.weight"] = state["features.conv0.weight"] / 1024
state["op_threshs"] = torch.full((OUTPUTS,), 0.5)
torch.save(state, os.path.join(HERE, "densenet.pt"))
torch.save(collections.OrderedDict((re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key), value) for key, value in state.items()), os.path.join(HERE, "densenet-old.pt"))
np.savez_compressed(os.path.join(HERE, "densenet.npz"), input=x.detach().numpy(), output=y.detach().numpy(), gradient=x.grad.numpy())
