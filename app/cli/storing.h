#pragma once
#include <functional>
#include <string>

#include "cli.h"

namespace orrery::cli {

/// Keeps results in a workspace. One that cannot take them (read-only, a full disk) does not lose them: they are printed all the same, and the command ends as failed.
class Storing {
public:
    /// Runs `store`; what the workspace refuses is remembered, and nothing more is tried then.
    void attempt(const std::function<void()>& store);
    /// `not_stored` with the reason, if something was refused.
    void describe(core::Json& document) const;
    /// To be returned once the result is printed: says what was refused.
    Exit end() const;

private:
    std::string m_refused;
};

}  // namespace orrery::cli
