#include "rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <core/base/error.h>

namespace orrery::models::families {
namespace {

constexpr std::int64_t kLargestHead = 1 << 16;

/// Lower frequencies are slowed down, those between are blended.
/// Source: Llama 3.1's release, as described in Grattafiori et al. (2024), arXiv:2407.21783, section 3.2, with the factors of its config.
double llama3Frequency(double frequency, const Config& scaling)
{
    const double factor = scaling.real("factor", 8), low = scaling.real("low_freq_factor", 1), high = scaling.real("high_freq_factor", 4);
    const double trained = scaling.real("original_max_position_embeddings", 8192), wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < trained / high)
        return frequency;
    if (wavelength > trained / low)
        return frequency / factor;
    const double smooth = (trained / wavelength - low) / (high - low);
    return (1 - smooth) * frequency / factor + smooth * frequency;
}

/// The feature pair that turns `turns` times within the trained length.
double pairOfTurns(double turns, double size, double theta, double trained)
{
    return size * std::log(trained / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
}

/// Fast pairs keep their frequency, slow ones are slowed down by the factor, with a ramp between; scores become a little sharper.
/// Source: Peng et al. (2023), "YaRN: Efficient Context Window Extension of Large Language Models", arXiv:2309.00071, section 3.
void applyYarn(RotarySettings& settings, const Config& scaling, double theta, double longest)
{
    const double factor = scaling.real("factor", 1), trained = scaling.real("original_max_position_embeddings", longest),
                 size = double(settings.size);
    double low = pairOfTurns(scaling.real("beta_fast", 32), size, theta, trained),
           high = pairOfTurns(scaling.real("beta_slow", 1), size, theta, trained);
    if (scaling.flag("truncate", true)) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, size - 1);
    if (low == high)
        high += 0.001;
    for (std::size_t i = 0; i < settings.frequencies.size(); ++i) {
        const double slow = std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
        settings.frequencies[i] *= 1 - slow + slow / factor;
    }
    settings.factor = scaling.real("attention_factor", factor > 1 ? 0.1 * std::log(factor) + 1 : 1);
}

double scaledFrequency(double frequency, const std::string& kind, const Config& scaling)
{
    if (kind == "linear")
        return frequency / scaling.real("factor", 1);
    if (kind == "llama3")
        return llama3Frequency(frequency, scaling);
    if (kind == "default" || kind == "dynamic" || kind == "yarn")
        return frequency;
    throw core::FormatError(fmt::format("{}: expected rotary scaling default, linear, dynamic, yarn or llama3, found \"{}\"", scaling.where(), kind));
}

}  // namespace

RotarySettings rotarySettings(const Config& config, std::int64_t headSize, double defaultTheta, double defaultPart)
{
    const Config scaling = config.section(config.firstOf({"rope_parameters", "rope_scaling"}));
    const double ownTheta = config.real(config.firstOf({"rope_theta", "rotary_emb_base"}), defaultTheta);
    const double ownPart = config.real(config.firstOf({"partial_rotary_factor", "rotary_pct"}), defaultPart);
    const double theta = scaling.real("rope_theta", ownTheta), part = scaling.real("partial_rotary_factor", ownPart);
    const auto kind = scaling.text(scaling.firstOf({"rope_type", "type"}), "default");
    RotarySettings settings;
    settings.size = std::int64_t(double(headSize) * part);
    if (settings.size < 2 || settings.size > headSize || settings.size > kLargestHead || settings.size % 2 != 0 || !(theta > 0))
        throw core::FormatError(fmt::format("{}: expected an even number of rotary features within a head's {} and a positive theta, found {} and {}",
                                            config.where(), headSize, settings.size, theta));
    for (std::int64_t i = 0; i < settings.size; i += 2)
        settings.frequencies.push_back(scaledFrequency(1.0 / std::pow(theta, double(i) / double(settings.size)), kind, scaling));
    if (kind == "yarn")
        applyYarn(settings, scaling, theta, config.real("max_position_embeddings", 2048));
    return settings;
}

RotaryTables rotaryTables(Builder& builder, Var like, Var positions, const RotarySettings& settings)
{
    const Builder::Scope scope = builder.module("rotary_emb", "RotaryEmbedding");
    const c10::IValue device = c10::Device(c10::kCPU);  // an explicit literal, which moving the graph rewrites
    const Var frequencies = builder.op("aten::tensor", {c10::IValue(settings.frequencies), nullptr, device}, "inv_freq");
    const Var places = builder.op("aten::arange", {positions, nullptr, nullptr, device});
    const Var angles = builder.op("aten::mul.Tensor", {builder.op("aten::unsqueeze", {places, 1}), frequencies}, "angles");
    const Var twice = settings.pairs ? builder.flatten(builder.op("aten::stack", {builder.list({angles, angles}), -1}), -2, -1)
                                     : builder.op("aten::cat", {builder.list({angles, angles}), -1});
    const auto table = [&](const char* op, const char* name) {
        Var values = builder.op(op, {twice});
        if (settings.factor != 1)
            values = builder.op("aten::mul.Scalar", {values, settings.factor});
        return builder.op("aten::to.other", {values, like}, name);
    };
    return {table("aten::cos", "cos_table"), table("aten::sin", "sin_table")};
}

Var rotated(Builder& builder, const std::string& name, Var x, const RotaryTables& tables, const RotarySettings& settings, std::int64_t headSize)
{
    const auto slice = [&](Var from, std::int64_t first, std::int64_t last, std::int64_t step = 1) {
        return builder.op("aten::slice.Tensor", {from, -1, first, last, step});
    };
    const bool whole = settings.size == headSize;
    const Var turned = whole ? x : slice(x, 0, settings.size);
    const std::int64_t middle = settings.size / 2;
    const Var second = settings.pairs ? slice(turned, 1, settings.size, 2) : slice(turned, middle, settings.size),
              first = settings.pairs ? slice(turned, 0, settings.size, 2) : slice(turned, 0, middle);
    const Var parts = builder.list({builder.op("aten::neg", {second}), first});
    const Var other = settings.pairs ? builder.flatten(builder.op("aten::stack", {parts, -1}), -2, -1) : builder.op("aten::cat", {parts, -1});
    const Var even = builder.op("aten::mul.Tensor", {turned, tables.cos}), odd = builder.op("aten::mul.Tensor", {other, tables.sin});
    if (whole)
        return builder.op("aten::add.Tensor", {even, odd}, name);
    return builder.op("aten::cat", {builder.list({builder.add(even, odd), slice(x, settings.size, headSize)}), -1}, name);
}

}  // namespace orrery::models::families
