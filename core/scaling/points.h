#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <core/store/workspace.h>

#include "law.h"

namespace orrery::scaling {

/// Named columns of numbers. What is missing or no number is NaN until a column is used.
struct Table {
    std::string name;                          ///< for messages: the file, or "runs"
    std::vector<std::string> names;            ///< of the columns
    std::vector<std::vector<double>> columns;  ///< [column][row]
    std::vector<std::string> texts;            ///< [column] the first entry that is no number, for messages; empty: none
    std::vector<std::string> places;           ///< [row] "line 7", "run 3"
    std::vector<store::RunId> runs;            ///< [row]; empty if the rows are not runs
    std::vector<std::string> repeated;         ///< names that the header gives more than once: none of these columns is meant by its name
    std::size_t rows() const { return places.size(); }
};

/// A CSV table with a header row. @throws core::StorageError if the file cannot be read or has more than 256 MiB, core::FormatError for ragged rows or none.
Table readTable(const std::filesystem::path& file);
/// The same of bytes. @param name  For messages.
Table parseTable(std::string_view bytes, const std::string& name);
/// A CSV file of these columns, with the number of the run first where rows are runs.
std::string tableText(const Table& table);

/// How a law's columns are found in a table.
struct ColumnMap {
    std::map<std::string, std::string> sources;  ///< of an input or "loss": the column's name; absent: its own name
    std::map<std::string, double> scales;        ///< factor of a column: {"N": 1e6} for numbers given in millions
};

/// Rows that a law is fitted to.
struct Points {
    std::string name;
    std::vector<std::string> inputNames;      ///< the law's inputs
    std::vector<std::vector<double>> inputs;  ///< [input][row], finite and > 0
    std::vector<double> loss;                 ///< [row], finite and > 0
    std::vector<std::string> places;
    std::vector<store::RunId> runs;
    std::size_t rows() const { return loss.size(); }
    /// The rows named, in that order.
    Points subset(const std::vector<std::size_t>& rows) const;
};

/// The map with what it leaves open: a law of one input "x" without a source takes the only column beside the loss. @throws core::InputError if there are several.
ColumnMap completeMap(const Table& table, const std::vector<std::string>& inputs, const ColumnMap& map);

/// Takes a law's columns out of a table, by the completed map.
/// @throws core::InputError for a column that is not there (with the nearest name), for a number that is missing, not finite, zero or negative (with the row), and
/// for an empty table.
Points pointsOf(const Table& table, const std::vector<std::string>& inputs, const ColumnMap& map);
/// One column, checked and scaled in the same way. @param name  As the law or the caller calls it.
std::vector<double> numbersOf(const Table& table, const std::string& name, const ColumnMap& map);

/// Rows of a table out of runs of a workspace. A source is a metric (`test/loss`: its last value), or arithmetic over numbers in the documents
/// (`train.steps * train.batch_size`), with `parameters` for the number of weights.
/// @param sources  Column name -> source. @throws core::InputError if no run matches, or for a run without such a number: the message names the run.
Table tableOfRuns(const store::Workspace& workspace, const store::RunQuery& query, const std::map<std::string, std::string>& sources);

}  // namespace orrery::scaling
