#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <core/base/registry.h>
#include <core/graph/builder.h>

/// What several architectures share: ports, parameters, activations by name.
namespace orrery::zoo {

using graph::Builder;
using Var = graph::Builder::Var;

core::Port imagePort();   ///< "image": float [batch, channel, height, width]
core::Port tablePort();   ///< "table": float [batch, feature]
core::Port tokensPort();  ///< "tokens": token_id [batch, position]
core::Port logitsPort();  ///< "logits": logits [batch, class]

core::Parameter classesParameter(std::int64_t defaultValue);
core::Parameter channelsParameter(std::int64_t defaultValue);
core::Parameter imageSizeParameter(std::int64_t defaultValue);
core::Parameter dropoutParameter(const std::string& name, double defaultValue, std::string help);
/// A list of counts, each at least 1.
core::Parameter countsParameter(std::string name, core::Json defaultValue, std::string help);

std::vector<std::string> activationNames();
/// @param name  One of `activationNames`: relu, tanh, gelu, silu, sigmoid.
Var activation(Builder& builder, const std::string& name, Var x);

/// A literal for `Builder::setInit`: normal with mean 0.
core::Json normalInit(double std);

/// `image` [batch, channels, size, size] as the builder's input; sets the card's task to classification.
Var imageInput(Builder& builder, std::int64_t channels, std::int64_t size);

}  // namespace orrery::zoo
