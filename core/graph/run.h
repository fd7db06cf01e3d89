#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "program.h"

/// Internal to core/graph: one run of a program. executor.cpp holds its course, run_requests.cpp what probes do, run_nodes.cpp how nodes are called.
namespace orrery::graph {

/// Thrown where a Stop probe is reached.
struct StopRun {};

/// What is asked of one value: probes with the loop step they are meant for, and whether it is kept.
struct Request {
    struct Item {
        const Probe* probe = nullptr;  // null: keep
        std::string steps;             // "[3]", "[*]", or empty for all
    };
    std::vector<Item> items;
};

/// Counts what libtorch allocates while a node is profiled; see run_nodes.cpp.
class AllocationCounter;

/// A value for messages: "float32 [2, 3]".
std::string describe(const c10::IValue& value);
/// libtorch's message without its backtrace, as one sentence.
std::string firstSentence(std::string text);
/// Tensors and lists of tensors cloned; other values as they are.
c10::IValue copied(const c10::IValue& value);

/// One run: its slots and what it collects.
class Run {
public:
    Run(const Executor::Program& program, const Weights& weights, const RunRequest& request)
        : m_program(program), m_weights(weights), m_request(request), m_data(program.graph->data())
    {
    }
    RunResult go();

private:
    void collectRequests();
    void addRequest(const std::string& pattern, const Probe* probe);
    void makePlan();
    void bind();
    void bindInput(std::size_t index);
    void bindParameter(const Parameter& parameter);
    void runEntries();
    void giveValue(ValueId id);
    void runStep(const Step& step, const PlanEntry* entry);
    void runNested(const CompiledBlock& block);
    void callOperator(const Step& step);
    void callNorm(const Step& step);
    void makeList(const Step& step);
    void makeDict(const Step& step);
    void unpackTop(const Step& step);
    void runIf(const Step& step);
    void runLoop(const Step& step);
    void finishOutputs(const Step& step, std::size_t base);
    void profileStep(const Step& step, const PlanEntry* entry);
    void commitStatistics(const Step& step);
    void act(ValueId id);
    void transform(ValueId id, const std::string& name, const Request& request);
    void watch(ValueId id, const std::string& name, const Request& request);
    void hookGradients(ValueId id, const std::string& name, const Request& request);
    void keep(ValueId id, const std::string& name);
    std::string runtimeName(const std::string& name) const;
    c10::IValue& slot(Slot slot) { return m_slots[std::size_t(slot)]; }
    const c10::IValue& read(Slot slot) const { return slot >= 0 ? m_slots[std::size_t(slot)] : m_program.literals[std::size_t(~slot)]; }
    void push(const Step& step, const PlanEntry* entry);
    [[noreturn]] void fail(const std::string& reason) const;
    c10::IValue argumentOf(const Step& step, std::size_t index) const;
    void collectOutputs();

    const Executor::Program& m_program;
    const Weights& m_weights;
    const RunRequest& m_request;
    const GraphData& m_data;
    std::map<ValueId, Request> m_requests;
    std::vector<const Request*> m_requestOf;  // per value, empty if nothing is asked
    std::map<ValueId, c10::IValue> m_given;
    Plan m_ownPlan;
    const Plan* m_plan = nullptr;
    std::vector<c10::IValue> m_slots;
    torch::jit::Stack m_stack;
    std::size_t m_base = 0;  // where the current node's arguments begin on the stack
    const Step* m_current = nullptr;
    std::vector<std::int64_t> m_loopSteps;
    std::shared_ptr<AllocationCounter> m_allocations;
    RunResult m_result;
};

}  // namespace orrery::graph
