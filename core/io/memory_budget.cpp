#include "memory_budget.h"

#include <fmt/format.h>

#include <core/base/text.h>

namespace orrery::io {

std::string MemoryBudget::refusal() const
{
    return fmt::format("expected parts that take at most {} of memory, found more: far too many for the size of the file",
                       core::formatBytes(m_limit));
}

}  // namespace orrery::io
