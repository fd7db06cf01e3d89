#pragma once
// QCustomPlot's header spells `signals:`, which QT_NO_KEYWORDS takes away. For .cpp files of this folder only.
#include <QObject>
#define signals Q_SIGNALS
#define slots Q_SLOTS
#define foreach Q_FOREACH
#include <qcustomplot.h>
#undef signals
#undef slots
#undef foreach
