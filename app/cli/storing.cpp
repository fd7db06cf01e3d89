#include "storing.h"

#include <iostream>

#include <core/base/error.h>

namespace orrery::cli {

void Storing::attempt(const std::function<void()>& store)
{
    if (!m_refused.empty())
        return;
    try {
        store();
    } catch (const core::StorageError& error) {
        m_refused = error.what();
    }
}

void Storing::describe(core::Json& document) const
{
    if (!m_refused.empty())
        document["not_stored"] = m_refused;
}

Exit Storing::end() const
{
    if (m_refused.empty())
        return Exit::Done;
    std::cerr << "orrery-cli: the result is printed, but could not be stored: " << m_refused << "\n";
    return Exit::Failed;
}

}  // namespace orrery::cli
