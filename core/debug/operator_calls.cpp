#include <ATen/ATen.h>

#include <algorithm>
#include <random>

#include <core/base/error.h>
#include <core/base/text.h>

#include "operator_rules.h"

namespace orrery::debug {
namespace {

using Sizes = std::vector<std::int64_t>;

/// Draws the arguments of one call, notes them, and tries it.
class CallDraw {
public:
    explicit CallDraw(std::mt19937_64& random) : m_random(random) {}
    std::int64_t number(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(m_random); }
    bool chance(double probability) { return std::uniform_real_distribution<double>()(m_random) < probability; }
    /// A tensor with that many axes: sizes that occurred before are drawn again half of the time.
    at::Tensor tensor(const std::string& name, int axes)
    {
        Sizes sizes;
        std::int64_t elements = 1;
        for (int i = 0; i < axes; ++i) {
            const bool again = !m_seen.empty() && chance(0.5);
            sizes.push_back(again ? m_seen[std::size_t(number(0, std::int64_t(m_seen.size()) - 1))] : number(1, 6));
            m_seen.push_back(sizes.back());
            m_call.symbols[fmt::format("{}.{}", name, i)] = sizes.back();
            elements *= sizes.back();
        }
        m_call.symbols[name + ".numel"] = elements;
        m_call.form += fmt::format(" {}{}", name, axes);
        return at::zeros(sizes, at::TensorOptions());
    }
    std::int64_t attribute(const std::string& name, std::int64_t low, std::int64_t high) { return m_call.symbols[name] = number(low, high); }
    /// An attribute that chooses an axis decides which rule holds.
    std::int64_t axis(const std::string& name, std::int64_t low, std::int64_t high)
    {
        const std::int64_t drawn = number(low, high);
        m_call.form += fmt::format(" {}={}", name, drawn);
        return drawn;
    }
    /// Sizes as an argument: often a permutation of what a tensor has.
    Sizes sizes(const std::string& name, int count)
    {
        Sizes drawn;
        std::int64_t elements = 1;
        for (int i = 0; i < count; ++i) {
            drawn.push_back(!m_seen.empty() && chance(0.8) ? m_seen[std::size_t(number(0, std::int64_t(m_seen.size()) - 1))] : number(1, 6));
            m_call.symbols[fmt::format("{}.{}", name, i)] = drawn.back();
            elements *= drawn.back();
        }
        m_call.symbols[name + ".numel"] = elements;
        m_call.form += fmt::format(" {}{}", name, count);
        return drawn;
    }
    template <class Call>
    OperatorCall tried(const std::string& op, const Call& call)
    {
        m_call.op = op;
        m_call.form = op + m_call.form;
        try {
            m_call.output = at::Tensor(call()).sizes().vec();
            m_call.valid = true;
        } catch (const c10::Error&) {
            m_call.valid = false;
        } catch (const std::exception&) {  // oneDNN's
            m_call.valid = false;
        }
        return std::move(m_call);
    }

private:
    std::mt19937_64& m_random;
    OperatorCall m_call;
    Sizes m_seen;
};

using Maker = OperatorCall (*)(CallDraw&);

OperatorCall drawMatmul(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(2, 3))), y = draw.tensor("y", int(draw.number(1, 3)));
    return draw.tried("matmul", [&] { return at::matmul(x, y); });
}

OperatorCall drawBatched(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3), y = draw.tensor("y", 3);
    return draw.tried("bmm", [&] { return at::bmm(x, y); });
}

OperatorCall drawAdd(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(1, 3))), y = draw.tensor("y", int(draw.number(1, 2)));
    return draw.tried("add", [&] { return x + y; });
}

OperatorCall drawLinear(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2), w = draw.tensor("w", 2), b = draw.tensor("b", 1);
    return draw.tried("linear", [&] { return at::linear(x, w, b); });
}

OperatorCall drawConvolution(CallDraw& draw)
{
    const auto x = draw.tensor("x", 4), w = draw.tensor("w", 4);
    const std::int64_t stride = draw.attribute("stride", 1, 3), padding = draw.attribute("padding", 0, 2);
    return draw.tried("conv2d", [&] { return at::conv2d(x, w, {}, stride, padding); });
}

OperatorCall drawGrouped(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3), w = draw.tensor("w", 3);
    const std::int64_t groups = draw.attribute("groups", 1, 3);
    return draw.tried("conv1d", [&] { return at::conv1d(x, w, at::Tensor(), Sizes{1}, Sizes{0}, Sizes{1}, groups); });
}

OperatorCall drawPool(CallDraw& draw)
{
    const auto x = draw.tensor("x", 4);
    const std::int64_t kernel = draw.attribute("kernel", 1, 4), stride = draw.attribute("stride", 1, 3), padding = draw.attribute("padding", 0, 2);
    return draw.tried("max_pool2d", [&] { return at::max_pool2d(x, kernel, stride, padding); });
}

OperatorCall drawCat(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2), y = draw.tensor("y", 2);
    const std::int64_t axis = draw.axis("axis", -3, 2);
    return draw.tried("cat", [&] { return at::cat({x, y}, axis); });
}

OperatorCall drawReshape(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(1, 3)));
    const Sizes sizes = draw.sizes("shape", int(draw.number(1, 3)));
    return draw.tried("reshape", [&] { return at::reshape(x, sizes); });
}

OperatorCall drawExpand(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2);
    const Sizes sizes = draw.sizes("shape", int(draw.number(1, 3)));
    return draw.tried("expand", [&] { return x.expand(sizes); });
}

OperatorCall drawTranspose(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3);
    const std::int64_t a = draw.axis("a", -4, 3), b = draw.axis("b", 0, 1);
    return draw.tried("transpose", [&] { return at::transpose(x, a, b); });
}

OperatorCall drawSelect(CallDraw& draw)
{
    const auto x = draw.tensor("x", 3);
    const std::int64_t axis = draw.axis("axis", 0, 3), index = draw.attribute("index", 0, 6);
    return draw.tried("select", [&] { return at::select(x, axis, index); });
}

OperatorCall drawNarrow(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2);
    const std::int64_t axis = draw.axis("axis", 0, 1), start = draw.attribute("start", 0, 4), length = draw.attribute("length", 0, 5);
    return draw.tried("narrow", [&] { return at::narrow(x, axis, start, length); });
}

OperatorCall drawNorm(CallDraw& draw)
{
    const auto x = draw.tensor("x", int(draw.number(2, 3)));
    const Sizes sizes = draw.sizes("shape", int(draw.number(1, 2)));
    return draw.tried("layer_norm", [&] { return at::layer_norm(x, sizes); });
}

OperatorCall drawUnfold(CallDraw& draw)
{
    const auto x = draw.tensor("x", 2);
    const std::int64_t axis = draw.axis("axis", 0, 1), size = draw.attribute("size", 1, 6);
    return draw.tried("unfold", [&] { return x.unfold(axis, size, 1); });
}

constexpr Maker kMakers[] = {drawMatmul,  drawBatched, drawAdd,       drawLinear, drawConvolution, drawGrouped, drawPool,  drawCat,
                             drawReshape, drawExpand,  drawTranspose, drawSelect, drawNarrow,      drawNorm,    drawUnfold};

}  // namespace

std::vector<OperatorCall> recordCalls(int perOperator, std::uint64_t seed, std::stop_token stop, const std::function<void(double, double)>& progress)
{
    const at::NoGradGuard noGrad;
    std::mt19937_64 random(seed);
    std::vector<OperatorCall> calls;
    int done = 0;
    for (const auto maker : kMakers) {
        for (int i = 0; i < perOperator; ++i) {
            if (stop.stop_requested())
                throw core::Cancelled();
            CallDraw draw(random);
            calls.push_back(maker(draw));
        }
        if (progress)
            progress(++done, double(std::size(kMakers)));
    }
    return calls;
}

}  // namespace orrery::debug
