#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/json.h>

#include "stepper.h"
#include "value_expression.h"

namespace orrery::debug {

/// How the prompt reaches files; the owner decides what may be read and written.
struct PromptFiles {
    std::function<at::Tensor(const std::string& file)> read;
    std::function<void(const std::string& file, const at::Tensor& tensor)> write;
};

/// The commands of a debugging session, one line each: `help` lists them. Not thread-safe.
class Prompt {
public:
    Prompt(Stepper& stepper, PromptFiles files) : m_stepper(stepper), m_files(std::move(files)) {}

    struct Reply {
        std::string text;  ///< for people; without a newline at the end
        bool quit = false;
    };
    /// Does what a line says. An empty line repeats the last move; what follows a `#` in front is a comment.
    /// @throws core::InputError for an unknown command (the nearest is named) and bad arguments; core::Cancelled, after which the session goes on.
    Reply run(std::string_view line, std::stop_token stop = {});
    /// The stops and answers so far: {"stops": [...], "printed": [...]}, each with the command it answers.
    core::Json document() const;
    /// True if the last move ended at a node that failed.
    bool hasFailed() const { return m_stepper.lastStop().reason == StopReason::Failed; }

    /// Values by name, with loop steps, and gradients once there are some.
    ValueScope scope(std::stop_token stop) const;
    const std::vector<std::string>& watches() const { return m_watches; }
    void setWatches(std::vector<std::string> watches) { m_watches = std::move(watches); }

    struct Command {
        const char* name;
        std::vector<std::string> shortcuts;
        const char* arguments;
        const char* summary;
        Reply (Prompt::*run)(const std::string& arguments, std::stop_token stop);
        bool moves = false;  ///< repeated by an empty line
    };
    static const std::vector<Command>& commands();

private:
    Reply next(const std::string& arguments, std::stop_token stop);
    Reply step(const std::string& arguments, std::stop_token stop);
    Reply node(const std::string& arguments, std::stop_token stop);
    Reply finish(const std::string& arguments, std::stop_token stop);
    Reply resume(const std::string& arguments, std::stop_token stop);
    Reply until(const std::string& arguments, std::stop_token stop);
    Reply back(const std::string& arguments, std::stop_token stop);
    Reply reverse(const std::string& arguments, std::stop_token stop);
    Reply restart(const std::string& arguments, std::stop_token stop);
    Reply input(const std::string& arguments, std::stop_token stop);
    Reply setBreak(const std::string& arguments, std::stop_token stop);
    Reply remove(const std::string& arguments, std::stop_token stop);
    Reply enable(const std::string& arguments, std::stop_token stop);
    Reply disable(const std::string& arguments, std::stop_token stop);
    Reply watch(const std::string& arguments, std::stop_token stop);
    Reply unwatch(const std::string& arguments, std::stop_token stop);
    Reply print(const std::string& arguments, std::stop_token stop);
    Reply save(const std::string& arguments, std::stop_token stop);
    Reply set(const std::string& arguments, std::stop_token stop);
    Reply unset(const std::string& arguments, std::stop_token stop);
    Reply info(const std::string& arguments, std::stop_token stop);
    Reply where(const std::string& arguments, std::stop_token stop);
    Reply list(const std::string& arguments, std::stop_token stop);
    Reply backward(const std::string& arguments, std::stop_token stop);
    Reply forward(const std::string& arguments, std::stop_token stop);
    Reply help(const std::string& arguments, std::stop_token stop);
    Reply quit(const std::string& arguments, std::stop_token stop);

    template <class Move>
    Reply repeated(const std::string& arguments, Move move);
    Reply stopped(const Stop& stop, std::stop_token token);
    at::Tensor evaluated(const std::string& text, std::stop_token stop) const;
    int number(const std::string& text, int standard) const;
    int breakpointNumber(const std::string& text) const;
    Reply switchBreakpoint(const std::string& text, bool enabled);
    std::string infoText(const std::string& what, std::stop_token stop);

    Stepper& m_stepper;
    PromptFiles m_files;
    std::vector<std::string> m_watches;
    std::string m_lastMove, m_line;
    core::Json m_stops = core::Json::array(), m_printed = core::Json::array();
};

/// "PATTERN if CONDITION", "if CONDITION", or a pattern alone.
struct BreakText {
    std::string pattern;
    std::optional<Condition> condition;
};
/// @throws core::InputError as `parseCondition`, or if both parts are missing.
BreakText parseBreak(std::string_view text);

}  // namespace orrery::debug
