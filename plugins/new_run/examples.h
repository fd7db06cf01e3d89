#pragma once
#include <QString>
#include <vector>

namespace orrery::plugins {

/// One document of the example projects that ship with the program.
struct ExampleDocument {
    QString title, summary, file;
};

/// All of them, by title; none where the projects are not installed. Reads some small files.
std::vector<ExampleDocument> exampleDocuments();

}  // namespace orrery::plugins
