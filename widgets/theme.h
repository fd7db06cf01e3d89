#pragma once
#include <QColor>
#include <QFont>
#include <QIcon>
#include <QObject>
#include <QPalette>
#include <QString>
#include <memory>

#include <core/report/colour_map.h>

class QWidget;

namespace orrery::widgets {

enum class ThemeChoice { System, Light, Dark };

/// Light and dark palettes on the Fusion style. With `System` it follows the desktop (portal `org.freedesktop.appearance color-scheme` over D-Bus;
/// without a
/// portal the lightness of the palette the program started with). One per program, made after QApplication. UI thread.
class Theme : public QObject {
    Q_OBJECT
public:
    explicit Theme(QObject* parent = nullptr);
    ~Theme() override;

    ThemeChoice choice() const;
    void setChoice(ThemeChoice choice);
    bool isDark() const;
    /// "system", "light", "dark"; anything else is `System`.
    static ThemeChoice choiceFromText(const QString& text);
    static QString choiceText(ThemeChoice choice);
    static QPalette palette(bool dark);

Q_SIGNALS:
    /// The palette has been applied to the whole program. Widgets also get their PaletteChange event.
    void changed();

private:
    struct Private;
    std::unique_ptr<Private> d;
};

/// True if text is lighter than its background. What a widget draws itself asks its own palette, so it needs no `Theme`.
bool isDark(const QPalette& palette);

/// Roles that QPalette lacks, for the given palette.
struct ThemeColors {
    QColor error, errorBackground, warning, success, mutedText, gridLine, axisLine, hoverBackground;
};
ThemeColors themeColors(const QPalette& palette);

/// The colour-blind-safe colours of `report::seriesColour`, darkened on light and lightened on dark until each has 3:1 against the background.
/// Repeats after seven.
QColor categoryColor(int index, bool dark);
QColor toQColor(report::Rgb color);

/// Black or white, whichever is read better on `background` (relative luminance of WCAG 2.1).
QColor textColorOn(const QColor& background);
/// WCAG 2.1 contrast ratio, 1..21.
double contrast(const QColor& a, const QColor& b);

/// An icon of `resources/icons/NAME.svg`, drawn in the palette's text colour; a null icon if there is none.
QIcon themedIcon(const QString& name, const QPalette& palette);

/// The widget's font in a fixed-width face of the same size.
QFont monospaceFont(const QWidget* widget);

}  // namespace orrery::widgets
