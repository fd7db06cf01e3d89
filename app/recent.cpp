#include <QDir>
#include <QFileInfo>
#include <QSettings>
#include <QStandardPaths>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/train/document_file.h>

#include "main_window.h"

namespace orrery::app {
namespace {

QString projectsFolder()
{
    try {
        return QString::fromStdString((core::resourceFolder().parent_path() / "projects").string());
    } catch (const core::Error&) {
        return {};
    }
}

// The first sentence of a README ends in the command that runs the example; here the button does that.
QString withoutCommand(const QString& sentence)
{
    auto text = sentence.left(sentence.indexOf('`') < 0 ? sentence.size() : sentence.indexOf('`')).trimmed();
    if (text.endsWith(':'))
        text.chop(1);
    return text.endsWith('.') ? text : text + '.';
}

}  // namespace

QStringList recentItems()
{
    QStringList items;
    for (const auto& item : QSettings().value("recent").toStringList())
        if (QFileInfo::exists(item))
            items << item;
    return items;
}

void rememberRecent(const QString& item)
{
    const auto path = QFileInfo(item).absoluteFilePath();
    auto items = QSettings().value("recent").toStringList();
    items.removeAll(path);
    items.prepend(path);
    QSettings().setValue("recent", items.mid(0, 12));
}

std::vector<Example> examples()
{
    std::vector<Example> found;
    const QDir root(projectsFolder());
    if (projectsFolder().isEmpty())
        return found;
    for (const auto& project : root.entryInfoList(QDir::Dirs | QDir::NoDotAndDotDot, QDir::Name)) {
        QString summary;
        QFile readme(project.filePath() + "/README.md");
        if (readme.open(QIODevice::ReadOnly))
            for (const auto& line : QString::fromUtf8(readme.readAll()).split('\n'))
                if (summary.isEmpty() && !line.startsWith('#') && !line.trimmed().isEmpty())
                    summary = withoutCommand(line.trimmed());
        auto documents = QDir(project.filePath()).entryInfoList({"*.yaml", "*.json"}, QDir::Files, QDir::Name);
        documents.removeIf([](const QFileInfo& file) { return file.completeBaseName() == "sweep"; });  // many experiments: `orrery-cli sweep`
        for (const auto& document : documents) {
            const auto title = documents.size() > 1 ? project.fileName() + " / " + document.completeBaseName() : project.fileName();
            found.push_back({title, summary, document.filePath()});
        }
    }
    return found;
}

}  // namespace orrery::app
