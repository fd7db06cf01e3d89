#pragma once
#include <memory>
#include <optional>
#include <set>
#include <stop_token>

#include "condition.h"
#include "gradient_trace.h"
#include "program_lines.h"
#include "value_store.h"

namespace orrery::debug {

struct StepperOptions {
    std::vector<c10::IValue> inputs;  ///< in the order of the graph's inputs
    std::uint64_t seed = 0, step = 0;
    bool training = false;
    /// Limit for values that nothing ahead needs any more; beyond it the oldest are dropped and computed again when they are asked for.
    std::int64_t keepBytes = std::int64_t(1) << 30;
};

/// Stops a run at a node (no condition), or where a condition holds.
struct Breakpoint {
    int id = 0;
    std::string pattern;  ///< value, module, glob, op:NAME, `cell[3]`; empty: every value (conditions only)
    std::optional<Condition> condition;
    bool enabled = true;
    int hits = 0;
    std::string toText() const;
};

enum class StopReason { Start, Step, Breakpoint, Condition, Cursor, End, Failed };
const char* stopReasonName(StopReason reason);

/// Why the run stands where it stands.
struct Stop {
    StopReason reason = StopReason::Start;
    std::optional<int> breakpoint;
    std::string value;  ///< the value whose condition held
    std::string text;   ///< one sentence
};

/// Where a run stands: in front of a line, or, inside a loop or branch, in front of one of its steps.
struct Position {
    int line = 0;    ///< index of the top-level node that runs next; the number of lines at the end
    int inner = -1;  ///< inside that node's blocks: the step that comes next; -1: not inside
    bool operator==(const Position&) const = default;
    auto operator<=>(const Position&) const = default;
};

/// One step inside a loop or branch, as it was recorded.
struct Visit {
    const graph::Node* node = nullptr;
    std::string name;  ///< with its loop steps: "cell[3]"; "last[3]" is the beginning of step 3 of the loop `last`
    std::vector<std::string> levels;
    std::vector<std::pair<std::string, c10::IValue>> values;  ///< None where the limit of memory did not leave room
    bool kept = true;
};

/// Runs a model step by step, forwards and backwards, on one input. A line is one top-level node. Kept values are never computed twice (in graphs with operators
/// that write in place, every move runs what comes before again: the executor keeps the order of writes); what the limit of memory dropped is
/// computed again, random operators included, to the same bits. Loops and branches are one line; going into one records its steps (it runs as a whole, once)
/// and shows them one by one. Not thread-safe: one thread at a time.
class Stepper {
public:
    /// @throws core::InputError if inputs are missing.
    Stepper(std::shared_ptr<const graph::Executor> executor, graph::Weights weights, StepperOptions options);
    ~Stepper();

    const ProgramLines& lines() const { return m_lines; }
    const graph::GraphPtr& graph() const { return m_lines.graph(); }
    const StepperOptions& options() const { return m_options; }
    const Position& position() const { return m_position; }
    const Stop& lastStop() const { return m_stop; }
    bool atEnd() const { return m_position.line >= m_lines.count(); }
    /// The module calls around the position, and how many of them the current frame has entered.
    std::vector<std::string> levels() const;
    std::size_t frame() const { return m_frame; }
    /// The node that runs next; null at the end. Its name with loop steps.
    const graph::Node* node() const;
    std::string placeName() const;
    /// Steps of the loop or branch that the position is in; empty outside.
    const std::vector<Visit>& visits() const { return m_visits; }

    // Moves. A cancelled move (core::Cancelled) leaves the position behind the last node that was done. A node that fails is a stop, not an exception:
    // the position stays in front of it.
    Stop stepNode(std::stop_token stop = {});                           ///< one node, going into loops and branches
    Stop stepOver(std::stop_token stop = {});                           ///< the module call (or node) that begins here, from the current frame
    Stop stepInto(std::stop_token stop = {});                           ///< enters the module call or block that begins here; runs a plain node
    Stop stepOut(std::stop_token stop = {});                            ///< to where the current module call or block has been left
    Stop resume(std::stop_token stop = {});                             ///< to the next breakpoint or the end
    Stop runTo(const std::string& pattern, std::stop_token stop = {});  ///< to the next line that a pattern names. @throws core::InputError
    Stop runToLine(int line, std::stop_token stop = {}, bool breakpoints = true);
    /// To a step of the loop or branch that the position is in: an index into `visits()`. @throws core::InputError if there is none.
    Stop runToStep(int inner, std::stop_token stop = {});
    Stop back(int nodes = 1);                 ///< so many nodes back; nothing is computed
    Stop reverse(std::stop_token stop = {});  ///< back to the breakpoint before
    Stop restart();                           ///< to the beginning; kept values, edits and breakpoints stay
    /// A new run with other inputs, which forgets values and edits and remembers shapes for `shape` conditions.
    Stop restart(std::vector<c10::IValue> inputs);

    /// @throws core::InputError for a pattern that names nothing, with the nearest names.
    /// Goes on where another session with the same model and other inputs ends: its breakpoints, and its shapes for `shape` conditions. Patterns that name nothing here
    /// are left out.
    void takeOver(const Stepper& before);

    int addBreakpoint(const std::string& pattern, std::optional<Condition> condition = {});
    bool removeBreakpoint(int id);
    bool enableBreakpoint(int id, bool enabled);
    const std::vector<Breakpoint>& breakpoints() const { return m_breakpoints; }
    /// Lines at which an enabled breakpoint without condition stops.
    std::vector<int> breakpointLines() const;
    /// The same of the steps of the loop or branch that the position is in.
    std::vector<int> breakpointSteps() const;

    /// True for inputs, parameters and what was computed before the position.
    bool isKnown(const std::string& name) const;
    /// A value before the position; computed again if it was dropped. @throws core::InputError if there is no such value or it is not computed yet.
    c10::IValue value(const std::string& name, std::stop_token stop = {});
    /// The same without computing: null if it is not at hand.
    const c10::IValue* keptValue(const std::string& name) const;
    /// Names of inputs and of values before the position, in order.
    std::vector<std::string> knownValues() const;
    /// Changes a value before the position; what depends on it is computed anew, now or as the run goes on. The position stays. Edits hold when going back, until
    /// `unsetValue`.
    /// @throws core::ShapeError if dtype or shape differ, core::InputError if it is not known.
    Stop setValue(const std::string& name, const at::Tensor& tensor);
    /// @return False if it was not edited.
    bool unsetValue(const std::string& name);
    const graph::KeptValues& edits() const { return m_edits; }

    /// Runs backward from `scalar`, made from the values `keep` at the end of the run; enters the backward mode, in which moves go from gradient to gradient.
    Stop backward(std::vector<std::string> keep, std::function<at::Tensor(const graph::RunResult&)> scalar, std::stop_token stop = {});
    bool isBackward() const { return m_backward; }
    const std::vector<GradientAt>& gradients() const { return m_gradients; }
    /// How many gradients are behind the position in the backward mode.
    std::size_t gradientPosition() const { return m_gradientPosition; }
    Stop nextGradient(int count = 1);
    Stop resumeBackward(std::stop_token stop = {});  ///< to the next gradient that a breakpoint names, or whose `grad.` condition holds
    void leaveBackward();                            ///< the last stop is again the one before the backward pass
    /// A gradient of the last backward pass, computed again if it was dropped. @throws core::InputError if there is none.
    at::Tensor gradient(const std::string& name, std::stop_token stop = {});

    std::int64_t nodesRun() const { return m_nodesRun; }  ///< in all, repetitions included
    std::int64_t keptBytes() const { return m_store.bytes(); }
    const graph::Weights& weights() const { return m_weights; }
    const graph::Executor& executor() const { return *m_executor; }

private:
    struct Hit {
        int line = 0;
        int breakpoint = 0;
        std::string value, text;
    };
    struct Resolved {
        std::set<graph::ValueId> values;
        std::string steps;    // "[3]" of a pattern inside loops
        std::set<int> lines;  // without condition
        bool every = false;
    };
    struct Recording;
    struct Pause;

    graph::RunRequest baseRequest(std::stop_token stop) const;
    std::optional<Hit> runLines(int from, int to, bool breakpoints, std::stop_token stop);
    std::optional<Hit> runChunk(int from, int to, bool breakpoints, std::stop_token stop);
    void addNestedEdits(graph::RunRequest& request, int from, int to) const;
    std::optional<Hit> checkConditions(int line, const std::string& name, graph::ValueId id, const c10::IValue& value);
    void remember(int line, const std::string& name, const c10::IValue& value);
    void trim();
    void forgetDependents(graph::ValueId id);
    Resolved resolve(const std::string& pattern, bool condition) const;
    const Breakpoint* breakpointAt(int line) const;
    const Breakpoint* breakpointAt(const Visit& visit) const;
    bool needsInside(int line) const;
    Stop advance(int to, bool breakpoints, std::stop_token stop, StopReason arrived);
    Stop goTo(Position position, bool breakpoints, std::stop_token stop, StopReason arrived);
    std::optional<Stop> advanceInside(int inner, bool breakpoints, std::stop_token stop);
    std::optional<Stop> leaveBlock(bool breakpoints);
    void enterBlock(std::stop_token stop);
    void record(int line, std::stop_token stop);
    std::vector<std::string> visitLevels(int line, const graph::Node& node, const std::string& steps) const;
    const Breakpoint* breakpointHere() const;
    std::optional<Hit> conditionBefore(std::stop_token stop);
    Stop arrive(StopReason reason, std::string text = {});
    Stop hitStop(const Hit& hit);
    Stop failed(const graph::NodeError& error);
    void moveTo(Position position);
    bool nodeFits(const Visit& visit, const Resolved& resolved) const;
    Position overEnd(std::size_t depth) const;
    void applyEdit(const std::string& name, graph::ValueId id, const at::Tensor& tensor);
    void recordAfterEdit(graph::ValueId id);
    c10::IValue computed(const std::string& name, graph::ValueId id, std::stop_token stop);
    std::pair<graph::ValueId, std::string> identify(const std::string& name) const;

    std::shared_ptr<const graph::Executor> m_executor;
    graph::Weights m_weights;
    StepperOptions m_options;
    ProgramLines m_lines;
    Position m_position;
    std::size_t m_frame = 0;
    Stop m_stop, m_forwardStop;  // the second: from before the backward pass
    ValueStore m_store;
    graph::KeptValues m_edits, m_originals;
    std::vector<Visit> m_visits;  // of the line the position is in
    int m_visitsOf = -1;
    std::string m_blockError;
    std::vector<Breakpoint> m_breakpoints;
    std::map<int, Resolved> m_resolved;
    int m_nextBreakpoint = 1;
    std::map<std::string, std::vector<std::int64_t>> m_shapes, m_shapesBefore;
    bool m_backward = false;
    std::vector<GradientAt> m_gradients;
    std::size_t m_gradientPosition = 0;
    GradientRequest m_gradientRequest;
    std::int64_t m_nodesRun = 0;
};

}  // namespace orrery::debug
