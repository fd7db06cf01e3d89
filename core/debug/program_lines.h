#pragma once
#include <string>
#include <vector>

#include <core/graph/graph.h>

/// Running a model like a program: stepping, breakpoints, the first difference of two runs, where the time goes.
namespace orrery::debug {

/// One top-level node of a graph as a line of a program.
struct Line {
    const graph::Node* node = nullptr;
    /// The module calls around it, outermost first: "blocks.0", "blocks.0.attn". Lists of modules ("blocks") are no calls.
    std::vector<std::string> levels;
    std::vector<graph::ValueId> reads;  ///< values it reads, including those read in its blocks; each once
};

/// A graph as a list of lines, and who uses what. Immutable; any thread.
class ProgramLines {
public:
    explicit ProgramLines(graph::GraphPtr graph);

    const graph::GraphPtr& graph() const { return m_graph; }
    int count() const { return int(m_lines.size()); }
    const Line& line(int index) const { return m_lines[std::size_t(index)]; }
    /// The top-level line that makes a value, or holds the block that does; -1 for inputs and parameters.
    int lineOf(graph::ValueId id) const { return m_lineOf[std::size_t(id)]; }
    /// Made inside a loop or branch.
    bool isNested(graph::ValueId id) const { return m_depth[std::size_t(id)] >= 0; }
    /// How many loops are around a value.
    int loopDepth(graph::ValueId id) const { return std::max(0, m_depth[std::size_t(id)]); }
    /// The last line that reads a value; `count()` for outputs of the graph, -1 if none does.
    int lastUse(graph::ValueId id) const { return m_lastUse[std::size_t(id)]; }
    /// Lines that depend on `id`, in order; the line that makes it is not among them unless it is inside a block of it.
    std::vector<int> dependents(graph::ValueId id) const;
    /// The module calls around a node: see `Line::levels`.
    std::vector<std::string> levelsOf(const graph::Node& node) const;
    /// The first line of each call of a module: an exact path or a glob. Empty if there is no such module.
    std::vector<int> entries(std::string_view modulePattern) const;

private:
    void indexBlock(const graph::Block& block, int line, int loops, std::vector<graph::ValueId>& reads);
    graph::GraphPtr m_graph;
    std::vector<Line> m_lines;
    std::vector<int> m_lineOf, m_depth, m_lastUse;
    std::map<std::string, std::string> m_moduleTypes;
};

/// How many first levels two places share.
std::size_t commonLevels(const std::vector<std::string>& a, const std::vector<std::string>& b);

}  // namespace orrery::debug
