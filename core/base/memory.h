#pragma once

/// How the process keeps memory.
namespace orrery::core {

/// Tells the allocator to keep what is freed for the next request instead of handing it back to the system: tensors of some megabytes come and go with
/// every operator, and each return costs a page fault for every 4 KiB when it comes again (a third of a ResNet's inference). Call once, early in main.
/// Does nothing where the C library has no such setting.
void keepFreedMemory();

}  // namespace orrery::core
