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

std::vector<widgets::ExampleDocument> examples()
{
    auto found = widgets::exampleDocuments();
    for (auto& example : found)
        if (!example.summary.isEmpty())
            example.summary = withoutCommand(example.summary);
    return found;
}

}  // namespace orrery::app
