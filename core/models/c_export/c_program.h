#pragma once
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <core/graph/model.h>

#include "memory_plan.h"

/// Internal to core/models/c_export.
namespace orrery::models {

/// One call of a kernel: pointers to values, and literals as text.
struct CCall {
    std::string kernel, node, op;
    std::vector<std::variant<graph::ValueId, std::string>> arguments;
    std::vector<graph::ValueId> reads;
    graph::ValueId output = -1;
    bool canWriteOverInput = false;  ///< element by element: the output may take the place of `reads[0]`
    std::int64_t flops = 0;
};

/// A model as a row of kernel calls on one arena: fixed sizes, float32, evaluation mode. Tokens are given as floats, too.
class CProgram {
public:
    /// @param batch   Size of the axis that the model card calls "batch".
    /// @param length  Size of every other axis that the card gives a name; 0: such a card is refused.
    /// @throws core::InputError naming the node for an operator or type that has no kernel.
    CProgram(const graph::Model& model, std::int64_t batch, std::int64_t length = 0);
    const MemoryPlan& plan() const { return m_plan; }
    /// The C source.
    std::string source() const;

private:
    using Sizes = std::vector<std::int64_t>;
    void run(std::int64_t batch, std::int64_t length);
    /// Values that no input reaches are computed beforehand and written as arrays.
    void findConstants(const std::map<graph::ValueId, at::Tensor>& values);
    void addNode(const graph::Node& node);
    bool addAlias(const graph::Node& node);
    bool addLayer(const graph::Node& node);
    bool addPooling(const graph::Node& node);
    bool addElementwise(const graph::Node& node);
    bool addArithmetic(const graph::Node& node);
    bool addMove(const graph::Node& node);
    bool addProduct(const graph::Node& node);
    bool addPermutation(const graph::Node& node);
    bool addFlip(const graph::Node& node);
    bool addReduction(const graph::Node& node);
    bool addBroadcast(const graph::Node& node);
    bool addLookUp(const graph::Node& node);
    bool addParts(const graph::Node& node);
    bool addFunction(const graph::Node& node);
    void addConcatenation(const graph::Node& node);
    void call(const graph::Node& node, const std::string& kernel, std::vector<graph::ValueId> reads,
              std::vector<std::variant<graph::ValueId, std::string>> arguments, bool canWriteOverInput = false);
    void callFor(const graph::Node& node, graph::ValueId output, const std::string& kernel, std::vector<graph::ValueId> reads,
                 std::vector<std::variant<graph::ValueId, std::string>> arguments, bool canWriteOverInput = false);
    void planBuffers();
    [[noreturn]] void refuse(const graph::Node& node, const std::string& reason) const;
    const Sizes& sizes(graph::ValueId id) const;
    const Sizes& sizes(const graph::Node& node, std::size_t input) const;
    c10::IValue constant(const graph::Node& node, std::size_t input) const;
    std::variant<graph::ValueId, std::string> optionalPointer(const graph::Node& node, std::size_t input) const;
    graph::ValueId rootOf(graph::ValueId id) const;
    std::string pointer(graph::ValueId id) const;
    std::string comment() const;

    graph::Model m_model;                              ///< batch norms folded
    std::map<graph::ValueId, Sizes> m_sizes;           ///< of tensors of floats, and of whole numbers that stand for tokens
    std::map<graph::ValueId, at::Tensor> m_constants;  ///< what no input reaches
    std::map<graph::ValueId, c10::IValue> m_numbers;   ///< sizes and lists of them, which are fixed here
    std::map<graph::ValueId, graph::ValueId> m_alias;
    std::map<std::string, std::int64_t> m_flops;
    std::vector<CCall> m_calls;
    std::vector<graph::ValueId> m_outputs;
    std::map<graph::ValueId, std::size_t> m_bufferOf;  ///< of roots
    MemoryPlan m_plan;
};

}  // namespace orrery::models
