#pragma once
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "drawing.h"

namespace orrery::report {

/// The content of a report, independent of how it is written. All texts are plain UTF-8; writers escape them.

enum class TextStyle { Normal, Note, Warning };

struct Paragraph {
    std::string text;
    TextStyle style = TextStyle::Normal;
};

/// Commands or documents, as they are, in a fixed-width font.
struct Code {
    std::string text;
    std::string caption;  ///< may be empty
};

enum class Align { Left, Right };

struct Column {
    std::string title;
    Align align = Align::Left;  ///< numbers stand on the right, with figures of equal width
};

struct Cell {
    std::string text;
    bool emphasised = false;
};

/// The first column names the row.
struct Table {
    std::string caption;  ///< may be empty
    std::vector<Column> columns;
    std::vector<std::vector<Cell>> rows;  ///< each as long as `columns`
};

struct Picture {
    Drawing drawing;
    std::string title;        ///< shown below
    std::string description;  ///< what the picture shows, for those who cannot see it
};

struct KeyValues {
    std::vector<std::pair<std::string, std::string>> entries;
};

struct Block;

struct Section {
    std::string title;
    std::vector<Block> blocks;
};

struct Block {
    std::variant<Section, Paragraph, Code, Table, Picture, KeyValues> content;

    template <class Content>
    Block(Content value) : content(std::move(value))
    {
    }
};

struct Report {
    std::string title;
    std::string summary;  ///< one sentence below the title; may be empty
    std::vector<Block> blocks;
};

}  // namespace orrery::report
