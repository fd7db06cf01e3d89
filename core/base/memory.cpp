#include "memory.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace orrery::core {

void keepFreedMemory()
{
#if defined(__GLIBC__)
    // Larger blocks are mapped one by one and go back at once, so a large model that is closed frees its memory as before.
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

}  // namespace orrery::core
