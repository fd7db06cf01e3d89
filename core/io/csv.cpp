#include "csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <unordered_set>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::io {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct Record {
    std::size_t line = 0;
    std::vector<std::string> fields;
};

class RecordReader {
public:
    RecordReader(std::string_view bytes, std::string_view name, char separator) : m_bytes(bytes), m_name(name), m_separator(separator) {}

    /// False at the end. Blank lines are skipped.
    bool next(Record& record)
    {
        while (m_at < m_bytes.size() && (m_bytes[m_at] == '\n' || m_bytes[m_at] == '\r'))
            skipLineEnd();
        if (m_at >= m_bytes.size())
            return false;
        record.line = m_line;
        record.fields.clear();
        do
            record.fields.push_back(field());
        while (acceptSeparator());
        if (m_at < m_bytes.size())
            skipLineEnd();
        return true;
    }

private:
    bool acceptSeparator()
    {
        if (m_at >= m_bytes.size() || m_bytes[m_at] != m_separator)
            return false;
        ++m_at;
        return true;
    }
    void skipLineEnd()
    {
        if (m_bytes[m_at] == '\r' && m_at + 1 < m_bytes.size() && m_bytes[m_at + 1] == '\n')
            ++m_at;
        ++m_at;
        ++m_line;
    }
    std::string field()
    {
        if (m_at < m_bytes.size() && m_bytes[m_at] == '"')
            return quotedField();
        const std::array<char, 3> ends{m_separator, '\n', '\r'};
        const std::size_t end = std::min(m_bytes.find_first_of(std::string_view(ends.data(), 3), m_at), m_bytes.size());
        const std::string_view raw = m_bytes.substr(m_at, end - m_at);
        m_at = end;
        return std::string(core::trim(raw));
    }
    std::string quotedField()
    {
        const std::size_t opened = m_line;
        std::string out;
        for (++m_at;; ++m_at) {
            if (m_at >= m_bytes.size())
                throw core::FormatError(fmt::format("{}: line {}: a quote is not closed", m_name, opened));
            if (m_bytes[m_at] == '"') {
                if (m_at + 1 >= m_bytes.size() || m_bytes[m_at + 1] != '"')
                    break;
                ++m_at;
            }
            m_line += m_bytes[m_at] == '\n';
            out += m_bytes[m_at];
        }
        ++m_at;
        if (m_at < m_bytes.size() && m_bytes[m_at] != m_separator && m_bytes[m_at] != '\n' && m_bytes[m_at] != '\r')
            throw core::FormatError(fmt::format("{}: line {}: expected a separator behind a closing quote, got '{}'", m_name, m_line, m_bytes[m_at]));
        return out;
    }

    std::string_view m_bytes, m_name;
    char m_separator;
    std::size_t m_at = 0, m_line = 1;
};

/// The candidate that occurs most often outside quotes in the first line; a comma if none does.
char guessSeparator(std::string_view bytes)
{
    std::array<std::size_t, 3> counts{};
    constexpr std::string_view kCandidates = ",;\t";
    bool quoted = false;
    for (const char c : bytes) {
        quoted ^= c == '"';
        if (!quoted && (c == '\n' || c == '\r'))
            break;
        if (const std::size_t found = kCandidates.find(c); !quoted && found != std::string_view::npos)
            ++counts[found];
    }
    return kCandidates[std::size_t(std::max_element(counts.begin(), counts.end()) - counts.begin())];
}

bool parseNumber(std::string_view text, double& value)
{
    if (text.starts_with('+'))
        text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range && end == text.data() + text.size()) {
        // Beyond the range of a double: infinity or zero, as every other reader makes of it.
        const bool tiny = text.find("e-") != std::string_view::npos || text.find("E-") != std::string_view::npos;
        value = (text.starts_with('-') ? -1.0 : 1.0) * (tiny ? 0.0 : std::numeric_limits<double>::infinity());
        return true;
    }
    return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// Integers are kept in doubles: those beyond 2^53 count as reals, so that nothing claims to be exact that is not.
bool isInteger(std::string_view text)
{
    std::int64_t value = 0;
    if (text.starts_with('+'))
        text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    constexpr std::int64_t kExact = std::int64_t(1) << 53;
    return error == std::errc() && end == text.data() + text.size() && value >= -kExact && value <= kExact;
}

bool looksLikeHeader(const Record& record)
{
    double ignored = 0;
    return std::none_of(record.fields.begin(), record.fields.end(), [&](const std::string& field) { return parseNumber(field, ignored); }) &&
           std::any_of(record.fields.begin(), record.fields.end(), [](const std::string& field) { return !field.empty(); });
}

std::vector<std::string> columnNames(const Record* header, std::size_t count)
{
    std::vector<std::string> names;
    std::set<std::string> used;
    for (std::size_t i = 0; i < count; ++i) {
        std::string name = header && !header->fields[i].empty() ? header->fields[i] : fmt::format("column_{}", i + 1);
        const std::string base = name;
        for (int copy = 2; !used.insert(name).second; ++copy)
            name = fmt::format("{}_{}", base, copy);
        names.push_back(name);
    }
    return names;
}

/// Tables come from spreadsheets as UTF-16, too: their bytes would only look like ragged rows.
void requireText(std::string_view bytes, std::string_view name)
{
    if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff"))
        throw core::FormatError(fmt::format("{}: expected a table in UTF-8, got one in UTF-16: save it anew as UTF-8", name));
    if (const std::size_t at = bytes.find('\0'); at != std::string_view::npos)
        throw core::FormatError(fmt::format("{}: expected a table of text, found a zero at byte {}", name, at));
}

std::vector<std::string> repeatedNames(const Record& header)
{
    std::set<std::string> seen, repeated;
    for (const std::string& field : header.fields)
        if (!field.empty() && !seen.insert(field).second)
            repeated.insert(field);
    return {repeated.begin(), repeated.end()};
}

/// Values of one column in file order, taken apart by the narrowest type that fits all of them.
class ColumnBuilder {
public:
    ColumnBuilder(std::string name, std::vector<std::string> values, const std::unordered_set<std::string>& missing, std::size_t maxCategories)
        : m_values(std::move(values)), m_maxCategories(maxCategories)
    {
        m_column.name = std::move(name);
        for (const std::string& value : m_values)
            m_column.missing.push_back(missing.contains(value));
        m_column.missingCount = std::size_t(std::count(m_column.missing.begin(), m_column.missing.end(), 1));
    }

    CsvColumn build()
    {
        if (!readNumbers() && !readCategories())
            readTexts();
        return std::move(m_column);
    }

private:
    bool readNumbers()
    {
        m_column.type = ColumnType::Integer;
        m_column.numbers.assign(m_values.size(), kMissing);
        for (std::size_t i = 0; i < m_values.size(); ++i) {
            if (m_column.missing[i])
                continue;
            if (!parseNumber(m_values[i], m_column.numbers[i])) {
                m_column.numbers.clear();
                return false;
            }
            if (!isInteger(m_values[i]))
                m_column.type = ColumnType::Real;
        }
        if (m_column.missingCount == m_values.size())
            m_column.type = ColumnType::Real;
        return true;
    }
    bool readCategories()
    {
        std::set<std::string> distinct;
        for (std::size_t i = 0; i < m_values.size(); ++i)
            if (!m_column.missing[i])
                distinct.insert(m_values[i]);
        const std::size_t present = m_values.size() - m_column.missingCount;
        if (distinct.size() > m_maxCategories || (distinct.size() > 20 && distinct.size() * 2 > present))
            return false;
        m_column.type = ColumnType::Category;
        m_column.categories.assign(distinct.begin(), distinct.end());
        for (std::size_t i = 0; i < m_values.size(); ++i) {
            const auto found = std::lower_bound(m_column.categories.begin(), m_column.categories.end(), m_values[i]);
            m_column.codes.push_back(m_column.missing[i] ? -1 : std::int32_t(found - m_column.categories.begin()));
        }
        return true;
    }
    void readTexts()
    {
        m_column.type = ColumnType::Text;
        for (std::size_t i = 0; i < m_values.size(); ++i)
            if (m_column.missing[i])
                m_values[i].clear();
        m_column.texts = std::move(m_values);
    }

    CsvColumn m_column;
    std::vector<std::string> m_values;
    std::size_t m_maxCategories;
};

}  // namespace

std::string_view columnTypeName(ColumnType type)
{
    static constexpr std::string_view kNames[] = {"integer", "real", "category", "text"};
    return kNames[std::size_t(type)];
}

const CsvColumn* CsvTable::find(std::string_view name) const
{
    const auto found = std::find_if(columns.begin(), columns.end(), [&](const CsvColumn& column) { return column.name == name; });
    return found == columns.end() ? nullptr : &*found;
}

CsvTable parseCsv(std::string_view bytes, std::string_view name, const CsvOptions& options)
{
    if (bytes.starts_with("\xef\xbb\xbf"))
        bytes.remove_prefix(3);
    requireText(bytes, name);
    CsvTable table;
    table.separator = options.separator ? options.separator : guessSeparator(bytes);
    RecordReader reader(bytes, name, table.separator);
    Record record, header;
    for (std::size_t i = 0; i < options.skipLines && reader.next(record); ++i) {
    }
    std::vector<std::vector<std::string>> values;
    std::size_t width = 0;
    bool hasHeader = false;
    for (bool first = true; reader.next(record); first = false) {
        if (first) {
            width = record.fields.size();
            values.resize(width);
            hasHeader = options.header == CsvHeader::Present || (options.header == CsvHeader::Auto && looksLikeHeader(record));
            if (hasHeader) {
                header = record;
                continue;
            }
        }
        if (record.fields.size() != width)
            throw core::FormatError(fmt::format("{}: line {}: expected {} fields, got {}", name, record.line, width, record.fields.size()));
        table.lines.push_back(record.line);
        for (std::size_t i = 0; i < width; ++i)
            values[i].push_back(std::move(record.fields[i]));
    }
    if (table.lines.empty())
        throw core::FormatError(fmt::format("{}: expected a table with rows, got none", name));
    table.rows = table.lines.size();
    const std::vector<std::string> names = columnNames(hasHeader ? &header : nullptr, width);
    if (hasHeader)
        table.repeated = repeatedNames(header);
    const std::unordered_set<std::string> missing(options.missingValues.begin(), options.missingValues.end());
    for (std::size_t i = 0; i < width; ++i)
        table.columns.push_back(ColumnBuilder(names[i], std::move(values[i]), missing, options.maxCategories).build());
    return table;
}

CsvColumn makeColumn(std::string name, std::vector<std::string> values, const CsvOptions& options)
{
    const std::unordered_set<std::string> missing(options.missingValues.begin(), options.missingValues.end());
    return ColumnBuilder(std::move(name), std::move(values), missing, options.maxCategories).build();
}

std::string csvField(std::string_view text, char separator)
{
    const std::array<char, 4> special{separator, '"', '\n', '\r'};
    if (text.find_first_of(std::string_view(special.data(), 4)) == std::string_view::npos && core::trim(text) == text)
        return std::string(text);
    std::string out = "\"";
    for (const char c : text)
        out.append(c == '"' ? 2 : 1, c);
    return out + '"';
}

}  // namespace orrery::io
