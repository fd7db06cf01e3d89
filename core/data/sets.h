#pragma once
#include <core/io/csv.h>

#include "prepare.h"

namespace orrery::data {

using DataRegistry = core::Registry<DataFactory>;

// One line a set; `catalogue.cpp` calls them.
void addDigits(DataRegistry& registry);
void addDigitRows(DataRegistry& registry);
void addIris(DataRegistry& registry);
void addWine(DataRegistry& registry);
void addBreastCancer(DataRegistry& registry);
void addKjv(DataRegistry& registry);
void addTextFile(DataRegistry& registry);
void addRepeatedSequences(DataRegistry& registry);
void addStringReversal(DataRegistry& registry);
void addTextPairs(DataRegistry& registry);
void addVariableMisuse(DataRegistry& registry);
void addCsv(DataRegistry& registry);
void addJsonLines(DataRegistry& registry);
void addNpy(DataRegistry& registry);
void addIdx(DataRegistry& registry);
void addCifar10(DataRegistry& registry);
void addCifar100(DataRegistry& registry);
void addImageFolder(DataRegistry& registry);
void addLabelledPictures(DataRegistry& registry);
void addRays(DataRegistry& registry);
void addViews(DataRegistry& registry);

/// Which columns of a table are inputs and which one is the target.
struct TableRoles {
    std::string target;                 ///< name; empty: the last column
    std::string task = "auto";          ///< auto, classification, regression, none
    std::vector<std::string> features;  ///< names; empty: all others
    std::vector<std::string> ignore;
    static TableRoles fromJson(const core::Json& parameters);
};
core::Schema tableRolesSchema();

/// Numbers become one feature, categories one feature a value (one-hot, named `colour=red`).
/// A target of categories, or of integers with at most 20 distinct values, makes a classification (task auto).
/// @throws core::InputError for columns that are not there or texts that cannot be features.
RawData rawFromTable(const io::CsvTable& table, const TableRoles& roles, const std::string& name);

/// @throws core::InputError naming the columns that are there, and one that the name may have meant.
const io::CsvColumn& columnNamed(const io::CsvTable& table, const std::string& name, const std::string& file);

/// Reads a file, inflated if it is gzip. @throws core::StorageError: `csv: expected a file at data/x.csv, found none`.
std::string readDataFile(const std::string& id, const std::filesystem::path& file);

}  // namespace orrery::data
