#include "document_file.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <map>
#include <set>
#include <sstream>

#ifdef ORRERY_YAML
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>
#endif

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/json_memory.h>

namespace orrery::train {
namespace {

using core::FormatError;
using core::Json;

void checkSize(std::string_view text, const std::string& name, const DocumentLimits& limits)
{
    if (text.size() > limits.maxBytes)
        throw FormatError(
            fmt::format("{}: expected a document of at most {}, got {}", name, core::formatBytes(limits.maxBytes), core::formatBytes(text.size())));
}

std::pair<std::size_t, std::size_t> lineAndColumn(std::string_view text, std::size_t byte)
{
    std::size_t line = 1, start = 0;
    for (std::size_t i = 0; i < std::min(byte, text.size()); ++i)
        if (text[i] == '\n') {
            ++line;
            start = i + 1;
        }
    return {line, std::min(byte, text.size()) - start + 1};
}

/// The library's reason without its own prefix ("[json.exception.parse_error.101] parse error at line 1, column 2: ").
std::string reasonOf(const std::string& what)
{
    const std::size_t column = what.find("column");
    const std::size_t colon = what.find(": ", column == std::string::npos ? 0 : column);
    return colon == std::string::npos ? what : what.substr(colon + 2);
}

/// Depth, number of values and repeated keys, looked at while the document is parsed.
class JsonGuard {
public:
    JsonGuard(const std::string& name, const DocumentLimits& limits, std::uint64_t memory) : m_name(name), m_limits(limits), m_memory(name, memory) {}
    bool operator()(int depth, Json::parse_event_t event, Json& parsed)
    {
        using Event = Json::parse_event_t;
        if (depth > m_limits.maxDepth)
            throw FormatError(fmt::format("{}: expected at most {} nested levels", m_name, m_limits.maxDepth));
        if (event != Event::object_end && event != Event::array_end && ++m_nodes > m_limits.maxNodes)
            throw FormatError(fmt::format("{}: expected at most {} values", m_name, m_limits.maxNodes));
        m_memory(depth, event, parsed);
        if (event == Event::object_start)
            m_keys.emplace_back();
        else if (event == Event::object_end)
            m_keys.pop_back();
        else if (event == Event::key && !m_keys.back().insert(parsed.get<std::string>()).second)
            throw FormatError(fmt::format("{}: key {} is given twice in one object", m_name, parsed.dump()));
        return true;
    }

private:
    const std::string& m_name;
    const DocumentLimits& m_limits;
    io::JsonMemory m_memory;
    std::size_t m_nodes = 0;
    std::vector<std::set<std::string>> m_keys;
};

// --- YAML scalars ---

enum class Plain { Null, True, False, Integer, Octal, Hexadecimal, Real, NotFinite, Text };

/// Core schema of YAML 1.2.2, section 10.3.2, without regular expressions: scalars may be long.
Plain kindOf(std::string_view text)
{
    if (text.empty() || text == "null" || text == "Null" || text == "NULL" || text == "~")
        return Plain::Null;
    if (text == "true" || text == "True" || text == "TRUE")
        return Plain::True;
    if (text == "false" || text == "False" || text == "FALSE")
        return Plain::False;
    const auto all = [](std::string_view digits, const char* set) {
        return !digits.empty() && digits.find_first_not_of(set) == std::string_view::npos;
    };
    if (text.starts_with("0o") && all(text.substr(2), "01234567"))
        return Plain::Octal;
    if (text.starts_with("0x") && all(text.substr(2), "0123456789abcdefABCDEF"))
        return Plain::Hexadecimal;
    std::string_view number = text;
    if (number.front() == '+' || number.front() == '-')
        number.remove_prefix(1);
    if (number == ".inf" || number == ".Inf" || number == ".INF" || text == ".nan" || text == ".NaN" || text == ".NAN")
        return Plain::NotFinite;
    const auto digits = [&] {
        const std::size_t end = std::min(number.find_first_not_of("0123456789"), number.size());
        number.remove_prefix(end);
        return end;
    };
    const std::size_t whole = digits();
    if (number.empty())
        return whole > 0 ? Plain::Integer : Plain::Text;
    if (number.front() == '.') {
        number.remove_prefix(1);
        if (digits() == 0 && whole == 0)
            return Plain::Text;
    } else if (whole == 0) {
        return Plain::Text;
    }
    if (!number.empty() && (number.front() == 'e' || number.front() == 'E')) {
        number.remove_prefix(1);
        if (!number.empty() && (number.front() == '+' || number.front() == '-'))
            number.remove_prefix(1);
        if (digits() == 0)
            return Plain::Text;
    }
    return number.empty() ? Plain::Real : Plain::Text;
}

}  // namespace

Json parseJsonDocument(std::string_view text, const std::string& name, const DocumentLimits& limits)
{
    checkSize(text, name, limits);
    try {
        return io::parseGuarded<Json>(text, JsonGuard(name, limits, io::fileMemory(text.size()) / 2));  // the other half: names that were seen
    } catch (const Json::parse_error& error) {
        const auto [line, column] = lineAndColumn(text, error.byte > 0 ? error.byte - 1 : 0);
        throw FormatError(fmt::format("{}:{}:{}: expected JSON: {}", name, line, column, reasonOf(error.what())));
    } catch (const Json::exception& error) {
        throw FormatError(fmt::format("{}: expected JSON: {}", name, error.what()));
    }
}

#ifdef ORRERY_YAML
namespace {

Json realFrom(std::string_view text)
{
    if (text.front() == '+')
        text.remove_prefix(1);
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

Json integerFrom(std::string_view text, int base)
{
    std::string_view digits = text.front() == '+' ? text.substr(1) : text;
    std::int64_t value = 0;
    if (const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, base); end.ec == std::errc())
        return value;
    std::uint64_t large = 0;
    if (const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), large, base); end.ec == std::errc())
        return large;
    return base == 10 ? realFrom(text) : Json(std::string(text));
}

/// Builds a Json value from the parser's events. It is our own code, and not yaml-cpp's node tree, that expands aliases: so their cost is counted.
class JsonFromYaml : public YAML::EventHandler {
public:
    /// @param memory  For the values, each alias counted as what it stands for.
    JsonFromYaml(const std::string& name, const DocumentLimits& limits, std::uint64_t memory) : m_name(name), m_limits(limits), m_memory(memory) {}
    Json take() { return std::move(m_result); }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, nullptr, anchor, 1); }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override
    {
        take(mark, value.size());
        add(mark, scalar(mark, tag, value), anchor, 1, value.size());
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override
    {
        const auto found = m_anchors.find(anchor);
        if (found == m_anchors.end())
            fail(mark, "an alias of a value that holds it");
        take(mark, found->second.bytes);
        add(mark, found->second.value, 0, found->second.nodes);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override
    {
        open(mark, tag, "tag:yaml.org,2002:seq", Json::array(), anchor);
    }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override
    {
        open(mark, tag, "tag:yaml.org,2002:map", Json::object(), anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

private:
    struct Level {
        Json value;
        YAML::anchor_t anchor;
        YAML::Mark mark;
        std::size_t nodesBefore;
        std::uint64_t bytesBefore;
        bool waitsForValue = false;
        std::string key;
    };
    struct Anchor {
        Json value;
        std::size_t nodes;
        std::uint64_t bytes;
    };

    [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const
    {
        throw FormatError(fmt::format("{}:{}:{}: {}", m_name, mark.line + 1, mark.column + 1, what));
    }

    void reserve(const YAML::Mark& mark, std::uint64_t bytes)
    {
        if (!m_memory.take(bytes))
            fail(mark, m_memory.refusal());
    }
    void take(const YAML::Mark& mark, std::uint64_t bytes)
    {
        m_bytes += bytes;
        reserve(mark, bytes);
    }
    /// Keeps a value for its aliases.
    void keep(const YAML::Mark& mark, YAML::anchor_t anchor, const Json& value, std::size_t nodes, std::uint64_t bytes)
    {
        reserve(mark, bytes);
        m_anchors[anchor] = {value, nodes, bytes};
    }

    Json scalar(const YAML::Mark& mark, const std::string& tag, const std::string& text) const
    {
        if (tag == "!" || tag == "tag:yaml.org,2002:str" || tag == "!!str")
            return checkedText(mark, text);
        const bool untagged = tag.empty() || tag == "?";
        if (!untagged && !tag.starts_with("tag:yaml.org,2002:"))
            fail(mark, fmt::format("unknown tag {}", tag));
        const Json value = typed(mark, text);
        if (!untagged && tag.substr(18) != std::string(typeOf(value)) && !(tag.ends_with(":float") && value.is_number()))
            fail(mark, fmt::format("expected {}, got \"{}\"", tag.substr(18), text));
        return value;
    }

    static const char* typeOf(const Json& value)
    {
        return value.is_null() ? "null" : value.is_boolean() ? "bool" : value.is_number_float() ? "float" : value.is_number() ? "int" : "str";
    }

    Json typed(const YAML::Mark& mark, const std::string& text) const
    {
        switch (kindOf(text)) {
        case Plain::Null: return nullptr;
        case Plain::True: return true;
        case Plain::False: return false;
        case Plain::Integer: return integerFrom(text, 10);
        case Plain::Octal: return integerFrom(std::string_view(text).substr(2), 8);
        case Plain::Hexadecimal: return integerFrom(std::string_view(text).substr(2), 16);
        case Plain::Real: return realFrom(text);
        case Plain::NotFinite: fail(mark, fmt::format("expected a finite number, got {}", text));
        case Plain::Text: break;
        }
        return checkedText(mark, text);
    }

    /// Json is UTF-8; anything else would only be noticed when it is written.
    Json checkedText(const YAML::Mark& mark, const std::string& text) const
    {
        try {
            (void)Json(text).dump();
        } catch (const Json::exception&) {
            fail(mark, "expected UTF-8 text");
        }
        return text;
    }

    void open(const YAML::Mark& mark, const std::string& tag, const char* expectedTag, Json empty, YAML::anchor_t anchor)
    {
        if (!tag.empty() && tag != "?" && tag != "!" && tag != expectedTag)
            fail(mark, fmt::format("unknown tag {}", tag));
        if (int(m_levels.size()) >= m_limits.maxDepth)
            fail(mark, fmt::format("expected at most {} nested levels", m_limits.maxDepth));
        if (!m_levels.empty() && m_levels.back().value.is_object() && !m_levels.back().waitsForValue)
            fail(mark, "expected a text as key, got a list or an object");
        m_levels.push_back({std::move(empty), anchor, mark, m_nodes, m_bytes, false, {}});
    }

    void close()
    {
        Level level = std::move(m_levels.back());
        m_levels.pop_back();
        const std::size_t inside = m_nodes - level.nodesBefore;
        if (level.anchor)
            keep(level.mark, level.anchor, level.value, inside + 1, m_bytes - level.bytesBefore);
        add(level.mark, std::move(level.value), 0, 1);
    }

    void add(const YAML::Mark& mark, Json value, YAML::anchor_t anchor, std::size_t nodes, std::uint64_t bytes = 0)
    {
        m_nodes += nodes;
        if (m_nodes > m_limits.maxNodes)
            fail(mark, fmt::format("expected at most {} values, aliases expanded", m_limits.maxNodes));
        if (anchor)
            keep(mark, anchor, value, nodes, bytes);
        if (m_levels.empty())
            m_result = std::move(value);
        else if (Level& level = m_levels.back(); level.value.is_array())
            level.value.push_back(std::move(value));
        else if (level.waitsForValue)
            setMember(level, std::move(value));
        else
            startMember(mark, level, value);
    }

    void startMember(const YAML::Mark& mark, Level& level, const Json& key)
    {
        if (key.is_structured())
            fail(mark, "expected a text as key, got a list or an object");
        level.key = key.is_string() ? key.get<std::string>() : key.dump();
        if (level.value.contains(level.key))
            fail(mark, fmt::format("key \"{}\" is given twice in one object", level.key));
        level.waitsForValue = true;
    }

    static void setMember(Level& level, Json value)
    {
        level.value[level.key] = std::move(value);
        level.waitsForValue = false;
    }

    const std::string& m_name;
    const DocumentLimits& m_limits;
    std::vector<Level> m_levels;
    std::map<YAML::anchor_t, Anchor> m_anchors;
    std::size_t m_nodes = 0;
    std::uint64_t m_bytes = 0;  ///< of the texts of all values and keys so far, aliases expanded
    io::MemoryBudget m_memory;
    Json m_result;
};

}  // namespace

Json parseYamlDocument(std::string_view text, const std::string& name, const DocumentLimits& limits)
{
    checkSize(text, name, limits);
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        JsonFromYaml handler(name, limits, io::fileMemory(text.size()) / 2);  // the other half: the text itself, twice
        parser.HandleNextDocument(handler);
        Json out = handler.take();
        JsonFromYaml second(name, limits, io::fileMemory(text.size()) / 2);
        if (parser.HandleNextDocument(second))
            throw FormatError(fmt::format("{}: expected one YAML document, got more", name));
        return out;
    } catch (const YAML::Exception& error) {
        throw FormatError(fmt::format("{}:{}:{}: expected YAML: {}", name, error.mark.line + 1, error.mark.column + 1, error.msg));
    }
}
#else
Json parseYamlDocument(std::string_view, const std::string& name, const DocumentLimits&)
{
    throw FormatError(fmt::format("{}: this build reads JSON only (it was made without ORRERY_YAML)", name));
}
#endif

Json readDocument(const std::filesystem::path& file, const DocumentLimits& limits)
{
    const std::string text = core::readFile(file, limits.maxBytes);
    const std::string extension = core::lower(file.extension().string());
    return extension == ".yaml" || extension == ".yml" ? parseYamlDocument(text, file.string(), limits)
                                                       : parseJsonDocument(text, file.string(), limits);
}

namespace {

/// Plain where that reads back as the same text, else in double quotes with JSON's escapes (YAML 1.2 understands them).
std::string yamlText(const std::string& text)
{
    const bool plain = kindOf(text) == Plain::Text && text.find_first_of(":#{}[],&*!|>'\"%@`\\\n\r\t") == std::string::npos && text.front() != ' ' &&
                       text.back() != ' ' && text.front() != '-' && text.front() != '?' && text.front() != '=' && text != "<<" &&
                       std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
    return plain ? text : Json(text).dump();
}

std::string yamlScalar(const Json& value)
{
    if (value.is_string())
        return yamlText(value.get<std::string>());
    if (!value.is_number_float())
        return value.dump();
    const std::string number = core::formatNumber(value.get<double>());
    return kindOf(number) == Plain::Integer ? number + ".0" : number;
}

bool fitsOneLine(const Json& list)
{
    return list.size() <= 16 && std::all_of(list.begin(), list.end(), [](const Json& item) {
               return item.is_primitive() && (!item.is_string() || item.get_ref<const std::string&>().size() < 24);
           });
}

void writeYaml(std::string& out, const Json& value, int indent);

void writeMember(std::string& out, const Json& value, int indent)
{
    if (value.is_structured() && !value.empty() && !(value.is_array() && fitsOneLine(value))) {
        out += '\n';
        writeYaml(out, value, indent);
        return;
    }
    out += ' ';
    if (value.is_object()) {
        out += "{}";
    } else if (value.is_array()) {
        out += '[';
        for (std::size_t i = 0; i < value.size(); ++i)
            out += (i ? ", " : "") + yamlScalar(value[i]);
        out += ']';
    } else {
        out += yamlScalar(value);
    }
    out += '\n';
}

void writeYaml(std::string& out, const Json& value, int indent)
{
    const std::string spaces(std::size_t(indent), ' ');
    if (value.is_object() && !value.empty()) {
        for (const auto& [key, member] : value.items()) {
            out += spaces + yamlText(key) + ":";
            writeMember(out, member, indent + 2);
        }
    } else if (value.is_array() && !value.empty() && (indent > 0 || !fitsOneLine(value))) {
        for (const Json& item : value) {
            out += spaces + "-";
            writeMember(out, item, indent + 2);
        }
    } else {
        std::string line;
        writeMember(line, value, indent);
        out += spaces + line.substr(1);
    }
}

}  // namespace

std::string toYaml(const Json& document)
{
    std::string out;
    writeYaml(out, document, 0);
    return out;
}

}  // namespace orrery::train
