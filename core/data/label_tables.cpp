#include "label_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <core/base/text.h>

#include "sets.h"

namespace orrery::data {
namespace {

constexpr float kNotKnown = std::numeric_limits<float>::quiet_NaN();
constexpr std::string_view kNoFinding = "No Finding";

struct LabelReader {
    const io::CsvTable& table;
    std::string_view name;
    const LabelColumns& columns;

    const io::CsvColumn& column(const std::string& wanted) const { return columnNamed(table, wanted, std::string(name)); }

    std::string text(const std::string& wanted, std::size_t row) const
    {
        const io::CsvColumn& from = column(wanted);
        if (from.missing[row])
            return {};
        return from.type == io::ColumnType::Text ? from.texts[row] : core::formatNumber(from.numbers[row]);
    }

    float value(const io::CsvColumn& from, std::size_t row) const
    {
        if (from.missing[row])
            return kNotKnown;
        const bool isNumber = from.type == io::ColumnType::Integer || from.type == io::ColumnType::Real;
        const double number = isNumber ? from.numbers[row] : 2;
        if (number == 1 || number == 0)
            return float(number);
        if (number != -1)
            throw core::FormatError(
                fmt::format("{}: line {}, label \"{}\": expected 1, 0, -1 (uncertain) or nothing, got {}; name the label columns with `labels`", name,
                            table.lines[row], from.name, isNumber ? core::formatNumber(number) : "\"" + from.texts[row] + "\""));
        return columns.uncertain == Uncertain::Missing ? kNotKnown : columns.uncertain == Uncertain::Positive ? 1.0f : 0.0f;
    }

    std::vector<std::string> labelColumns() const
    {
        if (!columns.labels.empty())
            return columns.labels;
        std::vector<std::string> out;
        for (const io::CsvColumn& each : table.columns)
            if (each.name != columns.image && each.name != columns.patient)
                out.push_back(each.name);
        return out;
    }

    std::vector<std::string> listed(std::size_t row) const
    {
        std::vector<std::string> out;
        for (const std::string& part : core::split(text(columns.findings, row), '|'))
            if (const std::string_view word = core::trim(part); !word.empty() && word != kNoFinding)
                out.emplace_back(word);
        return out;
    }

    /// The words of all rows, sorted: their order must not depend on which row comes first.
    std::vector<std::string> words() const
    {
        if (!columns.labels.empty())
            return columns.labels;
        std::vector<std::string> out;
        for (std::size_t row = 0; row < table.rows; ++row)
            for (std::string& word : listed(row))
                out.push_back(std::move(word));
        std::sort(out.begin(), out.end());
        out.erase(std::unique(out.begin(), out.end()), out.end());
        return out;
    }

    void fillFromColumns(LabelTable& out, const std::vector<std::string>& names) const
    {
        std::vector<const io::CsvColumn*> from;
        for (const std::string& each : names)
            from.push_back(&column(each));
        for (std::size_t row = 0; row < table.rows; ++row)
            for (const io::CsvColumn* each : from)
                out.rows[row].values.push_back(value(*each, row));
    }

    void fillFromFindings(LabelTable& out, const std::vector<std::string>& names) const
    {
        const io::CsvColumn& from = column(columns.findings);
        for (std::size_t row = 0; row < table.rows; ++row) {
            const std::vector<std::string> present = listed(row);
            for (const std::string& each : names)
                out.rows[row].values.push_back(from.missing[row]                                                  ? kNotKnown
                                               : std::find(present.begin(), present.end(), each) != present.end() ? 1.0f
                                                                                                                  : 0.0f);
        }
    }

    std::vector<std::string> renamed(const std::vector<std::string>& names) const
    {
        for (const auto& [from, to] : columns.rename)
            if (std::find(names.begin(), names.end(), from) == names.end())
                throw core::InputError(
                    fmt::format("{}: rename: no label \"{}\"{} (labels: {})", name, from, core::didYouMean(from, names), core::join(names, ", ")));
        std::vector<std::string> out;
        for (const std::string& each : names) {
            const auto found = columns.rename.find(each);
            out.push_back(found == columns.rename.end() ? each : found->second);
            if (std::find(out.begin(), out.end() - 1, out.back()) != out.end() - 1)
                throw core::InputError(fmt::format("{}: expected each label once, got \"{}\" twice", name, out.back()));
        }
        return out;
    }
};

}  // namespace

bool holdsLabels(const DataInfo& info)
{
    return info.target.kind == kLabelsKind;
}

LabelTable parseLabelTable(std::string_view bytes, std::string_view name, const LabelColumns& columns)
{
    io::CsvOptions options;
    options.header = io::CsvHeader::Present;
    options.maxCategories = 0;  // names of files are no categories
    const io::CsvTable table = io::parseCsv(bytes, name, options);
    const LabelReader reader{table, name, columns};
    const std::vector<std::string> names = columns.findings.empty() ? reader.labelColumns() : reader.words();
    if (names.empty())
        throw core::InputError(fmt::format("{}: expected at least one label, got none", name));
    LabelTable out;
    out.labels = reader.renamed(names);
    out.rows.resize(table.rows);
    for (std::size_t row = 0; row < table.rows; ++row) {
        out.rows[row].line = table.lines[row];
        if (!columns.image.empty())
            out.rows[row].image = reader.text(columns.image, row);
        if (!columns.patient.empty())
            out.rows[row].patient = reader.text(columns.patient, row);
    }
    columns.findings.empty() ? reader.fillFromColumns(out, names) : reader.fillFromFindings(out, names);
    return out;
}

std::vector<std::string> unionOfLabels(std::span<const LabelTable> tables)
{
    std::vector<std::string> out;
    for (const LabelTable& table : tables)
        for (const std::string& label : table.labels)
            if (std::find(out.begin(), out.end(), label) == out.end())
                out.push_back(label);
    return out;
}

std::vector<std::vector<float>> alignedValues(const LabelTable& table, const std::vector<std::string>& labels)
{
    std::vector<std::vector<float>> out(table.rows.size(), std::vector<float>(labels.size(), kNotKnown));
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const auto found = std::find(table.labels.begin(), table.labels.end(), labels[i]);
        for (std::size_t row = 0; found != table.labels.end() && row < out.size(); ++row)
            out[row][i] = table.rows[row].values[std::size_t(found - table.labels.begin())];
    }
    return out;
}

std::string labelsText(std::span<const float> values, const std::vector<std::string>& labels)
{
    std::vector<std::string> present;
    std::size_t notKnown = 0;
    for (std::size_t i = 0; i < values.size() && i < labels.size(); ++i) {
        if (std::isnan(values[i]))
            ++notKnown;
        else if (values[i] == 1)
            present.push_back(labels[i]);
    }
    const std::string text = present.empty() ? "none" : core::join(present, ", ");
    return notKnown ? fmt::format("{} ({} of {} not known)", text, notKnown, labels.size()) : text;
}

}  // namespace orrery::data
