#include "graph_colours.h"

#include <QObject>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>

#include <core/report/colour_map.h>

#include "theme.h"

namespace orrery::widgets {
namespace {

/// Names that belong to a family as a whole, and parts of names that do.
struct FamilyWords {
    std::vector<std::string_view> whole, parts;
};

const std::array<FamilyWords, 7>& familyWords()
{
    static const std::array<FamilyWords, 7> kWords{{
        {{"linear", "gru", "rnn", "mm", "bmm", "matmul", "addmm", "baddbmm", "einsum", "mv", "dot", "embedding", "gemm"},
         {"conv", "quantize", "lstm", "gru_cell", "rnn_tanh", "rnn_relu"}},
        {{"relu", "gelu", "silu", "sigmoid", "tanh", "elu", "selu", "celu", "softplus", "mish", "threshold", "erf", "clamp", "clip", "prelu",
          "swish"},
         {"leaky_relu", "hard", "relu", "elu"}},
        {{"dropout"}, {"norm"}},
        {{"softmax", "log_softmax", "logsumexp", "sdpa"}, {"attention", "softmax"}},
        {{"mean", "sum", "max", "min", "amax", "amin", "var", "std", "prod", "argmax", "argmin", "topk", "cumsum", "any", "all", "norm"},
         {"pool", "upsample", "interpolate", "grid_sample", "reduce", "resize"}},
        {{"view",   "reshape",    "permute",  "transpose", "t",       "cat",           "concat",     "stack",          "slice",
          "select", "expand",     "squeeze",  "unsqueeze", "flatten", "split",         "chunk",      "index",          "gather",
          "pad",    "contiguous", "to",       "clone",     "repeat",  "roll",          "arange",     "zeros",          "ones",
          "full",   "tril",       "triu",     "unbind",    "detach",  "ListConstruct", "ListUnpack", "TupleConstruct", "TupleUnpack",
          "size",   "cast",       "constant", "shape",     "identity"},
         {"view", "squeeze", "_like", "index", "scatter", "shuffle", "where", "fill"}},
        {{"add", "sub", "mul",        "div",   "rsub", "pow", "sqrt", "rsqrt",  "exp",  "log",
          "neg", "abs", "reciprocal", "floor", "ceil", "sin", "cos",  "square", "add_", "mul_"},
         {"add", "mul", "sub", "div", "remainder"}},
    }};
    return kWords;
}

// Normalisations and pools are named before sums and products are looked for in them.
int familyOf(std::string name)
{
    if (name.size() > 1 && name.back() == '_')
        name.pop_back();
    const auto& words = familyWords();
    for (std::size_t family = 0; family < words.size(); ++family)
        for (const auto word : words[family].whole)
            if (name == word)
                return int(family);
    for (std::size_t family = 0; family < words.size(); ++family)
        for (const auto part : words[family].parts)
            if (name.find(part) != std::string::npos)
                return int(family);
    return -1;
}

bool isPicked(const GraphColours& colours, double number)
{
    return std::isfinite(number) && (!colours.logarithmic || number > 0);
}

}  // namespace

const QStringList& operatorFamilies()
{
    static const QStringList kNames{QObject::tr("weights"),
                                    QObject::tr("activation"),
                                    QObject::tr("normalisation"),
                                    QObject::tr("attention, softmax"),
                                    QObject::tr("pooling, reduction"),
                                    QObject::tr("shape, memory"),
                                    QObject::tr("arithmetic")};
    return kNames;
}

int operatorFamily(const std::string& op)
{
    auto name = op.substr(op.rfind(':') == std::string::npos ? 0 : op.rfind(':') + 1);
    name = name.substr(0, name.find('.'));
    const int exact = familyOf(name);
    if (exact >= 0)
        return exact;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return familyOf(name);
}

GraphColours familyColours(const layout::ItemTree& tree)
{
    GraphColours colours;
    colours.title = QObject::tr("Operator");
    const auto& items = tree.items();
    if (std::none_of(items.begin(), items.end(), [](const auto& item) { return item.kind == layout::Item::Kind::Node; })) {
        colours.families.assign(items.size(), -1);
        return colours;  // weights alone: there is nothing to tell apart
    }
    colours.names = operatorFamilies();
    colours.families.assign(items.size(), -1);
    colours.shares.assign(items.size(), {});
    std::map<std::string, int> known;
    for (std::size_t i = items.size(); i-- > 0;) {
        const auto& item = items[i];
        if (item.kind == layout::Item::Kind::Node) {
            const auto [it, isNew] = known.try_emplace(item.type, 0);
            if (isNew)
                it->second = operatorFamily(item.type);
            colours.families[i] = it->second;
            if (it->second < 0 && !item.isGroup())
                colours.other = QObject::tr("other");
        }
        auto& mine = colours.shares[i];
        if (!item.isGroup() && colours.families[i] >= 0) {
            mine.assign(std::size_t(colours.names.size()), 0);
            mine[std::size_t(colours.families[i])] = 1;
        }
        // What holds one kind only has its colour.
        if (item.isGroup() && std::count_if(mine.begin(), mine.end(), [](int share) { return share > 0; }) == 1)
            colours.families[i] = int(std::max_element(mine.begin(), mine.end()) - mine.begin());
        if (item.parent < 0 || mine.empty())
            continue;
        auto& above = colours.shares[std::size_t(item.parent)];
        above.resize(mine.size(), 0);
        for (std::size_t k = 0; k < mine.size(); ++k)
            above[k] += mine[k];
    }
    return colours;
}

GraphColours numberColours(const QString& title, const QString& unit, std::vector<double> numbers, bool logarithmic)
{
    GraphColours colours;
    colours.kind = GraphColours::Kind::Numbers;
    colours.title = title;
    colours.unit = unit;
    colours.numbers = std::move(numbers);
    colours.logarithmic = logarithmic;
    colours.low = std::numeric_limits<double>::infinity();
    colours.high = -colours.low;
    for (std::size_t i = 1; i < colours.numbers.size(); ++i)  // the whole model is no box
        if (isPicked(colours, colours.numbers[i])) {
            colours.low = std::min(colours.low, colours.numbers[i]);
            colours.high = std::max(colours.high, colours.numbers[i]);
        }
    colours.isKnown = colours.low <= colours.high;
    if (!colours.isKnown)
        colours.low = colours.high = 0;
    return colours;
}

GraphColours changeColours(const std::vector<compare::Change>& changes)
{
    GraphColours colours;
    colours.kind = GraphColours::Kind::Changes;
    colours.title = QObject::tr("Second model");
    colours.names = {QObject::tr("same"), QObject::tr("changed"), QObject::tr("added"), QObject::tr("removed")};
    for (const auto change : changes)
        colours.families.push_back(int(change));
    return colours;
}

std::vector<double> gathered(const layout::ItemTree& tree, const std::vector<double>& ofNodes, Gather how)
{
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    const auto& items = tree.items();
    std::vector<double> numbers(items.size(), nothing);
    const auto take = [how](double& into, double value) {
        if (std::isnan(into))
            into = value;
        else if (!std::isnan(value))
            into = how == Gather::Sum ? into + value : std::max(into, value);
    };
    for (std::size_t i = items.size(); i-- > 1;) {
        const auto& item = items[i];
        if (item.kind == layout::Item::Kind::Node && std::size_t(item.number) < ofNodes.size())
            take(numbers[i], ofNodes[std::size_t(item.number)]);
        take(numbers[std::size_t(item.parent)], numbers[i]);
    }
    return numbers;
}

QColor legendColour(const GraphColours& colours, int entry, bool dark)
{
    if (entry < 0)
        return {};
    // The palette as it is: made darker for a white ground, three of its colours are one to people who see no red or no green. Behind the families: what is wrong.
    if (colours.kind == GraphColours::Kind::Families)
        return entry < operatorFamilies().size() ? toQColor(report::seriesColour(std::size_t(entry))) : themeColors(Theme::palette(dark)).error;
    // Changed: yellow-orange; added: blue; removed: vermilion; of the same palette.
    static constexpr std::array<std::size_t, 4> kOkabeIto{0, 1, 5, 6};
    return entry == 0 || entry > 3 ? QColor() : toQColor(report::okabeIto()[kOkabeIto[std::size_t(entry)]]);
}

QColor boxColour(const GraphColours& colours, int item, bool dark)
{
    const auto index = std::size_t(item);
    if (colours.kind != GraphColours::Kind::Numbers)
        return index < colours.families.size() ? legendColour(colours, colours.families[index], dark) : QColor();
    if (index >= colours.numbers.size() || !isPicked(colours, colours.numbers[index]))
        return {};
    if (colours.low == colours.high)  // one number for all: nothing at all has the colour of nothing
        return toQColor(report::viridis().at(colours.low == 0 ? 0 : 0.5));
    const auto scale = [&](double value) { return colours.logarithmic ? std::log(value) : value; };
    return toQColor(report::viridis().atScaled(scale(colours.numbers[index]), scale(colours.low), scale(colours.high)));
}

}  // namespace orrery::widgets
