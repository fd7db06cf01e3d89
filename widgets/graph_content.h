#pragma once
#include <QFont>
#include <QString>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <core/graph/inspect.h>
#include <core/layout/fold_layout.h>

namespace orrery::widgets {

/// What a `GraphView` says about one box.
struct GraphBoxText {
    QString title, type;  ///< two lines
    QString shape;        ///< "[1, 32, 8, 8]" of what it gives; empty if unknown
    QString further;      ///< what else it is found by: the weights that it reads, its attributes, what its file says of it
};

/// A graph ready to be drawn: boxes, their texts, their sizes. Immutable, made on any thread.
struct GraphContent {
    layout::ItemTreePtr tree;
    std::vector<GraphBoxText> texts;                         ///< one an item
    std::shared_ptr<const std::vector<layout::Size>> sizes;  ///< one an item, closed
    std::vector<QString> shapes;                             ///< one a value of the graph; empty where unknown
    std::vector<QString> names;                              ///< of the values
};
using GraphContentPtr = std::shared_ptr<const GraphContent>;

/// @param inspection   Of the same graph; shapes stay empty where it was not run.
/// @param inputShapes  Of the graph's inputs in that run; may be empty.
/// @param tree         The items to draw, those of the graph (without arithmetic) first; null: those of the graph.
GraphContentPtr makeGraphContent(const graph::Graph& graph, const graph::Inspection& inspection, const QFont& font, layout::ItemTreePtr tree = {},
                                 const layout::ItemOptions& options = {}, const std::vector<std::vector<std::int64_t>>& inputShapes = {});

}  // namespace orrery::widgets
