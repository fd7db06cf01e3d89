#include "pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_map>

#include <core/base/error.h>

#include "memory_budget.h"
#include "pickle_calls.h"
#include "pickle_opcodes.h"

namespace orrery::io {
namespace {

constexpr PickleIndex kMarkIndex = 0xffffffff;
constexpr std::size_t kMaxProtocol = 5;
// What things take at most, with what is made of them later: holders of tensors and tensors of the graph among it.
constexpr std::uint64_t kNodeMemory = 40, kBlockMemory = 32, kItemMemory = 12, kNameMemory = 64, kStorageMemory = 350, kTensorMemory = 1500,
                        kMemoMemory = 8, kFarMemoMemory = 64;

class Unpickler {
public:
    Unpickler(std::string_view bytes, std::string_view name, const PickleLimits& limits)
        : m_bytes(bytes), m_name(name), m_limits(limits), m_fail([this](const std::string& what) { fail(what); }),
          m_budget(limits.maxMemory ? limits.maxMemory : fileMemory(bytes.size()))
    {
    }
    Pickle wholePickle();

private:
    using Op = PickleOpcode;

    [[noreturn]] void fail(const std::string& what) const
    {
        throw core::FormatError(fmt::format("{}: pickle, byte {}: {}", m_name, m_opcodeAt, what));
    }

    // Bytes.
    std::string_view take(std::uint64_t length, std::string_view what)
    {
        if (length > m_bytes.size() - m_at)
            fail(fmt::format("{} of {} bytes reaches past the end ({} bytes)", what, length, m_bytes.size()));
        const auto part = m_bytes.substr(m_at, std::size_t(length));
        m_at += std::size_t(length);
        return part;
    }
    template <class T>
    T number(std::string_view what)
    {
        T value;
        std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
        return value;
    }
    template <class Length>
    std::string_view counted(std::string_view what)
    {
        const auto length = number<Length>(what);
        if (std::is_signed_v<Length> && length < Length(0))
            fail(fmt::format("{} of negative length {}", what, length));
        return take(std::uint64_t(length), what);
    }
    std::string_view line();

    // Values and the stack.
    void reserve(std::uint64_t memory)
    {
        if (!m_budget.take(memory))
            fail(m_budget.refusal());
    }
    PickleIndex add(PickleNode node)
    {
        // Small constants exist once, so that no real pickle has more values than half its bytes.
        if (m_pickle.nodes.size() >= std::min(m_limits.maxNodes, 100 + m_bytes.size() / 2))
            fail(fmt::format("expected at most {} values", m_pickle.nodes.size()));
        reserve(kNodeMemory);
        m_pickle.nodes.push_back(std::move(node));
        return PickleIndex(m_pickle.nodes.size() - 1);
    }
    void push(PickleIndex index)
    {
        if (m_stack.size() >= m_limits.maxItems)
            fail(fmt::format("expected at most {} values on the stack", m_limits.maxItems));
        if (m_stack.size() == m_stack.capacity())
            reserve(2 * sizeof(PickleIndex) * std::max<std::size_t>(m_stack.size(), 16));  // the old block lives until the new one is filled
        m_stack.push_back(index);
    }
    void pushNode(PickleNode node) { push(add(std::move(node))); }
    PickleIndex pop()
    {
        if (m_stack.empty() || m_stack.back() == kMarkIndex)
            fail("expected a value on the stack, found none");
        const auto index = m_stack.back();
        m_stack.pop_back();
        return index;
    }
    PickleIndex top() const
    {
        if (m_stack.empty() || m_stack.back() == kMarkIndex)
            fail("expected a value on the stack, found none");
        return m_stack.back();
    }
    std::vector<PickleIndex> popToMark();
    PickleNode& node(PickleIndex index) { return m_pickle.nodes[index]; }
    void appendItems(PickleIndex target, const std::vector<PickleIndex>& items, bool inPairs, bool isSet = false);
    void countItems(std::size_t count)
    {
        m_items += count;
        reserve(count == 0 ? 0 : kBlockMemory + count * kItemMemory);
        if (m_items > m_limits.maxItems)
            fail(fmt::format("expected at most {} entries in lists, tuples and dictionaries", m_limits.maxItems));
    }

    // Opcodes, by family; each says whether it was one of its own.
    bool pushConstant(Op op);
    bool pushText(Op op);
    void pushText(PickleKind kind, std::string_view content);
    bool pushContainer(Op op);
    bool fillContainer(Op op);
    bool useMemo(Op op);
    bool makeObject(Op op);
    bool arrangeStack(Op op);
    void pushSmall(PickleKind kind, std::int64_t value);
    void pushLong(std::string_view digits);
    void pushTuple(const std::vector<PickleIndex>& items);
    void pushGlobal(std::string_view module, std::string_view name);
    void remember(std::uint64_t key);
    void recall(std::uint64_t key);
    void reduce();
    void build();
    void newObject(bool hasKeywords);
    [[noreturn]] void refuse(std::uint8_t code) const;

    std::string_view m_bytes, m_name;
    const PickleLimits& m_limits;
    PickleFail m_fail;
    Pickle m_pickle;
    std::size_t m_at = 0, m_opcodeAt = 0, m_items = 0;
    MemoryBudget m_budget;
    std::vector<PickleIndex> m_stack, m_memo;                  // the memo by number, kMarkIndex where nothing was written
    std::unordered_map<std::uint64_t, PickleIndex> m_farMemo;  // numbers that no writer gives
    std::size_t m_remembered = 0, m_overwritten = 0;           // in both
    std::unordered_map<std::int64_t, PickleIndex> m_small;     // None, booleans and small integers exist once
};

std::string_view Unpickler::line()
{
    const auto end = m_bytes.find('\n', m_at);
    if (end == std::string_view::npos)
        fail("a name without an end");
    const auto text = m_bytes.substr(m_at, end - m_at);
    m_at = end + 1;
    return text;
}

std::vector<PickleIndex> Unpickler::popToMark()
{
    std::size_t mark = m_stack.size();
    while (mark > 0 && m_stack[mark - 1] != kMarkIndex)
        --mark;
    if (mark == 0)
        fail("expected a mark on the stack, found none");
    std::vector<PickleIndex> items(m_stack.begin() + std::ptrdiff_t(mark), m_stack.end());
    m_stack.resize(mark - 1);
    return items;
}

void Unpickler::appendItems(PickleIndex target, const std::vector<PickleIndex>& items, bool inPairs, bool isSet)
{
    const auto expected = isSet ? PickleKind::Set : inPairs ? PickleKind::Dict : PickleKind::List;
    if (node(target).kind != expected)
        fail(fmt::format("expected a {} to put values into, found another value", isSet ? "set" : inPairs ? "dictionary" : "list"));
    if (inPairs && items.size() % 2 != 0)
        fail("expected keys and values in pairs");
    countItems(items.size());
    node(target).items.append(items.data(), items.size());
}

void Unpickler::pushSmall(PickleKind kind, std::int64_t value)
{
    const auto key = value * 4 + std::int64_t(kind);  // kinds up to Integer, which is 2
    auto it = m_small.find(key);
    if (it == m_small.end()) {
        it = m_small.emplace(key, add(PickleNode::number(kind, value))).first;
    }
    push(it->second);
}

void Unpickler::pushLong(std::string_view digits)
{
    std::int64_t value = !digits.empty() && std::int8_t(digits.back()) < 0 ? -1 : 0;
    if (digits.size() <= sizeof value) {
        std::memcpy(&value, digits.data(), digits.size());
        return pushNode(PickleNode::number(PickleKind::Integer, value));
    }
    pushText(PickleKind::Long, digits);
}

bool Unpickler::pushConstant(Op op)
{
    switch (op) {
    case Op::None: pushSmall(PickleKind::None, 0); return true;
    case Op::NewTrue: pushSmall(PickleKind::Boolean, 1); return true;
    case Op::NewFalse: pushSmall(PickleKind::Boolean, 0); return true;
    case Op::BinaryInt1: pushSmall(PickleKind::Integer, number<std::uint8_t>("an integer")); return true;
    case Op::BinaryInt2: pushSmall(PickleKind::Integer, number<std::uint16_t>("an integer")); return true;
    case Op::BinaryInt: pushNode(PickleNode::number(PickleKind::Integer, number<std::int32_t>("an integer"))); return true;
    case Op::Long1: pushLong(counted<std::uint8_t>("an integer")); return true;
    case Op::Long4: pushLong(counted<std::int32_t>("an integer")); return true;
    case Op::BinaryFloat: {
        const auto bits = __builtin_bswap64(number<std::uint64_t>("a number"));
        pushNode(PickleNode::realNumber(std::bit_cast<double>(bits)));
        return true;
    }
    default: return false;
    }
}

void Unpickler::pushText(PickleKind kind, std::string_view content)
{
    if (content.size() > std::numeric_limits<std::uint32_t>::max())
        fail(fmt::format("expected texts below 4 GiB, found {} bytes", content.size()));
    pushNode(PickleNode::text(kind, content));
}

bool Unpickler::pushText(Op op)
{
    const auto text = [this](PickleKind kind, std::string_view content) { pushText(kind, content); };
    switch (op) {
    case Op::BinaryUnicode: text(PickleKind::Text, counted<std::uint32_t>("a text")); return true;
    case Op::ShortBinaryUnicode: text(PickleKind::Text, counted<std::uint8_t>("a text")); return true;
    case Op::BinaryUnicode8: text(PickleKind::Text, counted<std::uint64_t>("a text")); return true;
    case Op::BinaryString: text(PickleKind::Text, counted<std::int32_t>("a text")); return true;
    case Op::ShortBinaryString: text(PickleKind::Text, counted<std::uint8_t>("a text")); return true;
    case Op::BinaryBytes: text(PickleKind::Bytes, counted<std::uint32_t>("bytes")); return true;
    case Op::ShortBinaryBytes: text(PickleKind::Bytes, counted<std::uint8_t>("bytes")); return true;
    case Op::BinaryBytes8: text(PickleKind::Bytes, counted<std::uint64_t>("bytes")); return true;
    case Op::ByteArray8: text(PickleKind::Bytes, counted<std::uint64_t>("bytes")); return true;
    default: return false;
    }
}

void Unpickler::pushTuple(const std::vector<PickleIndex>& items)
{
    countItems(items.size());
    PickleNode made = PickleNode::number(PickleKind::Tuple, 0);
    made.items.append(items.data(), items.size());
    pushNode(std::move(made));
}

bool Unpickler::pushContainer(Op op)
{
    const auto empty = [this](PickleKind kind) { pushNode(PickleNode::number(kind, 0)); };
    const auto filled = [&](PickleKind kind) {
        const auto items = popToMark();
        empty(kind);
        appendItems(top(), items, kind == PickleKind::Dict, kind == PickleKind::Set);
    };
    switch (op) {
    case Op::EmptyList: empty(PickleKind::List); return true;
    case Op::EmptyDict: empty(PickleKind::Dict); return true;
    case Op::EmptySet: empty(PickleKind::Set); return true;
    case Op::EmptyTuple: empty(PickleKind::Tuple); return true;
    case Op::List: filled(PickleKind::List); return true;
    case Op::Dict: filled(PickleKind::Dict); return true;
    case Op::FrozenSet: filled(PickleKind::Set); return true;
    case Op::Tuple: pushTuple(popToMark()); return true;
    case Op::Tuple1:
    case Op::Tuple2:
    case Op::Tuple3: {
        std::vector<PickleIndex> items(std::size_t(op) - std::size_t(Op::Tuple1) + 1);
        for (auto it = items.rbegin(); it != items.rend(); ++it)
            *it = pop();
        pushTuple(items);
        return true;
    }
    default: return false;
    }
}

bool Unpickler::fillContainer(Op op)
{
    switch (op) {
    case Op::Append: {
        const auto item = pop();
        appendItems(top(), {item}, false);
        return true;
    }
    case Op::SetItem: {
        const auto value = pop(), key = pop();
        appendItems(top(), {key, value}, true);
        return true;
    }
    case Op::Appends:
    case Op::SetItems:
    case Op::AddItems: {
        const auto items = popToMark();
        appendItems(top(), items, op == Op::SetItems, op == Op::AddItems);
        return true;
    }
    default: return false;
    }
}

/// Writers number their entries from 0 or 1 on, one a value at most: a number far above that is kept apart, so that it takes no table up to it.
void Unpickler::remember(std::uint64_t key)
{
    if (++m_remembered > m_pickle.nodes.size() + m_overwritten)
        fail("found more memo entries than values");
    if (key > 2 * m_pickle.nodes.size() + 1000) {
        if (m_farMemo.insert_or_assign(key, top()).second)
            reserve(kFarMemoMemory);
        else
            ++m_overwritten;
        return;
    }
    if (key >= m_memo.size()) {
        reserve(kMemoMemory * (key + 1 - m_memo.size()));
        m_memo.resize(std::size_t(key) + 1, kMarkIndex);
    }
    m_overwritten += m_memo[std::size_t(key)] != kMarkIndex;
    m_memo[std::size_t(key)] = top();
}

void Unpickler::recall(std::uint64_t key)
{
    if (key < m_memo.size() && m_memo[std::size_t(key)] != kMarkIndex)
        return push(m_memo[std::size_t(key)]);
    const auto found = m_farMemo.find(key);
    if (found == m_farMemo.end())
        fail(fmt::format("memo entry {} is read before it is written", key));
    push(found->second);
}

bool Unpickler::useMemo(Op op)
{
    switch (op) {
    case Op::BinaryGet: recall(number<std::uint8_t>("a memo number")); return true;
    case Op::LongBinaryGet: recall(number<std::uint32_t>("a memo number")); return true;
    case Op::BinaryPut: remember(number<std::uint8_t>("a memo number")); return true;
    case Op::LongBinaryPut: remember(number<std::uint32_t>("a memo number")); return true;
    case Op::Memoize: remember(m_remembered - m_overwritten); return true;
    default: return false;
    }
}

void Unpickler::pushGlobal(std::string_view module, std::string_view name)
{
    constexpr std::size_t kMaxName = 1000;
    if (module.empty() || name.empty() || module.size() > kMaxName || name.size() > kMaxName)
        fail("expected the name of a class");
    reserve(kNameMemory);
    m_pickle.names.push_back({module, name});
    pushNode(PickleNode::number(PickleKind::Global, std::int64_t(m_pickle.names.size() - 1)));
}

void Unpickler::reduce()
{
    const auto arguments = pop(), function = pop();
    if (node(function).kind != PickleKind::Global || node(arguments).kind != PickleKind::Tuple)
        fail("expected a call of a named function, found another value");
    pushNode(pickleCall(m_pickle, node(function), node(arguments), m_fail));
    const auto& made = node(top());
    countItems(made.items.size());
    if (made.kind == PickleKind::Tensor)
        reserve(kTensorMemory + 100 * m_pickle.tensors.back().sizes.size());
}

void Unpickler::build()
{
    const auto state = pop();
    auto& target = node(top());
    // The attributes of an OrderedDict (a state dictionary's `_metadata`) and of a tensor say nothing that is needed.
    if (target.kind == PickleKind::Dict || target.kind == PickleKind::Tensor)
        return;
    if (target.kind != PickleKind::Object || target.hasState)
        fail("expected an object to give a state to, found another value");
    countItems(1);
    target.items.append(&state, 1);
    target.hasState = true;
}

void Unpickler::newObject(bool hasKeywords)
{
    if (hasKeywords)
        pop();
    const auto arguments = pop(), type = pop();
    if (node(type).kind != PickleKind::Global || node(arguments).kind != PickleKind::Tuple)
        fail("expected an object of a named class, found another value");
    PickleNode made = node(type);
    made.kind = PickleKind::Object;
    made.items = node(arguments).items;
    countItems(made.items.size());
    pushNode(std::move(made));
}

bool Unpickler::makeObject(Op op)
{
    switch (op) {
    case Op::Global: {
        const auto module = line();
        pushGlobal(module, line());
        return true;
    }
    case Op::StackGlobal: {
        const auto name = pop(), module = pop();
        if (node(name).kind != PickleKind::Text || node(module).kind != PickleKind::Text)
            fail("expected the name of a class, found another value");
        pushGlobal(node(module).text(), node(name).text());
        return true;
    }
    case Op::Reduce: reduce(); return true;
    case Op::Build: build(); return true;
    case Op::NewObject: newObject(false); return true;
    case Op::NewObjectEx: newObject(true); return true;
    case Op::BinaryPersistentId: {
        const auto id = pop();
        const auto before = m_pickle.storages.size();
        pushNode(pickleStorage(m_pickle, node(id), m_fail));
        reserve(kStorageMemory * (m_pickle.storages.size() - before));
        return true;
    }
    default: return false;
    }
}

bool Unpickler::arrangeStack(Op op)
{
    switch (op) {
    case Op::Mark: push(kMarkIndex); return true;
    case Op::PopMark: popToMark(); return true;
    case Op::Dup: push(top()); return true;
    case Op::Pop:
        if (m_stack.empty())
            fail("expected a value on the stack, found none");
        m_stack.pop_back();
        return true;
    case Op::Frame: number<std::uint64_t>("a frame"); return true;  // a hint for streams
    default: return false;
    }
}

void Unpickler::refuse(std::uint8_t code) const
{
    for (const auto& refused : kRefusedOpcodes)
        if (refused.code == code)
            fail(fmt::format("opcode {} is not read (expected protocol 2 to {} and plain data)", refused.name, kMaxProtocol));
    fail(fmt::format("unknown opcode {:#04x}", code));
}

Pickle Unpickler::wholePickle()
{
    if (m_bytes.size() < 2 || std::uint8_t(m_bytes[0]) != std::uint8_t(Op::Protocol))
        fail("expected a pickle of protocol 2 to 5");
    for (;;) {
        m_opcodeAt = m_at;
        const auto code = number<std::uint8_t>("an opcode");
        const auto op = Op(code);
        if (op == Op::Stop)
            break;
        if (op == Op::Protocol) {
            if (const auto version = number<std::uint8_t>("a protocol"); version < 2 || version > kMaxProtocol)
                fail(fmt::format("expected protocol 2 to {}, found {}", kMaxProtocol, version));
        } else if (!pushConstant(op) && !pushText(op) && !pushContainer(op) && !fillContainer(op) && !useMemo(op) && !makeObject(op) &&
                   !arrangeStack(op)) {
            refuse(code);
        }
    }
    m_pickle.root = pop();
    if (!m_stack.empty())
        fail(fmt::format("expected one value at the end, found {}", m_stack.size() + 1));
    m_pickle.length = m_at;
    return std::move(m_pickle);
}

}  // namespace

Pickle parsePickle(std::string_view bytes, std::string_view name, const PickleLimits& limits)
{
    return Unpickler(bytes, name, limits).wholePickle();
}

}  // namespace orrery::io
