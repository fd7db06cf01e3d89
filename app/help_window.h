#pragma once
#include <QString>

class QWidget;

namespace orrery::app {

/// Shows `resources/help/PAGE.html` in a window beside `parent`; a page that is not there shows the index. Pages link to each other. @return The window.
QWidget* showHelpPage(QWidget* parent, const QString& page);

}  // namespace orrery::app
