#include "model_box.h"

#include <QComboBox>
#include <QCoreApplication>
#include <QSignalBlocker>

#include "model_source.h"

namespace orrery::widgets {

void fillModelBox(QComboBox& box, const Selection& selection)
{
    const QSignalBlocker blocker(box);
    box.clear();
    for (const QString& argument : modelArguments(selection)) {
        const bool isRun = argument.startsWith(QLatin1String("run:"));
        box.addItem(isRun ? QCoreApplication::translate("ModelBox", "Run %1").arg(argument.mid(4)) : argument, argument);
    }
    box.setEnabled(box.count() > 0);
}

}  // namespace orrery::widgets
