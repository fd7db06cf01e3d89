// The C functions that an exported model calls. Arrays are row-major floats; sums are taken in float, in the order of the loops.
#include "c_kernels.h"

#include <map>

namespace orrery::models {

std::string_view cKernel(const std::string& name)
{
    // alpha a b, for both functions that multiply.
    static const std::string product = R"(    for (int n = 0; n < batch; ++n)
        for (int r = 0; r < rows; ++r)
            for (int c = 0; c < columns; ++c) {
                float sum = 0.0f;
                for (int i = 0; i < inner; ++i)
                    sum += a[n * step_a + r * inner + i] * b[n * step_b + i * columns + c];
                y[(n * rows + r) * columns + c] = alpha * sum;
            }
)";
    static const std::string matrixProduct =
        R"(static void matrix_product(const float *a, const float *b, float *y, int batch, int rows, int inner, int columns, int step_a, int step_b, float alpha)
{
)" + product +
        "}\n";
    static const std::string matrixProductAdd =
        R"(static void matrix_product_add(const float *a, const float *b, float *y, int batch, int rows, int inner, int columns, int step_a, int step_b, float alpha,
                               const float *base, float beta, int n0, int n1, int n2, int n3, int n4, int n5, int s0, int s1, int s2, int s3, int s4, int s5)
{
)" + product +
        R"(    if (beta == 0.0f)
        return;
    int at = 0;
    for (int i0 = 0; i0 < n0; ++i0)
        for (int i1 = 0; i1 < n1; ++i1)
            for (int i2 = 0; i2 < n2; ++i2)
                for (int i3 = 0; i3 < n3; ++i3)
                    for (int i4 = 0; i4 < n4; ++i4)
                        for (int i5 = 0; i5 < n5; ++i5)
                            y[at++] += beta * base[i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3 + i4 * s4 + i5 * s5];
}
)";
    static const std::map<std::string, std::string_view> kKernels = {
        {"linear", R"(static void linear(const float *x, const float *w, const float *b, float *y, int rows, int in, int out)
{
    for (int r = 0; r < rows; ++r)
        for (int o = 0; o < out; ++o) {
            float sum = b ? b[o] : 0.0f;
            for (int i = 0; i < in; ++i)
                sum += x[r * in + i] * w[o * in + i];
            y[r * out + o] = sum;
        }
}
)"},
        {"conv2d",
         R"(static void conv2d(const float *x, const float *w, const float *b, float *y, int batch, int in, int height, int width, int out, int oh, int ow,
                   int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw, int groups)
{
    int ig = in / groups, og = out / groups;
    for (int n = 0; n < batch; ++n)
        for (int o = 0; o < out; ++o)
            for (int r = 0; r < oh; ++r)
                for (int c = 0; c < ow; ++c) {
                    float sum = b ? b[o] : 0.0f;
                    for (int i = 0; i < ig; ++i)
                        for (int u = 0; u < kh; ++u)
                            for (int v = 0; v < kw; ++v) {
                                int row = r * sh - ph + u * dh, column = c * sw - pw + v * dw;
                                if (row >= 0 && row < height && column >= 0 && column < width)
                                    sum += x[((n * in + (o / og) * ig + i) * height + row) * width + column] * w[((o * ig + i) * kh + u) * kw + v];
                            }
                    y[((n * out + o) * oh + r) * ow + c] = sum;
                }
}
)"},
        {"batch_norm",
         R"(static void batch_norm(const float *x, const float *w, const float *b, const float *mean, const float *variance, float *y, int batch, int channels, int inner, float eps)
{
    for (int n = 0; n < batch; ++n)
        for (int c = 0; c < channels; ++c) {
            float scale = (w ? w[c] : 1.0f) / sqrtf(variance[c] + eps), shift = (b ? b[c] : 0.0f) - mean[c] * scale;
            for (int i = 0; i < inner; ++i)
                y[(n * channels + c) * inner + i] = x[(n * channels + c) * inner + i] * scale + shift;
        }
}
)"},
        {"layer_norm", R"(static void layer_norm(const float *x, const float *w, const float *b, float *y, int rows, int size, float eps)
{
    for (int r = 0; r < rows; ++r) {
        float mean = 0.0f, variance = 0.0f;
        for (int i = 0; i < size; ++i)
            mean += x[r * size + i];
        mean /= (float)size;
        for (int i = 0; i < size; ++i)
            variance += (x[r * size + i] - mean) * (x[r * size + i] - mean);
        variance = 1.0f / sqrtf(variance / (float)size + eps);
        for (int i = 0; i < size; ++i)
            y[r * size + i] = (x[r * size + i] - mean) * variance * (w ? w[i] : 1.0f) + (b ? b[i] : 0.0f);
    }
}
)"},
        {"max_pool2d",
         R"(static void max_pool2d(const float *x, float *y, int planes, int height, int width, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw)
{
    for (int p = 0; p < planes; ++p)
        for (int r = 0; r < oh; ++r)
            for (int c = 0; c < ow; ++c) {
                float best = -INFINITY;
                for (int u = 0; u < kh; ++u)
                    for (int v = 0; v < kw; ++v) {
                        int row = r * sh - ph + u * dh, column = c * sw - pw + v * dw;
                        if (row >= 0 && row < height && column >= 0 && column < width && x[(p * height + row) * width + column] > best)
                            best = x[(p * height + row) * width + column];
                    }
                y[(p * oh + r) * ow + c] = best;
            }
}
)"},
        {"avg_pool2d",
         R"(static void avg_pool2d(const float *x, float *y, int planes, int height, int width, int oh, int ow, int kh, int kw, int sh, int sw)
{
    for (int p = 0; p < planes; ++p)
        for (int r = 0; r < oh; ++r)
            for (int c = 0; c < ow; ++c) {
                float sum = 0.0f;
                for (int u = 0; u < kh; ++u)
                    for (int v = 0; v < kw; ++v)
                        sum += x[(p * height + r * sh + u) * width + c * sw + v];
                y[(p * oh + r) * ow + c] = sum / (float)(kh * kw);
            }
}
)"},
        {"adaptive_avg_pool2d", R"(static void adaptive_avg_pool2d(const float *x, float *y, int planes, int height, int width, int oh, int ow)
{
    for (int p = 0; p < planes; ++p)
        for (int r = 0; r < oh; ++r)
            for (int c = 0; c < ow; ++c) {
                int top = r * height / oh, bottom = ((r + 1) * height + oh - 1) / oh, left = c * width / ow, right = ((c + 1) * width + ow - 1) / ow;
                float sum = 0.0f;
                for (int row = top; row < bottom; ++row)
                    for (int column = left; column < right; ++column)
                        sum += x[(p * height + row) * width + column];
                y[(p * oh + r) * ow + c] = sum / (float)((bottom - top) * (right - left));
            }
}
)"},
        {"mean_inner", R"(static void mean_inner(const float *x, float *y, int outer, int inner)
{
    for (int o = 0; o < outer; ++o) {
        float sum = 0.0f;
        for (int i = 0; i < inner; ++i)
            sum += x[o * inner + i];
        y[o] = sum / (float)inner;
    }
}
)"},
        {"softmax", R"(static void softmax(const float *x, float *y, int outer, int size, int inner, int logarithm)
{
    for (int o = 0; o < outer; ++o)
        for (int i = 0; i < inner; ++i) {
            float top = -INFINITY, sum = 0.0f;
            for (int k = 0; k < size; ++k)
                if (x[(o * size + k) * inner + i] > top)
                    top = x[(o * size + k) * inner + i];
            for (int k = 0; k < size; ++k)
                sum += expf(x[(o * size + k) * inner + i] - top);
            for (int k = 0; k < size; ++k) {
                float shifted = x[(o * size + k) * inner + i] - top;
                y[(o * size + k) * inner + i] = logarithm ? shifted - logf(sum) : expf(shifted) / sum;
            }
        }
}
)"},
        {"add", R"(static void add(const float *a, const float *b, float *y, int count, float alpha)
{
    for (int i = 0; i < count; ++i)
        y[i] = a[i] + alpha * b[i];
}
)"},
        {"mul", R"(static void mul(const float *a, const float *b, float *y, int count)
{
    for (int i = 0; i < count; ++i)
        y[i] = a[i] * b[i];
}
)"},
        {"affine", R"(static void affine(const float *x, float *y, int count, float scale, float shift)
{
    for (int i = 0; i < count; ++i)
        y[i] = x[i] * scale + shift;
}
)"},
        {"matrix_product", matrixProduct},
        {"matrix_product_add", matrixProductAdd},
        {"strided",
         R"(static void strided(const float *x, float *y, int n0, int n1, int n2, int n3, int n4, int n5, int s0, int s1, int s2, int s3, int s4, int s5)
{
    for (int i0 = 0; i0 < n0; ++i0)
        for (int i1 = 0; i1 < n1; ++i1)
            for (int i2 = 0; i2 < n2; ++i2)
                for (int i3 = 0; i3 < n3; ++i3)
                    for (int i4 = 0; i4 < n4; ++i4)
                        for (int i5 = 0; i5 < n5; ++i5)
                            *y++ = x[i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3 + i4 * s4 + i5 * s5];
}
)"},
        {"flip",
         R"(static void flip(const float *x, float *y, int n0, int n1, int n2, int n3, int n4, int n5, int f0, int f1, int f2, int f3, int f4, int f5)
{
    for (int i0 = 0; i0 < n0; ++i0)
        for (int i1 = 0; i1 < n1; ++i1)
            for (int i2 = 0; i2 < n2; ++i2)
                for (int i3 = 0; i3 < n3; ++i3)
                    for (int i4 = 0; i4 < n4; ++i4)
                        for (int i5 = 0; i5 < n5; ++i5) {
                            int a = f0 ? n0 - 1 - i0 : i0, b = f1 ? n1 - 1 - i1 : i1, c = f2 ? n2 - 1 - i2 : i2;
                            int d = f3 ? n3 - 1 - i3 : i3, e = f4 ? n4 - 1 - i4 : i4, f = f5 ? n5 - 1 - i5 : i5;
                            *y++ = x[((((a * n1 + b) * n2 + c) * n3 + d) * n4 + e) * n5 + f];
                        }
}
)"},
        {"sum_axes",
         R"(static void sum_axes(const float *x, float *y, int count, float scale, int n0, int n1, int n2, int n3, int n4, int n5, int s0, int s1, int s2, int s3, int s4, int s5)
{
    for (int i = 0; i < count; ++i)
        y[i] = 0.0f;
    for (int i0 = 0; i0 < n0; ++i0)
        for (int i1 = 0; i1 < n1; ++i1)
            for (int i2 = 0; i2 < n2; ++i2)
                for (int i3 = 0; i3 < n3; ++i3)
                    for (int i4 = 0; i4 < n4; ++i4)
                        for (int i5 = 0; i5 < n5; ++i5)
                            y[i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3 + i4 * s4 + i5 * s5] += *x++;
    for (int i = 0; i < count; ++i)
        y[i] *= scale;
}
)"},
        {"broadcast",
         R"(static void broadcast(const float *a, const float *b, float *y, int kind, float factor, int n0, int n1, int n2, int n3, int n4, int n5, int a0, int a1, int a2,
                      int a3, int a4, int a5, int b0, int b1, int b2, int b3, int b4, int b5)
{
    for (int i0 = 0; i0 < n0; ++i0)
        for (int i1 = 0; i1 < n1; ++i1)
            for (int i2 = 0; i2 < n2; ++i2)
                for (int i3 = 0; i3 < n3; ++i3)
                    for (int i4 = 0; i4 < n4; ++i4)
                        for (int i5 = 0; i5 < n5; ++i5) {
                            float p = a[i0 * a0 + i1 * a1 + i2 * a2 + i3 * a3 + i4 * a4 + i5 * a5];
                            float q = b[i0 * b0 + i1 * b1 + i2 * b2 + i3 * b3 + i4 * b4 + i5 * b5];
                            *y++ = kind == 0   ? p + factor * q
                                   : kind == 1 ? p * q
                                   : kind == 2 ? p / q
                                   : kind == 3 ? (p > q || p != p ? p : q)
                                   : kind == 4 ? (p < q || p != p ? p : q)
                                   : q != 0.0f ? factor
                                               : p;
                        }
}
)"},
        {"look_up", R"(static void look_up(const float *table, const float *indices, float *y, int count, int width, int rows)
{
    for (int i = 0; i < count; ++i) {
        int row = (int)indices[i];
        for (int k = 0; k < width; ++k)
            y[i * width + k] = row >= 0 && row < rows ? table[row * width + k] : 0.0f;
    }
}
)"},
        {"apply", R"(static void apply(const float *x, float *y, int count, float (*function)(float))
{
    for (int i = 0; i < count; ++i)
        y[i] = function(x[i]);
}
)"},
        {"powers", R"(static void powers(const float *x, float *y, int count, float power)
{
    for (int i = 0; i < count; ++i)
        y[i] = powf(x[i], power);
}
)"},
        {"relu", R"(static void relu(const float *x, float *y, int count)
{
    for (int i = 0; i < count; ++i)
        y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}
)"},
        {"leaky_relu", R"(static void leaky_relu(const float *x, float *y, int count, float slope)
{
    for (int i = 0; i < count; ++i)
        y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
}
)"},
        {"elu", R"(static void elu(const float *x, float *y, int count, float alpha)
{
    for (int i = 0; i < count; ++i)
        y[i] = x[i] > 0.0f ? x[i] : alpha * expm1f(x[i]);
}
)"},
        {"hardtanh", R"(static void hardtanh(const float *x, float *y, int count, float low, float high)
{
    for (int i = 0; i < count; ++i)
        y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}
)"},
        {"sigmoid", R"(static void sigmoid(const float *x, float *y, int count)
{
    for (int i = 0; i < count; ++i)
        y[i] = 1.0f / (1.0f + expf(-x[i]));
}
)"},
        {"silu", R"(static void silu(const float *x, float *y, int count)
{
    for (int i = 0; i < count; ++i)
        y[i] = x[i] / (1.0f + expf(-x[i]));
}
)"},
        {"tanh_all", R"(static void tanh_all(const float *x, float *y, int count)
{
    for (int i = 0; i < count; ++i)
        y[i] = tanhf(x[i]);
}
)"},
        {"gelu", R"(static void gelu(const float *x, float *y, int count)
{
    for (int i = 0; i < count; ++i)
        y[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
}
)"},
        {"gelu_tanh", R"(static void gelu_tanh(const float *x, float *y, int count)
{
    for (int i = 0; i < count; ++i)
        y[i] = 0.5f * x[i] * (1.0f + tanhf(0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
}
)"},
        {"stride_copy", R"(static void stride_copy(const float *x, float *y, int outer, int in, int out, int inner, int start, int step)
{
    for (int o = 0; o < outer; ++o)
        for (int k = 0; k < out; ++k)
            for (int i = 0; i < inner; ++i)
                y[(o * out + k) * inner + i] = x[(o * in + start + k * step) * inner + i];
}
)"},
        {"pad_axis", R"(static void pad_axis(const float *x, float *y, int outer, int in, int out, int inner, int before, float value)
{
    for (int o = 0; o < outer; ++o)
        for (int k = 0; k < out; ++k)
            for (int i = 0; i < inner; ++i)
                y[(o * out + k) * inner + i] = k >= before && k < before + in ? x[(o * in + k - before) * inner + i] : value;
}
)"},
        {"copy_into", R"(static void copy_into(const float *x, float *y, int outer, int size, int total, int at)
{
    for (int o = 0; o < outer; ++o)
        for (int i = 0; i < size; ++i)
            y[o * total + at + i] = x[o * size + i];
}
)"}};
    const auto found = kKernels.find(name);
    return found == kKernels.end() ? std::string_view() : found->second;
}

}  // namespace orrery::models
