#include "html.h"

#include <cstdint>

#include <core/base/error.h>
#include <fmt/format.h>

#include "svg_writer.h"

namespace orrery::report {

namespace {

constexpr std::string_view kStyle =
    R"(:root{color-scheme:light dark;--fg:#1a1c1f;--muted:#5a5f66;--grid:#d8dbdf;--bg:#fff;--soft:#f4f5f7;--warn:#8a4b00;--link:#0b5cad}
@media(prefers-color-scheme:dark){:root{--fg:#e6e8eb;--muted:#a2a8b0;--grid:#3a3f46;--bg:#16181b;--soft:#202327;--warn:#f0b35c;--link:#7db8f5}}
@media print{:root{color-scheme:light;--fg:#1a1c1f;--muted:#5a5f66;--grid:#d8dbdf;--bg:#fff;--soft:#f4f5f7;--warn:#8a4b00;--link:#1a1c1f}nav{display:none}figure,table,pre{break-inside:avoid}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:60rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem}h2{font-size:1.25rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--grid)}h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
h1,h2,h3,h4,td,th,dd,p,figcaption{overflow-wrap:anywhere}
a{color:var(--link)}nav ul{margin:.5rem 0;padding-left:1.2rem}p{white-space:pre-line}.note{color:var(--muted)}.warning{color:var(--warn)}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.6rem 0}caption{text-align:left;color:var(--muted);padding-bottom:.3rem}
th,td{padding:.25rem .7rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid)}thead th{color:var(--muted);font-weight:600}tbody th{font-weight:500}
.n{text-align:right;font-variant-numeric:tabular-nums}td.n,th.n{padding-left:.7rem;padding-right:0}
pre{background:var(--soft);padding:.7rem .9rem;overflow-x:auto;font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
figure{margin:1rem 0}figcaption{color:var(--muted)}svg{max-width:100%;height:auto}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{color:var(--muted)}dd{margin:0}
.fF{fill:var(--fg)}.fM{fill:var(--muted)}.fG{fill:var(--grid)}.fB{fill:var(--bg)}.sF{stroke:var(--fg)}.sM{stroke:var(--muted)}.sG{stroke:var(--grid)}.sB{stroke:var(--bg)}
)";

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// Length of the UTF-8 character at the start of `text` and its code point; length 0 if the bytes are not valid UTF-8.
/// Source: The Unicode Standard 15.0, table 3-7 (well-formed UTF-8 byte sequences).
struct Character {
    std::size_t length = 0;
    char32_t code = 0;
};

Character firstCharacter(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80)
        return {1, lead};
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length)
        return {};
    char32_t code = lead & (0x7f >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80)
            return {};
        code = (code << 6) | (byte(i) & 0x3f);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return overlong || surrogate || code > 0x10ffff ? Character{} : Character{length, code};
}

bool isXmlCharacter(char32_t code)
{
    return code >= 0x20 ? code != 0xfffe && code != 0xffff && code != 0x7f : code == '\t' || code == '\n' || code == '\r';
}

std::string_view entity(char32_t code)
{
    switch (code) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return {};
    }
}

class HtmlWriter {
public:
    std::string write(const Report& report)
    {
        const std::string title = escaped(report.title);
        m_out = fmt::format(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
            "<title>{0}</title>\n<style>\n{1}</style>\n</head>\n<body>\n<header>\n<h1>{0}</h1>\n",
            title, kStyle);
        if (!report.summary.empty())
            m_out += fmt::format("<p>{}</p>\n", escaped(report.summary));
        m_out += "</header>\n";
        writeContents(report);
        m_out += "<main>\n";
        for (const Block& block : report.blocks)
            writeBlock(block, 2);
        m_out += "</main>\n</body>\n</html>\n";
        return std::move(m_out);
    }

private:
    void writeContents(const Report& report)
    {
        std::string items;
        int number = 0;
        for (const Block& block : report.blocks)
            if (const auto* section = std::get_if<Section>(&block.content))
                items += fmt::format("<li><a href=\"#s{}\">{}</a></li>\n", ++number, escaped(section->title));
        if (number > 1)
            m_out += fmt::format("<nav aria-label=\"Contents\">\n<ul>\n{}</ul>\n</nav>\n", items);
    }

    void writeBlock(const Block& block, int level)
    {
        std::visit([&](const auto& content) { writeContent(content, level); }, block.content);
    }

    void writeContent(const Section& section, int level)
    {
        // Only the sections of the top level are in the table of contents, in the same order.
        const std::string id = level == 2 ? fmt::format(" id=\"s{}\"", ++m_sections) : "";
        m_out += fmt::format("<section{0}>\n<h{1}>{2}</h{1}>\n", id, std::min(level, 6), escaped(section.title));
        for (const Block& block : section.blocks)
            writeBlock(block, level + 1);
        m_out += "</section>\n";
    }

    void writeContent(const Paragraph& paragraph, int)
    {
        const char* style = paragraph.style == TextStyle::Note      ? " class=\"note\""
                            : paragraph.style == TextStyle::Warning ? " class=\"warning\""
                                                                    : "";
        m_out += fmt::format("<p{}>{}</p>\n", style, escaped(paragraph.text));
    }

    void writeContent(const Code& code, int)
    {
        if (!code.caption.empty())
            m_out += fmt::format("<p class=\"note\">{}</p>\n", escaped(code.caption));
        // The parser drops a line feed directly after the tag.
        m_out += fmt::format("<pre>\n{}</pre>\n", escaped(code.text));
    }

    void writeContent(const Table& table, int)
    {
        m_out += "<div class=\"wide\" tabindex=\"0\">\n<table>\n";
        if (!table.caption.empty())
            m_out += fmt::format("<caption>{}</caption>\n", escaped(table.caption));
        m_out += "<thead>\n<tr>";
        for (const Column& column : table.columns)
            m_out += fmt::format("<th scope=\"col\"{}>{}</th>", alignment(column), escaped(column.title));
        m_out += "</tr>\n</thead>\n<tbody>\n";
        for (std::size_t row = 0; row < table.rows.size(); ++row)
            writeRow(table, row);
        m_out += "</tbody>\n</table>\n</div>\n";
    }

    void writeRow(const Table& table, std::size_t row)
    {
        const auto& cells = table.rows[row];
        if (cells.size() != table.columns.size())
            throw core::InputError(
                fmt::format("report table \"{}\", row {}: expected {} cells, got {}", table.caption, row, table.columns.size(), cells.size()));
        m_out += "<tr>";
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const std::string text = cells[i].emphasised ? "<strong>" + escaped(cells[i].text) + "</strong>" : escaped(cells[i].text);
            const std::string align = alignment(table.columns[i]);
            m_out += i == 0 ? fmt::format("<th scope=\"row\"{}>{}</th>", align, text) : fmt::format("<td{}>{}</td>", align, text);
        }
        m_out += "</tr>\n";
    }

    void writeContent(const Picture& picture, int)
    {
        m_out += "<figure>\n" + svgElement(picture.drawing, picture.title, picture.description, fmt::format("f{}", ++m_figures));
        if (!picture.title.empty())
            m_out += fmt::format("<figcaption>{}</figcaption>\n", escaped(picture.title));
        m_out += "</figure>\n";
    }

    void writeContent(const KeyValues& list, int)
    {
        m_out += "<dl>\n";
        for (const auto& [key, value] : list.entries)
            m_out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(key), escaped(value));
        m_out += "</dl>\n";
    }

    static std::string alignment(const Column& column) { return column.align == Align::Right ? " class=\"n\"" : ""; }

    std::string m_out;
    int m_sections = 0, m_figures = 0;
};

}  // namespace

std::string escaped(std::string_view text)
{
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const Character character = firstCharacter(text);
        const auto length = std::max<std::size_t>(1, character.length);
        if (character.length == 0 || !isXmlCharacter(character.code))
            out += kReplacement;
        else if (const std::string_view name = entity(character.code); !name.empty())
            out += name;
        else
            out += text.substr(0, length);
        text.remove_prefix(length);
    }
    return out;
}

std::string base64(std::string_view bytes)
{
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto at = [&](std::size_t j) { return j < bytes.size() ? std::uint32_t(static_cast<unsigned char>(bytes[j])) : 0u; };
        const std::uint32_t group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
        out += digits[group >> 18];
        out += digits[group >> 12 & 63];
        out += i + 1 < bytes.size() ? digits[group >> 6 & 63] : '=';
        out += i + 2 < bytes.size() ? digits[group & 63] : '=';
    }
    return out;
}

std::string toHtml(const Report& report)
{
    return HtmlWriter().write(report);
}

}  // namespace orrery::report
