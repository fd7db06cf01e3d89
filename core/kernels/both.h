#pragma once

/// What the CPU's kernels and those of core/cuda share is written once: a function marked so is compiled for both where nvcc reads it.
#ifdef __CUDACC__
#define ORRERY_BOTH __host__ __device__
#else
#define ORRERY_BOTH
#endif
