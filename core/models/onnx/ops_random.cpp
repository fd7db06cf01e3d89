// Random numbers. They follow the seed of the run; a seed in the file is not used, for no two runtimes draw the same numbers from it.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace random {

at::ScalarType typeFor(Call& c, std::optional<at::ScalarType> otherwise)
{
    const auto type = c.hasAttribute("dtype") ? scalarTypeOf(int(c.integer("dtype", 1))) : otherwise;
    if (!type)
        c.unsupported("its element type is not known");
    return *type;
}

Term spread(Call& c, Term x, double by, double from)
{
    if (by != 1)
        x = c.emit("aten::mul.Scalar", {x, by});
    return from != 0 ? c.emit("aten::add.Scalar", {x, from, 1}) : x;
}

void give(Call& c, Term result, at::ScalarType type)
{
    result.dtype = type;
    c.out(result);
}

void uniform(Call& c)
{
    const auto type = typeFor(c, at::kFloat);
    const double low = c.real("low", 0), high = c.real("high", 1);
    give(c, spread(c, c.emit("aten::rand", {c.integers("shape"), type}), high - low, low), type);
}

void normal(Call& c)
{
    const auto type = typeFor(c, at::kFloat);
    give(c, spread(c, c.emit("aten::randn", {c.integers("shape"), type}), c.real("scale", 1), c.real("mean", 0)), type);
}

void uniformLike(Call& c)
{
    const auto type = typeFor(c, c.in(0).dtype);
    const double low = c.real("low", 0), high = c.real("high", 1);
    give(c, spread(c, c.emit("aten::rand_like", {c.in(0), type}), high - low, low), type);
}

void normalLike(Call& c)
{
    const auto type = typeFor(c, c.in(0).dtype);
    give(c, spread(c, c.emit("aten::randn_like", {c.in(0), type}), c.real("scale", 1), c.real("mean", 0)), type);
}

void bernoulli(Call& c)
{
    const auto type = typeFor(c, c.in(0).dtype);
    Term drawn = c.emit("aten::bernoulli", {c.in(0)});
    drawn.rank = c.in(0).rank;
    give(c, c.in(0).dtype == type ? drawn : c.emit("aten::to.dtype", {drawn, type, false, false}), type);
}

void multinomial(Call& c)
{
    const auto type = typeFor(c, at::kInt);
    const Term chances = c.emit("aten::softmax.int", {c.in(0), -1, nullptr});
    const Term drawn = c.emit("aten::multinomial", {chances, c.integer("sample_size", 1), true});
    give(c, c.emit("aten::to.dtype", {drawn, type, false, false}), type);
}

}  // namespace random

std::span<const Entry> randomOperators()
{
    using namespace random;
    static const Entry kEntries[] = {
        {"Bernoulli", bernoulli},         {"Multinomial", multinomial}, {"RandomNormal", normal},
        {"RandomNormalLike", normalLike}, {"RandomUniform", uniform},   {"RandomUniformLike", uniformLike},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
