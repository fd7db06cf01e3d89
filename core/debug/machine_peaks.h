#pragma once

namespace orrery::debug {

/// What this machine does at best, with the calling thread's thread count.
struct MachinePeaks {
    double gigaflops = 0;  ///< float32 matrix product, GFLOP/s
    double bandwidth = 0;  ///< main memory, GB/s (10^9 bytes)
    /// FLOPs a byte from which the arithmetic limits, not the memory.
    double ridge() const { return bandwidth > 0 ? gigaflops / bandwidth : 0; }
};

/// GB/s of a[i] = b[i] + s c[i] over arrays far larger than the caches; two reads and one write are counted, as in STREAM: the best of several, about 0.3 s.
/// Source: McCalpin (1995), "Memory Bandwidth and Machine Balance in Current High Performance Computers".
double measureTriad();
/// Both; about half a second.
MachinePeaks measurePeaks();

}  // namespace orrery::debug
