#pragma once
#include <QApplication>
#include <QDir>
#include <QTest>
#include <QWidget>

#include <widgets/theme.h>

/// Pictures of widgets for people to look at: written into `$ORRERY_SHOTS` in light and dark where that is set.
inline void takeShots(QWidget& widget, const QString& name)
{
    const QString folder = qEnvironmentVariable("ORRERY_SHOTS");
    if (folder.isEmpty())
        return;
    const QPalette before = QApplication::palette();
    for (const bool dark : {false, true}) {
        QApplication::setPalette(orrery::widgets::Theme::palette(dark));
        QTest::qWait(80);
        widget.grab().save(QDir(folder).filePath(name + (dark ? "-dark.png" : "-light.png")));
    }
    QApplication::setPalette(before);
}
