#include "graph_text.h"

#include <QRegularExpression>
#include <QTextBlock>

#include <widgets/theme.h>

namespace orrery::plugins {

GraphText::GraphText(QWidget* parent) : QPlainTextEdit(parent)
{
    setReadOnly(true);
    setLineWrapMode(QPlainTextEdit::NoWrap);
    setFont(widgets::monospaceFont(this));
    setAccessibleName(tr("The graph as text"));
    setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    connect(this, &QPlainTextEdit::cursorPositionChanged, this, &GraphText::cursorMoved);
}

void GraphText::setGraph(const QString& text)
{
    m_moving = true;
    setPlainText(text);
    m_moving = false;
    setExtraSelections({});
    m_lines.clear();
    m_names.clear();
    // "%a, %b = op(...)", "[name] = op(...)", "parameter %name: ..."
    static const QRegularExpression kMade(QStringLiteral("^\\s*(?:parameter |buffer |constant )?(?:%([^,:\\s]+(?::\\d+)?)|\\[(.+?)\\] =)"));
    const auto lines = text.split(QLatin1Char('\n'));
    for (int line = 0; line < lines.size(); ++line) {
        QString first;
        if (const auto match = kMade.match(lines[line]); match.hasMatch())
            first = match.captured(1).isEmpty() ? match.captured(2) : match.captured(1);
        m_names.push_back(first);
        if (first.isEmpty())
            continue;
        const qsizetype equals = lines[line].indexOf(QLatin1String(" = "));
        for (const auto& part : (equals < 0 ? QStringList{first} : lines[line].left(equals).split(QStringLiteral(", ")))) {
            const QString name = part.trimmed().startsWith(QLatin1Char('%')) ? part.trimmed().mid(1) : first;
            m_lines.emplace(name, line);
        }
    }
}

void GraphText::setPath(const QString& path)
{
    const auto found = m_lines.find(path);
    if (found == m_lines.end())
        return setExtraSelections({});
    mark(found->second);
    if (textCursor().blockNumber() == found->second)
        return;
    m_moving = true;
    setTextCursor(QTextCursor(document()->findBlockByNumber(found->second)));
    centerCursor();
    m_moving = false;
}

QString GraphText::path() const
{
    const auto line = std::size_t(textCursor().blockNumber());
    return line < m_names.size() ? m_names[line] : QString();
}

void GraphText::mark(int line)
{
    QTextEdit::ExtraSelection selection;
    selection.cursor = QTextCursor(document()->findBlockByNumber(line));
    selection.format.setProperty(QTextFormat::FullWidthSelection, true);
    selection.format.setBackground(widgets::themeColors(palette()).hoverBackground);
    setExtraSelections({selection});
}

void GraphText::cursorMoved()
{
    if (m_moving || path().isEmpty())
        return;
    mark(textCursor().blockNumber());
    Q_EMIT pathChosen(path());
}

}  // namespace orrery::plugins
