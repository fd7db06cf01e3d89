#include "entry_editor.h"

#include <QComboBox>
#include <QCompleter>
#include <QFormLayout>
#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>
#include <QSignalBlocker>
#include <QStringListModel>

#include <core/intervene/kinds.h>
#include <widgets/schema_form.h>

#include "interventions_model.h"

namespace orrery::plugins {
namespace {

using core::Json;

QString textAt(const Json& entry, const char* key)
{
    return entry.is_object() && entry.contains(key) && entry[key].is_string() ? QString::fromStdString(entry[key].get<std::string>()) : QString();
}

std::string kindOf(const Json& entry)
{
    if (!entry.is_object() || !entry.contains("do"))
        return {};
    const auto& doing = entry["do"];
    if (doing.is_string())
        return doing.get<std::string>();
    return doing.is_object() && doing.contains("id") && doing["id"].is_string() ? doing["id"].get<std::string>() : std::string();
}

Json parametersOf(const Json& entry)
{
    auto doing = entry.is_object() ? entry.value("do", Json()) : Json();
    if (!doing.is_object())
        return Json::object();
    doing.erase("id");
    return doing;
}

/// Text only where it changed: the cursor of a field that is being typed in stays.
void setText(QLineEdit* field, const QString& text)
{
    const QSignalBlocker blocker(field);
    if (field->text() != text)
        field->setText(text);
}

}  // namespace

EntryEditor::EntryEditor(QWidget* parent)
    : QWidget(parent), m_place(new QLineEdit), m_when(new QLineEdit), m_kind(new QComboBox), m_source(new QComboBox), m_summary(new QLabel),
      m_issues(new QLabel), m_form(new widgets::SchemaForm), m_places(new QStringListModel(this))
{
    setUpPlace();
    setUpKind();
    setUpSource();
    m_issues->setWordWrap(true);
    m_issues->setObjectName(QStringLiteral("issues"));
    auto* form = new QFormLayout(this);
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(4);
    form->addRow(tr("&Place"), m_place);
    form->addRow(tr("Unit"), makeUnit());
    form->addRow(tr("&Do"), m_kind);
    form->addRow(QString(), m_summary);
    form->addRow(m_form);
    form->addRow(tr("So&urce"), m_source);
    form->addRow(tr("&When"), m_when);
    form->addRow(m_issues);
    setEntry(nullptr);
}

void EntryEditor::setUpPlace()
{
    m_place->setObjectName(QStringLiteral("place"));
    m_place->setAccessibleName(tr("Place"));
    m_place->setPlaceholderText(tr("blocks.2.resid_pre, a module, a glob, op:softmax"));
    m_place->setToolTip(tr("A value, a module, a glob, op:NAME, or a canonical name; completed from the model"));
    auto* completer = new QCompleter(m_places, this);
    completer->setFilterMode(Qt::MatchContains);
    completer->setCaseSensitivity(Qt::CaseInsensitive);
    m_place->setCompleter(completer);
    connect(m_place, &QLineEdit::textChanged, this, [this](const QString& text) { change("at", text.toStdString()); });
}

void EntryEditor::setUpKind()
{
    m_kind->setObjectName(QStringLiteral("kind"));
    m_kind->setAccessibleName(tr("What happens"));
    for (const auto& component : intervene::interventionRegistry().components()) {
        m_kind->addItem(QString::fromStdString(component.title), QString::fromStdString(component.id));
        m_kind->setItemData(m_kind->count() - 1, QString::fromStdString(component.summary + "\n" + component.source), Qt::ToolTipRole);
    }
    connect(m_kind, &QComboBox::currentIndexChanged, this, &EntryEditor::chooseKind);
    m_summary->setWordWrap(true);
    m_form->setMinimumHeight(70);
    m_form->setAccessibleName(tr("Parameters"));
    connect(m_form, &widgets::SchemaForm::edited, this, [this](const QString& path, const Json&, const Json& after) {
        Json doing = {{"id", kindOf(m_entry)}};
        doing.update(after);
        m_entry["do"] = doing;
        Q_EMIT edited(m_entry, path);
    });
}

void EntryEditor::setUpSource()
{
    m_source->setObjectName(QStringLiteral("source"));
    m_source->setAccessibleName(tr("Source"));
    m_source->setToolTip(tr("Source input that values are taken from; sources are listed on their own tab"));
    connect(m_source, &QComboBox::activated, this, [this] { change("source", m_source->currentData().toString().toStdString()); });
    m_when->setObjectName(QStringLiteral("when"));
    m_when->setAccessibleName(tr("When"));
    m_when->setPlaceholderText(tr("always"));
    m_when->setToolTip(tr("While text is written: always, prompt, new, or steps such as 0, 3"));
    connect(m_when, &QLineEdit::textChanged, this, [this](const QString& text) {
        auto when = indexFromText(text);
        change("when", when.is_null() ? Json("always") : when.is_number_integer() ? Json::array({when}) : when);
    });
}

QLineEdit* EntryEditor::makeUnitField(const char* axis, const QString& label)
{
    auto* field = new QLineEdit;
    field->setObjectName(QString::fromLatin1(axis));
    field->setAccessibleName(label);
    field->setPlaceholderText(tr("all"));
    field->setToolTip(tr("%1: a number (negative from the end), first, last, a range 2..5 or 2-5, or a list 1, 4; empty: all").arg(label));
    connect(field, &QLineEdit::textChanged, this, [this, axis](const QString& text) { changeUnit(axis, text); });
    m_unit[axis] = field;
    return field;
}

QWidget* EntryEditor::makeUnit()
{
    auto* box = new QWidget;
    auto* grid = new QGridLayout(box);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setSpacing(3);
    const std::pair<const char*, QString> axes[] = {{"position", tr("Position")}, {"head", tr("Head")}, {"feature", tr("Feature")},
                                                    {"query", tr("Query")},       {"key", tr("Key")},   {"channel", tr("Channel")}};
    for (int i = 0; i < 6; ++i) {
        auto* field = makeUnitField(axes[i].first, axes[i].second);
        auto* label = new QLabel(axes[i].second);
        label->setBuddy(field);
        grid->addWidget(label, i / 3, i % 3 * 2);
        grid->addWidget(field, i / 3, i % 3 * 2 + 1);
    }
    return box;
}

void EntryEditor::change(const char* key, Json value)
{
    if (!m_entry.is_object() || m_entry.value(key, Json()) == value)
        return;
    m_entry[key] = std::move(value);
    Q_EMIT edited(m_entry, QString::fromLatin1(key));
}

void EntryEditor::changeUnit(const char* axis, const QString& text)
{
    auto unit = m_entry.is_object() && m_entry.contains("unit") && m_entry["unit"].is_object() ? m_entry["unit"] : Json::object();
    const auto index = indexFromText(text);
    if (index.is_null())
        unit.erase(axis);
    else
        unit[axis] = index;
    change("unit", unit);
}

void EntryEditor::chooseKind()
{
    if (!m_entry.is_object() || m_kind->currentIndex() < 0)
        return;
    const auto id = m_kind->currentData().toString().toStdString();
    if (id == kindOf(m_entry))
        return;
    m_entry["do"] = {{"id", id}};
    showKind();
    Q_EMIT edited(m_entry, {});
}

void EntryEditor::showKind()
{
    const auto* component = intervene::interventionRegistry().find(kindOf(m_entry));
    m_summary->setText(component ? QString::fromStdString(component->summary) : QString());
    m_kind->setToolTip(component ? QString::fromStdString(component->source) : QString());
    m_form->setSchema(component ? component->schema : core::Schema());
    m_form->setDocument(parametersOf(m_entry));
    m_form->setVisible(component && !component->schema.parameters().empty());
}

void EntryEditor::setEntry(const Json& entry)
{
    const bool sameKind = kindOf(entry) == kindOf(m_entry) && m_entry.is_object() && entry.is_object();
    m_entry = entry;
    setEnabled(entry.is_object());
    setText(m_place, textAt(entry, "at"));
    const auto when = entry.is_object() ? entry.value("when", Json("always")) : Json("always");
    if (when != "always" || !m_when->text().trimmed().isEmpty())
        if (auto typed = indexFromText(m_when->text()); !(typed == when || Json::array({typed}) == when))
            setText(m_when, when == "always" ? QString() : textFromIndex(when));
    for (const auto& [axis, field] : m_unit) {
        const auto unit = entry.is_object() ? entry.value("unit", Json()) : Json();
        const auto index = unit.is_object() ? unit.value(axis, Json()) : Json();
        if (indexFromText(field->text()) != index)
            setText(field, textFromIndex(index));
    }
    const QSignalBlocker kindBlocker(m_kind), sourceBlocker(m_source);
    m_kind->setCurrentIndex(m_kind->findData(QString::fromStdString(kindOf(entry))));
    m_source->setCurrentIndex(std::max(0, m_source->findData(textAt(entry, "source"))));
    if (!sameKind)
        showKind();
    else if (m_form->document() != parametersOf(entry))
        m_form->setDocument(parametersOf(entry));
}

void EntryEditor::setPlaces(const QStringList& places)
{
    m_places->setStringList(places);
}

void EntryEditor::setSources(const QStringList& names)
{
    const QSignalBlocker blocker(m_source);
    m_source->clear();
    m_source->addItem(tr("(none)"), QString());
    auto all = names;
    // A name that no input has yet stays visible.
    if (const auto own = textAt(m_entry, "source"); !own.isEmpty() && !all.contains(own))
        all << own;
    for (const QString& name : all)
        m_source->addItem(name, name);
    m_source->setCurrentIndex(std::max(0, m_source->findData(textAt(m_entry, "source"))));
}

void EntryEditor::setIssues(const QStringList& messages)
{
    m_issues->setText(messages.join(QLatin1Char('\n')));
    m_issues->setVisible(!messages.isEmpty());
}

}  // namespace orrery::plugins
