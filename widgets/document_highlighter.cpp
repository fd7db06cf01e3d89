#include "document_highlighter.h"

#include <QRegularExpression>
#include <QTextCharFormat>

namespace orrery::widgets {
namespace {

struct Colors {
    QRgb key, text, number, word, comment;
};
constexpr Colors kLightColours{0xff1a4f9c, 0xff1b6e3c, 0xff8a3b00, 0xff7b2d8e, 0xff6b7079};
constexpr Colors kDarkColours{0xff8ab8f5, 0xff8fd3a6, 0xfff0b27a, 0xffd7a3e8, 0xff949ba5};

QTextCharFormat colored(QRgb color)
{
    QTextCharFormat format;
    format.setForeground(QColor(color));
    return format;
}

}  // namespace

void DocumentHighlighter::setFormat(DocumentFormat format)
{
    m_format = format;
    rehighlight();
}

void DocumentHighlighter::setDark(bool dark)
{
    if (m_dark == dark)
        return;
    m_dark = dark;
    rehighlight();
}

/// Later patterns win, so texts cover the numbers inside them and comments cover all.
void DocumentHighlighter::highlightBlock(const QString& text)
{
    static const QRegularExpression number(QStringLiteral("(?<![\\w.\\-/])[-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?(?![\\w./-])"));
    static const QRegularExpression word(QStringLiteral("(?<![\\w.\\-/])(true|false|null|~)(?![\\w./-])"));
    static const QRegularExpression quoted(QStringLiteral("\"(\\\\.|[^\"\\\\])*\"?|'[^']*'?"));
    static const QRegularExpression jsonKey(QStringLiteral("\"(\\\\.|[^\"\\\\])*\"(?=\\s*:)"));
    static const QRegularExpression yamlKey(QStringLiteral("(?:^|(?<=[\\s{,-]))[A-Za-z_][\\w./-]*(?=:(\\s|$))"));
    static const QRegularExpression comment(QStringLiteral("(^|\\s)#.*$"));
    const Colors& colors = m_dark ? kDarkColours : kLightColours;
    const auto paint = [&](const QRegularExpression& pattern, QRgb color) {
        for (auto matches = pattern.globalMatch(text); matches.hasNext();) {
            const QRegularExpressionMatch match = matches.next();
            setFormat(int(match.capturedStart()), int(match.capturedLength()), colored(color));
        }
    };
    paint(number, colors.number);
    paint(word, colors.word);
    if (m_format == DocumentFormat::Yaml)
        paint(yamlKey, colors.key);
    paint(quoted, colors.text);
    paint(jsonKey, colors.key);
    if (m_format == DocumentFormat::Yaml)
        paint(comment, colors.comment);
}

}  // namespace orrery::widgets
