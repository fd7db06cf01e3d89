#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::io {

/// The narrowest of these that all values of a column have: integer (64 bit), real, category (a text that repeats), text.
enum class ColumnType { Integer, Real, Category, Text };
std::string_view columnTypeName(ColumnType type);

struct CsvColumn {
    std::string name;
    ColumnType type = ColumnType::Text;
    std::vector<double> numbers;          ///< Integer and Real: one a row, NaN where missing
    std::vector<std::string> categories;  ///< Category: sorted distinct values
    std::vector<std::int32_t> codes;      ///< Category: index into `categories`, -1 where missing
    std::vector<std::string> texts;       ///< Text: one a row, empty where missing
    std::vector<std::uint8_t> missing;    ///< one a row: 1 where the field is missing
    std::size_t missingCount = 0;
};

struct CsvTable {
    std::vector<CsvColumn> columns;
    std::size_t rows = 0;
    char separator = ',';
    std::vector<std::size_t> lines;     ///< line number (from 1) where each row starts
    std::vector<std::string> repeated;  ///< names that the header gives more than once
    /// Nothing if there is no such column.
    const CsvColumn* find(std::string_view name) const;
};

enum class CsvHeader { Auto, Present, Absent };

struct CsvOptions {
    char separator = 0;                  ///< 0: the one of , ; tab that splits the first line most often
    CsvHeader header = CsvHeader::Auto;  ///< Auto: a first line without any number is a header
    std::size_t skipLines = 0;           ///< records to ignore at the start
    std::vector<std::string> missingValues = {"", "NA", "N/A", "na", "n/a", "NaN", "nan", "NULL", "null", "None", "?"};
    std::size_t maxCategories =
        1000;  ///< a text column with more distinct values, or with more than half of its values distinct (and over 20), is Text
};

/// Reads a table. Quotes as in RFC 4180 (doubled inside, line breaks kept), a UTF-8 byte order mark, LF, CRLF and CR line ends, blank lines ignored. Columns
/// without a name, or all columns of a file without a header, are called `column_1`, `column_2`, ... A name that occurs twice gets `_2`.
/// @throws core::FormatError for ragged rows (`iris.csv: line 7: expected 5 fields, got 4`), an open quote, text behind a closing quote, or no rows.
/// Source: RFC 4180, section 2.
CsvTable parseCsv(std::string_view bytes, std::string_view name, const CsvOptions& options = {});

/// A column of values given as text, typed as `parseCsv` does it.
CsvColumn makeColumn(std::string name, std::vector<std::string> values, const CsvOptions& options = {});

/// One field, quoted where it has to be.
std::string csvField(std::string_view text, char separator = ',');

}  // namespace orrery::io
