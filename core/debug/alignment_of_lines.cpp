#include "alignment_of_lines.h"

#include <algorithm>
#include <unordered_map>

#include "line_partners.h"

namespace orrery::debug {
namespace {

/// Above this many cells a gap is matched greedily: 64 MiB of table.
constexpr std::size_t kMostCells = std::size_t(16) << 20;
/// Maps this close are taken for the same ones, whatever they are called: what differs is then shown as a difference.
constexpr double kSameMap = 1e-2;

bool isCommutative(const graph::Node& node)
{
    return node.op == "aten::add" || node.op == "aten::mul";
}

/// Named after its operator, as importers do: "blocks.0.attn.reshape#2". In another graph that may be another one.
bool isNamedByOperator(const graph::Node& node)
{
    const std::string last = node.name.substr(node.name.rfind('.') + 1);
    const std::string op = node.op.substr(node.op.rfind(':') + 1);
    const std::string base = last.substr(0, last.find('#'));
    return node.op.starts_with("prim::") || base == op.substr(std::min(op.size(), op.find_first_not_of('_')));
}

/// The longest run of pairs that ascend in both programs (patience sorting, O(n log n)): between these, gaps are well defined.
std::vector<LinePair> ascending(std::vector<LinePair> pairs)
{
    std::sort(pairs.begin(), pairs.end(), [](const auto& x, const auto& y) { return x.a < y.a; });
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

/// Finds the pairs, one rule after the other.
class Aligner {
public:
    Aligner(const ComparableLines& a, const ComparableLines& b) : m_a(a), m_b(b), m_partners(a, b) {}

    std::vector<LinePair> run()
    {
        matchMapsByName();
        matchMapsByWeights();
        matchNames();
        matchByInputs();
        matchByReaders();
        matchByInputs();
        matchGaps();
        dropContradictions();
        matchByReaders();
        matchByInputs();
        dropUnsupported();
        std::vector<LinePair> pairs = m_partners.pairs();
        std::sort(pairs.begin(), pairs.end(), [](const auto& x, const auto& y) { return x.a < y.a; });
        return pairs;
    }

private:
    /// The name says no more than the operator. Graphs of the same names are compared without a run before: there it does.
    bool isCounted(int line) const { return m_a.value(line) && isNamedByOperator(m_a.node(line)); }
    void matchMapsByName()
    {
        std::unordered_map<std::string, int> byName;
        for (std::size_t k = 0; k < m_b.units().size(); ++k)
            for (const int line : m_b.units()[k].lines)
                byName[m_b.node(line).name] = int(k);
        std::vector<bool> taken(m_b.units().size(), false);
        for (std::size_t i = 0; i < m_a.units().size(); ++i)
            for (const int line : m_a.units()[i].lines) {
                const auto it = byName.find(m_a.node(line).name);
                if (it == byName.end() || taken[std::size_t(it->second)] || !distanceOf(m_a.units()[i], m_b.units()[std::size_t(it->second)]))
                    continue;
                taken[std::size_t(it->second)] = true;
                m_partners.addMaps(int(i), it->second, MatchedBy::Name);
                break;
            }
    }
    /// The closest one that is free; of equally close ones (a module that is called twice) the first.
    void matchMapsByWeights()
    {
        for (std::size_t i = 0; i < m_a.units().size(); ++i) {
            if (!m_partners.isFreeA(m_a.units()[i].end()))
                continue;
            int closest = -1;
            double least = kSameMap;
            for (std::size_t k = 0; k < m_b.units().size(); ++k)
                if (const auto distance = distanceOf(m_a.units()[i], m_b.units()[k]);
                    distance && *distance < least && m_partners.isFreeB(m_b.units()[k].end())) {
                    closest = int(k);
                    least = *distance;
                }
            if (closest >= 0)
                m_partners.addMaps(int(i), closest, MatchedBy::Weights);
        }
    }
    void matchNames()
    {
        std::unordered_map<std::string, int> byName;
        for (int k = 0; k < m_b.count(); ++k)
            byName[m_b.node(k).name] = k;
        for (int i = 0; i < m_a.count(); ++i)
            // Lines of maps that have a partner have found what they are. A counted operator ("reshape#2") is the same only if it makes a tensor of the same shape.
            if (const auto it = byName.find(m_a.node(i).name);
                it != byName.end() && m_partners.isOpenA(i) && m_partners.isOpenB(it->second) && (!isCounted(i) || mayMatch(i, it->second)))
                m_partners.add({i, it->second, MatchedBy::Name});
    }

    /// From the inputs on: what reads the same by the same operator is the same.
    void matchByInputs()
    {
        for (int i = 0; i < m_a.count(); ++i)
            if (const int k = m_partners.isFreeA(i) ? partnerByInputs(i) : -1; k >= 0)
                m_partners.addLines(i, k, MatchedBy::Inputs);
    }
    /// The first free line of `b` that reads what belongs to what `line` of `a` reads; -1: none.
    int partnerByInputs(int line) const
    {
        for (const auto& input : m_a.inputs(line)) {
            const auto partner = input.isConstant() ? std::nullopt : m_partners.partnerOf(input.value);
            if (!partner)
                continue;
            for (const int k : readersOf(*partner))
                if (m_partners.isFreeB(k) && m_partners.sameOperator(line, k) && readTheSame(line, k))
                    return k;
            return -1;
        }
        return -1;
    }
    /// Lines of `b` that read a value, also through copies.
    std::vector<int> readersOf(graph::ValueId value) const
    {
        std::vector<int> readers;
        for (const auto* reader : m_b.lines().graph()->users(value)) {
            const int k = reader->outputs.empty() ? -1 : m_b.lines().lineOf(reader->outputs[0]);
            if (k < 0 || &m_b.node(k) != reader)
                continue;
            readers.push_back(m_b.endOf(k));
            if (isCopy(*reader) && !m_partners.isPairedB(k))
                for (const int behind : readersOf(reader->outputs[0]))
                    readers.push_back(behind);
        }
        return readers;
    }
    /// Do two lines read what belongs together, in the order of their arguments? Sums and products may swap theirs.
    bool readTheSame(int lineA, int lineB) const
    {
        const auto &left = m_a.inputs(lineA), &right = m_b.inputs(lineB);
        // Operators of two names have other arguments behind the value.
        const std::size_t sizes = m_a.node(lineA).op == m_b.node(lineB).op ? std::max(left.size(), right.size()) : 1;
        if (left.size() < sizes || right.size() < sizes)
            return false;
        bool any = false;
        // Numbers and lists (sizes, mostly) are only the same where their literals are.
        const LineValue* known = m_a.value(lineA);
        const bool isNumber = known && !known->isKnownTensor();
        for (std::size_t i = 0; i < sizes; ++i) {
            if (left[i].isConstant() != right[i].isConstant())
                return false;
            if (left[i].isConstant() && isNumber && !(left[i].constant == right[i].constant))
                return false;
            if (left[i].isConstant())
                continue;
            if (!belongAt(lineA, left, right, i))
                return false;
            any = true;
        }
        return any;
    }
    bool belongAt(int lineA, const std::vector<graph::Operand>& left, const std::vector<graph::Operand>& right, std::size_t i) const
    {
        if (m_partners.belong(left[i].value, right[i].value))
            return true;
        const std::size_t other = 1 - i;
        return i < 2 && isCommutative(m_a.node(lineA)) && left.size() > 1 && right.size() > 1 && !right[other].isConstant() &&
               m_partners.belong(left[i].value, right[other].value);
    }

    /// From the ends on: what partners read in the same place is the same, however it is computed.
    void matchByReaders()
    {
        const auto &left = m_a.lines().graph()->data().body.outputs, &right = m_b.lines().graph()->data().body.outputs;
        for (std::size_t i = 0; i < std::min(left.size(), right.size()) && left.size() == right.size(); ++i)
            if (!left[i].isConstant() && !right[i].isConstant())
                matchProducers(left[i].value, right[i].value);
        std::vector<LinePair> all = m_partners.pairs();
        std::sort(all.begin(), all.end(), [](const auto& x, const auto& y) { return x.a < y.a; });
        m_readers.insert(m_readers.end(), all.begin(), all.end());
        while (!m_readers.empty()) {
            const LinePair pair = m_readers.back();
            m_readers.pop_back();
            matchInputsOf(pair.a, pair.b);
        }
    }
    void matchInputsOf(int lineA, int lineB)
    {
        lineA = m_a.endOf(lineA);
        lineB = m_b.endOf(lineB);
        if (!m_partners.sameOperator(lineA, lineB))
            return;
        const auto &left = m_a.inputs(lineA), &right = m_b.inputs(lineB);
        const std::size_t sizes = m_a.node(lineA).op == m_b.node(lineB).op ? std::min(left.size(), right.size()) : 1;
        const bool swapped = isCommutative(m_a.node(lineA)) && sizes > 1 && isSwapped(left, right);
        for (std::size_t i = 0; i < sizes; ++i) {
            const auto& other = right[swapped && i < 2 ? 1 - i : i];
            if (!left[i].isConstant() && !other.isConstant())
                matchProducers(left[i].value, other.value);
        }
    }
    bool isSwapped(const std::vector<graph::Operand>& left, const std::vector<graph::Operand>& right) const
    {
        if (left[0].isConstant() || left[1].isConstant() || right[0].isConstant() || right[1].isConstant())
            return false;
        const auto straight = m_partners.belong(left[0].value, right[0].value) || m_partners.belong(left[1].value, right[1].value);
        return !straight && (m_partners.belong(left[0].value, right[1].value) || m_partners.belong(left[1].value, right[0].value) ||
                             m_partners.contradict(left[0].value, right[0].value) || m_partners.contradict(left[1].value, right[1].value));
    }
    void matchProducers(graph::ValueId left, graph::ValueId right)
    {
        left = m_partners.behindCopiesA(left);
        right = m_partners.behindCopiesB(right);
        const int i = m_a.lines().lineOf(left), k = m_b.lines().lineOf(right);
        if (i < 0 || k < 0 || !m_partners.isFreeA(i) || !m_partners.isFreeB(k) || m_a.node(i).outputs[0] != left || m_b.node(k).outputs[0] != right)
            return;
        const LineValue *first = m_a.value(i), *second = m_b.value(k);
        if (!first || !second || !first->isKnownTensor() || !second->isKnownTensor() || first->shape != second->shape)
            return;
        m_partners.addLines(i, k, MatchedBy::Readers);
        m_readers.push_back({i, k, MatchedBy::Readers});
    }

    void matchGaps()
    {
        std::vector<LinePair> anchors = ascending(m_partners.pairs());
        anchors.push_back({m_a.count(), m_b.count(), MatchedBy::Name});
        int i = 0, k = 0;
        for (const auto& anchor : anchors) {
            std::vector<int> left, right;
            for (; i < anchor.a; ++i)
                if (m_partners.isFreeA(i))
                    left.push_back(i);
            for (; k < anchor.b; ++k)
                if (m_partners.isFreeB(k))
                    right.push_back(k);
            matchGap(left, right);
        }
    }
    /// Numbers and lists without a name or known inputs are sizes on their way: the same operator says nothing.
    bool mayMatch(int lineA, int lineB) const
    {
        const LineValue* known = m_a.value(lineA);
        return m_partners.sameOperator(lineA, lineB) && (!known || known->isKnownTensor());
    }
    void matchGap(const std::vector<int>& left, const std::vector<int>& right)
    {
        const std::size_t n = left.size(), m = right.size();
        if (n == 0 || m == 0)
            return;
        if ((n + 1) * (m + 1) > kMostCells)
            return matchGreedily(left, right);
        std::vector<std::int32_t> length((n + 1) * (m + 1), 0);
        const auto at = [&](std::size_t i, std::size_t k) -> std::int32_t& { return length[i * (m + 1) + k]; };
        for (std::size_t i = n; i-- > 0;)
            for (std::size_t k = m; k-- > 0;)
                at(i, k) = mayMatch(left[i], right[k]) ? at(i + 1, k + 1) + 1 : std::max(at(i + 1, k), at(i, k + 1));
        for (std::size_t i = 0, k = 0; i < n && k < m;) {
            if (mayMatch(left[i], right[k]))
                m_partners.addLines(left[i++], right[k++], MatchedBy::Operator);
            else if (at(i + 1, k) >= at(i, k + 1))
                ++i;
            else
                ++k;
        }
    }
    void matchGreedily(const std::vector<int>& left, const std::vector<int>& right)
    {
        std::size_t k = 0;
        for (const int i : left) {
            const auto found = std::find_if(right.begin() + std::ptrdiff_t(k), right.end(), [&](int other) { return mayMatch(i, other); });
            if (found == right.end())
                continue;
            m_partners.addLines(i, *found, MatchedBy::Operator);
            k = std::size_t(found - right.begin()) + 1;
        }
    }

    /// Pairs found by operator alone, or by names that only count operators, whose inputs have other partners compute something else.
    void dropContradictions()
    {
        m_partners.removeIf([&](const LinePair& pair) {
            if (pair.by != MatchedBy::Operator && !(pair.by == MatchedBy::Name && isCounted(pair.a)))
                return false;
            const auto &left = m_a.inputs(m_a.endOf(pair.a)), &right = m_b.inputs(m_b.endOf(pair.b));
            const auto contradicts = [&](std::size_t i, std::size_t k) {
                return !left[i].isConstant() && !right[k].isConstant() && m_partners.contradict(left[i].value, right[k].value);
            };
            bool wrong = false;
            for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
                wrong = wrong || contradicts(i, i);
            // A sum or product does not care which comes first.
            if (wrong && left.size() >= 2 && right.size() >= 2 && isCommutative(m_a.node(pair.a)))
                wrong = contradicts(0, 1) || contradicts(1, 0);
            return wrong;
        });
    }

    /// Operator and shape alone say little: some value that it reads, or some line that reads it, must belong to the other's.
    void dropUnsupported()
    {
        m_partners.removeIf([&](const LinePair& pair) { return pair.by == MatchedBy::Operator && !readsAPartner(pair) && !isReadByPartners(pair); });
    }
    bool readsAPartner(const LinePair& pair) const
    {
        const auto &left = m_a.inputs(m_a.endOf(pair.a)), &right = m_b.inputs(m_b.endOf(pair.b));
        return std::any_of(left.begin(), left.end(), [&](const auto& one) {
            return !one.isConstant() && std::any_of(right.begin(), right.end(), [&](const auto& other) {
                return !other.isConstant() && m_partners.belong(one.value, other.value);
            });
        });
    }
    bool isReadByPartners(const LinePair& pair) const
    {
        const auto& outputs = m_a.node(pair.a).outputs;
        return !outputs.empty() && std::any_of(m_partners.pairs().begin(), m_partners.pairs().end(), [&](const LinePair& reader) {
            const auto reads = [](const ComparableLines& lines, int line, const std::vector<graph::ValueId>& made) {
                return std::any_of(lines.inputs(line).begin(), lines.inputs(line).end(), [&](const auto& input) {
                    return !input.isConstant() && std::find(made.begin(), made.end(), input.value) != made.end();
                });
            };
            return m_partners.sameOperator(m_a.endOf(reader.a), m_b.endOf(reader.b)) && reads(m_a, m_a.endOf(reader.a), outputs) &&
                   reads(m_b, m_b.endOf(reader.b), m_b.node(pair.b).outputs);
        });
    }

    const ComparableLines &m_a, &m_b;
    LinePartners m_partners;
    std::vector<LinePair> m_readers;  // whose inputs are looked at next
};

}  // namespace

const char* matchedByName(MatchedBy by)
{
    switch (by) {
    case MatchedBy::Name: return "name";
    case MatchedBy::Weights: return "weights";
    case MatchedBy::Inputs: return "inputs";
    case MatchedBy::Readers: return "readers";
    case MatchedBy::Operator: return "operator and order";
    }
    return "";
}

std::vector<LinePair> alignLines(const ComparableLines& a, const ComparableLines& b)
{
    return Aligner(a, b).run();
}

}  // namespace orrery::debug
