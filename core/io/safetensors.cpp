#include "safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_set>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/json.h>
#include <core/base/json_reason.h>

#include "memory_budget.h"

namespace orrery::io {
namespace {

// What one takes at most, with its name among those that were seen and the room that lists keep for more.
constexpr std::uint64_t kMetadataMemory = 300, kEntryMemory = 500;
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::string_view kTypeNames[] = {"BOOL", "U8",   "I8",      "U16",     "I16", "U32", "I32", "U64", "I64",
                                           "F16",  "BF16", "F8_E4M3", "F8_E5M2", "F32", "F64", "C64", ""};

std::optional<ElementType> typeFromName(std::string_view name)
{
    const auto found = std::find(std::begin(kTypeNames), std::end(kTypeNames), name);
    if (name.empty() || found == std::end(kTypeNames))
        return {};
    return ElementType(found - std::begin(kTypeNames));
}

/// Takes the header apart while it is read: names given twice are seen, and nothing but the three known levels is accepted.
class HeaderReader : public nlohmann::json_sax<core::Json> {
public:
    HeaderReader(std::string_view name, std::uint64_t fileBytes) : m_name(name), m_budget(fileMemory(fileBytes)) {}
    SafetensorsHeader header;

    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("a boolean"); }
    bool number_integer(number_integer_t value) override { return unexpected(fmt::format("{}", value)); }
    bool number_float(number_float_t, const string_t& text) override { return unexpected(text); }
    bool binary(binary_t&) override { return unexpected("binary data"); }

    bool number_unsigned(number_unsigned_t value) override
    {
        if (m_array == Field::Shape && value <= std::uint64_t(INT64_MAX) && current().shape.size() < 64)
            current().shape.push_back(std::int64_t(value));
        else if (m_array == Field::Offsets && m_offsets < 2)
            (m_offsets++ == 0 ? current().begin : current().end) = value;
        else
            return unexpected(fmt::format("{}", value));
        return true;
    }

    bool string(string_t& text) override
    {
        if (m_depth == 2 && m_inMetadata && m_array == Field::None) {
            take(kMetadataMemory + m_key.size() + text.size());
            header.metadata.emplace_back(m_key, std::move(text));
            return true;
        }
        const auto type = m_depth == 2 && m_field == Field::Type && m_array == Field::None ? typeFromName(text) : std::nullopt;
        if (!type)
            return unexpected(fmt::format("\"{}\"", text));
        current().type = *type;
        return true;
    }

    bool start_object(std::size_t) override
    {
        if (m_depth >= 2 || m_array != Field::None)
            return unexpected("an object");
        if (++m_depth == 2) {
            m_inMetadata = m_key == kMetadataKey;
            m_seen = 0;
            m_keys.clear();
            if (!m_inMetadata)
                take(kEntryMemory + m_key.size());
            if (!m_inMetadata)
                header.entries.push_back({m_key, ElementType::Float32, {}, 0, 0});
        }
        return true;
    }

    bool key(string_t& text) override
    {
        if (m_depth == 1 ? !m_names.insert(text).second : !m_keys.insert(text).second)
            fail(fmt::format("\"{}\" is given twice", text));
        m_key = std::move(text);
        if (m_depth == 2 && !m_inMetadata) {
            m_field = m_key == "dtype" ? Field::Type : m_key == "shape" ? Field::Shape : m_key == "data_offsets" ? Field::Offsets : Field::None;
            if (m_field == Field::None)
                fail(fmt::format("tensor \"{}\": expected the keys dtype, shape and data_offsets, got \"{}\"", current().name, m_key));
            m_seen |= 1u << unsigned(m_field);
        }
        return true;
    }

    bool end_object() override
    {
        constexpr unsigned kAll = 1u << unsigned(Field::Type) | 1u << unsigned(Field::Shape) | 1u << unsigned(Field::Offsets);
        if (m_depth == 2 && !m_inMetadata && m_seen != kAll)
            fail(fmt::format("tensor \"{}\": expected the keys dtype, shape and data_offsets", current().name));
        if (m_depth-- == 2)
            m_inMetadata = false;
        return true;
    }

    bool start_array(std::size_t) override
    {
        if (m_depth != 2 || m_inMetadata || m_array != Field::None || (m_field != Field::Shape && m_field != Field::Offsets))
            return unexpected("a list");
        m_array = m_field;
        m_offsets = 0;
        return true;
    }

    bool end_array() override
    {
        if (m_array == Field::Offsets && m_offsets != 2)
            fail(fmt::format("tensor \"{}\": expected two data_offsets, got {}", current().name, m_offsets));
        m_array = Field::None;
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override
    {
        fail(fmt::format("no JSON at byte {} of the header: {}", position, core::jsonReason(error.what())));
    }

private:
    enum class Field : unsigned { None, Type, Shape, Offsets };

    [[noreturn]] void fail(std::string_view what) const { throw core::FormatError(fmt::format("{}: broken safetensors header: {}", m_name, what)); }
    void take(std::uint64_t memory)
    {
        if (!m_budget.take(memory))
            fail(m_budget.refusal());
    }
    SafetensorsEntry& current() { return header.entries.back(); }
    bool unexpected(std::string_view what) const
    {
        if (m_depth == 2 && m_inMetadata)
            fail(fmt::format("metadata \"{}\": expected a text, got {}", m_key, what));
        if (m_depth == 2 && m_field == Field::Type)
            fail(fmt::format("tensor \"{}\": expected a dtype such as \"F32\", got {}", header.entries.back().name, what));
        if (m_depth == 2)
            fail(fmt::format("tensor \"{}\": unexpected {} in {}", header.entries.back().name, what, m_key));
        fail(fmt::format("expected {}, got {}", m_depth == 0 ? "an object" : "an object for \"" + m_key + "\"", what));
    }

    std::string_view m_name;
    MemoryBudget m_budget;
    std::unordered_set<std::string> m_names, m_keys;
    std::string m_key;
    int m_depth = 0, m_offsets = 0;
    unsigned m_seen = 0;
    Field m_field = Field::None, m_array = Field::None;
    bool m_inMetadata = false;
};

/// Turns relative positions into positions in the file and checks that the tensors fill the data part exactly, one behind the other.
void checkLayout(std::vector<SafetensorsEntry>& entries, std::uint64_t dataStart, std::uint64_t fileSize, std::string_view name)
{
    const std::uint64_t dataSize = fileSize - dataStart;
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto& a, const auto& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
    std::uint64_t at = 0;
    for (SafetensorsEntry& entry : entries) {
        const auto fail = [&](std::string_view what) { throw core::FormatError(fmt::format("{}: tensor \"{}\": {}", name, entry.name, what)); };
        if (entry.begin > entry.end || entry.end > dataSize)
            fail(fmt::format("data_offsets [{}, {}] lie outside the {} bytes of data", entry.begin, entry.end, dataSize));
        const std::uint64_t wanted = checkedByteSize(entry.shape, elementSize(entry.type), fmt::format("{}: tensor \"{}\"", name, entry.name));
        if (entry.end - entry.begin != wanted)
            fail(fmt::format("expected {} bytes for its shape and dtype, got {}", wanted, entry.end - entry.begin));
        if (entry.begin != at)
            fail(entry.begin < at ? fmt::format("overlaps the tensor before it: expected data from {}, got {}", at, entry.begin)
                                  : fmt::format("leaves a gap: expected data from {}, got {}", at, entry.begin));
        at = entry.end;
        entry.begin += dataStart;
        entry.end += dataStart;
    }
    if (at != dataSize)
        throw core::FormatError(fmt::format("{}: expected {} bytes of data, got {}", name, at, dataSize));
}

/// What goes before the data, and the items in the order in which they are written.
struct Layout {
    std::string head;
    std::vector<const SafetensorsItem*> order;
};

void checkItems(const std::vector<SafetensorsItem>& items)
{
    std::unordered_set<std::string_view> names;
    for (const SafetensorsItem& item : items) {
        if (item.name == kMetadataKey || !names.insert(item.name).second)
            throw core::InputError(
                fmt::format("safetensors: expected each tensor name once and none called {}, got \"{}\"", kMetadataKey, item.name));
        const std::uint64_t wanted = checkedByteSize(item.shape, elementSize(item.type), item.name);
        if (wanted != item.bytes.size())
            throw core::InputError(
                fmt::format("safetensors: tensor \"{}\": expected {} bytes for its shape and dtype, got {}", item.name, wanted, item.bytes.size()));
    }
}

Layout layOut(const std::vector<SafetensorsItem>& items, const SafetensorsMetadata& metadata)
{
    checkItems(items);
    Layout layout;
    for (const SafetensorsItem& item : items)
        layout.order.push_back(&item);
    std::stable_sort(layout.order.begin(), layout.order.end(), [](auto* a, auto* b) { return elementSize(a->type) > elementSize(b->type); });
    core::Json header = core::Json::object();
    if (!metadata.empty()) {
        core::Json& map = header[std::string(kMetadataKey)] = core::Json::object();
        for (const auto& [key, value] : metadata) {
            if (map.contains(key))
                throw core::InputError(fmt::format("safetensors: metadata \"{}\" is given twice", key));
            map[key] = value;
        }
    }
    // Pushed straight into the underlying vector: an ordered object searches linearly for each key, which is slow with thousands of tensors.
    auto& fields = header.get_ref<core::Json::object_t&>();
    std::uint64_t at = 0;
    for (const SafetensorsItem* item : layout.order) {
        const core::Json entry = {{"dtype", safetensorsType(item->type)}, {"shape", item->shape}, {"data_offsets", {at, at + item->bytes.size()}}};
        static_cast<std::vector<core::Json::object_t::value_type>&>(fields).emplace_back(item->name, entry);
        at += item->bytes.size();
    }
    std::string text;
    try {
        text = header.dump();
    } catch (const nlohmann::json::exception& error) {
        throw core::InputError(fmt::format("safetensors: expected names and metadata in UTF-8: {}", error.what()));
    }
    text.append((64 - (text.size() + 8) % 64) % 64, ' ');
    if (text.size() > kMaxSafetensorsHeader)
        throw core::InputError(fmt::format("safetensors: expected a header of at most {} bytes, got {}", kMaxSafetensorsHeader, text.size()));
    const std::uint64_t length = text.size();
    layout.head.assign(reinterpret_cast<const char*>(&length), 8);
    layout.head += text;
    return layout;
}

}  // namespace

const SafetensorsEntry* SafetensorsHeader::find(std::string_view name) const
{
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name == name; });
    return found == entries.end() ? nullptr : &*found;
}

const std::string* SafetensorsHeader::findMetadata(std::string_view key) const
{
    const auto found = std::find_if(metadata.begin(), metadata.end(), [&](const auto& pair) { return pair.first == key; });
    return found == metadata.end() ? nullptr : &found->second;
}

SafetensorsHeader parseSafetensors(std::string_view file, std::string_view name)
{
    if (file.size() < 8)
        throw core::FormatError(fmt::format("{}: expected a safetensors file of at least 8 bytes, got {}", name, file.size()));
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    if (length > kMaxSafetensorsHeader)
        throw core::FormatError(fmt::format("{}: expected a safetensors header of at most {} bytes, got {}", name, kMaxSafetensorsHeader, length));
    if (length > file.size() - 8)
        throw core::FormatError(fmt::format("{}: the safetensors header is cut off: expected {} bytes, got {}", name, length, file.size() - 8));
    const std::string_view text = file.substr(8, length);
    if (!text.starts_with('{'))
        throw core::FormatError(fmt::format("{}: expected a safetensors header that starts with {{, got something else", name));
    HeaderReader reader(name, file.size());
    core::Json::sax_parse(text.begin(), text.end(), &reader);
    checkLayout(reader.header.entries, 8 + length, file.size(), name);
    return std::move(reader.header);
}

std::string_view safetensorsType(ElementType type)
{
    const std::string_view name = kTypeNames[std::size_t(type)];
    if (name.empty())
        throw core::InputError(fmt::format("safetensors has no dtype {}", elementName(type)));
    return name;
}

void writeSafetensors(const std::filesystem::path& file, const std::vector<SafetensorsItem>& items, const SafetensorsMetadata& metadata)
{
    const Layout layout = layOut(items, metadata);
    core::writeFileAtomically(file, [&](const std::function<void(std::string_view)>& append) {
        append(layout.head);
        for (const SafetensorsItem* item : layout.order)
            append(item->bytes);
    });
}

std::string safetensorsBytes(const std::vector<SafetensorsItem>& items, const SafetensorsMetadata& metadata)
{
    const Layout layout = layOut(items, metadata);
    std::string out = layout.head;
    for (const SafetensorsItem* item : layout.order)
        out += item->bytes;
    return out;
}

}  // namespace orrery::io
