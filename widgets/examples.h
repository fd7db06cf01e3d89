#pragma once
#include <QString>
#include <vector>

namespace orrery::widgets {

/// One document of the example projects that ship with the program.
struct ExampleDocument {
    QString title, summary, file;
};

/// All of them but sweeps, which are many experiments, by title; none where the projects are not installed. Reads some small files.
std::vector<ExampleDocument> exampleDocuments();

}  // namespace orrery::widgets
