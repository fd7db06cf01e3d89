#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace orrery::core {

/// Ends a subscription when destroyed. Afterwards the listener is not running and is not called again, so it may refer to what dies next;
/// destroyed from inside its own listener, it only takes care that no further call follows.
/// Do not destroy it while holding a lock that the listener takes.
class Subscription {
public:
    Subscription() = default;
    explicit Subscription(std::function<void()> end) : m_end(std::move(end)) {}
    ~Subscription() { reset(); }
    Subscription(Subscription&& other) noexcept : m_end(std::exchange(other.m_end, nullptr)) {}
    Subscription& operator=(Subscription&& other) noexcept
    {
        if (this != &other) {
            reset();
            m_end = std::exchange(other.m_end, nullptr);
        }
        return *this;
    }
    void reset()
    {
        if (auto end = std::exchange(m_end, nullptr))
            end();
    }

private:
    std::function<void()> m_end;
};

/// A list of listeners that any thread may extend, leave or notify. Listeners are called one after the other, in the order they came.
template <class... Arguments>
class Listeners {
public:
    using Function = std::function<void(Arguments...)>;

    Subscription add(Function function)
    {
        const std::lock_guard lock(m_state->mutex);
        auto entry = std::make_shared<Function>(std::move(function));
        m_state->entries.push_back(entry);
        return Subscription([state = std::weak_ptr(m_state), entry = std::weak_ptr(entry)] { remove(state.lock(), entry.lock()); });
    }

    void notify(Arguments... arguments) const
    {
        const auto state = m_state;  // A listener may destroy the owner of this list.
        const std::lock_guard lock(state->mutex);
        const auto entries = state->entries;
        for (const auto& entry : entries)
            if (const Function call = *entry)  // A copy: the listener may end its own subscription.
                call(arguments...);
    }

private:
    struct State {
        std::recursive_mutex mutex;  ///< Held while listeners run.
        std::vector<std::shared_ptr<Function>> entries;
    };

    static void remove(const std::shared_ptr<State>& state, const std::shared_ptr<Function>& entry)
    {
        if (!state || !entry)
            return;
        const std::lock_guard lock(state->mutex);
        std::erase(state->entries, entry);
        *entry = nullptr;
    }

    std::shared_ptr<State> m_state = std::make_shared<State>();
};

}  // namespace orrery::core
