#pragma once

/// Threads that share the parts of a task with the thread that asks.
namespace orrery::gemm {

/// Does one part of a task.
using Part = void (*)(int part, const void* task);

/// Calls `work` once for each part below `parts`, in any order, on as many threads as the calling one may use (omp_set_num_threads); alone inside a parallel region and while another
/// thread has the helpers. Returns when all is done. Unlike a parallel region of OpenMP it waits for no helper that has not come: whoever is there takes the next part, so that on
/// a busy machine two threads take no longer than one. `work` must not throw. Any thread.
void shareOut(int parts, Part work, const void* task);

}  // namespace orrery::gemm
