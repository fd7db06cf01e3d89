#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataset.h"

/// Tables that say for each picture which of several labels it bears, and how tables of several sources become one.
namespace orrery::data {

/// The kind of a target [batch, label] that holds 1 (present), 0 (absent) or NaN (nobody looked).
inline constexpr std::string_view kLabelsKind = "labels";
bool holdsLabels(const DataInfo& info);

/// What an uncertain label (-1) counts as. Source: Irvin et al. (2019), "CheXpert", arXiv:1901.07031, section 3.1 (U-Ignore, U-Ones, U-Zeros).
enum class Uncertain { Missing, Positive, Negative };

/// How a table is to be read.
struct LabelColumns {
    std::string image;                          ///< names of files; empty: rows are pictures in their order
    std::string patient;                        ///< who is shown; empty: every picture stands for itself
    std::string findings;                       ///< one column that lists what is present, `Mass|Nodule`; empty: a column a label
    std::vector<std::string> labels;            ///< columns, or words of `findings`; empty: all others, or all words
    std::map<std::string, std::string> rename;  ///< the source's word -> the common one
    Uncertain uncertain = Uncertain::Missing;
};

struct LabelTable {
    std::vector<std::string> labels;  ///< renamed
    struct Row {
        std::string image, patient;
        std::size_t line = 0;
        std::vector<float> values;  ///< one a label: 1, 0 or NaN
    };
    std::vector<Row> rows;
};

/// A column a label: 1 present, 0 absent, -1 uncertain, nothing: missing. With `findings`: what is not listed is absent, "No Finding" is no label.
/// @throws core::FormatError for a value that is none of these; core::InputError for columns that are not there, two columns renamed to one label, no label.
LabelTable parseLabelTable(std::string_view bytes, std::string_view name, const LabelColumns& columns);

/// The labels of all tables, in the order they are met.
std::vector<std::string> unionOfLabels(std::span<const LabelTable> tables);
/// The rows' values in the order of `labels`: a label that the table does not know is missing (NaN), not absent.
std::vector<std::vector<float>> alignedValues(const LabelTable& table, const std::vector<std::string>& labels);

/// "Mass, Nodule (2 of 5 not known)" for the values of one picture.
std::string labelsText(std::span<const float> values, const std::vector<std::string>& labels);

}  // namespace orrery::data
