#pragma once
// A small convolutional network that reads the bundled digits, trained in a second or two.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/data/dataset.h>
#include <core/graph/executor.h>
#include <core/zoo/zoo.h>

namespace orrery::test {

struct TrainedDigits {
    graph::Model model;
    at::Tensor images, classes;  ///< of the test part
    double accuracy = 0;

    TrainedDigits()
    {
        model = zoo::buildModel(
            "lenet",
            {{"image_size", 8}, {"maps", {8, 16}}, {"kernel", 3}, {"padding", 1}, {"pooling", "max"}, {"hidden", {32}}, {"activation", "relu"}}, 1);
        const auto data = data::openData("digits");
        const auto train = data->fetch(data->split(data::Split::Train)), test = data->fetch(data->split(data::Split::Test));
        images = test.inputs.at(0);
        classes = test.targets;
        fit(train.inputs.at(0), train.targets);
        const auto found = graph::Executor(model.graph).forward(model.weights, {images}).argmax(1);
        accuracy = found.eq(classes).to(at::kDouble).mean().item<double>();
    }

private:
    // Gradient descent with momentum on batches taken in order.
    void fit(const at::Tensor& x, const at::Tensor& y)
    {
        at::AutoGradMode enable(true);
        const graph::Executor executor(model.graph);
        std::map<std::string, at::Tensor> momentum;
        for (int step = 0; step < 250; ++step) {
            auto leaves = model.weights;
            std::vector<at::Tensor> parameters;
            std::vector<std::string> names;
            for (const auto& [name, tensor] : model.weights.tensors()) {
                parameters.push_back(tensor.detach().clone().requires_grad_(true));
                names.push_back(name);
                leaves.set(name, parameters.back());
            }
            const auto begin = step * 64 % (x.size(0) - 64);
            graph::RunRequest request;
            request.inputs = {x.narrow(0, begin, 64)};
            request.gradients = graph::Gradients::Parameters;
            const auto logits = executor.run(leaves, request).tensor();
            const auto loss = at::nll_loss(logits.log_softmax(1), y.narrow(0, begin, 64));
            const auto gradients = torch::autograd::grad({loss}, parameters);
            for (std::size_t i = 0; i < names.size(); ++i) {
                auto& velocity = momentum[names[i]];
                velocity = velocity.defined() ? 0.9 * velocity + gradients[i] : gradients[i];
                model.weights.set(names[i], (parameters[i] - 0.05 * velocity).detach());
            }
        }
    }
};

}  // namespace orrery::test
