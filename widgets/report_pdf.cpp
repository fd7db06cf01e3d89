#include "report_pdf.h"

#include <QBuffer>
#include <QFontMetricsF>
#include <QImage>
#include <QPageLayout>
#include <QPainter>
#include <QPainterPath>
#include <QPdfWriter>
#include <cmath>
#include <functional>

#include <core/base/error.h>
#include <core/base/files.h>

#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kMargin = 48, kPageWidth = 595, kPageHeight = 842;
constexpr double kWidth = kPageWidth - 2 * kMargin, kBottom = kPageHeight - kMargin;

QString qt(const std::string& text)
{
    return QString::fromStdString(text);
}

QColor color(const report::Colour& colour)
{
    if (colour.ink == report::Ink::None)
        return Qt::transparent;
    auto result = toQColor(report::paperColour(colour));
    result.setAlphaF(float(colour.alpha));
    return result;
}

QPen pen(const report::Stroke& stroke)
{
    if (stroke.colour.ink == report::Ink::None || stroke.width <= 0)
        return Qt::NoPen;
    QPen made(color(stroke.colour), stroke.width, Qt::SolidLine, Qt::FlatCap, Qt::RoundJoin);
    if (stroke.dashes.empty())
        return made;
    QList<qreal> pattern;
    for (const double length : stroke.dashes)
        pattern << length / stroke.width;
    made.setDashPattern(pattern);
    return made;
}

QFont font(double size, bool bold = false, bool mono = false)
{
    QFont made(mono ? "DejaVu Sans Mono" : "DejaVu Sans");
    made.setStyleHint(mono ? QFont::Monospace : QFont::SansSerif);
    made.setPointSizeF(size);
    made.setBold(bold);
    return made;
}

QRectF rectangle(const report::Rect& rect)
{
    return {rect.x, rect.y, rect.width, rect.height};
}

struct ItemPainter {
    QPainter& painter;
    void operator()(const report::LineItem& item) const
    {
        painter.setPen(pen(item.stroke));
        painter.drawLine(QPointF(item.from.x, item.from.y), QPointF(item.to.x, item.to.y));
    }
    void operator()(const report::PolylineItem& item) const
    {
        QPolygonF points;
        for (const auto& point : item.points)
            points << QPointF(point.x, point.y);
        if (item.fill.ink != report::Ink::None) {
            painter.setPen(Qt::NoPen);
            painter.setBrush(color(item.fill));
            painter.drawPolygon(points);
            painter.setBrush(Qt::NoBrush);
        }
        painter.setPen(pen(item.stroke));
        painter.drawPolyline(points);
    }
    void operator()(const report::RectItem& item) const
    {
        painter.setPen(pen(item.stroke));
        painter.setBrush(item.fill.ink == report::Ink::None ? QBrush(Qt::NoBrush) : QBrush(color(item.fill)));
        painter.drawRect(rectangle(item.rect));
        painter.setBrush(Qt::NoBrush);
    }
    void operator()(const report::TextItem& item) const
    {
        painter.save();
        painter.setFont(font(item.size, item.bold));
        painter.setPen(color(item.colour));
        painter.translate(item.at.x, item.at.y);
        painter.rotate(item.degrees);
        const double width = QFontMetricsF(painter.font(), painter.device()).horizontalAdvance(qt(item.text));
        painter.drawText(QPointF(item.anchor == report::Anchor::Start    ? 0
                                 : item.anchor == report::Anchor::Middle ? -width / 2
                                                                         : -width,
                                 0),
                         qt(item.text));
        painter.restore();
    }
    void operator()(const report::RasterItem& item) const
    {
        painter.setRenderHint(QPainter::SmoothPixmapTransform, item.smooth);
        // A PDF viewer smooths small pictures; enlarged here, pixels stay squares everywhere.
        auto picture = toQImage(item.image);
        const int factor = item.smooth ? 1 : std::clamp(int(512 / std::max(picture.width(), picture.height())), 1, 32);
        if (factor > 1)
            picture = picture.scaled(picture.width() * factor, picture.height() * factor, Qt::IgnoreAspectRatio, Qt::FastTransformation);
        painter.drawImage(rectangle(item.rect), picture);
    }
    void operator()(const report::ClipStart& item) const
    {
        painter.save();
        painter.setClipRect(rectangle(item.rect), Qt::IntersectClip);
    }
    void operator()(const report::ClipEnd&) const { painter.restore(); }
};

/// Lays blocks out from top to bottom and turns pages.
class PagePainter {
public:
    /// @param newPage  Makes the painter paint on the next page.
    PagePainter(std::function<void()> newPage, QPainter& painter, std::stop_token stop = {})
        : m_newPage(std::move(newPage)), m_painter(painter), m_stop(std::move(stop))
    {
    }
    void paint(const report::Report& report);
    /// Where the last page ends.
    double bottom() const { return m_y; }

private:
    void paintBlock(const report::Block& block, int level);
    void heading(const std::string& text, double size, double follows);
    void text(const QString& content, const QFont& face, const QColor& ink, int flags = Qt::AlignLeft | Qt::TextWordWrap);
    void code(const report::Code& block);
    void table(const report::Table& table);
    void picture(const report::Picture& picture);
    void keyValues(const report::KeyValues& values);
    void need(double height);
    void footer();
    double textHeight(const QString& content, const QFont& face, double width) const;
    double firstHeight(const std::vector<report::Block>& blocks) const;
    double pictureScale(const report::Picture& picture) const;

    std::function<void()> m_newPage;
    QPainter& m_painter;
    std::stop_token m_stop;
    double m_y = kMargin;
    int m_page = 1;
};

void PagePainter::footer()
{
    m_painter.setFont(font(8));
    m_painter.setPen(QColor(110, 110, 110));
    m_painter.drawText(QRectF(kMargin, kPageHeight - 34, kWidth, 14), Qt::AlignRight | Qt::AlignVCenter, QString::number(m_page));
}

void PagePainter::need(double height)
{
    if (m_y + height <= kBottom || m_y == kMargin)
        return;
    if (m_stop.stop_requested())
        throw core::Cancelled();
    footer();
    m_newPage();
    ++m_page;
    m_y = kMargin;
}

double PagePainter::textHeight(const QString& content, const QFont& face, double width) const
{
    return QFontMetricsF(face, m_painter.device())
        .boundingRect(QRectF(0, 0, width, 1e6), Qt::AlignLeft | Qt::TextWordWrap | Qt::TextWrapAnywhere, content)
        .height();
}

void PagePainter::text(const QString& content, const QFont& face, const QColor& ink, int flags)
{
    // Paragraph by paragraph, so that a long text breaks between pages.
    for (const auto& line : content.split('\n')) {
        const double height = std::max(textHeight(line, face, kWidth), QFontMetricsF(face, m_painter.device()).lineSpacing());
        need(height);
        m_painter.setFont(face);
        m_painter.setPen(ink);
        m_painter.drawText(QRectF(kMargin, m_y, kWidth, height), flags | Qt::TextWrapAnywhere, line);
        m_y += height;
    }
}

void PagePainter::heading(const std::string& content, double size, double follows)
{
    need(size * 2.5 + follows);  // never alone at the foot of a page
    m_y += size * 0.6;
    text(qt(content), font(size, true), Qt::black);
    m_y += size * 0.3;
}

void PagePainter::code(const report::Code& block)
{
    if (!block.caption.empty())
        text(qt(block.caption), font(8.5), QColor(90, 90, 90));
    text(qt(block.text), font(7.5, false, true), QColor(30, 30, 30));
    m_y += 8;
}

void PagePainter::table(const report::Table& table)
{
    if (!table.caption.empty())
        text(qt(table.caption), font(8.5), QColor(90, 90, 90));
    const auto face = font(8), bold = font(8, true);
    const QFontMetricsF metrics(bold, m_painter.device());
    std::vector<double> widths;
    double total = 0;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        double width = metrics.horizontalAdvance(qt(table.columns[i].title));
        for (const auto& row : table.rows)
            width = std::max(width, metrics.horizontalAdvance(qt(row[i].text)));
        widths.push_back(std::min(width, 260.0) + 10);
        total += widths.back();
    }
    if (total > kWidth)
        for (auto& width : widths)
            width *= kWidth / total;
    const auto drawRow = [&](const auto& textOf, bool isHead) {
        double height = 0;
        for (std::size_t i = 0; i < widths.size(); ++i)
            height = std::max(height, textHeight(textOf(i), isHead ? bold : face, widths[i] - 8));
        need(height + 5);
        double x = kMargin;
        for (std::size_t i = 0; i < widths.size(); ++i) {
            m_painter.setFont(isHead ? bold : face);
            m_painter.setPen(Qt::black);
            const auto align = table.columns[i].align == report::Align::Right ? Qt::AlignRight : Qt::AlignLeft;
            m_painter.drawText(QRectF(x + 4, m_y + 2, widths[i] - 8, height), int(align | Qt::TextWordWrap | Qt::TextWrapAnywhere), textOf(i));
            x += widths[i];
        }
        m_y += height + 5;
        m_painter.setPen(QPen(isHead ? QColor(120, 120, 120) : QColor(215, 215, 215), isHead ? 0.8 : 0.4));
        m_painter.drawLine(QPointF(kMargin, m_y - 1), QPointF(x, m_y - 1));
    };
    drawRow([&](std::size_t i) { return qt(table.columns[i].title); }, true);
    for (const auto& row : table.rows)
        drawRow([&](std::size_t i) { return qt(row[i].text); }, false);
    m_y += 8;
}

void PagePainter::picture(const report::Picture& picture)
{
    const auto& drawing = picture.drawing;
    const double scale = pictureScale(picture);
    need(drawing.height * scale + 24);
    m_painter.save();
    m_painter.translate(kMargin, m_y);
    m_painter.scale(scale, scale);
    paintDrawing(m_painter, drawing);
    m_painter.restore();
    m_y += drawing.height * scale + 4;
    if (!picture.title.empty())
        text(qt(picture.title), font(8.5), QColor(90, 90, 90));
    m_y += 8;
}

void PagePainter::keyValues(const report::KeyValues& values)
{
    const auto face = font(8.5);
    for (const auto& [key, value] : values.entries) {
        const double height = std::max(textHeight(qt(value), face, kWidth - 150), textHeight(qt(key), face, 140));
        need(height);
        m_painter.setFont(face);
        m_painter.setPen(QColor(90, 90, 90));
        m_painter.drawText(QRectF(kMargin, m_y, 140, height), Qt::TextWordWrap, qt(key));
        m_painter.setPen(Qt::black);
        m_painter.drawText(QRectF(kMargin + 150, m_y, kWidth - 150, height), Qt::TextWordWrap | Qt::TextWrapAnywhere, qt(value));
        m_y += height + 2;
    }
    m_y += 8;
}

// What must stand on the same page as the heading above it.
double PagePainter::firstHeight(const std::vector<report::Block>& blocks) const
{
    if (blocks.empty())
        return 0;
    if (const auto* section = std::get_if<report::Section>(&blocks[0].content))
        return 28 + firstHeight(section->blocks);
    if (const auto* drawn = std::get_if<report::Picture>(&blocks[0].content))
        return drawn->drawing.height * pictureScale(*drawn) + 24;
    return 40;
}

double PagePainter::pictureScale(const report::Picture& picture) const
{
    return std::min({1.0, kWidth / std::max(picture.drawing.width, 1.0), (kBottom - kMargin - 80) / std::max(picture.drawing.height, 1.0)});
}

void PagePainter::paintBlock(const report::Block& block, int level)
{
    if (const auto* section = std::get_if<report::Section>(&block.content)) {
        heading(section->title, level == 0 ? 14 : 11, firstHeight(section->blocks));
        for (const auto& inner : section->blocks)
            paintBlock(inner, level + 1);
    } else if (const auto* paragraph = std::get_if<report::Paragraph>(&block.content)) {
        const auto ink = paragraph->style == report::TextStyle::Warning ? QColor(150, 60, 0)
                         : paragraph->style == report::TextStyle::Note  ? QColor(90, 90, 90)
                                                                        : QColor(Qt::black);
        text(qt(paragraph->text), font(9.5), ink);
        m_y += 6;
    } else if (const auto* content = std::get_if<report::Code>(&block.content)) {
        code(*content);
    } else if (const auto* rows = std::get_if<report::Table>(&block.content)) {
        table(*rows);
    } else if (const auto* drawn = std::get_if<report::Picture>(&block.content)) {
        picture(*drawn);
    } else if (const auto* values = std::get_if<report::KeyValues>(&block.content)) {
        keyValues(*values);
    }
}

void PagePainter::paint(const report::Report& report)
{
    if (!report.title.empty())
        text(qt(report.title), font(20, true), Qt::black);
    if (!report.summary.empty()) {
        m_y += 4;
        text(qt(report.summary), font(10), QColor(90, 90, 90));
    }
    m_y += report.title.empty() ? 0 : 10;
    for (const auto& block : report.blocks) {
        if (m_stop.stop_requested())
            throw core::Cancelled();
        paintBlock(block, 0);
    }
    footer();
}

}  // namespace

void paintDrawing(QPainter& painter, const report::Drawing& drawing)
{
    painter.save();
    for (const auto& item : drawing.items)
        std::visit(ItemPainter{painter}, item);
    painter.restore();
}

QImage toQImage(const io::Image& source)
{
    const auto format = source.channels == 1 ? QImage::Format_Grayscale8 : source.channels == 3 ? QImage::Format_RGB888 : QImage::Format_RGBA8888;
    return QImage(source.pixels.data(), source.width, source.height, source.width * source.channels, format).copy();
}

io::Image fromQImage(const QImage& source)
{
    const QImage rgb = source.convertToFormat(QImage::Format_RGB888);
    io::Image made{rgb.width(), rgb.height(), 3, {}};
    for (int row = 0; row < rgb.height(); ++row)
        made.pixels.insert(made.pixels.end(), rgb.constScanLine(row), rgb.constScanLine(row) + 3 * rgb.width());
    return made;
}

QList<QImage> paintPages(const report::Report& report, double pixelsPerPoint, int mostPages)
{
    constexpr int kDotsPerMeter = 2835;  // 72 an inch, as the PDF has: texts take the same space
    const QSize size(int(std::ceil(kPageWidth * pixelsPerPoint)), int(std::ceil(kPageHeight * pixelsPerPoint)));
    QList<QImage> pages;
    QImage page(size, QImage::Format_RGB32);
    QPainter painter;
    const auto begin = [&] {
        page.setDotsPerMeterX(kDotsPerMeter);
        page.setDotsPerMeterY(kDotsPerMeter);
        page.fill(Qt::white);
        painter.begin(&page);
        painter.setRenderHints(QPainter::Antialiasing | QPainter::SmoothPixmapTransform);
        painter.scale(pixelsPerPoint, pixelsPerPoint);
    };
    begin();
    PagePainter pagePainter(
        [&] {
            painter.end();
            if (pages.size() < mostPages)
                pages << page.copy();
            begin();
        },
        painter);
    pagePainter.paint(report);
    painter.end();
    if (pages.size() < mostPages)
        pages << page;
    return pages;
}

void writePdf(const report::Report& report, const QString& file, std::stop_token stop)
{
    QByteArray bytes;
    QBuffer buffer(&bytes);
    buffer.open(QIODevice::WriteOnly);
    {
        QPdfWriter writer(&buffer);
        writer.setResolution(72);
        writer.setPageLayout(QPageLayout(QPageSize(QPageSize::A4), QPageLayout::Portrait, QMarginsF(0, 0, 0, 0)));
        writer.setTitle(qt(report.title));
        writer.setCreator("Orrery");
        QPainter painter(&writer);
        painter.setRenderHint(QPainter::Antialiasing);
        PagePainter([&] { writer.newPage(); }, painter, std::move(stop)).paint(report);
    }
    core::writeFileAtomically(file.toStdString(), std::string_view(bytes.constData(), std::size_t(bytes.size())));
}

}  // namespace orrery::widgets
