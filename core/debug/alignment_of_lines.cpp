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

bool sameOperator(const ProgramLines& a, int i, const ProgramLines& b, int k)
{
    return a.line(i).node->op == b.line(k).node->op && a.line(i).node->outputs.size() == b.line(k).node->outputs.size();
}

void matchGreedily(const ProgramLines& a, const std::vector<int>& left, const ProgramLines& b, const std::vector<int>& right,
                   std::vector<LinePair>& out)
{
    std::size_t k = 0;
    for (const int i : left) {
        const auto found = std::find_if(right.begin() + std::ptrdiff_t(k), right.end(), [&](int other) { return sameOperator(a, i, b, other); });
        if (found == right.end())
            continue;
        out.push_back({i, *found, false});
        k = std::size_t(found - right.begin()) + 1;
    }
}

void matchGap(const ProgramLines& a, const std::vector<int>& left, const ProgramLines& b, const std::vector<int>& right, std::vector<LinePair>& out)
{
    const std::size_t n = left.size(), m = right.size();
    if (n == 0 || m == 0)
        return;
    if ((n + 1) * (m + 1) > kMostCells)
        return matchGreedily(a, left, b, right, out);
    std::vector<std::int32_t> length((n + 1) * (m + 1), 0);
    const auto at = [&](std::size_t i, std::size_t k) -> std::int32_t& { return length[i * (m + 1) + k]; };
    for (std::size_t i = n; i-- > 0;)
        for (std::size_t k = m; k-- > 0;)
            at(i, k) = sameOperator(a, left[i], b, right[k]) ? at(i + 1, k + 1) + 1 : std::max(at(i + 1, k), at(i, k + 1));
    for (std::size_t i = 0, k = 0; i < n && k < m;) {
        if (sameOperator(a, left[i], b, right[k]))
            out.push_back({left[i++], right[k++], false});
        else if (at(i + 1, k) >= at(i, k + 1))
            ++i;
        else
            ++k;
    }
}

}  // namespace

std::vector<LinePair> alignLines(const ProgramLines& a, const ProgramLines& b)
{
    std::vector<LinePair> pairs = sameNames(a, b);
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
        matchGap(a, left, b, right, pairs);
    }
    std::sort(pairs.begin(), pairs.end(), [](const auto& x, const auto& y) { return x.a < y.a; });
    return pairs;
}

}  // namespace orrery::debug
