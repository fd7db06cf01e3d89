#include "torch_file.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include <core/base/error.h>

#include "memory_budget.h"
#include "zip.h"

namespace orrery::io {
namespace {

constexpr std::string_view kZipStart = "PK\x03\x04", kPickleName = "data.pkl";
// A pickle of protocol 2 that is the number 0x1950a86a20f9469cfc6c.
constexpr std::string_view kLegacyStart("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
constexpr std::uint64_t kVerifiedBytes = std::uint64_t(64) << 20, kMaxPickle = std::uint64_t(256) << 20, kMaxDeflated = std::uint64_t(32) << 20,
                        kMaxExpanded = std::uint64_t(64) << 20;

struct StorageType {
    std::string_view name;
    ElementType type;
};
constexpr StorageType kStorageTypes[] = {{"FloatStorage", ElementType::Float32},
                                         {"DoubleStorage", ElementType::Float64},
                                         {"HalfStorage", ElementType::Float16},
                                         {"BFloat16Storage", ElementType::BFloat16},
                                         {"LongStorage", ElementType::Int64},
                                         {"IntStorage", ElementType::Int32},
                                         {"ShortStorage", ElementType::Int16},
                                         {"CharStorage", ElementType::Int8},
                                         {"ByteStorage", ElementType::UInt8},
                                         {"BoolStorage", ElementType::Bool},
                                         {"ComplexFloatStorage", ElementType::Complex64},
                                         {"ComplexDoubleStorage", ElementType::Complex128},
                                         {"UntypedStorage", ElementType::UInt8}};
// dtypes that torch._utils._rebuild_tensor_v3 names, because they have no storage class.
constexpr StorageType kDtypes[] = {{"float8_e4m3fn", ElementType::Float8E4M3},
                                   {"float8_e5m2", ElementType::Float8E5M2},
                                   {"uint16", ElementType::UInt16},
                                   {"uint32", ElementType::UInt32},
                                   {"uint64", ElementType::UInt64},
                                   {"float32", ElementType::Float32},
                                   {"float64", ElementType::Float64},
                                   {"float16", ElementType::Float16},
                                   {"bfloat16", ElementType::BFloat16},
                                   {"int64", ElementType::Int64},
                                   {"int32", ElementType::Int32},
                                   {"int16", ElementType::Int16},
                                   {"int8", ElementType::Int8},
                                   {"uint8", ElementType::UInt8},
                                   {"bool", ElementType::Bool}};

template <std::size_t N>
std::optional<ElementType> typeNamed(const StorageType (&types)[N], std::string_view name)
{
    for (const auto& type : types)
        if (type.name == name)
            return type.type;
    return {};
}

/// Both formats, step by step: the pickle, then the place of every storage, then the tensors against them.
class TorchReader {
public:
    TorchReader(std::string_view bytes, std::string_view name) : m_bytes(bytes), m_name(name) {}
    TorchFile read()
    {
        m_bytes.starts_with(kZipStart) ? readZip() : readLegacy();
        for (std::size_t i = 0; i < m_file.pickle.tensors.size(); ++i)
            m_file.tensors.push_back(placed(m_file.pickle.tensors[i]));
        return std::move(m_file);
    }

private:
    [[noreturn]] void fail(const std::string& what) const { throw core::FormatError(fmt::format("{}: {}", m_name, what)); }
    void readZip();
    void readByteOrder(std::string_view text);
    void readLegacy();
    void readLegacyStorages(std::size_t at);
    ElementType typeOf(const PickleStorage& storage) const;
    std::uint64_t bytesOf(const PickleStorage& storage) const;
    void addPlace(std::string_view key, ElementType type, std::uint64_t begin, std::uint64_t end);
    TorchTensor placed(const PickleTensor& tensor) const;
    const TorchStorage& placeOf(const PickleStorage& storage) const;
    void checkInside(const TorchTensor& tensor, std::uint64_t first, std::uint64_t elements) const;

    std::string_view m_bytes, m_name;
    TorchFile m_file;
    std::unordered_map<std::string_view, std::uint32_t> m_places;  // key -> index into m_file.storages
};

ElementType TorchReader::typeOf(const PickleStorage& storage) const
{
    if (const auto type = typeNamed(kStorageTypes, storage.type))
        return *type;
    fail(fmt::format("storage {}: a {} is not read{}", storage.key.substr(0, 40), storage.type.substr(0, 40),
                     storage.type.starts_with("Q") ? " (quantised tensors are not)" : ""));
}

std::uint64_t TorchReader::bytesOf(const PickleStorage& storage) const
{
    const std::int64_t shape[] = {storage.elements};
    return checkedByteSize(shape, elementSize(typeOf(storage)), m_name);
}

void TorchReader::addPlace(std::string_view key, ElementType type, std::uint64_t begin, std::uint64_t end)
{
    if (m_places.emplace(key, std::uint32_t(m_file.storages.size())).second)
        m_file.storages.push_back({type, begin, end});
}

// --- zip ---

void TorchReader::readByteOrder(std::string_view text)
{
    if (text != "little" && text != "big")
        fail(fmt::format("byteorder: expected \"little\" or \"big\", found \"{}\"", text.substr(0, 20)));
    m_file.isBigEndian = text == "big";
}

void TorchReader::readZip()
{
    const auto members = zipMembers(m_bytes, m_name, std::uint64_t(1) << 62);
    const auto pickle = std::find_if(members.begin(), members.end(), [](const ZipMember& member) {
        return member.name == kPickleName || member.name.ends_with("/" + std::string(kPickleName));
    });
    if (pickle == members.end())
        fail("expected data.pkl in the archive, found none");
    const std::string_view prefix = std::string_view(pickle->name).substr(0, pickle->name.size() - kPickleName.size());
    // torch.save packs nothing; an archive that was packed again may be, within reason.
    if (const auto limit = pickle->isStored ? kMaxPickle : std::min(kMaxDeflated, fileMemory(m_bytes.size())); pickle->size > limit)
        fail(fmt::format("expected a pickle of at most {} bytes, found {}", limit, pickle->size));
    std::unordered_map<std::string_view, const ZipMember*> byKey;
    const std::string dataPrefix = std::string(prefix) + "data/";
    for (const auto& member : members) {
        if (member.name == std::string(prefix) + "byteorder")
            readByteOrder(unpackZipMember(member, m_name));
        if (member.name.starts_with(dataPrefix))
            byKey[std::string_view(member.name).substr(dataPrefix.size())] = &member;
    }
    std::string_view text = pickle->packed;
    std::uint64_t memory = fileMemory(m_bytes.size());
    if (pickle->isStored) {
        checkStoredZipMember(*pickle, m_name);
    } else {
        m_file.unpacked = std::make_shared<const std::string>(unpackZipMember(*pickle, m_name));
        text = *m_file.unpacked;
        memory = std::max<std::uint64_t>(1, memory - text.size());
    }
    m_file.pickle = parsePickle(text, m_name, {.maxMemory = memory});
    for (const auto& storage : m_file.pickle.storages) {
        const auto found = byKey.find(storage.key);
        if (found == byKey.end())
            fail(fmt::format("storage {}: expected an entry {}{} in the archive, found none", storage.key.substr(0, 40), dataPrefix,
                             storage.key.substr(0, 40)));
        const ZipMember& member = *found->second;
        if (!member.isStored)
            fail(fmt::format("storage {}: expected a stored entry, found a deflated one", member.name));
        if (m_bytes.size() <= kVerifiedBytes && !m_places.count(storage.key))
            checkStoredZipMember(member, m_name);
        const auto type = typeOf(storage);
        if (const auto size = bytesOf(storage); size > member.packed.size())
            fail(fmt::format("storage {}: expected {} bytes, found {}", member.name, size, member.packed.size()));
        const auto begin = std::uint64_t(member.packed.data() - m_bytes.data());
        addPlace(storage.key, type, begin, begin + bytesOf(storage));
    }
}

// --- before PyTorch 1.6 ---

void TorchReader::readLegacy()
{
    m_file.isLegacy = true;
    std::size_t at = kLegacyStart.size();
    const auto next = [&](std::string_view what) {
        auto pickle = parsePickle(m_bytes.substr(at), fmt::format("{} ({} at byte {})", m_name, what, at));
        at += pickle.length;
        return pickle;
    };
    const auto version = next("version");
    if (version.at(version.root).kind != PickleKind::Integer || version.at(version.root).integer != 1001)
        fail("expected version 1001 of the format behind its magic number");
    const auto system = next("description of the system");
    const auto* little = system.find(system.at(system.root), "little_endian");
    m_file.isBigEndian = little && little->kind == PickleKind::Boolean && little->integer == 0;
    m_file.pickle = next("content");
    readLegacyStorages(at);
}

// A list of keys as one more pickle, then for each key the number of elements (8 bytes) and the elements.
void TorchReader::readLegacyStorages(std::size_t at)
{
    const auto keys = parsePickle(m_bytes.substr(at), fmt::format("{} (list of storages at byte {})", m_name, at));
    at += keys.length;
    std::unordered_map<std::string_view, const PickleStorage*> known;
    for (const auto& storage : m_file.pickle.storages)
        known.emplace(storage.key, &storage);
    if (keys.at(keys.root).kind != PickleKind::List)
        fail("expected a list of storages");
    for (const auto item : keys.at(keys.root).items) {
        const auto& key = keys.at(item);
        const auto found = key.kind == PickleKind::Text ? known.find(key.text()) : known.end();
        if (found == known.end())
            fail("the list of storages names one that no tensor uses");
        const auto& storage = *found->second;
        std::int64_t elements = 0;
        if (m_bytes.size() - at < sizeof elements)
            fail(fmt::format("storage {} begins at byte {}, behind the end of the file ({} bytes)", key.text().substr(0, 40), at, m_bytes.size()));
        std::memcpy(&elements, m_bytes.data() + at, sizeof elements);
        at += sizeof elements;
        if (elements != storage.elements)
            fail(fmt::format("storage {}: expected {} elements, found {}", key.text().substr(0, 40), storage.elements, elements));
        const auto size = bytesOf(storage);
        if (size > m_bytes.size() - at)
            fail(fmt::format("storage {}: expected {} bytes from byte {} on, found {}", key.text().substr(0, 40), size, at, m_bytes.size() - at));
        addPlace(storage.key, typeOf(storage), at, at + size);
        at += std::size_t(size);
    }
}

// --- tensors ---

const TorchStorage& TorchReader::placeOf(const PickleStorage& storage) const
{
    const auto found = m_places.find(storage.key);
    if (found == m_places.end())
        fail(fmt::format("storage {}: its elements are not in the file", storage.key.substr(0, 40)));
    return m_file.storages[found->second];
}

/// The last element has to lie inside; sizes of zero need nothing.
void TorchReader::checkInside(const TorchTensor& tensor, std::uint64_t first, std::uint64_t elements) const
{
    std::uint64_t last = first;
    bool isEmpty = false, overflows = false;
    for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
        if (tensor.sizes[i] < 0 || tensor.strides[i] < 0)
            fail(fmt::format("a tensor has size {} and stride {} on axis {}; expected neither negative", tensor.sizes[i], tensor.strides[i], i));
        isEmpty |= tensor.sizes[i] == 0;
        std::uint64_t step = 0;
        overflows |= tensor.sizes[i] > 0 && (__builtin_mul_overflow(std::uint64_t(tensor.sizes[i] - 1), std::uint64_t(tensor.strides[i]), &step) ||
                                             __builtin_add_overflow(last, step, &last));
    }
    // A stride of zero makes much of little; what such a tensor takes once it is written out is bounded.
    if (checkedByteSize(tensor.sizes, elementSize(tensor.type), m_name) > std::max(kMaxExpanded, 2 * std::uint64_t(m_bytes.size())))
        fail(fmt::format("a tensor of sizes [{}] takes far more bytes than the file has", fmt::join(tensor.sizes, ", ")));
    if (isEmpty ? first > elements : overflows || last >= elements)
        fail(fmt::format("a tensor of sizes [{}] and strides [{}] from element {} on reaches outside its storage of {} elements",
                         fmt::join(tensor.sizes, ", "), fmt::join(tensor.strides, ", "), tensor.offset, elements));
}

TorchTensor TorchReader::placed(const PickleTensor& tensor) const
{
    const auto& storage = m_file.pickle.storages[tensor.storage];
    const auto& place = placeOf(storage);
    TorchTensor made{m_places.at(storage.key), place.type, tensor.offset, tensor.sizes, tensor.strides, tensor.isParameter};
    if (const auto type = typeOf(storage); type != place.type)
        fail(fmt::format("storage {} is used as {} and as {}", storage.key.substr(0, 40), elementName(place.type), elementName(type)));
    if (!tensor.dtype.empty()) {
        const auto type = typeNamed(kDtypes, tensor.dtype);
        if (!type)
            fail(fmt::format("tensors of type {} are not read", tensor.dtype.substr(0, 40)));
        made.type = *type;
    }
    const auto size = elementSize(made.type);
    std::uint64_t elements = (place.end - place.begin) / size;
    if (!storage.viewKey.empty()) {
        if (storage.viewOffset < 0 || storage.viewElements < 0 || std::uint64_t(storage.viewOffset) > elements ||
            std::uint64_t(storage.viewElements) > elements - std::uint64_t(storage.viewOffset))
            fail(fmt::format("a view of {} elements from {} on reaches outside storage {} of {} elements", storage.viewElements, storage.viewOffset,
                             storage.key.substr(0, 40), elements));
        elements = std::uint64_t(storage.viewOffset + storage.viewElements);
        if (__builtin_add_overflow(made.offset, storage.viewOffset, &made.offset))
            fail("a tensor's offset is too large");
    }
    if (tensor.offset < 0 || made.offset < 0)
        fail(fmt::format("a tensor begins at element {}; expected no negative number", tensor.offset));
    checkInside(made, std::uint64_t(made.offset), elements);
    return made;
}

}  // namespace

bool isTorchFile(std::string_view bytes)
{
    if (bytes.starts_with(kLegacyStart))
        return true;
    if (!bytes.starts_with(kZipStart))
        return false;
    try {
        bool hasPickle = false, hasCode = false;
        for (const auto& member : zipMembers(bytes, "", std::uint64_t(1) << 62)) {
            hasPickle |= member.name.ends_with(kPickleName);
            hasCode |= member.name.find("/code/") != std::string::npos;
        }
        return hasPickle && !hasCode;
    } catch (const core::Error&) {
        return false;
    }
}

TorchFile parseTorchFile(std::string_view bytes, std::string_view name)
{
    if (!bytes.starts_with(kZipStart) && !bytes.starts_with(kLegacyStart))
        throw core::FormatError(fmt::format("{}: expected a file of torch.save, found neither its archive nor its magic number", name));
    return TorchReader(bytes, name).read();
}

}  // namespace orrery::io
