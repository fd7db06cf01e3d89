#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::store {

/// A query over runs, as people write it: `test/accuracy > 0.97 and optimizer.lr < 1e-2 and not tag = broken`.
///
///     query   = [ either ]                                          an empty query matches every run
///     either  = all { "or" all }
///     all     = each { [ "and" ] each }                             words side by side must all hold
///     each    = "not" each | "(" either ")" | words | condition
///     words   = WORD | TEXT                                         part of name, notes, a tag, or the id
///     condition = FIELD compare VALUE | FIELD [ "not" ] "in" "(" VALUE { "," VALUE } ")"
///     compare = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"          "~" is "contains"
///
/// TEXT stands in double or single quotes; `\` before a quote or a `\` takes it as it is. A WORD is any run of other characters than blanks, quotes, `( ) , = ! < > ~`.
///
/// Fields: `id name status tag notes created started ended parent hash seed error`; the name of a metric (`test/accuracy`, also `.last`, `.min`, `.max`, `.first`
/// of it; without: last); a path into the document, of which the end suffices (`optimizer.lr` for `train.optimizer.lr`; `optimizer` for `train.optimizer.id`).
///
/// Letter case of texts does not count (ASCII). A run without the field fulfils no comparison, `!=` included; `= null` asks for such runs, `!= null` for the others.
/// A tag is compared with all tags of a run: `tag = x` if one is x, `tag != x` if none is. Dates are compared as exactly as they are written: `created = 2026-11`.
/// `hash` and dates: `=` means "begins with". Plain data; any thread.
struct RunFilter {
    enum class Kind { Condition, Words, Not, And, Or };
    enum class Comparison { Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, Contains, In };
    struct Literal {
        std::string text;              ///< as written, without quotes
        std::optional<double> number;  ///< what is no text in quotes and reads as a number
        bool isNull = false;
        std::size_t column = 0;
    };
    struct Node {
        Kind kind = Kind::Words;
        Comparison comparison = Comparison::Equal;
        std::string field;                   ///< Condition: as written
        std::vector<Literal> values;         ///< Condition: one, of In one or more; Words: one
        std::vector<std::size_t> arguments;  ///< Not, And, Or: earlier nodes
        std::size_t column = 0;              ///< where it stands in the text, in characters from 1
    };
    std::string text;
    std::vector<Node> nodes;  ///< arguments before their users; the last one is the whole; none: everything matches

    bool empty() const { return nodes.empty(); }
};

/// @throws InputError with the column, what was expected and what was found. At most 10,000 bytes, 500 conditions and 100 levels of parentheses.
RunFilter parseRunFilter(std::string_view text);

/// `query "...", column 7: message`, the form of all errors of a query.
std::string filterErrorText(std::string_view query, std::size_t column, std::string_view message);

/// The text as a value of a query: in quotes where it needs them.
std::string quotedForFilter(std::string_view text);

/// Something a query may name.
struct RunField {
    enum class Kind { Property, Metric, Document };
    std::string name;  ///< "status", "test/accuracy", "train.optimizer.lr"
    Kind kind = Kind::Property;
    bool isNumber = false;            ///< compared as a number (a document's: all values seen are numbers)
    std::vector<std::string> values;  ///< some that occur, ready to stand in a query
};

/// The properties every run has, without values but for `status`.
std::vector<RunField> runProperties();

/// What may stand at a place of a query.
struct Completions {
    struct Item {
        std::string text;  ///< what takes the place of [from, to)
        std::string help;  ///< "metric", "document", "12 values"; may be empty
    };
    std::size_t from = 0, to = 0;  ///< bytes of the text
    std::vector<Item> items;       ///< best first, at most 50
};

/// Fields, operators, values or connecting words for the place before byte `cursor`; a wrong text before it gives what is sensible. Any thread.
/// @param fields  `Workspace::runFields()`, kept by the caller.
Completions completions(std::string_view text, std::size_t cursor, const std::vector<RunField>& fields);

}  // namespace orrery::store
