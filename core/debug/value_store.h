#pragma once
#include <map>
#include <set>
#include <string>

#include <core/graph/executor.h>

namespace orrery::debug {

/// Values of a run by name, with the bytes they hold. Memory that several values share (views) counts once. Not thread-safe.
class ValueStore {
public:
    const graph::KeptValues& values() const { return m_values; }
    const c10::IValue* find(const std::string& name) const;
    bool has(const std::string& name) const { return m_values.count(name) > 0; }
    void put(const std::string& name, const c10::IValue& value);
    void erase(const std::string& name);
    void clear();
    std::int64_t bytes() const { return m_bytes; }

private:
    void count(const c10::IValue& value, int change);
    graph::KeptValues m_values;
    struct Memory {
        int users = 0;
        std::int64_t bytes = 0;
    };
    std::map<const void*, Memory> m_memory;
    std::int64_t m_bytes = 0;
};

}  // namespace orrery::debug
