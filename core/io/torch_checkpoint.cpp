#include "torch_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include <core/base/error.h>
#include <core/base/text.h>

#include "pickle_calls.h"
#include "utf8.h"

namespace orrery::io {
namespace {

/// Under which keys training scripts keep the weights, in the order in which they are looked for.
constexpr std::string_view kStateNames[] = {"state_dict", "model_state_dict", "model_state", "model",  "module",
                                            "net",        "network",          "weights",     "params", "ema"};
constexpr int kMaxEntered = 4, kMaxNested = 64, kShownDepth = 4;
constexpr std::size_t kShownItems = 16, kShownText = 200, kMaxShown = 2000;

class CheckpointReader {
public:
    CheckpointReader(const TorchFile& file, std::string_view name) : m_file(file), m_pickle(file.pickle), m_name(name) {}
    TorchCheckpoint checkpoint();

private:
    [[noreturn]] void fail(const std::string& what) const { throw core::FormatError(fmt::format("{}: {}", m_name, what)); }
    const PickleNode& at(PickleIndex index) const { return m_pickle.at(index); }
    /// Values may be shared: a file whose tree is far larger than the file is refused.
    void visit(int depth, std::size_t steps = 1)
    {
        m_visited += steps;
        if (depth > kMaxNested || m_visited > m_budget)
            fail("the values hold themselves or one another too often");
    }
    void markHolders();
    bool holdsTensors(PickleIndex index) const { return m_holds[index]; }
    std::size_t tensorsBelow(const PickleNode& node);
    const PickleNode* moduleState(const PickleNode& node);
    const PickleNode& enter(const PickleNode& root);
    void noteRest(const PickleNode& dict, std::string_view entered);
    void noteOther(const std::string& name, core::Json shown);
    std::string keyText(PickleIndex key) const;
    void add(const std::string& name, const PickleNode& tensor, bool isBuffer);
    void flatten(const PickleNode& node, const std::string& prefix, int depth);
    void flattenItem(const PickleNode& value, const std::string& name, int depth);
    void walkModule(const PickleNode& object, const std::string& path, int depth);
    void addLeaves(const PickleNode& state, std::string_view kind, const std::string& prefix, bool areBuffers);
    core::Json shown(const PickleNode& node, int depth) const;
    core::Json shownItems(const PickleNode& node, int depth) const;
    std::string shownTensor(const PickleNode& node) const;

    const TorchFile& m_file;
    const Pickle& m_pickle;
    std::string_view m_name;
    TorchCheckpoint m_result;
    std::unordered_set<std::string> m_names;
    std::vector<bool> m_holds;  // one a node
    std::size_t m_visited = 0, m_budget = 0, m_notShown = 0;
};

/// From every tensor back to whatever holds it; each value is looked at once.
void CheckpointReader::markHolders()
{
    const auto& nodes = m_pickle.nodes;
    std::vector<std::uint32_t> first(nodes.size() + 1, 0);  // where the holders of a node begin
    for (const auto& node : nodes)
        for (const auto item : node.items)
            ++first[item + 1];
    for (std::size_t i = 0; i < nodes.size(); ++i)
        first[i + 1] += first[i];
    std::vector<PickleIndex> holders(first.back()), open;
    auto next = first;
    m_holds.assign(nodes.size(), false);
    for (PickleIndex i = 0; i < nodes.size(); ++i) {
        for (const auto item : nodes[i].items)
            holders[next[item]++] = i;
        if (nodes[i].kind == PickleKind::Tensor) {
            m_holds[i] = true;
            open.push_back(i);
        }
    }
    while (!open.empty()) {
        const auto index = open.back();
        open.pop_back();
        for (auto at = first[index]; at < first[index + 1]; ++at)
            if (!m_holds[holders[at]]) {
                m_holds[holders[at]] = true;
                open.push_back(holders[at]);
            }
    }
    m_budget = 16 * (nodes.size() + holders.size()) + 1000;
}

/// Each value is counted once, however often it is there.
std::size_t CheckpointReader::tensorsBelow(const PickleNode& node)
{
    std::unordered_set<const PickleNode*> seen;
    std::vector<const PickleNode*> open = {&node};
    std::size_t count = 0;
    while (!open.empty()) {
        const PickleNode* next = open.back();
        open.pop_back();
        if (!seen.insert(next).second)
            continue;
        visit(0, 1 + next->items.size());
        count += next->kind == PickleKind::Tensor;
        for (const auto item : next->items)
            open.push_back(&at(item));
    }
    return count;
}

/// The attributes of a pickled module; null for everything else.
const PickleNode* CheckpointReader::moduleState(const PickleNode& node)
{
    if (node.kind != PickleKind::Object || !node.hasState)
        return nullptr;
    const auto& state = at(node.items.back());
    visit(0, state.items.size());
    return m_pickle.find(state, "_parameters") && m_pickle.find(state, "_modules") ? &state : nullptr;
}

std::string CheckpointReader::keyText(PickleIndex key) const
{
    const auto& node = at(key);
    if (node.kind == PickleKind::Integer)
        return std::to_string(node.integer);
    if (node.kind != PickleKind::Text)
        fail("expected texts or integers as the keys of a dictionary of tensors, found another value");
    try {
        decodeUtf8(node.text(), m_name);
    } catch (const core::FormatError&) {
        fail("the name of a tensor is no text (UTF-8)");
    }
    return std::string(node.text());
}

void CheckpointReader::noteRest(const PickleNode& dict, std::string_view entered)
{
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
        const auto& value = at(dict.items[i + 1]);
        const auto& key = at(dict.items[i]);
        if ((key.kind != PickleKind::Text && key.kind != PickleKind::Integer) || (key.kind == PickleKind::Text && key.text() == entered))
            continue;
        const bool hasTensors = value.kind != PickleKind::Tensor && holdsTensors(dict.items[i + 1]);
        noteOther(keyText(dict.items[i]), hasTensors ? core::Json(fmt::format("{} tensors", tensorsBelow(value))) : shown(value, 0));
    }
}

/// What stands beside the tensors is for people to read: what no one would is counted.
void CheckpointReader::noteOther(const std::string& name, core::Json shown)
{
    if (m_result.about.size() < kMaxShown)
        m_result.about[name] = std::move(shown);
    else
        m_result.about["..."] = fmt::format("{} more", ++m_notShown);
}

/// From the root to the dictionary of tensors, one usual name after another.
const PickleNode& CheckpointReader::enter(const PickleNode& root)
{
    const PickleNode* node = &root;
    std::string path;
    for (int depth = 0; depth < kMaxEntered && node->kind == PickleKind::Dict; ++depth) {
        const PickleNode* inside = nullptr;
        for (const auto name : kStateNames) {
            const auto index = m_pickle.findIndex(*node, name);
            if (!index || (at(*index).kind != PickleKind::Dict && !moduleState(at(*index))) || !holdsTensors(*index))
                continue;
            inside = &at(*index);
            noteRest(*node, name);
            path += (path.empty() ? "" : ".") + std::string(name);
            break;
        }
        if (!inside)
            break;
        node = inside;
    }
    if (!path.empty())
        m_result.notes.push_back(fmt::format("the weights are \"{}\" of the file", path));
    return *node;
}

void CheckpointReader::add(const std::string& name, const PickleNode& tensor, bool isBuffer)
{
    if (name.empty())
        fail("a tensor has an empty name");
    if (!m_names.insert(name).second)
        fail(fmt::format("tensor {} is there twice", name));
    m_result.tensors.push_back({name, std::uint32_t(tensor.integer), isBuffer});
}

void CheckpointReader::flattenItem(const PickleNode& value, const std::string& name, int depth)
{
    if (value.kind == PickleKind::Tensor)
        add(name, value, false);
    else if (moduleState(value))
        walkModule(value, name, depth);
    else if (value.kind == PickleKind::Dict || value.kind == PickleKind::List || value.kind == PickleKind::Tuple)
        flatten(value, name + ".", depth);
    else
        noteOther(name, shown(value, 0));
}

void CheckpointReader::flatten(const PickleNode& node, const std::string& prefix, int depth)
{
    visit(depth);
    const bool isDict = node.kind == PickleKind::Dict;
    for (std::size_t i = 0; i + (isDict ? 1 : 0) < node.items.size(); i += isDict ? 2 : 1) {
        const auto index = node.items[i + (isDict ? 1 : 0)];
        const auto& value = at(index);
        visit(depth);
        // A list of plain numbers is one thing beside the tensors, not many.
        const bool isOther = !holdsTensors(index);
        if (isOther && (!isDict || at(node.items[i]).kind != PickleKind::Text))
            continue;
        const auto name = prefix + (isDict ? keyText(node.items[i]) : std::to_string(i));
        if (isOther)
            noteOther(name, shown(value, 0));
        else
            flattenItem(value, name, depth + 1);
    }
}

void CheckpointReader::addLeaves(const PickleNode& state, std::string_view kind, const std::string& prefix, bool areBuffers)
{
    const auto* leaves = m_pickle.find(state, kind);
    if (!leaves || leaves->kind != PickleKind::Dict)
        return;
    for (std::size_t i = 0; i + 1 < leaves->items.size(); i += 2)
        if (at(leaves->items[i + 1]).kind == PickleKind::Tensor)
            add(prefix + keyText(leaves->items[i]), at(leaves->items[i + 1]), areBuffers);
}

void CheckpointReader::walkModule(const PickleNode& object, const std::string& path, int depth)
{
    visit(depth);
    const auto* state = moduleState(object);
    if (!state)
        return;
    m_result.modules.push_back({path, std::string(m_pickle.nameOf(object).text)});
    const auto prefix = path.empty() ? std::string() : path + ".";
    addLeaves(*state, "_parameters", prefix, false);
    addLeaves(*state, "_buffers", prefix, true);
    const auto* children = m_pickle.find(*state, "_modules");
    if (children->kind == PickleKind::Dict)
        for (std::size_t i = 0; i + 1 < children->items.size(); i += 2)
            walkModule(at(children->items[i + 1]), prefix + keyText(children->items[i]), depth + 1);
}

std::string CheckpointReader::shownTensor(const PickleNode& node) const
{
    const auto& tensor = m_file.tensors[std::size_t(node.integer)];
    return fmt::format("tensor {} {}", core::formatShape(tensor.sizes), elementName(tensor.type));
}

core::Json CheckpointReader::shownItems(const PickleNode& node, int depth) const
{
    const bool isDict = node.kind == PickleKind::Dict;
    core::Json list = isDict ? core::Json::object() : core::Json::array();
    const std::size_t step = isDict ? 2 : 1, count = node.items.size() / step;
    if (depth >= kShownDepth)
        return fmt::format("{} values", count);
    for (std::size_t i = 0; i < std::min(count, kShownItems); ++i) {
        if (!isDict) {
            list.push_back(shown(at(node.items[i]), depth + 1));
            continue;
        }
        const auto key = shown(at(node.items[2 * i]), kShownDepth);
        list[key.is_string() ? key.get<std::string>() : key.dump()] = shown(at(node.items[2 * i + 1]), depth + 1);
    }
    if (const auto more = fmt::format("{} more", count - std::min(count, kShownItems)); count > kShownItems && isDict)
        list["..."] = more;
    else if (count > kShownItems)
        list.push_back(more);
    return list;
}

core::Json CheckpointReader::shown(const PickleNode& node, int depth) const
{
    switch (node.kind) {
    case PickleKind::None: return nullptr;
    case PickleKind::Boolean: return node.integer != 0;
    case PickleKind::Integer: return node.integer;
    case PickleKind::Real: return std::isfinite(node.real) ? core::Json(node.real) : core::Json(core::formatNumber(node.real));
    case PickleKind::Long: return fmt::format("an integer of {} bytes", node.text().size());
    case PickleKind::Bytes: return fmt::format("{} bytes", node.text().size());
    case PickleKind::Text:
        try {
            decodeUtf8(node.text().substr(0, kShownText), m_name);
            return std::string(node.text().substr(0, kShownText)) + (node.text().size() > kShownText ? "..." : "");
        } catch (const core::FormatError&) {
            return fmt::format("{} bytes", node.text().size());
        }
    case PickleKind::Tensor: return shownTensor(node);
    case PickleKind::Storage: return "a storage";
    case PickleKind::Global: return pickleName(m_pickle, node);
    case PickleKind::Object: return "an object of class " + pickleName(m_pickle, node);
    case PickleKind::List:
    case PickleKind::Tuple:
    case PickleKind::Set:
    case PickleKind::Dict: return shownItems(node, depth);
    }
    return nullptr;
}

TorchCheckpoint CheckpointReader::checkpoint()
{
    markHolders();
    const auto& node = enter(at(m_pickle.root));
    if (node.kind == PickleKind::Tensor) {
        add("tensor", node, false);
    } else if (moduleState(node)) {
        walkModule(node, "", 0);
        m_result.notes.push_back(fmt::format(
            "a whole pickled module of class {}: its weights and its tree of modules were read, its code was not run", pickleName(m_pickle, node)));
    } else if (node.kind == PickleKind::Dict || node.kind == PickleKind::List || node.kind == PickleKind::Tuple) {
        flatten(node, "", 0);
    }
    if (m_result.tensors.empty())
        fail(fmt::format("expected tensors (a state dictionary), found {}",
                         shown(at(m_pickle.root), kShownDepth).dump(-1, ' ', false, core::Json::error_handler_t::replace)));
    return std::move(m_result);
}

}  // namespace

TorchCheckpoint findCheckpoint(const TorchFile& file, std::string_view name)
{
    return CheckpointReader(file, name).checkpoint();
}

}  // namespace orrery::io
