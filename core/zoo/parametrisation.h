#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/registry.h>
#include <core/graph/builder.h>
#include <core/graph/model.h>

/// How initial values, learning rates and multipliers follow the width, so that settings found at a small width hold at a large one.
///
/// Everything is relative to a base width, where all parametrisations are the standard one. Which axes of a tensor are widths is read off shapes: the axes that
/// differ between the architecture at base width and at twice that. r is such an axis' size over its size at base width.
///
///     mup         Yang et al. (2022), "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", arXiv:2203.03466, table 8:
///                 one width axis (input and output weights, biases, norms, token tables): deviation of the base, SGD x r, Adam x 1;
///                 two (hidden weights): deviation / sqrt(r in), SGD x (r out / r in), Adam / (r in); the readout's input is divided by r;
///                 attention scores fall like 1/d instead of 1/sqrt(d).
///     ntk         Jacot et al. (2018), "Neural Tangent Kernel", arXiv:1806.07572: weights are drawn with deviation 1 and divided by sqrt(fan in) in the forward
///                 pass. Written without the division: deviation / sqrt(r in), SGD / (r in). For SGD.
///     mean_field  Mei, Montanari & Nguyen (2018), arXiv:1804.06561: one hidden layer, output divided by its width, rates that grow with it. Equal to mup for that
///                 shape (Yang & Hu, 2021, "Feature Learning in Infinite-Width Neural Networks", arXiv:2011.14522, section 3). For SGD.
///
/// Rates travel with the graph: `init` of a parameter holds {"rate": {"sgd": 4, "adam": 1}} beside "factor", so a stored run keeps them. Any thread.
namespace orrery::zoo {

enum class Parametrisation { Standard, Mup, Ntk, MeanField };
/// @throws core::InputError naming the known ones.
Parametrisation parametrisationFromName(std::string_view name);
/// As the documents spell them, in the order of the enum.
std::vector<std::string> parametrisationNames();

/// What one tensor's values and rates are multiplied with, relative to the tensor at base width.
struct WidthRule {
    double spread = 1;         ///< of initial values
    double sgd = 1, adam = 1;  ///< of the learning rate; adam stands for all optimizers that divide by the size of gradients
};
/// A tensor's axes that are widths.
struct WidthAxes {
    bool out = false, in = false;  ///< the first axis; the second, or any further one
    double ratioOut = 1, ratioIn = 1;
    bool any() const { return out || in; }
};
/// @param shape, base, wider  Of one parameter, at its own, at the base and at another width. @throws core::ShapeError if their ranks differ.
WidthAxes widthAxes(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& base, const std::vector<std::int64_t>& wider);
WidthRule widthRule(Parametrisation kind, const WidthAxes& axes);

/// Adds `parametrisation` and `base_width` (and `base_heads`) to an architecture's schema. The default is standard: old documents mean what they meant.
void addParametrisation(core::Schema& schema, std::vector<std::string> choices, bool heads = false);

/// The same architecture at another width: mlp has every hidden layer of that width, gpt and vit the residual stream, lstm embedding and states, with what depends on it in proportion.
/// The number of heads stays. @throws core::InputError for an architecture without a width, or a width that does not fit.
core::Json atWidth(std::string_view architecture, core::Json parameters, std::int64_t width);
/// Ids of the architectures that `atWidth` knows.
std::vector<std::string> architecturesWithWidth();

/// For the architectures, while they build: what the readout reads, divided by width / base width under mup and mean_field; `x` itself otherwise.
graph::Builder::Var readoutInput(graph::Builder& builder, graph::Builder::Var x, const core::Json& parameters, std::int64_t width);
/// What attention scores are multiplied with beside 1/sqrt(feature of head): sqrt(base feature of head / feature of head) under mup, else 1.
double attentionFactor(const core::Json& parameters);
/// The finished model with initial values and rates as its parameters say. @throws core::InputError if nothing of it grows with the width.
graph::Model parametrised(graph::Model model, std::string_view architecture, const core::Json& parameters);

}  // namespace orrery::zoo
