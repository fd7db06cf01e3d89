#pragma once
#include <string>

#include "api.h"

/// CUDA kernels are in a library of their own, liborrery_cuda.so, built where nvcc is found and loaded when first needed: core itself knows no CUDA.
namespace orrery::cuda {

/// The kernels. Looked for beside the core library, or where $ORRERY_CUDA_KERNELS points. Any thread.
/// @param what  Who needs them, for the message. @throws core::InputError if there is no such file or it does not fit.
const Api& kernels(const char* what);
/// Empty if `kernels` can give them, else why not.
std::string kernelsMissing();
/// @throws core::Error with what CUDA said, unless that is null.
void check(const char* what, const char* error);

}  // namespace orrery::cuda
