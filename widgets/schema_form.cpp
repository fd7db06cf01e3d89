#include "schema_form.h"

#include <QLabel>
#include <QPointer>
#include <QRegularExpression>
#include <QScrollArea>
#include <QVBoxLayout>
#include <map>

#include "empty_state.h"
#include "schema_fields.h"

namespace orrery::widgets {
namespace {

using core::Issue;
using core::Json;

/// `a.b[1].c` -> `a.b[1]`; empty at the top.
QString parentPath(const QString& path)
{
    const qsizetype dot = path.lastIndexOf(QLatin1Char('.'));
    const qsizetype bracket = path.lastIndexOf(QLatin1Char('['));
    const qsizetype end = std::max(dot, bracket);
    return end < 0 ? QString() : path.left(end);
}

}  // namespace

struct SchemaForm::Private {
    explicit Private(SchemaForm& form) : q(form) {}

    void build();
    void fieldEdited(const QString& path);
    void check();
    void showIssues();
    form::Field* find(QString path) const;
    std::vector<form::Field*> fields() const;

    SchemaForm& q;
    core::Schema schema;
    Json document = Json::object(), resolved = Json::object();
    std::vector<Issue> extra, issues;
    QScrollArea* scroll = nullptr;
    MessageBand* band = nullptr;
    QPointer<form::ObjectRows> rows;
    bool readOnly = false;
};

void SchemaForm::Private::build()
{
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(8, 8, 8, 8);
    rows = new form::ObjectRows(
        schema, {}, [this](const QString& path) { fieldEdited(path); }, page);
    rows->setReadOnly(readOnly);
    layout->addWidget(rows);
    layout->addStretch(1);
    scroll->setWidget(page);
}

void SchemaForm::Private::fieldEdited(const QString& path)
{
    const Json before = document;
    document = rows->read().value_or(Json::object());
    check();
    if (document != before)
        Q_EMIT q.edited(path, before, document);
}

void SchemaForm::Private::check()
{
    issues.clear();
    resolved = schema.check(document, "", issues);
    issues.insert(issues.end(), extra.begin(), extra.end());
    showIssues();
    Q_EMIT q.issuesChanged();
}

std::vector<form::Field*> SchemaForm::Private::fields() const
{
    std::vector<form::Field*> all;
    if (rows)
        rows->collect(all);
    return all;
}

form::Field* SchemaForm::Private::find(QString path) const
{
    const std::vector<form::Field*> all = fields();
    for (; !path.isEmpty(); path = parentPath(path))
        for (form::Field* field : all)
            if (field->path() == path)
                return field;
    return nullptr;
}

/// Each issue stands at its field, or at the nearest field around it with the rest of its path before the text; what has no field stands above the
/// form.
void SchemaForm::Private::showIssues()
{
    std::map<form::Field*, QStringList> texts;
    QStringList homeless;
    for (const Issue& issue : issues) {
        const QString path = QString::fromStdString(issue.path), message = QString::fromStdString(issue.message);
        form::Field* field = find(path);
        const bool visible = field && field->isShown();
        if (!visible)
            homeless << (path.isEmpty() ? message : path + QStringLiteral(": ") + message);
        else
            texts[field] << (field->path() == path ? message
                                                   : path.mid(field->path().size()).remove(QRegularExpression(QStringLiteral("^\\."))) +
                                                         QStringLiteral(": ") + message);
    }
    for (form::Field* field : fields())
        field->setError(texts.contains(field) ? texts[field].join(QLatin1Char('\n')) : QString());
    band->setText(homeless.join(QLatin1Char('\n')));
}

SchemaForm::SchemaForm(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(*this))
{
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    d->band = new MessageBand(this);
    d->scroll = new QScrollArea(this);
    d->scroll->setWidgetResizable(true);
    d->scroll->setFrameShape(QFrame::NoFrame);
    d->scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAsNeeded);
    layout->addWidget(d->band);
    layout->addWidget(d->scroll, 1);
    setFocusProxy(d->scroll);
}

SchemaForm::~SchemaForm() = default;

void SchemaForm::setSchema(const core::Schema& schema)
{
    d->schema = schema;
    d->document = Json::object();
    d->extra.clear();
    d->build();
    setDocument(d->document);
}

const core::Schema& SchemaForm::schema() const
{
    return d->schema;
}

void SchemaForm::setDocument(const Json& document)
{
    d->document = document.is_null() ? Json::object() : document;
    if (d->rows)
        d->rows->take(&d->document);
    d->check();
}

const Json& SchemaForm::document() const
{
    return d->document;
}
Json SchemaForm::resolved() const
{
    return d->resolved;
}
const std::vector<Issue>& SchemaForm::issues() const
{
    return d->issues;
}

void SchemaForm::setExtraIssues(std::vector<Issue> issues)
{
    d->extra = std::move(issues);
    d->check();
}

bool SchemaForm::focusField(const QString& path)
{
    form::Field* found = d->find(path);
    if (!found || !found->editor())
        return false;
    found->editor()->setFocus(Qt::OtherFocusReason);
    d->scroll->ensureWidgetVisible(found->editor());
    return true;
}

QWidget* SchemaForm::field(const QString& path) const
{
    for (form::Field* field : d->fields())
        if (field->path() == path)
            return field->editor();
    return nullptr;
}

QString SchemaForm::errorAt(const QString& path) const
{
    for (form::Field* field : d->fields())
        if (field->path() == path)
            return field->error();
    return {};
}

void SchemaForm::setReadOnly(bool readOnly)
{
    d->readOnly = readOnly;
    if (d->rows)
        d->rows->setReadOnly(readOnly);
}

}  // namespace orrery::widgets
