#include "schema_fields.h"

#include <QCheckBox>
#include <QComboBox>
#include <QEvent>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QRegularExpression>
#include <QSignalBlocker>
#include <QToolButton>
#include <QVBoxLayout>
#include <cmath>
#include <fmt/format.h>

#include <core/base/registry.h>
#include <core/base/text.h>

#include "schema_field_parts.h"
#include "theme.h"

namespace orrery::widgets::form {

using core::Json;
using core::Parameter;

namespace {

QString joined(const QString& path, const std::string& name)
{
    const QString text = QString::fromStdString(name);
    return path.isEmpty() ? text : path + QLatin1Char('.') + text;
}

}  // namespace

// --- ObjectRows

ObjectRows::ObjectRows(const core::Schema& schema, const QString& path, Edited edited, QWidget* parent)
    : QWidget(parent), m_path(path), m_edited(std::move(edited)), m_layout(new QFormLayout(this))
{
    m_layout->setContentsMargins(0, 0, 0, 0);
    m_layout->setHorizontalSpacing(12);
    m_layout->setVerticalSpacing(6);
    m_layout->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_layout->setRowWrapPolicy(QFormLayout::WrapLongRows);
    m_layout->setLabelAlignment(Qt::AlignLeft | Qt::AlignTop);
    for (const Parameter& parameter : schema.parameters()) {
        Field* field = makeField(
            parameter, joined(path, parameter.name), [this](const QString& changed) { childEdited(changed); }, this);
        auto* label = new QLabel(labelText(parameter), this);
        label->setToolTip(field->toolTip());
        label->setBuddy(field->editor());
        // Text of the label and of the editor stand on one line.
        label->setAlignment(Qt::AlignLeft | Qt::AlignTop);
        label->setContentsMargins(0, 4, 0, 0);
        m_layout->addRow(label, field);
        m_rows.push_back({field});
    }
}

void ObjectRows::take(const Json* object, const QString& reserved)
{
    m_absent = !object;
    m_given = object && object->is_object() ? *object : Json::object();
    if (!reserved.isEmpty())
        m_given.erase(reserved.toStdString());
    for (Row& row : m_rows) {
        const auto found = m_given.find(row.field->parameter().name);
        row.suppressed = false;
        row.field->take(found == m_given.end() ? nullptr : &*found);
    }
    updateConditions(false);
}

std::optional<Json> ObjectRows::read() const
{
    Json out = Json::object();
    const auto put = [&](const Row& row) {
        if (row.suppressed)
            return;
        if (std::optional<Json> value = row.field->read())
            out[row.field->parameter().name] = std::move(*value);
    };
    for (const auto& [key, value] : m_given.items())
        if (const Row* row = find(key))
            put(*row);
        else
            out[key] = value;
    for (const Row& row : m_rows)
        if (!m_given.contains(row.field->parameter().name))
            put(row);
    return m_absent && out.empty() ? std::nullopt : std::optional(std::move(out));
}

const ObjectRows::Row* ObjectRows::find(const std::string& name) const
{
    for (const Row& row : m_rows)
        if (row.field->parameter().name == name)
            return &row;
    return nullptr;
}

bool ObjectRows::applies(const Parameter& parameter) const
{
    if (parameter.shownIf.empty())
        return true;
    const Row* sibling = find(parameter.shownIf);
    if (!sibling || !applies(sibling->field->parameter()))
        return false;
    Json value = sibling->field->read().value_or(sibling->field->parameter().defaultValue);
    if (value.is_object() && value.contains("id"))
        value = Json(value["id"]);
    return std::find(parameter.shownIfValues.begin(), parameter.shownIfValues.end(), value) != parameter.shownIfValues.end();
}

void ObjectRows::childEdited(const QString& path)
{
    updateConditions(true);
    m_edited(path);
}

/// A row that does not apply is hidden, unless the document has it all the same: then it stays with its error, until the user decides what it
/// depends on.
void ObjectRows::updateConditions(bool suppress)
{
    for (Row& row : m_rows) {
        const bool apply = applies(row.field->parameter());
        if (apply)
            row.suppressed = false;
        else if (suppress && row.field->isShown() && row.field->error().isEmpty())
            row.suppressed = true;
        const bool shown = apply || (!row.suppressed && m_given.contains(row.field->parameter().name));
        if (!shown)
            row.suppressed = true;
        row.field->noteShown(shown);
        m_layout->setRowVisible(row.field, shown);
    }
}

void ObjectRows::collect(std::vector<Field*>& fields) const
{
    for (const Row& row : m_rows)
        row.field->collect(fields);
}

void ObjectRows::setReadOnly(bool readOnly)
{
    for (const Row& row : m_rows)
        row.field->setReadOnly(readOnly);
}

QWidget* ObjectRows::firstEditor() const
{
    return m_rows.empty() ? nullptr : m_rows.front().field->editor();
}

// --- GroupField

namespace {

/// Nested rows stand behind a line, so that it is seen where they end.
QWidget* indentedFrame(QWidget* parent)
{
    auto* frame = new QWidget(parent);
    auto* outer = new QHBoxLayout(frame);
    outer->setContentsMargins(2, 0, 0, 0);
    outer->setSpacing(8);
    auto* line = new QFrame(frame);
    line->setFrameShape(QFrame::VLine);
    line->setForegroundRole(QPalette::Mid);
    line->setFrameShadow(QFrame::Plain);
    outer->addWidget(line);
    return frame;
}

}  // namespace

GroupField::GroupField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
    : Field(parameter, path, edited, parent)
{
    QWidget* frame = indentedFrame(this);
    m_rows = new ObjectRows(
        *parameter.group, path,
        [this](const QString& changed) {
            m_odd.reset();
            this->edited()(changed);
        },
        frame);
    frame->layout()->addWidget(m_rows);
    body()->addWidget(frame);
    setToolTip({});
}

void GroupField::take(const Json* value)
{
    m_odd = value && !value->is_object() ? std::optional(*value) : std::nullopt;
    m_rows->take(value && value->is_object() ? value : nullptr);
}

std::optional<Json> GroupField::read() const
{
    return m_odd ? m_odd : m_rows->read();
}
QWidget* GroupField::editor() const
{
    return m_rows ? m_rows->firstEditor() : nullptr;
}

void GroupField::collect(std::vector<Field*>& fields)
{
    Field::collect(fields);
    m_rows->collect(fields);
}

void GroupField::setReadOnly(bool readOnly)
{
    m_rows->setReadOnly(readOnly);
}

// --- ComponentField

ComponentField::ComponentField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
    : Field(parameter, path, edited, parent), m_box(makeBox(this)), m_frame(indentedFrame(this))
{
    if (const core::RegistryBase* family = core::findFamily(parameter.family))
        for (const core::Component& component : family->components()) {
            m_box->addItem(QString::fromStdString(component.id), QString::fromStdString(component.id));
            m_box->setItemData(m_box->count() - 1, QString::fromStdString(component.title + ": " + component.summary), Qt::ToolTipRole);
        }
    body()->addWidget(m_box);
    body()->addWidget(m_frame);
    m_frame->hide();
    m_box->setAccessibleName(labelText(parameter));
    connect(m_box, &QComboBox::activated, this, [this](int index) { chosen(m_box->itemData(index).toString()); });
}

void ComponentField::showId(const QString& id)
{
    const core::RegistryBase* family = core::findFamily(parameter().family);
    showInBox(m_box, id, family ? int(family->components().size()) : 0);
    const core::Component* component = family ? family->find(id.toStdString()) : nullptr;
    m_box->setToolTip(component ? QString::fromStdString(component->title + ": " + component->summary) : QString());
    if (m_rows && m_id == id)
        return;
    delete std::exchange(m_rows, nullptr);
    m_id = id;
    if (!component)
        return m_frame->hide();
    m_rows = new ObjectRows(component->schema, path(), edited(), m_frame);
    m_rows->setReadOnly(m_readOnly);
    m_frame->layout()->addWidget(m_rows);
    m_frame->setVisible(!m_rows->isEmpty());
}

void ComponentField::showRows(const Json* object)
{
    if (m_rows)
        m_rows->take(object, QStringLiteral("id"));
}

void ComponentField::take(const Json* value)
{
    m_value = value ? std::optional(*value) : std::nullopt;
    const Json& shown = value ? *value : parameter().defaultValue;
    const bool isObject = shown.is_object() && shown.contains("id") && shown["id"].is_string();
    showId(isObject ? QString::fromStdString(shown["id"].get<std::string>()) : shown.is_null() ? QString() : scalarText(shown));
    showRows(shown.is_object() ? &shown : nullptr);
}

/// Left as it was spelled (absent, a bare id) as long as no parameter was set.
std::optional<Json> ComponentField::read() const
{
    if (!m_rows)
        return m_value;
    const std::optional<Json> rows = m_rows->read();
    if (!m_value && (!rows || (parameter().defaultValue.is_object() && [&] {
            Json unchanged = parameter().defaultValue;
            unchanged.erase("id");
            return *rows == unchanged;
        }())))
        return std::nullopt;
    const bool bare = m_value && m_value->is_string();
    if (bare && (!rows || rows->empty()))
        return m_value;
    Json out = Json::object();
    out["id"] = m_id.toStdString();
    if (rows)
        out.update(*rows);
    return out;
}

/// Parameters that the new component knows by the same name (a learning rate) come along.
void ComponentField::chosen(const QString& id)
{
    const Json before = m_rows ? m_rows->read().value_or(Json::object()) : Json::object();
    showId(id);
    Json value = Json::object();
    value["id"] = id.toStdString();
    const core::RegistryBase* family = core::findFamily(parameter().family);
    if (const core::Component* component = family ? family->find(id.toStdString()) : nullptr)
        for (const auto& [key, old] : before.items())
            if (component->schema.find(key))
                value[key] = old;
    const bool bare = value.size() == 1 && m_value && m_value->is_string();
    m_value = bare ? value["id"] : value;
    showRows(&value);
    noteEdit();
}

QWidget* ComponentField::editor() const
{
    return m_box;
}

void ComponentField::collect(std::vector<Field*>& fields)
{
    Field::collect(fields);
    if (m_rows)
        m_rows->collect(fields);
}

void ComponentField::setReadOnly(bool readOnly)
{
    m_readOnly = readOnly;
    m_box->setEnabled(!readOnly);
    if (m_rows)
        m_rows->setReadOnly(readOnly);
}

// --- ListField

ListField::ListField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
    : Field(parameter, path, edited, parent), m_list(new QVBoxLayout)
{
    m_list->setSpacing(4);
    body()->addLayout(m_list);
    auto* add = new QPushButton(tr("Add"), this);
    add->setAutoDefault(false);
    add->setToolTip(tr("Add an element at the end"));
    add->setAccessibleName(tr("Add to %1").arg(labelText(parameter)));
    body()->addWidget(add, 0, Qt::AlignLeft);
    m_add = add;
    connect(add, &QPushButton::clicked, this, [this] {
        Json elements = read().value_or(this->parameter().defaultValue);
        if (!elements.is_array())
            elements = Json::array();
        elements.push_back(startingValue(*this->parameter().element));
        change(elements);
        if (!m_elements.empty() && m_elements.back()->editor())
            m_elements.back()->editor()->setFocus();
    });
}

void ListField::take(const Json* value)
{
    m_value = value ? std::optional(*value) : std::nullopt;
    const Json& shown = value ? *value : parameter().defaultValue;
    const Json elements = shown.is_array() ? shown : Json::array();
    if (elements.size() != m_elements.size())
        return rebuild(elements);
    for (std::size_t i = 0; i < elements.size(); ++i)
        m_elements[i]->take(&elements[i]);
}

void ListField::rebuild(const Json& elements)
{
    while (QLayoutItem* item = m_list->takeAt(0)) {
        // The button of a removed row is what is being clicked: it dies later.
        if (item->widget()) {
            item->widget()->hide();
            item->widget()->deleteLater();
        }
        delete item;
    }
    m_elements.clear();
    for (std::size_t i = 0; i < elements.size(); ++i) {
        auto* row = new QWidget(this);
        auto* layout = new QHBoxLayout(row);
        layout->setContentsMargins(0, 0, 0, 0);
        Field* field = makeField(
            *parameter().element, QStringLiteral("%1[%2]").arg(path()).arg(i),
            [this](const QString& changed) {
                m_value.reset();
                edited()(changed);
            },
            row);
        auto* remove = new QToolButton(row);
        remove->setText(QStringLiteral("−"));
        remove->setToolTip(tr("Remove this element"));
        remove->setAccessibleName(tr("Remove element %1").arg(i + 1));
        remove->setEnabled(!m_readOnly);
        connect(remove, &QToolButton::clicked, this, [this, i] {
            Json left = read().value_or(parameter().defaultValue);
            left.erase(i);
            change(left);
        });
        layout->addWidget(field, 1);
        layout->addWidget(remove, 0, Qt::AlignTop);
        m_list->addWidget(row);
        row->show();  // At once, so that a new element can take the keyboard focus.
        field->take(&elements[i]);
        field->setReadOnly(m_readOnly);
        m_elements.push_back(field);
    }
}

void ListField::change(const Json& elements)
{
    m_value = elements;
    rebuild(elements);
    noteEdit();
}

/// While no element was touched the list stays as it was given (absent, or something that is no list).
std::optional<Json> ListField::read() const
{
    Json out = Json::array();
    for (const Field* field : m_elements)
        out.push_back(field->read().value_or(field->parameter().defaultValue));
    if (m_value && !m_value->is_array() && m_elements.empty())
        return m_value;
    const bool untouched = !m_value && parameter().defaultValue.is_array() && out == parameter().defaultValue;
    return untouched || (!m_value && out.empty()) ? std::nullopt : std::optional(out);
}

QWidget* ListField::editor() const
{
    return m_elements.empty() ? m_add : m_elements.front()->editor();
}

void ListField::collect(std::vector<Field*>& fields)
{
    Field::collect(fields);
    for (Field* field : m_elements)
        field->collect(fields);
}

void ListField::setReadOnly(bool readOnly)
{
    m_readOnly = readOnly;
    m_add->setEnabled(!readOnly);
    for (Field* field : m_elements) {
        field->setReadOnly(readOnly);
        for (QToolButton* button : field->parentWidget()->findChildren<QToolButton*>(QString(), Qt::FindDirectChildrenOnly))
            button->setEnabled(!readOnly);
    }
}

}  // namespace orrery::widgets::form
