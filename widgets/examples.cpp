#include "examples.h"

#include <QDir>
#include <QFile>

#include <core/base/error.h>
#include <core/base/files.h>

namespace orrery::widgets {
namespace {

// The first sentence of the project's page that is no heading.
QString summaryOf(const QString& folder)
{
    QFile page(folder + "/README.md");
    if (!page.open(QIODevice::ReadOnly))
        return {};
    for (const auto& line : QString::fromUtf8(page.readAll()).split('\n'))
        if (!line.trimmed().isEmpty() && !line.startsWith('#'))
            return line.trimmed();
    return {};
}

}  // namespace

std::vector<ExampleDocument> exampleDocuments()
{
    std::vector<ExampleDocument> found;
    QDir root;
    try {
        root = QDir(QString::fromStdString((core::resourceFolder().parent_path() / "projects").string()));
    } catch (const core::Error&) {
        return found;
    }
    for (const auto& project : root.entryInfoList(QDir::Dirs | QDir::NoDotAndDotDot, QDir::Name)) {
        auto documents = QDir(project.filePath()).entryInfoList({"*.yaml", "*.json"}, QDir::Files, QDir::Name);
        // Sweeps are many experiments (`orrery-cli sweep`), a tokenizer is none.
        documents.removeIf([](const QFileInfo& file) { return file.completeBaseName() == "sweep" || file.fileName() == "tokenizer.json"; });
        for (const auto& document : documents) {
            const auto title = documents.size() > 1 ? project.fileName() + " / " + document.completeBaseName() : project.fileName();
            found.push_back({title, summaryOf(project.filePath()), document.filePath()});
        }
    }
    return found;
}

}  // namespace orrery::widgets
