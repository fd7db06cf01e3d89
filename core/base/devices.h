#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::core {

/// What a run can compute on.
struct DeviceInfo {
    std::string id;            ///< as `--device` takes it: "cpu", "cuda:0"
    std::string name;          ///< model name as the system gives it
    int cores = 0;             ///< CPU: cores this process may use; CUDA: multiprocessors
    std::uint64_t memory = 0;  ///< bytes in all
    std::string level;         ///< CPU: widest SIMD set that libtorch's kernels use ("AVX2"); CUDA: compute capability ("9.0")
};

/// Which library multiplies matrices for libtorch on the CPU.
struct GemmInfo {
    std::string name;     ///< "oneDNN 2.6.0", or the library that defines `sgemm_`, or "built into libtorch"
    std::string library;  ///< file that holds it; empty where it is built into libtorch
    bool shim = false;    ///< our own redirection to oneDNN is in use
};

/// The CPU first, then every CUDA device that libtorch can use. Any thread.
std::vector<DeviceInfo> listDevices();
/// Bytes of main memory that this machine has.
std::uint64_t machineMemory();
GemmInfo gemmInUse();
/// GFLOP/s of libtorch's float product of two n x n matrices with the calling thread's thread count: the best of several, about 0.2 s in all.
double measureGemm(std::int64_t n = 1024);

/// Convolutions and products of floats on a GPU keep float's 24 bits: libtorch rounds those of convolutions to 11 (TF32) unless told not to. Any thread.
void keepFullPrecision();

/// `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` (the first) or `cuda:N`.
/// @throws InputError if the text is none of these; DeviceError, naming what exists, if the device is not there.
c10::Device parseDevice(std::string_view text);

}  // namespace orrery::core
