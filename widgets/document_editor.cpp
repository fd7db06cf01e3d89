#include "document_editor.h"

#include <QEvent>
#include <QListWidget>
#include <QRegularExpression>
#include <QSignalBlocker>
#include <QVBoxLayout>
#include <algorithm>

#include <core/train/document_file.h>

#include "code_edit.h"
#include "document_highlighter.h"
#include "document_places.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

using core::Json;

struct Message {
    int line = 0;
    QString text;
};

Json parse(const QString& text, DocumentFormat format)
{
    const std::string utf8 = text.toStdString();
    return format == DocumentFormat::Yaml ? train::parseYamlDocument(utf8, "document") : train::parseJsonDocument(utf8, "document");
}

QString write(const Json& document, DocumentFormat format)
{
    return QString::fromStdString(format == DocumentFormat::Yaml ? train::toYaml(document) : document.dump(2) + "\n");
}

/// "document:3:7: expected ..." -> line 3 and the rest.
Message messageFrom(const QString& error)
{
    static const QRegularExpression place(QStringLiteral("^document:(\\d+):(\\d+): (.*)$"), QRegularExpression::DotMatchesEverythingOption);
    const QRegularExpressionMatch match = place.match(error);
    return match.hasMatch() ? Message{match.captured(1).toInt(), match.captured(3)} : Message{0, error};
}

/// The list of messages is as tall as it needs to be, up to five lines.
class MessageList : public QListWidget {
public:
    using QListWidget::QListWidget;
    QSize sizeHint() const override { return {200, (fontMetrics().height() + 6) * std::clamp(count(), 1, 5) + 2 * frameWidth() + 4}; }
};

}  // namespace

struct DocumentEditor::Private {
    explicit Private(DocumentEditor& editor) : q(editor) {}

    void textChanged();
    void read();
    void show();
    std::vector<Message> placed() const;
    int lineOf(std::string path) const;

    DocumentEditor& q;
    CodeEdit* edit = nullptr;
    MessageList* list = nullptr;
    DocumentHighlighter* highlighter = nullptr;
    DocumentFormat format = isYamlAvailable() ? DocumentFormat::Yaml : DocumentFormat::Json;
    std::optional<Json> document = Json::object();  ///< what the text means; nothing while it cannot be read
    Json lastGood = Json::object();
    std::optional<Message> syntaxError;
    std::vector<core::Issue> issues;
    std::vector<Message> messages;
    std::map<std::string, int> places;
    bool setting = false;
};

void DocumentEditor::Private::read()
{
    syntaxError.reset();
    const QString text = edit->toPlainText();
    places = format == DocumentFormat::Yaml ? placesInYaml(text.toStdString()) : placesInJson(text.toStdString());
    try {
        document = text.trimmed().isEmpty() ? Json::object() : parse(text, format);
    } catch (const core::Error& error) {
        document.reset();
        syntaxError = messageFrom(QString::fromStdString(error.what()));
    }
}

void DocumentEditor::Private::textChanged()
{
    if (setting)
        return;
    read();
    Q_EMIT q.textEdited();
    if (!document || *document == lastGood) {
        show();
        return;
    }
    const Json before = std::exchange(lastGood, *document);
    Q_EMIT q.edited(before, lastGood);
    show();
}

int DocumentEditor::Private::lineOf(std::string path) const
{
    for (; !path.empty(); path.resize(
             std::max(path.rfind('.') == std::string::npos ? 0 : path.rfind('.'), path.rfind('[') == std::string::npos ? 0 : path.rfind('['))))
        if (const auto found = places.find(path); found != places.end())
            return found->second;
    return 0;
}

std::vector<Message> DocumentEditor::Private::placed() const
{
    if (syntaxError)
        return {*syntaxError};
    std::vector<Message> all;
    for (const core::Issue& issue : issues)
        all.push_back({lineOf(issue.path), QString::fromStdString(issue.path.empty() ? issue.message : issue.path + ": " + issue.message)});
    std::stable_sort(all.begin(), all.end(), [](const Message& a, const Message& b) { return a.line < b.line; });
    return all;
}

void DocumentEditor::Private::show()
{
    messages = placed();
    std::map<int, QString> marks;
    list->clear();
    for (const Message& message : messages) {
        if (message.line > 0)
            marks[message.line] += (marks[message.line].isEmpty() ? QString() : QStringLiteral("\n")) + message.text;
        auto* item = new QListWidgetItem(message.line > 0 ? tr("line %1: %2").arg(message.line).arg(message.text) : message.text, list);
        item->setData(Qt::UserRole, message.line);
        item->setForeground(themeColors(q.palette()).error);
        item->setToolTip(message.text);
    }
    edit->setMarks(std::move(marks));
    list->setVisible(!messages.empty());
    list->setMaximumHeight(list->sizeHint().height());
    list->updateGeometry();
}

DocumentEditor::DocumentEditor(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(*this))
{
    d->edit = new CodeEdit(this);
    d->edit->setAccessibleName(tr("Document as text"));
    d->highlighter = new DocumentHighlighter(d->edit->document());
    d->highlighter->setFormat(d->format);
    d->highlighter->setDark(isDark(palette()));
    d->list = new MessageList(this);
    d->list->setAccessibleName(tr("Errors"));
    d->list->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    d->list->hide();
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(d->edit, 1);
    layout->addWidget(d->list);
    setFocusProxy(d->edit);
    connect(d->edit, &QPlainTextEdit::textChanged, this, [this] { d->textChanged(); });
    const auto go = [this](const QListWidgetItem* item) {
        if (const int line = item->data(Qt::UserRole).toInt(); line > 0)
            d->edit->goToLine(line);
    };
    connect(d->list, &QListWidget::itemActivated, this, go);
    connect(d->list, &QListWidget::itemClicked, this, go);
}

DocumentEditor::~DocumentEditor() = default;

void DocumentEditor::setDocument(const Json& document)
{
    if (d->document && *d->document == document) {
        d->lastGood = document;
        return;
    }
    setText(write(document, d->format));
}

std::optional<Json> DocumentEditor::document() const
{
    return d->document;
}

/// The text goes in as one step of the editor's own undo, and the cursor keeps its line.
void DocumentEditor::setText(const QString& text)
{
    if (text != d->edit->toPlainText()) {
        d->setting = true;
        const int line = d->edit->textCursor().blockNumber();
        QTextCursor cursor(d->edit->document());
        cursor.select(QTextCursor::Document);
        cursor.insertText(text);
        cursor.setPosition(d->edit->document()->findBlockByNumber(std::min(line, d->edit->blockCount() - 1)).position());
        d->edit->setTextCursor(cursor);
        d->setting = false;
    }
    d->read();
    if (d->document)
        d->lastGood = *d->document;
    d->show();
}

QString DocumentEditor::text() const
{
    return d->edit->toPlainText();
}

void DocumentEditor::setFormat(DocumentFormat format)
{
    if (format == d->format || (format == DocumentFormat::Yaml && !isYamlAvailable()))
        return;
    const std::optional<Json> document = d->document;
    d->format = format;
    d->highlighter->setFormat(format);
    if (document)
        setText(write(*document, format));
    else
        setText(text());
}

DocumentFormat DocumentEditor::format() const
{
    return d->format;
}

bool DocumentEditor::isYamlAvailable()
{
#ifdef ORRERY_YAML
    return true;
#else
    return false;
#endif
}

void DocumentEditor::setIssues(const std::vector<core::Issue>& issues)
{
    d->issues = issues;
    d->show();
}

QStringList DocumentEditor::messages() const
{
    QStringList texts;
    for (int i = 0; i < d->list->count(); ++i)
        texts << d->list->item(i)->text();
    return texts;
}

int DocumentEditor::lineOf(const QString& path) const
{
    const auto found = d->places.find(path.toStdString());
    return found == d->places.end() ? 0 : found->second;
}

void DocumentEditor::goToLine(int line)
{
    d->edit->goToLine(line);
}
QPlainTextEdit* DocumentEditor::editor() const
{
    return d->edit;
}
void DocumentEditor::setReadOnly(bool readOnly)
{
    d->edit->setReadOnly(readOnly);
}

void DocumentEditor::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() != QEvent::PaletteChange || !d->highlighter)
        return;
    const QSignalBlocker blocker(d->edit);
    d->highlighter->setDark(isDark(palette()));
    d->show();
}

}  // namespace orrery::widgets
