#include <ATen/ATen.h>

#include "kernels.h"
#include "parallel.h"
#include "vector_math.h"

#pragma GCC diagnostic ignored "-Wpsabi"

namespace orrery::kernels {
namespace {

constexpr std::int64_t kGrain = 16384;
constexpr float kSlope = 0.7978845608028654f, kCubic = 0.044715f;  // sqrt(2 / pi)

// 1 + tanh u = 2 sigmoid(2u): no cancellation where tanh u is near -1.
ORRERY_KERNEL Floats sigmoidOfTwice(Floats u)
{
    return 1.0f / (1.0f + exponential(u * -2.0f));
}

struct GeluForward {
    ORRERY_KERNEL static Floats of(Floats x) { return x / (1.0f + exponential((x + kCubic * x * x * x) * (-2 * kSlope))); }
    ORRERY_KERNEL static void run(const float* x, float* y, std::int64_t count)
    {
        std::int64_t i = 0;
        for (; i + kLanes <= count; i += kLanes)
            store(y + i, of(load(x + i)));
        if (i < count)
            storePart(y + i, of(loadPart(x + i, count - i, 0)), count - i);
    }
};

struct GeluBackward {
    ORRERY_KERNEL static Floats of(Floats g, Floats x)
    {
        const Floats square = x * x;
        const Floats s = sigmoidOfTwice((x + kCubic * square * x) * kSlope);
        return g * (s + x * (s * (1.0f - s)) * (2 * kSlope) * (1.0f + 3 * kCubic * square));
    }
    ORRERY_KERNEL static void run(const float* g, const float* x, float* out, std::int64_t count)
    {
        std::int64_t i = 0;
        for (; i + kLanes <= count; i += kLanes)
            store(out + i, of(load(g + i), load(x + i)));
        if (i < count)
            storePart(out + i, of(loadPart(g + i, count - i, 0), loadPart(x + i, count - i, 0)), count - i);
    }
};

struct SoftmaxForward {
    ORRERY_KERNEL static float largest(const float* x, std::int64_t width)
    {
        Floats most = loadPart(x, width < kLanes ? width : kLanes, -__builtin_inff());
        std::int64_t i = kLanes;
        for (; i + kLanes <= width; i += kLanes) {
            const Floats values = load(x + i);
            most = most < values ? values : most;
        }
        if (i < width) {
            const Floats values = loadPart(x + i, width - i, -__builtin_inff());
            most = most < values ? values : most;
        }
        return maximumOf(most);
    }
    // A NaN is not found by `largest`, but it makes the sum NaN, and with it the row.
    ORRERY_KERNEL static void row(const float* x, float* y, std::int64_t width)
    {
        const float shift = largest(x, width);
        Floats sums = {};
        std::int64_t i = 0;
        for (; i + kLanes <= width; i += kLanes) {
            const Floats e = exponential(load(x + i) - shift);
            sums += e;
            store(y + i, e);
        }
        if (i < width) {
            const Floats e = exponential(loadPart(x + i, width - i, -__builtin_inff()) - shift);
            sums += e;
            storePart(y + i, e, width - i);
        }
        const float scale = 1.0f / sumOf(sums);
        for (i = 0; i + kLanes <= width; i += kLanes)
            store(y + i, load(y + i) * scale);
        for (; i < width; ++i)
            y[i] *= scale;
    }
    ORRERY_KERNEL static void run(const float* x, float* y, std::int64_t rows, std::int64_t width)
    {
        for (std::int64_t r = 0; r < rows; ++r)
            row(x + r * width, y + r * width, width);
    }
};

struct SoftmaxBackward {
    ORRERY_KERNEL static void row(const float* g, const float* y, float* out, std::int64_t width)
    {
        Floats sums = {};
        std::int64_t i = 0;
        for (; i + kLanes <= width; i += kLanes)
            sums += load(g + i) * load(y + i);
        if (i < width)
            sums += loadPart(g + i, width - i, 0) * loadPart(y + i, width - i, 0);
        const float sum = sumOf(sums);
        for (i = 0; i + kLanes <= width; i += kLanes)
            store(out + i, (load(g + i) - sum) * load(y + i));
        if (i < width)
            storePart(out + i, (loadPart(g + i, width - i, 0) - sum) * loadPart(y + i, width - i, 0), width - i);
    }
    ORRERY_KERNEL static void run(const float* g, const float* y, float* out, std::int64_t rows, std::int64_t width)
    {
        for (std::int64_t r = 0; r < rows; ++r)
            row(g + r * width, y + r * width, out + r * width, width);
    }
};

template <class Work>
void forRows(const at::Tensor& x, const Work& work)
{
    const std::int64_t width = x.size(-1), rows = width == 0 ? 0 : x.numel() / width;
    parallelFor(0, rows, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width)), work);
}

}  // namespace

at::Tensor geluTanh(const at::Tensor& x)
{
    at::Tensor y = at::empty_like(x);
    const float* const from = x.data_ptr<float>();
    float* const to = y.data_ptr<float>();
    parallelFor(0, x.numel(), kGrain,
                [&](std::int64_t begin, std::int64_t end) { runOnThisMachine<GeluForward>(from + begin, to + begin, end - begin); });
    return y;
}

at::Tensor geluTanhBackward(const at::Tensor& gradient, const at::Tensor& x)
{
    at::Tensor out = at::empty_like(x);
    const float *const g = gradient.data_ptr<float>(), *const from = x.data_ptr<float>();
    float* const to = out.data_ptr<float>();
    parallelFor(0, x.numel(), kGrain,
                [&](std::int64_t begin, std::int64_t end) { runOnThisMachine<GeluBackward>(g + begin, from + begin, to + begin, end - begin); });
    return out;
}

at::Tensor softmaxLastAxis(const at::Tensor& x)
{
    at::Tensor y = at::empty_like(x);
    const std::int64_t width = x.size(-1);
    const float* const from = x.data_ptr<float>();
    float* const to = y.data_ptr<float>();
    forRows(x, [&](std::int64_t begin, std::int64_t end) {
        runOnThisMachine<SoftmaxForward>(from + begin * width, to + begin * width, end - begin, width);
    });
    return y;
}

at::Tensor softmaxLastAxisBackward(const at::Tensor& gradient, const at::Tensor& y)
{
    at::Tensor out = at::empty_like(y);
    const std::int64_t width = y.size(-1);
    const float *const g = gradient.data_ptr<float>(), *const from = y.data_ptr<float>();
    float* const to = out.data_ptr<float>();
    forRows(y, [&](std::int64_t begin, std::int64_t end) {
        runOnThisMachine<SoftmaxBackward>(g + begin * width, from + begin * width, to + begin * width, end - begin, width);
    });
    return out;
}

}  // namespace orrery::kernels
