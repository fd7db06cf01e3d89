// Small networks without biases. A block of threads takes 64 rows through all layers; values stay in shared memory.
#include "functions.h"
#include "launch.h"

namespace orrery::cuda {
namespace {

constexpr int kRows = 64;           // rows of a block, one a thread
constexpr int kPitch = kRows + 1;   // odd: the rows of neighbouring values lie in different banks
constexpr int kEight = 8;           // values a thread computes at a time

__host__ __device__ int padded(int size)
{
    return (size + kEight - 1) / kEight * kEight;
}

/// Floats of shared memory for the weights of one layer, in either direction.
int weightFloats(const Mlp& mlp)
{
    int most = 0;
    for (int l = 0; l < mlp.layers; ++l)
        most = std::max({most, mlp.sizes[l] * padded(mlp.sizes[l + 1]), mlp.sizes[l + 1] * padded(mlp.sizes[l])});
    return most;
}

int widest(const Mlp& mlp)
{
    return *std::max_element(mlp.sizes, mlp.sizes + mlp.layers + 1);
}

std::size_t forwardBytes(const Mlp& mlp)
{
    return sizeof(float) * std::size_t(weightFloats(mlp) + 2 * widest(mlp) * kPitch);
}

std::size_t backwardBytes(const Mlp& mlp)
{
    int inputs = 0;
    for (int l = 0; l < mlp.layers; ++l)
        inputs += mlp.sizes[l];
    return forwardBytes(mlp) + sizeof(float) * std::size_t(inputs * kPitch);
}

/// Weights as [in, out padded with zeros] for the way forward.
__device__ void loadForward(const float* weights, int in, int out, float* to)
{
    const int wide = padded(out);
    for (int i = threadIdx.x; i < in * wide; i += kRows) {
        const int o = i % wide, k = i / wide;
        to[i] = o < out ? weights[o * in + k] : 0;
    }
}

/// The same as [out, in padded with zeros] for the way back.
__device__ void loadBackward(const float* weights, int in, int out, float* to)
{
    const int wide = padded(in);
    for (int i = threadIdx.x; i < out * wide; i += kRows) {
        const int k = i % wide, o = i / wide;
        to[i] = k < in ? weights[o * in + k] : 0;
    }
}

/// [rows, size] into [size, pitch]; rows behind the last are zeros.
__device__ void loadRows(const float* from, std::int64_t first, std::int64_t rows, int size, float* to)
{
    for (int i = threadIdx.x; i < kRows * size; i += kRows) {
        const int row = i / size, k = i % size;
        to[k * kPitch + row] = first + row < rows ? from[(first + row) * size + k] : 0;
    }
}

__device__ void storeRows(const float* from, std::int64_t first, std::int64_t rows, int size, float* to)
{
    for (int i = threadIdx.x; i < kRows * size; i += kRows) {
        const int row = i / size, k = i % size;
        if (first + row < rows)
            to[(first + row) * size + k] = from[k * kPitch + row];
    }
}

/// This thread's row: y [out] = x [in] times weights [in, out padded].
template <class Use>
__device__ void multiply(const float* x, int in, int out, const float* weights, const Use& use)
{
    const int wide = padded(out), row = threadIdx.x;
    for (int o = 0; o < out; o += kEight) {
        float sum[kEight] = {};
        const float4* w = reinterpret_cast<const float4*>(weights + o);
        for (int k = 0; k < in; ++k, w += wide / 4) {
            const float v = x[k * kPitch + row];
            const float4 a = w[0], b = w[1];
            sum[0] += a.x * v;
            sum[1] += a.y * v;
            sum[2] += a.z * v;
            sum[3] += a.w * v;
            sum[4] += b.x * v;
            sum[5] += b.y * v;
            sum[6] += b.z * v;
            sum[7] += b.w * v;
        }
        for (int i = 0; i < kEight; ++i)
            if (o + i < out)
                use(o + i, sum[i]);
    }
}

__device__ void layerForward(const Mlp& mlp, int l, const float* x, float* weights, float* y)
{
    loadForward(mlp.weights[l], mlp.sizes[l], mlp.sizes[l + 1], weights);
    __syncthreads();
    const bool rectified = l + 1 < mlp.layers;
    multiply(x, mlp.sizes[l], mlp.sizes[l + 1], weights,
             [&](int o, float value) { y[o * kPitch + threadIdx.x] = rectified && !(value > 0) ? 0 : value; });
    __syncthreads();
}

__global__ void __launch_bounds__(kRows) forwardKernel(Mlp mlp, int weightSize, int wide, const float* x, std::int64_t rows, float* out)
{
    extern __shared__ float4 memory[];
    float* const weights = reinterpret_cast<float*>(memory);
    float* from = weights + weightSize;
    float* to = from + wide * kPitch;
    for (std::int64_t first = std::int64_t(blockIdx.x) * kRows; first < rows; first += std::int64_t(gridDim.x) * kRows) {
        loadRows(x, first, rows, mlp.sizes[0], from);
        for (int l = 0; l < mlp.layers; ++l) {
            layerForward(mlp, l, from, weights, to);
            float* const other = from;
            from = to;
            to = other;
        }
        storeRows(from, first, rows, mlp.sizes[mlp.layers], out);
        __syncthreads();
    }
}

/// partial [out, in] += gradient^T x over the block's rows, eight by eight values a thread.
__device__ void addWeightGradient(const float* gradient, const float* x, int in, int out, float* partial)
{
    const int o0 = int(threadIdx.x) / kEight * kEight, k0 = int(threadIdx.x) % kEight * kEight;
    for (int o = o0; o < out; o += kEight * kEight)
        for (int k = k0; k < in; k += kEight * kEight) {
            float sum[kEight][kEight] = {};
            for (int row = 0; row < kRows; ++row) {
                float g[kEight], v[kEight];
                for (int i = 0; i < kEight; ++i) {
                    g[i] = gradient[min(o + i, out - 1) * kPitch + row];
                    v[i] = x[min(k + i, in - 1) * kPitch + row];
                }
                for (int i = 0; i < kEight; ++i)
                    for (int j = 0; j < kEight; ++j)
                        sum[i][j] += g[i] * v[j];
            }
            for (int i = 0; i < kEight; ++i)
                for (int j = 0; j < kEight; ++j)
                    if (o + i < out && k + j < in)
                        partial[(o + i) * in + k + j] += sum[i][j];
        }
}

__global__ void __launch_bounds__(kRows)
    backwardKernel(Mlp mlp, int weightSize, int wide, const float* x, const float* gradient, std::int64_t rows, float* dx, float* partial)
{
    extern __shared__ float4 memory[];
    float* const weights = reinterpret_cast<float*>(memory);
    float* ahead = weights + weightSize;
    float* behind = ahead + wide * kPitch;
    float* values[kMaxLayers];  // what goes into each layer
    values[0] = behind + wide * kPitch;
    int offset[kMaxLayers] = {};
    for (int l = 1; l < mlp.layers; ++l) {
        values[l] = values[l - 1] + mlp.sizes[l - 1] * kPitch;
        offset[l] = offset[l - 1] + mlp.sizes[l - 1] * mlp.sizes[l];
    }
    const int last = mlp.layers - 1;
    partial += std::int64_t(blockIdx.x) * (offset[last] + mlp.sizes[last] * mlp.sizes[last + 1]);
    for (std::int64_t first = std::int64_t(blockIdx.x) * kRows; first < rows; first += std::int64_t(gridDim.x) * kRows) {
        loadRows(x, first, rows, mlp.sizes[0], values[0]);
        for (int l = 0; l < last; ++l)
            layerForward(mlp, l, values[l], weights, values[l + 1]);
        loadRows(gradient, first, rows, mlp.sizes[last + 1], ahead);
        __syncthreads();
        for (int l = last; l >= 0; --l) {
            const int in = mlp.sizes[l], out = mlp.sizes[l + 1];
            addWeightGradient(ahead, values[l], in, out, partial + offset[l]);
            if (l == 0 && !dx)
                break;
            loadBackward(mlp.weights[l], in, out, weights);
            __syncthreads();
            multiply(ahead, out, in, weights, [&](int k, float value) {
                const int at = k * kPitch + int(threadIdx.x);
                behind[at] = l == 0 || values[l][at] > 0 ? value : 0;
            });
            __syncthreads();
            float* const other = ahead;
            ahead = behind;
            behind = other;
        }
        if (dx)
            storeRows(ahead, first, rows, mlp.sizes[0], dx);
        __syncthreads();
    }
}

int attribute(cudaDeviceAttr which, int device)
{
    int value = 0;
    return cudaDeviceGetAttribute(&value, which, device) == cudaSuccess ? value : 0;
}

int blocksFor(int device, std::int64_t rows)
{
    return int(std::min<std::int64_t>((rows + kRows - 1) / kRows, 4 * std::max(1, attribute(cudaDevAttrMultiProcessorCount, device))));
}

/// More shared memory than 48 KiB has to be asked for.
template <class Kernel>
const char* allow(const Kernel& kernel, std::size_t bytes)
{
    return said(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)));
}

}  // namespace

int mlpBlocks(int device, const Mlp& mlp, std::int64_t rows)
{
    if (mlp.layers < 1 || mlp.layers > kMaxLayers || backwardBytes(mlp) > std::size_t(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device)))
        return 0;
    return std::max(1, blocksFor(device, rows));
}

const char* mlpForward(int device, const Mlp& mlp, const float* x, std::int64_t rows, float* out)
{
    if (const char* error = select(device))
        return error;
    if (rows == 0)
        return nullptr;
    const std::size_t bytes = forwardBytes(mlp);
    if (const char* error = allow(forwardKernel, bytes))
        return error;
    forwardKernel<<<unsigned(blocksFor(device, rows)), kRows, bytes>>>(mlp, weightFloats(mlp), widest(mlp), x, rows, out);
    return said(cudaGetLastError());
}

const char* mlpBackward(int device, const Mlp& mlp, const float* x, const float* gradient, std::int64_t rows, float* dx, float* partial, int blocks)
{
    if (const char* error = select(device))
        return error;
    if (rows == 0)
        return nullptr;
    const std::size_t bytes = backwardBytes(mlp);
    if (const char* error = allow(backwardKernel, bytes))
        return error;
    backwardKernel<<<unsigned(blocks), kRows, bytes>>>(mlp, weightFloats(mlp), widest(mlp), x, gradient, rows, dx, partial);
    return said(cudaGetLastError());
}

}  // namespace orrery::cuda
