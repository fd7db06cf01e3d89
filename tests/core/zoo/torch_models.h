#pragma once
#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

/// The zoo's models written with torch::nn, parameter for parameter under the same names: the independent side of the comparison.
namespace reference {

namespace nn = torch::nn;

/// One name for all: forward of an image, a table or tokens.
struct Net : nn::Module {
    virtual torch::Tensor forward(torch::Tensor x) = 0;
};

struct Mlp : Net {
    std::vector<nn::Linear> layers;
    std::vector<nn::BatchNorm1d> norms;

    Mlp(std::int64_t in, const std::vector<std::int64_t>& hidden, std::int64_t out, bool batchNorm)
    {
        for (std::size_t i = 0; i < hidden.size(); ++i) {
            layers.push_back(register_module("fc" + std::to_string(i + 1), nn::Linear(in, hidden[i])));
            if (batchNorm)
                norms.push_back(register_module("bn" + std::to_string(i + 1), nn::BatchNorm1d(hidden[i])));
            in = hidden[i];
        }
        layers.push_back(register_module("out", nn::Linear(in, out)));
    }
    torch::Tensor forward(torch::Tensor x) override
    {
        for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
            x = layers[i](x);
            if (!norms.empty())
                x = norms[i](x);
            x = torch::relu(x);
        }
        return layers.back()(x);
    }
};

struct LeNet : Net {
    nn::Conv2d conv1{nullptr}, conv2{nullptr};
    nn::Linear fc1{nullptr}, fc2{nullptr}, fc3{nullptr};

    LeNet()
    {
        conv1 = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(1, 6, 5)));
        conv2 = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(6, 16, 5)));
        fc1 = register_module("fc1", nn::Linear(400, 120));
        fc2 = register_module("fc2", nn::Linear(120, 84));
        fc3 = register_module("fc3", nn::Linear(84, 10));
    }
    torch::Tensor forward(torch::Tensor x) override
    {
        x = torch::avg_pool2d(torch::tanh(conv1(x)), 2);
        x = torch::avg_pool2d(torch::tanh(conv2(x)), 2);
        x = torch::tanh(fc1(torch::flatten(x, 1)));
        return fc3(torch::tanh(fc2(x)));
    }
};

/// LeNet for 8x8 digits: 3x3 kernels with padding, relu, max pooling, batch norm.
struct DigitsLeNet : Net {
    nn::Conv2d conv1{nullptr}, conv2{nullptr};
    nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
    nn::Linear fc1{nullptr}, fc2{nullptr};

    DigitsLeNet()
    {
        conv1 = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(1, 8, 3).padding(1)));
        bn1 = register_module("bn1", nn::BatchNorm2d(8));
        conv2 = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(8, 16, 3).padding(1)));
        bn2 = register_module("bn2", nn::BatchNorm2d(16));
        fc1 = register_module("fc1", nn::Linear(64, 32));
        fc2 = register_module("fc2", nn::Linear(32, 10));
    }
    torch::Tensor forward(torch::Tensor x) override
    {
        x = torch::max_pool2d(torch::relu(bn1(conv1(x))), 2);
        x = torch::max_pool2d(torch::relu(bn2(conv2(x))), 2);
        return fc2(torch::relu(fc1(torch::flatten(x, 1))));
    }
};

inline nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t padding)
{
    return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(padding).bias(false));
}

enum class Shortcut { A, B };

struct ResidualBlock : nn::Module {
    std::vector<nn::Conv2d> convs;
    std::vector<nn::BatchNorm2d> norms;
    nn::Sequential downsample{nullptr};
    std::int64_t pad = 0;

    ResidualBlock(std::int64_t in, std::int64_t width, std::int64_t stride, bool bottleneck, Shortcut shortcut)
    {
        const std::int64_t out = bottleneck ? 4 * width : width;
        if (bottleneck) {
            add(convolution(in, width, 1, 1, 0), width);
            add(convolution(width, width, 3, stride, 1), width);
            add(convolution(width, out, 1, 1, 0), out);
        } else {
            add(convolution(in, width, 3, stride, 1), width);
            add(convolution(width, width, 3, 1, 1), width);
        }
        if (stride == 1 && in == out)
            return;
        if (shortcut == Shortcut::B)
            downsample = register_module("downsample", nn::Sequential(convolution(in, out, 1, stride, 0), nn::BatchNorm2d(out)));
        else
            pad = (out - in) / 2;
    }
    void add(const nn::Conv2d& conv, std::int64_t width)
    {
        const std::string number = std::to_string(convs.size() + 1);
        convs.push_back(register_module("conv" + number, conv));
        norms.push_back(register_module("bn" + number, nn::BatchNorm2d(width)));
    }
    torch::Tensor forward(torch::Tensor x)
    {
        torch::Tensor y = x;
        for (std::size_t i = 0; i < convs.size(); ++i) {
            y = norms[i](convs[i](y));
            if (i + 1 < convs.size())
                y = torch::relu(y);
        }
        if (!downsample.is_empty())
            x = downsample->forward(x);
        else if (pad > 0)
            x = torch::constant_pad_nd(x.slice(2, c10::nullopt, c10::nullopt, 2).slice(3, c10::nullopt, c10::nullopt, 2), {0, 0, 0, 0, pad, pad}, 0);
        return torch::relu(y + x);
    }
};

struct ResNet : Net {
    nn::Conv2d conv1{nullptr};
    nn::BatchNorm2d bn1{nullptr};
    std::vector<std::vector<std::shared_ptr<ResidualBlock>>> stages;
    nn::Linear fc{nullptr};
    bool imagenet;

    ResNet(bool isImagenet, const std::vector<std::int64_t>& blocks, bool bottleneck, Shortcut shortcut, std::int64_t classes) : imagenet(isImagenet)
    {
        std::int64_t width = imagenet ? 64 : 16, in = width;
        conv1 = register_module("conv1", imagenet ? convolution(3, width, 7, 2, 3) : convolution(3, width, 3, 1, 1));
        bn1 = register_module("bn1", nn::BatchNorm2d(width));
        for (std::size_t stage = 0; stage < blocks.size(); ++stage, width *= 2) {
            nn::ModuleList list;
            auto& made = stages.emplace_back();
            for (std::int64_t i = 0; i < blocks[stage]; ++i) {
                made.push_back(std::make_shared<ResidualBlock>(in, width, stage > 0 && i == 0 ? 2 : 1, bottleneck, shortcut));
                list->push_back(made.back());
                in = bottleneck ? 4 * width : width;
            }
            register_module("layer" + std::to_string(stage + 1), list);
        }
        fc = register_module("fc", nn::Linear(in, classes));
    }
    torch::Tensor forward(torch::Tensor x) override
    {
        x = torch::relu(bn1(conv1(x)));
        if (imagenet)
            x = torch::max_pool2d(x, 3, 2, 1);
        for (const auto& stage : stages)
            for (const auto& block : stage)
                x = block->forward(x);
        return fc(torch::flatten(torch::adaptive_avg_pool2d(x, {1, 1}), 1));
    }
};

struct Attention : nn::Module {
    nn::Linear qkv{nullptr}, proj{nullptr};
    std::int64_t heads;

    Attention(std::int64_t width, std::int64_t headCount, bool bias) : heads(headCount)
    {
        qkv = register_module("qkv", nn::Linear(nn::LinearOptions(width, 3 * width).bias(bias)));
        proj = register_module("proj", nn::Linear(nn::LinearOptions(width, width).bias(bias)));
    }
    torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& mask)
    {
        const std::int64_t batch = x.size(0), length = x.size(1), width = x.size(2);
        const double scale = 1.0 / std::sqrt(double(width / heads));
        const auto parts = qkv(x).reshape({batch, length, 3, heads, width / heads}).permute({2, 0, 3, 1, 4}).contiguous().unbind(0);
        torch::Tensor scores;
        if (mask.defined())
            scores = torch::baddbmm(mask, parts[0].flatten(0, 1), parts[1].flatten(0, 1).transpose(1, 2), 1, scale)
                         .reshape({batch, heads, length, length});
        else
            scores = torch::matmul(parts[0] * scale, parts[1].transpose(-2, -1));
        const torch::Tensor z = torch::matmul(torch::softmax(scores, -1), parts[2]);
        return proj(z.transpose(1, 2).flatten(2, 3));
    }
    /// The textbook's formula in the textbook's order; equal up to rounding.
    torch::Tensor textbook(const torch::Tensor& x, bool causal)
    {
        const auto parts = qkv(x).chunk(3, -1);
        const auto byHead = [&](const torch::Tensor& part) { return part.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2); };
        torch::Tensor scores = torch::matmul(byHead(parts[0]), byHead(parts[1]).transpose(-2, -1)) / std::sqrt(double(x.size(2) / heads));
        if (causal)
            scores = scores.masked_fill(torch::ones({x.size(1), x.size(1)}, torch::kBool).triu(1), -INFINITY);
        return proj(torch::matmul(torch::softmax(scores, -1), byHead(parts[2])).transpose(1, 2).reshape(x.sizes()));
    }
};

struct Perceptron : nn::Module {
    nn::Linear fc{nullptr}, proj{nullptr};
    std::string gelu;

    Perceptron(std::int64_t width, std::int64_t hidden, bool bias, std::string kind) : gelu(std::move(kind))
    {
        fc = register_module("fc", nn::Linear(nn::LinearOptions(width, hidden).bias(bias)));
        proj = register_module("proj", nn::Linear(nn::LinearOptions(hidden, width).bias(bias)));
    }
    torch::Tensor forward(const torch::Tensor& x) { return proj(torch::gelu(fc(x), gelu)); }
};

/// torch::nn::LayerNorm has no form with a weight and no bias.
struct Norm : nn::Module {
    torch::Tensor weight, bias;
    double epsilon;

    Norm(std::int64_t width, double eps, bool withBias) : epsilon(eps)
    {
        weight = register_parameter("weight", torch::ones({width}));
        if (withBias)
            bias = register_parameter("bias", torch::zeros({width}));
    }
    torch::Tensor forward(const torch::Tensor& x) { return torch::layer_norm(x, {weight.size(0)}, weight, bias, epsilon); }
};

struct Block : nn::Module {
    std::shared_ptr<Norm> ln_1, ln_2;
    std::shared_ptr<Attention> attn;
    std::shared_ptr<Perceptron> mlp;

    Block(std::int64_t width, std::int64_t heads, std::int64_t hidden, bool bias, double epsilon, const std::string& gelu)
    {
        ln_1 = register_module("ln_1", std::make_shared<Norm>(width, epsilon, bias));
        attn = register_module("attn", std::make_shared<Attention>(width, heads, bias));
        ln_2 = register_module("ln_2", std::make_shared<Norm>(width, epsilon, bias));
        mlp = register_module("mlp", std::make_shared<Perceptron>(width, hidden, bias, gelu));
    }
    torch::Tensor forward(torch::Tensor x, const torch::Tensor& mask)
    {
        x = x + attn->forward(ln_1->forward(x), mask);
        return x + mlp->forward(ln_2->forward(x));
    }
    torch::Tensor textbook(torch::Tensor x, bool causal)
    {
        x = x + attn->textbook(ln_1->forward(x), causal);
        return x + mlp->forward(ln_2->forward(x));
    }
};

struct Vit : Net {
    nn::Conv2d conv_proj{nullptr};
    torch::Tensor class_token, pos_embedding;
    std::vector<std::shared_ptr<Block>> blocks;
    std::shared_ptr<Norm> ln_f;
    nn::Linear head{nullptr};

    Vit(std::int64_t channels, std::int64_t image, std::int64_t patch, std::int64_t layers, std::int64_t heads, std::int64_t width,
        std::int64_t hidden, std::int64_t classes)
    {
        conv_proj = register_module("conv_proj", nn::Conv2d(nn::Conv2dOptions(channels, width, patch).stride(patch)));
        class_token = register_parameter("class_token", torch::zeros({1, 1, width}));
        pos_embedding = register_parameter("pos_embedding", torch::zeros({1, (image / patch) * (image / patch) + 1, width}));
        nn::ModuleList list;
        for (std::int64_t i = 0; i < layers; ++i) {
            blocks.push_back(std::make_shared<Block>(width, heads, hidden, true, 1e-6, "none"));
            list->push_back(blocks.back());
        }
        register_module("blocks", list);
        ln_f = register_module("ln_f", std::make_shared<Norm>(width, 1e-6, true));
        head = register_module("head", nn::Linear(width, classes));
    }
    torch::Tensor embedded(const torch::Tensor& image)
    {
        const torch::Tensor rows = conv_proj(image).flatten(2).transpose(1, 2);
        return torch::cat({class_token.expand({image.size(0), -1, -1}), rows}, 1) + pos_embedding;
    }
    torch::Tensor forward(torch::Tensor x) override
    {
        x = embedded(x);
        for (const auto& block : blocks)
            x = block->forward(x, {});
        return head(ln_f->forward(x).select(1, 0));
    }
    torch::Tensor textbook(torch::Tensor x)
    {
        x = embedded(x);
        for (const auto& block : blocks)
            x = block->textbook(x, false);
        return head(ln_f->forward(x).select(1, 0));
    }
};

struct Gpt : Net {
    nn::Embedding wte{nullptr}, wpe{nullptr};
    std::vector<std::shared_ptr<Block>> blocks;
    std::shared_ptr<Norm> ln_f;
    nn::Linear lm_head{nullptr};

    Gpt(std::int64_t vocabulary, std::int64_t length, std::int64_t layers, std::int64_t heads, std::int64_t width, bool bias, bool tied,
        const std::string& gelu)
    {
        wte = register_module("wte", nn::Embedding(vocabulary, width));
        wpe = register_module("wpe", nn::Embedding(length, width));
        nn::ModuleList list;
        for (std::int64_t i = 0; i < layers; ++i) {
            blocks.push_back(std::make_shared<Block>(width, heads, 4 * width, bias, 1e-5, gelu));
            list->push_back(blocks.back());
        }
        register_module("blocks", list);
        ln_f = register_module("ln_f", std::make_shared<Norm>(width, 1e-5, bias));
        if (!tied)
            lm_head = register_module("lm_head", nn::Linear(nn::LinearOptions(width, vocabulary).bias(false)));
    }
    torch::Tensor embedded(const torch::Tensor& tokens) { return wte(tokens) + wpe(torch::arange(tokens.size(1), torch::kLong)); }
    torch::Tensor logits(const torch::Tensor& x) { return torch::linear(ln_f->forward(x), lm_head.is_empty() ? wte->weight : lm_head->weight); }
    torch::Tensor forward(torch::Tensor tokens) override
    {
        torch::Tensor x = embedded(tokens);
        const torch::Tensor mask = torch::full({tokens.size(1), tokens.size(1)}, -INFINITY).triu(1);
        for (const auto& block : blocks)
            x = block->forward(x, mask);
        return logits(x);
    }
    torch::Tensor textbook(const torch::Tensor& tokens)
    {
        torch::Tensor x = embedded(tokens);
        for (const auto& block : blocks)
            x = block->textbook(x, true);
        return logits(x);
    }
};

/// torchvision's layout of DenseNet-BC: named modules below `features`, then relu, mean and classifier.
struct DenseNet : Net {
    nn::Sequential features{nullptr};
    nn::Linear classifier{nullptr};

    struct Layer : nn::Module {
        nn::BatchNorm2d norm1{nullptr}, norm2{nullptr};
        nn::Conv2d conv1{nullptr}, conv2{nullptr};
        Layer(std::int64_t in, std::int64_t growth)
        {
            norm1 = register_module("norm1", nn::BatchNorm2d(in));
            conv1 = register_module("conv1", convolution(in, 4 * growth, 1, 1, 0));
            norm2 = register_module("norm2", nn::BatchNorm2d(4 * growth));
            conv2 = register_module("conv2", convolution(4 * growth, growth, 3, 1, 1));
        }
        torch::Tensor forward(const torch::Tensor& x) { return conv2(torch::relu(norm2(conv1(torch::relu(norm1(x)))))); }
    };
    struct Block : nn::Module {
        std::vector<std::shared_ptr<Layer>> layers;
        Block(std::int64_t in, std::int64_t growth, std::int64_t count)
        {
            for (std::int64_t i = 0; i < count; ++i)
                layers.push_back(register_module("denselayer" + std::to_string(i + 1), std::make_shared<Layer>(in + i * growth, growth)));
        }
        torch::Tensor forward(const torch::Tensor& x)
        {
            std::vector<torch::Tensor> made{x};
            for (const auto& layer : layers)
                made.push_back(layer->forward(torch::cat(made, 1)));
            return torch::cat(made, 1);
        }
    };
    struct Transition : nn::Module {
        nn::BatchNorm2d norm{nullptr};
        nn::Conv2d conv{nullptr};
        explicit Transition(std::int64_t in)
        {
            norm = register_module("norm", nn::BatchNorm2d(in));
            conv = register_module("conv", convolution(in, in / 2, 1, 1, 0));
        }
        torch::Tensor forward(const torch::Tensor& x) { return torch::avg_pool2d(conv(torch::relu(norm(x))), 2, 2); }
    };

    DenseNet(std::int64_t channels, std::int64_t width, std::int64_t growth, const std::vector<std::int64_t>& blocks, std::int64_t classes)
    {
        nn::Sequential list;
        list->push_back("conv0", convolution(channels, width, 7, 2, 3));
        list->push_back("norm0", nn::BatchNorm2d(width));
        list->push_back("relu0", nn::ReLU());
        list->push_back("pool0", nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1)));
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            list->push_back("denseblock" + std::to_string(i + 1), Block(width, growth, blocks[i]));
            width += growth * blocks[i];
            if (i + 1 == blocks.size())
                break;
            list->push_back("transition" + std::to_string(i + 1), Transition(width));
            width /= 2;
        }
        list->push_back("norm5", nn::BatchNorm2d(width));
        features = register_module("features", list);
        classifier = register_module("classifier", nn::Linear(width, classes));
    }
    torch::Tensor forward(torch::Tensor x) override
    {
        return classifier(torch::flatten(torch::adaptive_avg_pool2d(torch::relu(features->forward(x)), {1, 1}), 1));
    }
};

struct Lstm : Net {
    nn::Embedding wte{nullptr};
    nn::LSTM lstm{nullptr};
    nn::Linear lm_head{nullptr};

    Lstm(std::int64_t vocabulary, std::int64_t width, std::int64_t layers, bool tied)
    {
        wte = register_module("wte", nn::Embedding(vocabulary, width));
        lstm = register_module("lstm", nn::LSTM(nn::LSTMOptions(width, width).num_layers(layers).batch_first(true)));
        if (!tied)
            lm_head = register_module("lm_head", nn::Linear(nn::LinearOptions(width, vocabulary).bias(false)));
    }
    torch::Tensor forward(torch::Tensor tokens) override
    {
        const torch::Tensor states = std::get<0>(lstm->forward(wte(tokens)));
        return torch::linear(states, lm_head.is_empty() ? wte->weight : lm_head->weight);
    }
};

}  // namespace reference
