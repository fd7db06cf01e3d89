#include "theme.h"

#include <QApplication>
#include <QFile>
#include <QFontDatabase>
#include <QIconEngine>
#include <QPainter>
#include <QPixmap>
#include <QProxyStyle>
#include <QStyle>
#include <QStyleFactory>
#include <QStyleOption>
#include <QSvgRenderer>
#include <QWidget>
#include <cmath>

#include <core/base/error.h>
#include <core/base/files.h>

#include "theme_portal.h"

namespace orrery::widgets {
namespace {

struct Shades {
    QRgb window, base, alternate, text, muted, button, mid, highlight, link;
};
constexpr Shades kLight{0xfff2f3f5, 0xffffffff, 0xfff6f7f9, 0xff1b1e22, 0xff666c75, 0xfffafbfc, 0xffc3c8cf, 0xff2563b8, 0xff1a5fb4};
// Fields are lighter than what they stand on: Fusion draws their outlines darker, which would not be seen the other way round.
constexpr Shades kDark{0xff1d2024, 0xff272b31, 0xff2b3037, 0xffe4e6e9, 0xffa2a9b2, 0xff353a42, 0xff4c535d, 0xff3374c9, 0xff85b8f7};

void setDisabled(QPalette& palette, const Shades& shades)
{
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText, QPalette::HighlightedText})
        palette.setColor(QPalette::Disabled, role, QColor(shades.muted));
    palette.setColor(QPalette::Disabled, QPalette::Highlight, QColor(shades.mid));
}

/// Relative luminance. Source: WCAG 2.1, definition "relative luminance".
double luminance(const QColor& color)
{
    const auto linear = [](double c) { return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4); };
    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF());
}

/// `color` moved towards black or white until it has the contrast; hue stays.
QColor withContrast(QColor color, const QColor& background, double wanted)
{
    const bool lighter = luminance(background) < 0.5;
    for (int step = 0; step < 100 && contrast(color, background) < wanted; ++step) {
        float h, s, l;
        color.getHslF(&h, &s, &l);
        color = QColor::fromHslF(h, s, std::clamp(l + (lighter ? 0.01F : -0.01F), 0.0F, 1.0F));
    }
    return color;
}

/// Two arrowheads in the colour of text, whatever the theme is when they are painted. Fusion's own are black.
class MoreToolsIcon : public QIconEngine {
public:
    explicit MoreToolsIcon(bool isDown) : m_isDown(isDown) {}
    void paint(QPainter* painter, const QRect& rect, QIcon::Mode, QIcon::State) override
    {
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing);
        painter->setPen(QPen(QApplication::palette().color(QPalette::ButtonText), 1.8, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
        painter->translate(QRectF(rect).center());
        painter->rotate(m_isDown ? 90 : 0);
        const double size = std::min({rect.width(), rect.height(), 14}) / 4.0;
        for (const double x : {-size, size * 0.6})
            painter->drawPolyline(QPolygonF({{x, -1.5 * size}, {x + 1.5 * size, 0}, {x, 1.5 * size}}));
        painter->restore();
    }
    QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State state) override
    {
        QPixmap made(size);
        made.fill(Qt::transparent);
        QPainter painter(&made);
        paint(&painter, made.rect(), mode, state);
        return made;
    }
    QIconEngine* clone() const override { return new MoreToolsIcon(*this); }  // the icon that asks owns it

private:
    bool m_isDown;
};

/// Fusion, whose boxes to tick and whose button for tools without room are hardly seen on a dark ground.
class OutlineStyle : public QProxyStyle {
public:
    OutlineStyle() : QProxyStyle(QStyleFactory::create(QStringLiteral("Fusion"))) {}
    QIcon standardIcon(StandardPixmap which, const QStyleOption* option, const QWidget* widget) const override
    {
        if (which == SP_ToolBarHorizontalExtensionButton || which == SP_ToolBarVerticalExtensionButton)
            return QIcon(new MoreToolsIcon(which == SP_ToolBarVerticalExtensionButton));  // the icon owns it
        return QProxyStyle::standardIcon(which, option, widget);
    }
    int pixelMetric(PixelMetric metric, const QStyleOption* option, const QWidget* widget) const override
    {
        constexpr int kExtension = 22;
        return metric == PM_ToolBarExtensionExtent ? kExtension : QProxyStyle::pixelMetric(metric, option, widget);
    }
    void drawPrimitive(PrimitiveElement element, const QStyleOption* option, QPainter* painter, const QWidget* widget) const override
    {
        QProxyStyle::drawPrimitive(element, option, painter, widget);
        if (element != PE_IndicatorCheckBox && element != PE_IndicatorItemViewItemCheck)
            return;
        painter->save();
        painter->setPen(themeColors(option->palette).axisLine);
        painter->setBrush(Qt::NoBrush);
        painter->drawRect(option->rect.adjusted(0, 0, -1, -1));
        painter->restore();
    }
};

}  // namespace

struct Theme::Private {
    ThemeChoice choice = ThemeChoice::System;
    bool startedDark = false, dark = false;
    ThemePortal portal;
};

Theme::Theme(QObject* parent) : QObject(parent), d(std::make_unique<Private>())
{
    d->startedDark = orrery::widgets::isDark(QApplication::palette());
    QApplication::setStyle(new OutlineStyle);  // the application owns it
    connect(&d->portal, &ThemePortal::changed, this, [this] { setChoice(d->choice); });
    setChoice(ThemeChoice::System);
}

Theme::~Theme() = default;

ThemeChoice Theme::choice() const
{
    return d->choice;
}
bool Theme::isDark() const
{
    return d->dark;
}

void Theme::setChoice(ThemeChoice choice)
{
    d->choice = choice;
    d->dark = choice == ThemeChoice::System ? d->portal.prefersDark().value_or(d->startedDark) : choice == ThemeChoice::Dark;
    QApplication::setPalette(palette(d->dark));
    Q_EMIT changed();
}

ThemeChoice Theme::choiceFromText(const QString& text)
{
    return text == "dark" ? ThemeChoice::Dark : text == "light" ? ThemeChoice::Light : ThemeChoice::System;
}

QString Theme::choiceText(ThemeChoice choice)
{
    return choice == ThemeChoice::Dark ? QStringLiteral("dark") : choice == ThemeChoice::Light ? QStringLiteral("light") : QStringLiteral("system");
}

QPalette Theme::palette(bool dark)
{
    const Shades& shades = dark ? kDark : kLight;
    QPalette palette{QColor(shades.button), QColor(shades.window)};
    palette.setColor(QPalette::Window, QColor(shades.window));
    palette.setColor(QPalette::WindowText, QColor(shades.text));
    palette.setColor(QPalette::Base, QColor(shades.base));
    palette.setColor(QPalette::AlternateBase, QColor(shades.alternate));
    palette.setColor(QPalette::Text, QColor(shades.text));
    palette.setColor(QPalette::Button, QColor(shades.button));
    palette.setColor(QPalette::ButtonText, QColor(shades.text));
    palette.setColor(QPalette::BrightText, QColor(Qt::white));
    palette.setColor(QPalette::Mid, QColor(shades.mid));
    palette.setColor(QPalette::Dark, dark ? QColor(0xff101215) : QColor(0xffa0a6ae));
    palette.setColor(QPalette::Shadow, dark ? QColor(0xff0a0b0d) : QColor(0xff8a9098));
    palette.setColor(QPalette::Highlight, QColor(shades.highlight));
    palette.setColor(QPalette::HighlightedText, QColor(Qt::white));
    palette.setColor(QPalette::Link, QColor(shades.link));
    palette.setColor(QPalette::LinkVisited, QColor(shades.link));
    palette.setColor(QPalette::PlaceholderText, QColor(shades.muted));
    palette.setColor(QPalette::ToolTipBase, dark ? QColor(0xff3c424b) : QColor(0xfffffbe8));
    palette.setColor(QPalette::ToolTipText, QColor(shades.text));
    setDisabled(palette, shades);
    return palette;
}

bool isDark(const QPalette& palette)
{
    return palette.color(QPalette::Active, QPalette::WindowText).lightness() > palette.color(QPalette::Active, QPalette::Window).lightness();
}

ThemeColors themeColors(const QPalette& palette)
{
    const bool dark = isDark(palette);
    ThemeColors colors;
    colors.error = dark ? QColor(0xffff8a80) : QColor(0xffb3261e);
    colors.errorBackground = dark ? QColor(0xff4a2225) : QColor(0xfffde7e5);
    colors.warning = dark ? QColor(0xfff2b04d) : QColor(0xff8a5300);
    colors.success = dark ? QColor(0xff6fcf97) : QColor(0xff1b7340);
    colors.mutedText = palette.color(QPalette::PlaceholderText);
    colors.gridLine = dark ? QColor(0xff3a4048) : QColor(0xffe2e5e9);
    colors.axisLine = dark ? QColor(0xff878e98) : QColor(0xff737a83);
    colors.hoverBackground = dark ? QColor(0xff333941) : QColor(0xffe9eef6);
    return colors;
}

QColor toQColor(report::Rgb color)
{
    return {color.r, color.g, color.b};
}

QColor categoryColor(int index, bool dark)
{
    return withContrast(toQColor(report::seriesColour(std::size_t(index))), QColor((dark ? kDark : kLight).base), 3.0);
}

double contrast(const QColor& a, const QColor& b)
{
    const double la = luminance(a), lb = luminance(b);
    return (std::max(la, lb) + 0.05) / (std::min(la, lb) + 0.05);
}

QColor textColorOn(const QColor& background)
{
    return contrast(Qt::black, background) >= contrast(Qt::white, background) ? QColor(Qt::black) : QColor(Qt::white);
}

QIcon themedIcon(const QString& name, const QPalette& palette)
{
    QString file;
    try {
        file = QString::fromStdString((core::resourceFolder() / "icons" / (name.toStdString() + ".svg")).string());
    } catch (const core::Error&) {
        return {};
    }
    QSvgRenderer renderer(file);
    if (!QFile::exists(file) || !renderer.isValid())
        return {};
    QIcon icon;
    for (const auto& [mode, group] : {std::pair(QIcon::Normal, QPalette::Active), std::pair(QIcon::Disabled, QPalette::Disabled)}) {
        QPixmap pixmap(64, 64);
        pixmap.fill(Qt::transparent);
        QPainter painter(&pixmap);
        renderer.render(&painter);
        painter.setCompositionMode(QPainter::CompositionMode_SourceIn);
        painter.fillRect(pixmap.rect(), palette.color(group, QPalette::ButtonText));
        painter.end();
        icon.addPixmap(pixmap, mode);
    }
    return icon;
}

QFont monospaceFont(const QWidget* widget)
{
    QFont font = QFontDatabase::systemFont(QFontDatabase::FixedFont);
    font.setPointSizeF(widget->font().pointSizeF());
    return font;
}

}  // namespace orrery::widgets
