#pragma once
#include <optional>
#include <vector>

#include <core/graph/executor.h>

#include "cached_graph.h"

namespace orrery::generation {

/// What the step of a CachedGraph reads beside the new tokens and the buffers: constants, and tables cut to the new positions.
class StepInputs {
public:
    /// `model` and `parts` must outlive it. @param source  Of an encoder-decoder, else undefined.
    /// @throws core::InputError for a table that is not the beginning of the same table for more positions.
    StepInputs(const graph::Model& model, const CachedGraph& parts, at::Tensor source = {});

    /// Computes the tables for texts of up to so many tokens.
    void makeTables(std::int64_t capacity);
    /// The step's inputs without the buffers, which come last. @param tokens  [batch, total - past]. @param total  At most the capacity.
    std::vector<c10::IValue> values(const at::Tensor& tokens, std::int64_t past, std::int64_t total) const;
    /// Values of the whole graph for some text of so many tokens.
    std::vector<c10::IValue> computed(const std::vector<std::string>& names, std::int64_t length) const;

private:
    /// Axes of a table along which there is one row a position: those of queries and of keys.
    struct TableAxes {
        std::optional<std::int64_t> query, key;
    };
    static TableAxes axesOf(const at::Tensor& few, const at::Tensor& many, const std::string& name);
    at::Tensor tableRows(std::size_t index, std::int64_t past, std::int64_t total) const;

    const graph::Model* m_model;
    const CachedGraph* m_parts;
    graph::Executor m_whole;
    at::Tensor m_source;
    c10::Device m_device;
    std::vector<c10::IValue> m_constants, m_tables;
    std::vector<TableAxes> m_axes;
};

}  // namespace orrery::generation
