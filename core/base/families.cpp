#include <algorithm>
#include <mutex>

#include "registry.h"

namespace orrery::core {
namespace {

// Filled at start by core/catalogue.cpp and by plugins; the mutex covers a plugin that registers while a document is being checked.
struct Families {
    std::mutex mutex;
    std::vector<const RegistryBase*> list;
};

Families& known()
{
    static Families instance;
    return instance;
}

}  // namespace

const RegistryBase* findFamily(std::string_view family)
{
    Families& all = known();
    const std::lock_guard lock(all.mutex);
    const auto found = std::find_if(all.list.begin(), all.list.end(), [&](const RegistryBase* registry) { return registry->family() == family; });
    return found == all.list.end() ? nullptr : *found;
}

void addFamily(const RegistryBase& registry)
{
    Families& all = known();
    const std::lock_guard lock(all.mutex);
    for (const RegistryBase* other : all.list) {
        if (other == &registry)
            return;
        if (other->family() == registry.family())
            throw InputError("family \"" + registry.family() + "\" is registered twice");
    }
    all.list.push_back(&registry);
}

std::vector<const RegistryBase*> families()
{
    Families& all = known();
    const std::lock_guard lock(all.mutex);
    return all.list;
}

}  // namespace orrery::core
