#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

/// Internal to core/cuda.
namespace orrery::cuda {

inline const char* said(cudaError_t error)
{
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

inline const char* select(int device)
{
    cudaGetLastError();  // what an earlier call of somebody else left
    return said(cudaSetDevice(device));
}

/// f(i) for i in [0, count), one thread each.
template <class Function>
__global__ void forEachKernel(std::int64_t count, Function f)
{
    for (std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += std::int64_t(gridDim.x) * blockDim.x)
        f(i);
}

template <class Function>
const char* forEach(int device, std::int64_t count, const Function& f, int threads = 128)
{
    if (const char* error = select(device))
        return error;
    if (count <= 0)
        return nullptr;
    const auto blocks = unsigned(std::min<std::int64_t>((count + threads - 1) / threads, 1 << 20));
    forEachKernel<<<blocks, unsigned(threads)>>>(count, f);
    return said(cudaGetLastError());
}

}  // namespace orrery::cuda
