#include "document_places.h"

#include <vector>

#include <core/base/json.h>
#include <core/base/text.h>

namespace orrery::widgets {
namespace {

std::string child(const std::string& path, const std::string& key)
{
    return path.empty() ? key : path + "." + key;
}
std::string element(const std::string& path, int index)
{
    return path + "[" + std::to_string(index) + "]";
}

/// A reader of JSON that only keeps places. It believes the text and stops where it cannot go on.
class JsonPlaces {
public:
    explicit JsonPlaces(std::string_view text) : m_text(text) {}

    std::map<std::string, int> read()
    {
        value("", 0);
        return std::move(m_places);
    }

private:
    static constexpr int kMaxDepth = 100;

    bool more() const { return m_at < m_text.size(); }
    void space()
    {
        while (more() && (m_text[m_at] == ' ' || m_text[m_at] == '\t' || m_text[m_at] == '\r' || m_text[m_at] == '\n'))
            next();
    }
    void next()
    {
        if (m_text[m_at++] == '\n')
            ++m_line;
    }
    bool take(char wanted)
    {
        space();
        if (!more() || m_text[m_at] != wanted)
            return false;
        next();
        return true;
    }

    std::string string()
    {
        const std::size_t start = m_at;
        next();
        while (more() && m_text[m_at] != '"') {
            if (m_text[m_at] == '\\' && m_at + 1 < m_text.size())
                next();
            next();
        }
        if (more())
            next();
        const core::Json parsed = core::Json::parse(m_text.substr(start, m_at - start), nullptr, false);
        return parsed.is_string() ? parsed.get<std::string>() : std::string();
    }

    bool value(const std::string& path, int depth)
    {
        space();
        if (!more() || depth > kMaxDepth)
            return false;
        if (m_text[m_at] == '{')
            return object(path, depth);
        if (m_text[m_at] == '[')
            return array(path, depth);
        if (m_text[m_at] == '"')
            return string(), true;
        const std::size_t start = m_at;
        while (more() && std::string_view(",]} \t\r\n").find(m_text[m_at]) == std::string_view::npos)
            next();
        return m_at > start;
    }

    bool object(const std::string& path, int depth)
    {
        next();
        while (!take('}')) {
            space();
            if (!more() || m_text[m_at] != '"')
                return false;
            const int line = m_line;
            const std::string key = child(path, string());
            m_places.emplace(key, line);
            if (!take(':') || !value(key, depth + 1))
                return false;
            take(',');
        }
        return true;
    }

    bool array(const std::string& path, int depth)
    {
        next();
        for (int i = 0; !take(']'); ++i) {
            space();
            m_places.emplace(element(path, i), m_line);
            if (!value(element(path, i), depth + 1))
                return false;
            take(',');
        }
        return true;
    }

    std::string_view m_text;
    std::size_t m_at = 0;
    int m_line = 1;
    std::map<std::string, int> m_places;
};

/// One open block: the column its entries start in, and where it is.
struct Block {
    std::size_t column;
    std::string path;
    int elements = -1;  ///< number of elements so far, -1 in a mapping
};

/// End of the key that `text` starts with (position of its colon), npos if it starts with none.
std::size_t keyEnd(std::string_view text)
{
    if (text.empty() || text.front() == '#' || text.front() == '[' || text.front() == '{')
        return std::string_view::npos;
    char quote = text.front() == '"' || text.front() == '\'' ? text.front() : '\0';
    for (std::size_t i = quote ? 1 : 0; i < text.size(); ++i) {
        if (quote) {
            if (text[i] == quote)
                quote = '\0';
        } else if (text[i] == ':' && (i + 1 == text.size() || text[i + 1] == ' ')) {
            return i;
        }
    }
    return std::string_view::npos;
}

std::string unquoted(std::string_view key)
{
    key = core::trim(key);
    if (key.size() >= 2 && (key.front() == '"' || key.front() == '\'') && key.back() == key.front())
        key = key.substr(1, key.size() - 2);
    return std::string(key);
}

class YamlPlaces {
public:
    std::map<std::string, int> read(std::string_view text)
    {
        for (std::size_t start = 0; start < text.size();) {
            const std::size_t end = std::min(text.find('\n', start), text.size());
            ++m_line;
            line(text.substr(start, end - start));
            start = end + 1;
        }
        return std::move(m_places);
    }

private:
    void line(std::string_view text)
    {
        const std::size_t first = text.find_first_not_of(' ');
        if (first == std::string_view::npos || text[first] == '#' || text.starts_with("---"))
            return;
        const bool isElement = text[first] == '-' && (first + 1 == text.size() || text[first + 1] == ' ');
        // Elements may stand in the column of the key they belong to.
        while (!m_blocks.empty() &&
               (m_blocks.back().column > first || (m_blocks.back().column == first && (m_blocks.back().elements >= 0) != isElement && !isElement)))
            m_blocks.pop_back();
        entry(text, first);
    }

    void entry(std::string_view text, std::size_t column)
    {
        const std::string_view rest = text.substr(column);
        if (rest.starts_with("- ") || rest == "-") {
            if (m_blocks.empty() || m_blocks.back().elements < 0 || m_blocks.back().column != column)
                m_blocks.push_back({column, m_pending, 0});
            m_pending = element(m_blocks.back().path, m_blocks.back().elements++);
            m_places.emplace(m_pending, m_line);
            if (const std::size_t inner = text.find_first_not_of(' ', column + 1); inner != std::string_view::npos)
                entry(text, inner);
            return;
        }
        const std::size_t colon = keyEnd(rest);
        if (colon == std::string_view::npos)
            return;
        if (m_blocks.empty() || m_blocks.back().column != column || m_blocks.back().elements >= 0)
            m_blocks.push_back({column, m_blocks.empty() ? std::string() : m_pending});
        m_pending = child(m_blocks.back().path, unquoted(rest.substr(0, colon)));
        m_places.emplace(m_pending, m_line);
    }

    std::vector<Block> m_blocks;
    std::string m_pending;  ///< path that a deeper block belongs to
    int m_line = 0;
    std::map<std::string, int> m_places;
};

}  // namespace

std::map<std::string, int> placesInJson(std::string_view text)
{
    return JsonPlaces(text).read();
}
std::map<std::string, int> placesInYaml(std::string_view text)
{
    return YamlPlaces().read(text);
}

}  // namespace orrery::widgets
