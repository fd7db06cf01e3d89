#include "kinds.h"

#include <map>
#include <mutex>

namespace orrery::jobs {
namespace {

struct Kinds {
    std::mutex mutex;  ///< guards all
    std::map<std::string, std::shared_ptr<const Kind>> all;
};

Kinds& kinds()
{
    static Kinds instance;
    return instance;
}

}  // namespace

void addKind(const std::string& name, Kind kind)
{
    const std::lock_guard lock(kinds().mutex);
    kinds().all[name] = std::make_shared<const Kind>(std::move(kind));
}

std::shared_ptr<const Kind> findKind(const std::string& name)
{
    const std::lock_guard lock(kinds().mutex);
    const auto found = kinds().all.find(name);
    return found == kinds().all.end() ? nullptr : found->second;
}

std::vector<std::string> kindNames()
{
    const std::lock_guard lock(kinds().mutex);
    std::vector<std::string> names;
    for (const auto& [name, kind] : kinds().all)
        names.push_back(name);
    return names;
}

}  // namespace orrery::jobs
