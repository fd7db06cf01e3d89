#include "value_store.h"

namespace orrery::debug {

const c10::IValue* ValueStore::find(const std::string& name) const
{
    const auto it = m_values.find(name);
    return it == m_values.end() ? nullptr : &it->second;
}

void ValueStore::put(const std::string& name, const c10::IValue& value)
{
    count(value, 1);
    erase(name);
    m_values[name] = value;
}

void ValueStore::erase(const std::string& name)
{
    const auto it = m_values.find(name);
    if (it == m_values.end())
        return;
    count(it->second, -1);
    m_values.erase(it);
}

void ValueStore::clear()
{
    m_values.clear();
    m_memory.clear();
    m_bytes = 0;
}

void ValueStore::count(const c10::IValue& value, int change)
{
    if (value.isTensorList()) {
        for (const c10::IValue& item : value.toListRef())
            count(item, change);
        return;
    }
    if (!value.isTensor() || !value.toTensor().defined() || !value.toTensor().has_storage())
        return;
    const auto& storage = value.toTensor().storage();
    Memory& memory = m_memory[storage.unsafeGetStorageImpl()];
    if (memory.users == 0) {
        memory.bytes = std::int64_t(storage.nbytes());
        m_bytes += memory.bytes;
    }
    memory.users += change;
    if (memory.users == 0) {
        m_bytes -= memory.bytes;
        m_memory.erase(storage.unsafeGetStorageImpl());
    }
}

}  // namespace orrery::debug
