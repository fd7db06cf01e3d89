"""Writes tiny checkpoints of convolutional networks and what they compute, from the definitions: OUT/NAME/{config.json, expect.safetensors}. Needs NumPy, and torch for its random numbers alone.
Everything is computed in float64, one output place at a time. The papers say what is computed; how the released checkpoints pad, round widths and name their tensors was written from knowledge of
their layout, without the library at hand."""
import math

import numpy as np

from make_encoders import PICTURE, Drawn, silu, write

LABELS = {str(i): f"LABEL_{i}" for i in range(5)}


class Convolutional(Drawn):
    """Batch norms have running statistics, drawn behind the parameters as the tests draw them."""

    def convolution(self, name, n_in, n_out, kernel, groups=1, bias=False):
        self.matrix(name + ".weight", n_out, n_in // groups, kernel, kernel)
        if bias:
            self.constant(name + ".bias", n_out, 0.0)

    def batch_norm(self, name, size):
        self.norm(name, size, bias=True)
        self.buffers[name + ".running_mean"] = (size,)
        self.buffers[name + ".running_var"] = (size,)

    def convolved(self, name, x, stride, pad, groups=1, dilation=1):
        """x [channel, row, column]; pad (top, bottom, left, right) of zeros."""
        weight = self.at(name + ".weight")
        x = np.pad(x, ((0, 0), pad[:2], pad[2:]))
        kernel, each_in, each_out = weight.shape[-1], weight.shape[1], weight.shape[0] // groups
        assert x.shape[0] == each_in * groups
        reach = dilation * (kernel - 1) + 1
        rows, columns = ((size - reach) // stride + 1 for size in x.shape[1:])
        out = np.zeros((weight.shape[0], rows, columns))
        for channel in range(weight.shape[0]):
            group = channel // each_out
            seen = x[group * each_in : (group + 1) * each_in]
            for row in range(rows):
                for column in range(columns):
                    top, left = row * stride, column * stride
                    out[channel, row, column] = (seen[:, top : top + reach : dilation, left : left + reach : dilation] * weight[channel]).sum()
        return out + self.at(name + ".bias")[:, None, None] if name + ".bias" in self else out

    def normed(self, name, x, epsilon):
        mean, variance, gain, bias = (self.at(f"{name}.{part}")[:, None, None] for part in ("running_mean", "running_var", "weight", "bias"))
        return (x - mean) / np.sqrt(variance + epsilon) * gain + bias


def rounded(width, divisor, smallest):
    """The nearest multiple, at most a tenth below. Source: the released code of Sandler et al."""
    new = max(smallest, int(width + divisor / 2) // divisor * divisor)
    return new + divisor if new < 0.9 * width else new


def tensorflow_pad(size, kernel, stride, dilation):
    """As many zeros as the last window needs; of an odd number one more at the end."""
    along = max(kernel - (stride if size % stride == 0 else size % stride), 0)
    return along // 2 * dilation, (along - along // 2) * dilation


def mobilenet_v2(name, head, side, **settings):
    """Sandler et al. (2018), "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381, table 2 and figure 4."""
    config = {"architectures": ["MobileNetV2" + head], "model_type": "mobilenet_v2", "num_channels": 3, "image_size": side, "depth_multiplier": 0.25, "depth_divisible_by": 4, "min_depth": 4,
              "expand_ratio": 2.0, "output_stride": 32, "first_layer_is_expansion": True, "finegrained_output": False, "hidden_act": "relu6", "tf_padding": True, "layer_norm_eps": 0.001,
              "id2label": LABELS, **settings}
    w, p = Convolutional(), "" if head == "Model" else "mobilenet_v2."
    scaled = lambda channels: rounded(int(round(channels * config["depth_multiplier"])), config["depth_divisible_by"], config["min_depth"])
    table = [(16, 2), (24, 1), (24, 2), (32, 1), (32, 1), (32, 2), (64, 1), (64, 1), (64, 1), (64, 1), (96, 1), (96, 1), (96, 2), (160, 1), (160, 1), (160, 1)]
    widths, layers = [scaled(channels) for channels, _ in table] + [scaled(320)], []

    def layer(prefix, n_in, n_out, kernel, stride=1, groups=1, dilation=1, activates=True):
        w.convolution(prefix + ".convolution", n_in, n_out, kernel, groups)
        w.batch_norm(prefix + ".normalization", n_out)

        def run(x):
            pads = [tensorflow_pad(size, kernel, stride, dilation) if config["tf_padding"] else ((kernel - 1) // 2 * dilation,) * 2 for size in x.shape[1:]]
            x = w.convolved(prefix + ".convolution", x, stride, pads[0] + pads[1], groups, dilation)
            x = w.normed(prefix + ".normalization", x, config["layer_norm_eps"])
            return np.clip(x, 0, 6) if activates else x

        return run

    first = scaled(32)
    stem = [layer(p + "conv_stem.first_conv", 3, first, 3, 2)]
    if not config["first_layer_is_expansion"]:
        stem.append(layer(p + "conv_stem.expand_1x1", first, first, 1))
    stem += [layer(p + "conv_stem.conv_3x3", first, first, 3, groups=first), layer(p + "conv_stem.reduce_1x1", first, widths[0], 1, activates=False)]
    reached, dilation = 2, 1
    for i, (_, stride) in enumerate(table):
        here, now = stride, 1
        if reached == config["output_stride"]:
            here, now, dilation = 1, dilation, dilation * stride
        else:
            reached *= stride
        inner = rounded(int(round(widths[i] * config["expand_ratio"])), config["depth_divisible_by"], config["min_depth"])
        b = p + f"layer.{i}."
        layers.append(([layer(b + "expand_1x1", widths[i], inner, 1), layer(b + "conv_3x3", inner, inner, 3, here, inner, now), layer(b + "reduce_1x1", inner, widths[i + 1], 1, activates=False)],
                       here == 1 and widths[i] == widths[i + 1]))
    last = 1280 if config["finegrained_output"] and config["depth_multiplier"] < 1 else scaled(1280)
    top = layer(p + "conv_1x1", widths[-1], last, 1)
    if head != "Model":
        w.full("classifier", last, 5)
    w.draw()

    def run(x):
        for step in stem:
            x = step(x)
        for steps, keeps in layers:
            before = x
            for step in steps:
                x = step(x)
            x = x + before if keeps else x
        x = top(x)
        pooled = x.mean((1, 2))
        return {"last_hidden_state": x, "pooler_output": pooled} if head == "Model" else {"logits": w.apply("classifier", pooled)}

    write(name, config, w, {"pixel_values": PICTURE[:, :, :side, :side].copy()}, run)


def efficientnet(name, head, **settings):
    """Tan & Le (2019), "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv:1905.11946, table 1 and section 3.3; squeeze and excitation: Hu et al. (2017), arXiv:1709.01507."""
    config = {"architectures": ["EfficientNet" + head], "model_type": "efficientnet", "num_channels": 3, "image_size": 32, "width_coefficient": 0.5, "depth_coefficient": 1.1, "depth_divisor": 4,
              "kernel_sizes": [3, 3, 5], "in_channels": [32, 8, 16], "out_channels": [8, 16, 24], "depthwise_padding": [], "strides": [1, 2, 2], "num_block_repeats": [1, 2, 1],
              "expand_ratios": [1, 3, 2], "squeeze_expansion_ratio": 0.25, "hidden_act": "swish", "hidden_dim": 640, "pooling_type": "mean", "batch_norm_eps": 0.001, "id2label": LABELS, **settings}
    w, p, epsilon = Convolutional(), "" if head == "Model" else "efficientnet.", config["batch_norm_eps"]

    def scaled(width):
        width *= config["width_coefficient"]
        new = max(config["depth_divisor"], int(width + config["depth_divisor"] / 2) // config["depth_divisor"] * config["depth_divisor"])
        return int(new + config["depth_divisor"] if new < 0.9 * width else new)

    first, blocks, number = scaled(32), [], 0
    w.convolution(p + "embeddings.convolution", 3, first, 3)
    w.batch_norm(p + "embeddings.batchnorm", first)
    for stage in range(len(config["in_channels"])):
        n_in, n_out = scaled(config["in_channels"][stage]), scaled(config["out_channels"][stage])
        for repeat in range(math.ceil(config["depth_coefficient"] * config["num_block_repeats"][stage])):
            b, here = p + f"encoder.blocks.{number}.", n_in if repeat == 0 else n_out
            stride, kernel, ratio = config["strides"][stage] if repeat == 0 else 1, config["kernel_sizes"][stage], config["expand_ratios"][stage]
            inner, squeezed = here * ratio, max(1, int(here * config["squeeze_expansion_ratio"]))
            if ratio != 1:
                w.convolution(b + "expansion.expand_conv", here, inner, 1)
                w.batch_norm(b + "expansion.expand_bn", inner)
            w.convolution(b + "depthwise_conv.depthwise_conv", inner, inner, kernel, inner)
            w.batch_norm(b + "depthwise_conv.depthwise_norm", inner)
            w.convolution(b + "squeeze_excite.reduce", inner, squeezed, 1, bias=True)
            w.convolution(b + "squeeze_excite.expand", squeezed, inner, 1, bias=True)
            w.convolution(b + "projection.project_conv", inner, n_out, 1)
            w.batch_norm(b + "projection.project_bn", n_out)
            blocks.append((b, ratio != 1, kernel, stride, inner, stride == 1 and repeat > 0, number not in config["depthwise_padding"]))
            number += 1
    w.convolution(p + "encoder.top_conv", scaled(config["out_channels"][-1]), scaled(1280), 1)
    w.batch_norm(p + "encoder.top_bn", config["hidden_dim"])
    if head != "Model":
        w.full("classifier", config["hidden_dim"], 5)
    w.draw()
    none = (0, 0, 0, 0)

    def run(x):
        x = silu(w.normed(p + "embeddings.batchnorm", w.convolved(p + "embeddings.convolution", x, 2, (0, 1, 0, 1)), epsilon))
        for b, expands, kernel, stride, inner, keeps, adjusts in blocks:
            before = x
            if expands:
                x = silu(w.normed(b + "expansion.expand_bn", w.convolved(b + "expansion.expand_conv", x, 1, none), epsilon))
            half = kernel // 2
            pad = (half - 1, half) * 2 if stride == 2 and adjusts else (half,) * 4
            x = silu(w.normed(b + "depthwise_conv.depthwise_norm", w.convolved(b + "depthwise_conv.depthwise_conv", x, stride, pad, inner), epsilon))
            gate = silu(w.convolved(b + "squeeze_excite.reduce", x.mean((1, 2), keepdims=True), 1, none))
            x = x / (1 + np.exp(-w.convolved(b + "squeeze_excite.expand", gate, 1, none)))
            x = w.normed(b + "projection.project_bn", w.convolved(b + "projection.project_conv", x, 1, none), epsilon)
            x = x + before if keeps else x
        x = silu(w.normed(p + "encoder.top_bn", w.convolved(p + "encoder.top_conv", x, 1, none), epsilon))
        pooled = x.mean((1, 2))
        return {"last_hidden_state": x, "pooler_output": pooled} if head == "Model" else {"logits": w.apply("classifier", pooled)}

    write(name, config, w, {"pixel_values": PICTURE}, run)


if __name__ == "__main__":
    mobilenet_v2("mobilenet_v2", "ForImageClassification", 32)
    # An odd side, the strides of the last stages as dilations, and zeros on both sides.
    mobilenet_v2("mobilenet_v2-model", "Model", 31, output_stride=8, first_layer_is_expansion=False)
    mobilenet_v2("mobilenet_v2-even-padding", "ForImageClassification", 32, tf_padding=False, output_stride=16, depth_divisible_by=8)
    efficientnet("efficientnet", "ForImageClassification")
    efficientnet("efficientnet-model", "Model", depthwise_padding=[3], hidden_act="silu")
