#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// A restricted unpickler: what a pickle says, as plain data. Nothing is imported, called or executed.
namespace orrery::io {

/// Index into `Pickle::nodes`.
using PickleIndex = std::uint32_t;

enum class PickleKind : std::uint8_t {
    None,
    Boolean,  ///< `integer` is 0 or 1
    Integer,
    Long,  ///< an integer beyond 64 bits: `text` holds its two's complement, little-endian
    Real,
    Text,     ///< `text`
    Bytes,    ///< `text`
    List,     ///< `items`
    Tuple,    ///< `items`
    Set,      ///< `items`
    Dict,     ///< `items`: key, value, key, value; also OrderedDict, defaultdict and Counter
    Global,   ///< the name of a class or function: `integer` is an index into `Pickle::names`
    Storage,  ///< `integer` is an index into `Pickle::storages`
    Tensor,   ///< `integer` is an index into `Pickle::tensors`
    Object,   ///< a record of a class, `integer` as of a Global: `items` are its arguments and, where it was given, its state
};

/// A list of indices that takes eight bytes while it is empty: most values hold no others.
class PickleItems {
public:
    PickleItems() = default;
    PickleItems(PickleItems&&) noexcept = default;
    PickleItems& operator=(PickleItems&&) noexcept = default;
    PickleItems(const PickleItems& other) { append(other.begin(), other.size()); }
    PickleItems& operator=(const PickleItems& other) { return *this = PickleItems(other); }
    std::size_t size() const { return m_block ? m_block[0] : 0; }
    bool empty() const { return size() == 0; }
    const PickleIndex* begin() const { return m_block ? m_block.get() + 2 : nullptr; }
    const PickleIndex* end() const { return begin() + size(); }
    PickleIndex operator[](std::size_t i) const { return m_block[i + 2]; }
    PickleIndex back() const { return m_block[size() + 1]; }
    void append(const PickleIndex* first, std::size_t count);

private:
    std::unique_ptr<PickleIndex[]> m_block;  // how many there are, for how many there is room, then the indices
};

/// A value in 24 bytes: a hostile file makes one out of two of its own.
struct PickleNode {
    PickleKind kind = PickleKind::None;
    bool hasState = false;     ///< Object: the last of `items` is its state (mostly a Dict: its attributes)
    std::uint32_t length = 0;  ///< of the text
    union {
        std::int64_t integer = 0;
        double real;        ///< Real
        const char* first;  ///< Long, Text, Bytes: into the bytes that were parsed
    };
    PickleItems items;
    std::string_view text() const { return {first, length}; }  ///< of a Long, Text or Bytes

    static PickleNode number(PickleKind kind, std::int64_t value);
    static PickleNode realNumber(double value);
    /// @param content  Of less than 4 GiB; it must outlive the node.
    static PickleNode text(PickleKind kind, std::string_view content);
};

/// The name of a class or function, into the bytes that were parsed.
struct PickleName {
    std::string_view module, text;
};

/// A storage as its persistent id describes it.
struct PickleStorage {
    std::string_view type;  ///< "FloatStorage", "UntypedStorage", ...
    std::string_view key;   ///< name of its bytes
    std::string_view location;
    std::int64_t elements = 0;  ///< bytes for an UntypedStorage
    /// A part of another storage (files before 2018): key of that view; the elements are those from `viewOffset` on.
    std::string_view viewKey;
    std::int64_t viewOffset = 0, viewElements = 0;
    bool operator==(const PickleStorage& other) const = default;
};

/// A tensor as a window on a storage, as it stands in the file: not checked against anything.
struct PickleTensor {
    std::uint32_t storage = 0;  ///< index into `Pickle::storages`
    std::int64_t offset = 0;    ///< in elements
    std::vector<std::int64_t> sizes, strides;
    std::string_view dtype;  ///< "float8_e4m3fn" where the file names it apart from the storage; mostly empty
    bool isParameter = false;
};

struct Pickle {
    std::deque<PickleNode> nodes;
    std::vector<PickleName> names;
    std::vector<PickleStorage> storages;
    std::unordered_map<std::string_view, std::uint32_t> storageByKey;  ///< the last one of each key
    std::vector<PickleTensor> tensors;
    PickleIndex root = 0;
    std::size_t length = 0;  ///< bytes up to and including the end mark; others may follow
    const PickleNode& at(PickleIndex index) const { return nodes[index]; }
    /// @param node  A Global or Object.
    const PickleName& nameOf(const PickleNode& node) const { return names[std::size_t(node.integer)]; }
    /// Value of a text key of a Dict (the last one, where it is given twice); nothing if there is none.
    std::optional<PickleIndex> findIndex(const PickleNode& dict, std::string_view key) const;
    const PickleNode* find(const PickleNode& dict, std::string_view key) const;
};

struct PickleLimits {
    std::size_t maxNodes = 50'000'000;
    std::size_t maxItems = 200'000'000;  ///< entries of all lists, tuples and dictionaries together
    /// Memory that the values, and what is made of them afterwards, may take beside the bytes; 0: `fileMemory` of the bytes' number (see memory_budget.h).
    std::uint64_t maxMemory = 0;
};

/// Reads one pickle of protocol 2 to 5 from the start of `bytes`, which must outlive the result. Lists may hold themselves, as in Python: who walks the result keeps count.
/// Calls are known only for what describes data: OrderedDict and other containers, torch.Size, torch.device, the `_rebuild_...` functions of dense tensors and parameters, NumPy's scalars and
/// arrays (kept as records). Objects of any class are kept as records of their attributes.
/// @throws core::FormatError naming `name`, the byte, and what was found: another protocol; an opcode that is unknown or of protocol 0 and 1; a call of any other function ("posix.system"), by
///         its name; quantised, sparse and other special tensors, by the function's name; a stack, memo, length or size that does not fit; values that would take more memory than the limit; the end of the bytes.
/// Source: Python, Lib/pickletools.py (the opcodes); PyTorch, torch/serialization.py and torch/_utils.py (persistent ids and rebuild functions).
Pickle parsePickle(std::string_view bytes, std::string_view name, const PickleLimits& limits = {});

}  // namespace orrery::io
