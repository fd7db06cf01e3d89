#include "alignment_of_lines.h"

#include <algorithm>
#include <unordered_map>

namespace orrery::debug {
namespace {

/// Above this many cells a gap is matched greedily: 64 MiB of table.
constexpr std::size_t kMostCells = std::size_t(16) << 20;

std::vector<LinePair> sameNames(const ProgramLines& a, const ProgramLines& b)
{
    std::unordered_map<std::string, int> byName;
    for (int i = 0; i < b.count(); ++i)
        byName[b.line(i).node->name] = i;
    std::vector<LinePair> pairs;
    for (int i = 0; i < a.count(); ++i)
        if (const auto it = byName.find(a.line(i).node->name); it != byName.end())
            pairs.push_back({i, it->second, true});
    return pairs;
}

/// The longest run of pairs that ascend in both programs (patience sorting, O(n log n)): between these, gaps are well defined.
std::vector<LinePair> ascending(const std::vector<LinePair>& pairs)
{
    std::vector<std::size_t> tails;
    std::vector<int> before(pairs.size(), -1);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto place =
            std::lower_bound(tails.begin(), tails.end(), pairs[i].b, [&](std::size_t tail, int value) { return pairs[tail].b < value; });
        before[i] = place == tails.begin() ? -1 : int(*(place - 1));
        if (place == tails.end())
            tails.push_back(i);
        else
            *place = i;
    }
    std::vector<LinePair> chosen;
    for (int i = tails.empty() ? -1 : int(tails.back()); i >= 0; i = before[std::size_t(i)])
        chosen.push_back(pairs[std::size_t(i)]);
    std::reverse(chosen.begin(), chosen.end());
    return chosen;
}

/// Two programs and what is known of their values.
struct Programs {
    const ProgramLines& a;
    const ProgramLines& b;
    const LineShapes& shapesA;
    const LineShapes& shapesB;
};

bool sameOperator(const Programs& both, int i, int k)
{
    const graph::Node &left = *both.a.line(i).node, &right = *both.b.line(k).node;
    if (left.op != right.op || left.outputs.size() != right.outputs.size())
        return false;
    const bool known = std::size_t(i) < both.shapesA.size() && std::size_t(k) < both.shapesB.size();
    const auto *first = known ? &both.shapesA[std::size_t(i)] : nullptr, *second = known ? &both.shapesB[std::size_t(k)] : nullptr;
    return !known || !first->has_value() || !second->has_value() || **first == **second;
}

/// Which values belong together, by the pairs there are.
class Partners {
public:
    Partners(const Programs& both, const std::vector<LinePair>& pairs)
        : m_both(both), m_ofA(std::size_t(both.a.count()), -1), m_ofB(std::size_t(both.b.count()), -1)
    {
        for (const auto& pair : pairs)
            add(pair);
        const auto &left = both.a.graph()->data().inputs, &right = both.b.graph()->data().inputs;
        for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
            m_inputs[left[i].value] = right[i].value;
    }
    void add(const LinePair& pair)
    {
        m_ofA[std::size_t(pair.a)] = pair.b;
        m_ofB[std::size_t(pair.b)] = pair.a;
    }
    void remove(const LinePair& pair) { m_ofA[std::size_t(pair.a)] = m_ofB[std::size_t(pair.b)] = -1; }
    bool isPairedA(int line) const { return m_ofA[std::size_t(line)] >= 0; }
    bool isPairedB(int line) const { return m_ofB[std::size_t(line)] >= 0; }
    /// Made by partners at the same output, or both given to the graph in the same place.
    bool belong(graph::ValueId left, graph::ValueId right) const
    {
        const int lineA = m_both.a.lineOf(left), lineB = m_both.b.lineOf(right);
        if (lineA >= 0 && lineB >= 0)
            return m_ofA[std::size_t(lineA)] == lineB && placeOf(m_both.a, lineA, left) == placeOf(m_both.b, lineB, right);
        if (lineA >= 0 || lineB >= 0)
            return false;
        const auto input = m_inputs.find(left);
        return input != m_inputs.end() ? input->second == right : sameParameter(left, right);
    }
    /// The value of `b` that a value of `a` certainly is.
    std::optional<graph::ValueId> partnerOf(graph::ValueId left) const
    {
        if (const int line = m_both.a.lineOf(left); line >= 0) {
            const int other = m_ofA[std::size_t(line)];
            const std::size_t place = placeOf(m_both.a, line, left);
            const bool there = other >= 0 && place < m_both.b.line(other).node->outputs.size();
            return there ? std::optional(m_both.b.line(other).node->outputs[place]) : std::nullopt;
        }
        if (const auto input = m_inputs.find(left); input != m_inputs.end())
            return input->second;
        const auto* parameter = m_both.a.graph()->parameterOf(left);
        const auto* same = parameter ? m_both.b.graph()->findParameter(parameter->name) : nullptr;
        return same ? std::optional(same->value) : std::nullopt;
    }
    /// Both have a partner, and it is another one.
    bool contradict(graph::ValueId left, graph::ValueId right) const
    {
        const int lineA = m_both.a.lineOf(left), lineB = m_both.b.lineOf(right);
        if (lineA >= 0 && lineB >= 0)
            return isPairedA(lineA) && isPairedB(lineB) && m_ofA[std::size_t(lineA)] != lineB;
        const auto *first = m_both.a.graph()->parameterOf(left), *second = m_both.b.graph()->parameterOf(right);
        if (first && second)
            return first->name != second->name && (m_both.b.graph()->findParameter(first->name) || m_both.a.graph()->findParameter(second->name));
        return (lineA >= 0 && isPairedA(lineA) && lineB < 0) || (lineB >= 0 && isPairedB(lineB) && lineA < 0);
    }

private:
    static std::size_t placeOf(const ProgramLines& lines, int line, graph::ValueId value)
    {
        const auto& outputs = lines.line(line).node->outputs;
        return std::size_t(std::find(outputs.begin(), outputs.end(), value) - outputs.begin());
    }
    bool sameParameter(graph::ValueId left, graph::ValueId right) const
    {
        const auto *first = m_both.a.graph()->parameterOf(left), *second = m_both.b.graph()->parameterOf(right);
        if (!first || !second)
            return false;
        if (first->name == second->name)
            return true;
        return first->shape == second->shape && !m_both.b.graph()->findParameter(first->name) && !m_both.a.graph()->findParameter(second->name);
    }
    const Programs& m_both;
    std::vector<int> m_ofA, m_ofB;
    std::unordered_map<graph::ValueId, graph::ValueId> m_inputs;
};

/// Do two nodes read what belongs together, in the order of their arguments?
bool readTheSame(const Partners& partners, const graph::Node& left, const graph::Node& right)
{
    if (left.inputs.size() != right.inputs.size())
        return false;
    bool any = false;
    for (std::size_t i = 0; i < left.inputs.size(); ++i) {
        if (left.inputs[i].isConstant() != right.inputs[i].isConstant())
            return false;
        if (left.inputs[i].isConstant())
            continue;
        if (!partners.belong(left.inputs[i].value, right.inputs[i].value))
            return false;
        any = true;
    }
    return any;
}

/// The first free line of `b` that reads what belongs to what `line` of `a` reads; -1: none.
int partnerByInputs(const Programs& both, const Partners& partners, int line)
{
    const graph::Node& node = *both.a.line(line).node;
    for (const auto& input : node.inputs) {
        const auto partner = input.isConstant() ? std::nullopt : partners.partnerOf(input.value);
        if (!partner)
            continue;
        for (const auto* reader : both.b.graph()->users(*partner)) {
            const int k = reader->outputs.empty() ? -1 : both.b.lineOf(reader->outputs[0]);
            if (k >= 0 && both.b.line(k).node == reader && !partners.isPairedB(k) && sameOperator(both, line, k) &&
                readTheSame(partners, node, *reader))
                return k;
        }
        return -1;
    }
    return -1;
}

/// From the inputs on: what reads the same by the same operator is the same.
void matchByInputs(const Programs& both, std::vector<LinePair>& pairs)
{
    Partners partners(both, pairs);
    for (int i = 0; i < both.a.count(); ++i) {
        const int k = partners.isPairedA(i) ? -1 : partnerByInputs(both, partners, i);
        if (k < 0)
            continue;
        pairs.push_back({i, k, false});
        partners.add(pairs.back());
    }
    std::sort(pairs.begin(), pairs.end(), [](const auto& x, const auto& y) { return x.a < y.a; });
}

/// Pairs found by operator alone whose inputs have other partners compute something else.
void dropContradictions(const Programs& both, std::vector<LinePair>& pairs)
{
    Partners partners(both, pairs);
    std::erase_if(pairs, [&](const LinePair& pair) {
        const auto &left = both.a.line(pair.a).node->inputs, &right = both.b.line(pair.b).node->inputs;
        bool wrong = false;
        for (std::size_t i = 0; i < std::min(left.size(), right.size()) && !pair.sameName; ++i)
            wrong = wrong || (!left[i].isConstant() && !right[i].isConstant() && partners.contradict(left[i].value, right[i].value));
        // A sum or product does not care which comes first.
        if (wrong && left.size() >= 2 && right.size() >= 2 && !left[0].isConstant() && !left[1].isConstant() && !right[0].isConstant() &&
            !right[1].isConstant() && (both.a.line(pair.a).node->op == "aten::add" || both.a.line(pair.a).node->op == "aten::mul"))
            wrong = partners.contradict(left[0].value, right[1].value) || partners.contradict(left[1].value, right[0].value);
        if (wrong)
            partners.remove(pair);
        return wrong;
    });
}

void matchGreedily(const Programs& both, const std::vector<int>& left, const std::vector<int>& right, std::vector<LinePair>& out)
{
    std::size_t k = 0;
    for (const int i : left) {
        const auto found = std::find_if(right.begin() + std::ptrdiff_t(k), right.end(), [&](int other) { return sameOperator(both, i, other); });
        if (found == right.end())
            continue;
        out.push_back({i, *found, false});
        k = std::size_t(found - right.begin()) + 1;
    }
}

void matchGap(const Programs& both, const std::vector<int>& left, const std::vector<int>& right, std::vector<LinePair>& out)
{
    const std::size_t n = left.size(), m = right.size();
    if (n == 0 || m == 0)
        return;
    if ((n + 1) * (m + 1) > kMostCells)
        return matchGreedily(both, left, right, out);
    std::vector<std::int32_t> length((n + 1) * (m + 1), 0);
    const auto at = [&](std::size_t i, std::size_t k) -> std::int32_t& { return length[i * (m + 1) + k]; };
    for (std::size_t i = n; i-- > 0;)
        for (std::size_t k = m; k-- > 0;)
            at(i, k) = sameOperator(both, left[i], right[k]) ? at(i + 1, k + 1) + 1 : std::max(at(i + 1, k), at(i, k + 1));
    for (std::size_t i = 0, k = 0; i < n && k < m;) {
        if (sameOperator(both, left[i], right[k]))
            out.push_back({left[i++], right[k++], false});
        else if (at(i + 1, k) >= at(i, k + 1))
            ++i;
        else
            ++k;
    }
}

}  // namespace

std::vector<LinePair> alignLines(const ProgramLines& a, const ProgramLines& b, const LineShapes& shapesA, const LineShapes& shapesB)
{
    const Programs both{a, b, shapesA, shapesB};
    std::vector<LinePair> pairs = sameNames(a, b);
    if (pairs.size() < std::size_t(std::min(a.count(), b.count())))
        matchByInputs(both, pairs);
    std::vector<bool> usedA(std::size_t(a.count()), false), usedB(std::size_t(b.count()), false);
    for (const auto& pair : pairs)
        usedA[std::size_t(pair.a)] = usedB[std::size_t(pair.b)] = true;
    std::vector<LinePair> anchors = ascending(pairs);
    anchors.push_back({a.count(), b.count(), true});
    int i = 0, k = 0;
    for (const auto& anchor : anchors) {
        std::vector<int> left, right;
        for (; i < anchor.a; ++i)
            if (!usedA[std::size_t(i)])
                left.push_back(i);
        for (; k < anchor.b; ++k)
            if (!usedB[std::size_t(k)])
                right.push_back(k);
        matchGap(both, left, right, pairs);
    }
    std::sort(pairs.begin(), pairs.end(), [](const auto& x, const auto& y) { return x.a < y.a; });
    dropContradictions(both, pairs);
    return pairs;
}

}  // namespace orrery::debug
