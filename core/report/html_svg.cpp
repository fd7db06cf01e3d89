#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <fmt/format.h>

#include "html.h"
#include "svg_writer.h"

namespace orrery::report {

namespace {

/// Two decimals at most, without trailing zeros and without "-0".
std::string number(double value)
{
    std::string text = fmt::format("{:.2f}", std::isfinite(value) ? value : 0.0);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.')
        text.pop_back();
    return text == "-0" ? "0" : text;
}

char inkLetter(Ink ink)
{
    switch (ink) {
    case Ink::Foreground: return 'F';
    case Ink::Muted: return 'M';
    case Ink::Grid: return 'G';
    case Ink::Background: return 'B';
    case Ink::None:
    case Ink::Fixed: break;
    }
    return 0;
}

/// `fill` or `stroke` with opacity; the class for a page colour goes to `classes`.
std::string paint(const char* attribute, const Colour& colour, std::string& classes)
{
    if (colour.ink == Ink::None)
        return fmt::format(" {}=\"none\"", attribute);
    if (const char letter = inkLetter(colour.ink))
        classes += fmt::format("{}{}{}", classes.empty() ? "" : " ", attribute[0], letter);
    std::string text = fmt::format(" {}=\"{}\"", attribute, hexColour(paperColour(colour)));
    if (colour.alpha < 1)
        text += fmt::format(" {}-opacity=\"{}\"", attribute, number(colour.alpha));
    return text;
}

std::string strokeAttributes(const Stroke& stroke, std::string& classes)
{
    if (stroke.colour.ink == Ink::None)
        return {};
    std::string text = paint("stroke", stroke.colour, classes) + fmt::format(" stroke-width=\"{}\"", number(stroke.width));
    for (std::size_t i = 0; i < stroke.dashes.size(); ++i)
        text += (i == 0 ? " stroke-dasharray=\"" : " ") + number(stroke.dashes[i]);
    return stroke.dashes.empty() ? text : text + "\"";
}

std::string classAttribute(const std::string& classes)
{
    return classes.empty() ? "" : fmt::format(" class=\"{}\"", classes);
}

class SvgWriter {
public:
    explicit SvgWriter(std::string_view idPrefix) : m_prefix(idPrefix) {}

    void operator()(const LineItem& item)
    {
        std::string classes;
        const std::string stroke = strokeAttributes(item.stroke, classes);
        m_out += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{}{}/>\n", number(item.from.x), number(item.from.y), number(item.to.x),
                             number(item.to.y), stroke, classAttribute(classes));
    }

    void operator()(const PolylineItem& item)
    {
        std::string classes, points;
        for (const Point& point : item.points)
            points += fmt::format("{}{},{}", points.empty() ? "" : " ", number(point.x), number(point.y));
        const std::string paints = paint("fill", item.fill, classes) + strokeAttributes(item.stroke, classes);
        m_out += fmt::format("<polyline points=\"{}\"{} stroke-linejoin=\"round\"{}/>\n", points, paints, classAttribute(classes));
    }

    void operator()(const RectItem& item)
    {
        std::string classes;
        const std::string paints = paint("fill", item.fill, classes) + strokeAttributes(item.stroke, classes);
        m_out += fmt::format("<rect{}{}{}/>\n", box(item.rect), paints, classAttribute(classes));
    }

    void operator()(const TextItem& item)
    {
        std::string classes;
        std::string attributes = fmt::format(" x=\"{}\" y=\"{}\" font-size=\"{}\"", number(item.at.x), number(item.at.y), number(item.size)) +
                                 paint("fill", item.colour, classes);
        if (item.anchor != Anchor::Start)
            attributes += item.anchor == Anchor::Middle ? " text-anchor=\"middle\"" : " text-anchor=\"end\"";
        if (item.degrees != 0)
            attributes += fmt::format(" transform=\"rotate({} {} {})\"", number(item.degrees), number(item.at.x), number(item.at.y));
        if (item.bold)
            attributes += " font-weight=\"bold\"";
        m_out += fmt::format("<text{}{}>{}</text>\n", attributes, classAttribute(classes), escaped(item.text));
    }

    void operator()(const RasterItem& item)
    {
        m_out += fmt::format("<image{} preserveAspectRatio=\"none\"{} href=\"data:image/png;base64,{}\"/>\n", box(item.rect),
                             item.smooth ? "" : " style=\"image-rendering:pixelated\"", base64(io::encodePng(item.image)));
    }

    void operator()(const ClipStart& item)
    {
        const std::string id = fmt::format("{}c{}", m_prefix, ++m_clips);
        m_out += fmt::format("<clipPath id=\"{0}\"><rect{1}/></clipPath>\n<g clip-path=\"url(#{0})\">\n", id, box(item.rect));
        ++m_depth;
    }

    void operator()(const ClipEnd&)
    {
        if (m_depth == 0)
            throw core::InputError("drawing: expected a ClipStart before every ClipEnd, got a ClipEnd without one");
        m_out += "</g>\n";
        --m_depth;
    }

    std::string take()
    {
        for (; m_depth > 0; --m_depth)
            m_out += "</g>\n";
        return std::move(m_out);
    }

private:
    static std::string box(const Rect& rect)
    {
        return fmt::format(" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", number(rect.x), number(rect.y), number(std::max(0.0, rect.width)),
                           number(std::max(0.0, rect.height)));
    }

    std::string m_prefix, m_out;
    int m_clips = 0, m_depth = 0;
};

}  // namespace

std::string svgElement(const Drawing& drawing, std::string_view title, std::string_view description, std::string_view idPrefix)
{
    SvgWriter writer(idPrefix);
    for (const DrawingItem& item : drawing.items)
        std::visit(writer, item);
    return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"{0}t {0}d\" width=\"{1}pt\" height=\"{2}pt\" "
                       "viewBox=\"0 0 {1} {2}\" "
                       "font-family=\"sans-serif\">\n<title id=\"{0}t\">{3}</title>\n<desc id=\"{0}d\">{4}</desc>\n{5}</svg>\n",
                       idPrefix, number(drawing.width), number(drawing.height), escaped(title), escaped(description), writer.take());
}

std::string toSvg(const Drawing& drawing, std::string_view title, std::string_view description)
{
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + svgElement(drawing, title, description, "p");
}

}  // namespace orrery::report
