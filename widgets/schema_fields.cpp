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
namespace {

using core::Json;
using core::Parameter;
using core::ParameterType;

bool isNumber(const Parameter& parameter)
{
    return parameter.type == ParameterType::Int || parameter.type == ParameterType::Float;
}
bool isNumberList(const Parameter& parameter)
{
    return parameter.type == ParameterType::List && parameter.element && isNumber(*parameter.element);
}

Json numberOrText(const QString& text)
{
    const std::string utf8 = text.trimmed().toStdString();
    const Json value = Json::parse(utf8, nullptr, false);
    if (value.is_number())
        return value;
    // JSON wants a digit before the point and no plus sign; people do not.
    bool ok = false;
    const double number = text.trimmed().toDouble(&ok);
    return ok && std::isfinite(number) ? Json(number) : Json(text.toStdString());
}

Json parseNumberList(const QString& text)
{
    const Json whole = Json::parse(text.toStdString(), nullptr, false);
    if (whole.is_array())
        return whole;
    Json list = Json::array();
    static const QRegularExpression separator(QStringLiteral("[,;\\s]+"));
    for (const QString& part : text.split(separator, Qt::SkipEmptyParts))
        list.push_back(numberOrText(part));
    return list;
}

QString tooltipFor(const Parameter& parameter)
{
    QString facts = QString::fromStdString(core::Schema({parameter}).helpText(0)).trimmed();
    return QStringLiteral("<p style='white-space:pre-wrap'>%1</p>").arg(facts.toHtmlEscaped());
}

/// Wheel over a box in a scrolled form is meant for the form.
class NoWheel : public QObject {
public:
    using QObject::QObject;
    bool eventFilter(QObject*, QEvent* event) override
    {
        if (event->type() != QEvent::Wheel)
            return false;
        event->ignore();
        return true;
    }
};

}  // namespace

QString scalarText(const Json& value)
{
    if (value.is_string())
        return QString::fromStdString(value.get<std::string>());
    if (value.is_number_float())
        return QString::fromStdString(core::formatNumber(value.get<double>()));
    return QString::fromStdString(value.dump());
}

QString labelText(const Parameter& parameter)
{
    return QString::fromStdString(parameter.name).replace(QLatin1Char('_'), QLatin1Char(' '));
}

QComboBox* makeBox(QWidget* parent)
{
    auto* box = new QComboBox(parent);
    box->installEventFilter(new NoWheel(box));
    box->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    box->setMinimumContentsLength(8);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    return box;
}

void showInBox(QComboBox* box, const QString& text, int regularItems)
{
    const QSignalBlocker blocker(box);
    while (box->count() > regularItems)
        box->removeItem(box->count() - 1);
    int index = box->findData(text);
    if (index < 0) {
        box->addItem(text.isEmpty() ? QStringLiteral("(none)") : text, text);
        index = box->count() - 1;
    }
    box->setCurrentIndex(index);
}

Json startingValue(const Parameter& parameter)
{
    if (!parameter.defaultValue.is_null())
        return parameter.defaultValue;
    switch (parameter.type) {
    case ParameterType::Bool: return false;
    case ParameterType::Int:
        return parameter.minimum ? Json(std::int64_t(std::ceil(*parameter.minimum)) + (parameter.exclusiveMinimum ? 1 : 0)) : Json(0);
    case ParameterType::Float:
        return !parameter.minimum ? Json(0.0) : parameter.exclusiveMinimum ? Json(*parameter.minimum + 1.0) : Json(*parameter.minimum);
    case ParameterType::Choice: return parameter.choices.empty() ? Json("") : Json(parameter.choices.front());
    case ParameterType::List: return Json::array();
    case ParameterType::Component: {
        const core::RegistryBase* family = core::findFamily(parameter.family);
        return family && !family->components().empty() ? Json(family->components().front().id) : Json("");
    }
    case ParameterType::Group: return Json::object();
    case ParameterType::String:
    case ParameterType::Any: break;
    }
    return "";
}

std::optional<Json> parseLine(const Parameter& parameter, const QString& text)
{
    if (text.trimmed().isEmpty())
        return std::nullopt;
    if (isNumber(parameter))
        return numberOrText(text);
    if (isNumberList(parameter))
        return parseNumberList(text);
    if (parameter.type == ParameterType::String)
        return Json(text.toStdString());
    Json value = Json::parse(text.toStdString(), nullptr, false);
    return value.is_discarded() ? Json(text.toStdString()) : value;
}

QString lineText(const Parameter& parameter, const Json& value)
{
    if (!isNumberList(parameter) || !value.is_array())
        return scalarText(value);
    QStringList parts;
    for (const Json& element : value)
        parts << scalarText(element);
    return parts.isEmpty() ? QStringLiteral("[]") : parts.join(QStringLiteral(", "));
}

Field* makeField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
{
    if (parameter.optional)
        return new OptionalField(parameter, path, edited, parent);
    switch (parameter.type) {
    case ParameterType::Bool: return new BoolField(parameter, path, edited, parent);
    case ParameterType::Choice: return new ChoiceField(parameter, path, edited, parent);
    case ParameterType::Component: return new ComponentField(parameter, path, edited, parent);
    case ParameterType::Group:
        if (parameter.group)
            return new GroupField(parameter, path, edited, parent);
        break;
    case ParameterType::List:
        if (parameter.element && !isNumberList(parameter))
            return new ListField(parameter, path, edited, parent);
        break;
    default: break;
    }
    return new LineField(parameter, path, edited, parent);
}

// --- Field

Field::Field(Parameter parameter, QString path, Edited edited, QWidget* parent)
    : QWidget(parent), m_parameter(std::move(parameter)), m_path(std::move(path)), m_edited(std::move(edited)), m_body(new QVBoxLayout),
      m_error(new QLabel(this))
{
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    m_body->setSpacing(4);
    layout->addLayout(m_body);
    layout->addWidget(m_error);
    m_error->setWordWrap(true);
    m_error->setTextFormat(Qt::PlainText);
    m_error->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_error->hide();
    colorError();
    setToolTip(tooltipFor(m_parameter));
}

void Field::setError(const QString& text)
{
    if (m_error->text() == text)
        return;
    m_error->setText(text);
    m_error->setVisible(!text.isEmpty());
    fitError();
    if (QWidget* target = editor())
        target->setAccessibleDescription(text);
}

QString Field::error() const
{
    return m_error->text();
}

void Field::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange)
        colorError();
}

void Field::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    fitError();
}

/// Layouts inside layouts lose the height that wrapped text needs for its width.
void Field::fitError()
{
    m_error->setMinimumHeight(m_error->text().isEmpty() ? 0 : m_error->heightForWidth(width()));
}

void Field::colorError()
{
    QPalette palette = this->palette();
    palette.setColor(QPalette::WindowText, themeColors(palette).error);
    m_error->setPalette(palette);
}

// --- LineField

LineField::LineField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
    : Field(parameter, path, edited, parent), m_line(new QLineEdit(this))
{
    auto* row = new QHBoxLayout;
    row->setSpacing(6);
    row->addWidget(m_line, 1);
    if (!parameter.unit.empty())
        row->addWidget(new QLabel(QString::fromStdString(parameter.unit), this));
    body()->addLayout(row);
    m_line->setAccessibleName(labelText(parameter));
    m_line->installEventFilter(this);
    if (!parameter.defaultValue.is_null())
        m_line->setPlaceholderText(lineText(parameter, parameter.defaultValue));
    connect(m_line, &QLineEdit::textEdited, this, [this](const QString& text) {
        m_value = parseLine(this->parameter(), text);
        noteEdit();
    });
}

void LineField::take(const Json* value)
{
    // What is typed and means the same stays as it is spelled.
    const bool same = value ? (m_value && *m_value == *value) : !m_value;
    if (same && (!value || !m_line->text().isEmpty()))
        return;
    m_value = value ? std::optional(*value) : std::nullopt;
    const QSignalBlocker blocker(m_line);
    m_line->setText(value ? lineText(parameter(), *value) : QString());
}

QWidget* LineField::editor() const
{
    return m_line;
}
void LineField::setReadOnly(bool readOnly)
{
    m_line->setReadOnly(readOnly);
}

bool LineField::eventFilter(QObject*, QEvent* event)
{
    if (event->type() != QEvent::KeyPress || m_line->isReadOnly() || !isNumber(parameter()))
        return false;
    const int key = static_cast<QKeyEvent*>(event)->key();
    if (key != Qt::Key_Up && key != Qt::Key_Down)
        return false;
    step(key == Qt::Key_Up ? 1 : -1);
    return true;
}

/// Up and Down: whole numbers by one, others by a tenth of their magnitude, log-scaled ones through 1, 2, 5, 10.
void LineField::step(int direction)
{
    const Json& from = m_value ? *m_value : parameter().defaultValue;
    if (!from.is_number())
        return;
    double value = from.get<double>();
    const double magnitude = value == 0 ? 1 : std::pow(10, std::floor(std::log10(std::abs(value)) + 1e-9));
    if (parameter().logScale && value > 0) {
        const double mantissa = value / magnitude;
        const double up = mantissa < 1.999 ? 2 : mantissa < 4.999 ? 5 : 10;
        const double down = mantissa > 5.001 ? 5 : mantissa > 2.001 ? 2 : mantissa > 1.001 ? 1 : 0.5;
        value = magnitude * (direction > 0 ? up : down);
    } else if (parameter().type == ParameterType::Int) {
        value += direction;
    } else {
        value += direction * magnitude / 10;
    }
    value = parameter().type == ParameterType::Int ? std::round(value) : std::stod(fmt::format("{:.12g}", value));
    if ((parameter().minimum && value < *parameter().minimum) || (parameter().maximum && value > *parameter().maximum))
        return;
    m_value = parameter().type == ParameterType::Int ? Json(std::int64_t(value)) : Json(value);
    m_line->setText(lineText(parameter(), *m_value));
    noteEdit();
}

// --- BoolField

BoolField::BoolField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
    : Field(parameter, path, edited, parent), m_box(new QCheckBox(this))
{
    m_box->setMinimumHeight(QLineEdit().sizeHint().height());
    body()->addWidget(m_box);
    m_box->setAccessibleName(labelText(parameter));
    connect(m_box, &QCheckBox::clicked, this, [this](bool on) {
        m_value = on;
        m_box->setTristate(false);
        noteEdit();
    });
}

void BoolField::take(const Json* value)
{
    m_value = value ? std::optional(*value) : std::nullopt;
    const Json& shown = value ? *value : parameter().defaultValue;
    m_box->setTristate(!shown.is_boolean());
    m_box->setCheckState(!shown.is_boolean() ? Qt::PartiallyChecked : shown.get<bool>() ? Qt::Checked : Qt::Unchecked);
}

QWidget* BoolField::editor() const
{
    return m_box;
}
void BoolField::setReadOnly(bool readOnly)
{
    m_box->setEnabled(!readOnly);
}

// --- ChoiceField

ChoiceField::ChoiceField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
    : Field(parameter, path, edited, parent), m_box(makeBox(this))
{
    for (const std::string& name : parameter.choices)
        m_box->addItem(QString::fromStdString(name), QString::fromStdString(name));
    body()->addWidget(m_box);
    m_box->setAccessibleName(labelText(parameter));
    connect(m_box, &QComboBox::activated, this, [this](int index) {
        m_value = m_box->itemData(index).toString().toStdString();
        noteEdit();
    });
}

void ChoiceField::take(const Json* value)
{
    m_value = value ? std::optional(*value) : std::nullopt;
    const Json& shown = value ? *value : parameter().defaultValue;
    showInBox(m_box, shown.is_null() ? QString() : scalarText(shown), int(parameter().choices.size()));
}

QWidget* ChoiceField::editor() const
{
    return m_box;
}
void ChoiceField::setReadOnly(bool readOnly)
{
    m_box->setEnabled(!readOnly);
}

// --- OptionalField

OptionalField::OptionalField(const Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent)
    : Field(parameter, path, edited, parent), m_box(new QCheckBox(this))
{
    Parameter inner = parameter;
    inner.optional = false;
    m_inner = makeField(inner, path, edited, this);
    auto* row = new QHBoxLayout;
    row->setSpacing(6);
    m_box->setFixedHeight(QLineEdit().sizeHint().height());
    row->addWidget(m_box, 0, Qt::AlignTop);
    row->addWidget(m_inner, 1);
    body()->addLayout(row);
    m_box->setAccessibleName(tr("Use %1").arg(labelText(parameter)));
    connect(m_box, &QCheckBox::clicked, this, &OptionalField::toggled);
}

void OptionalField::take(const Json* value)
{
    m_absent = !value;
    const Json& shown = value ? *value : parameter().defaultValue;
    m_null = shown.is_null();
    m_box->setChecked(!m_null);
    m_inner->setEnabled(!m_null);
    if (!m_null)
        m_inner->take(value);
}

std::optional<Json> OptionalField::read() const
{
    if (m_null)
        return m_absent && parameter().defaultValue.is_null() ? std::nullopt : std::optional(Json(nullptr));
    return m_inner->read();
}

/// Switched on, it starts with what was typed before, or with a value that is valid.
void OptionalField::toggled(bool on)
{
    m_null = !on;
    m_absent = !on && parameter().defaultValue.is_null() ? m_absent : false;
    m_inner->setEnabled(on);
    if (on && !m_inner->read()) {
        const Json start = startingValue(m_inner->parameter());
        m_inner->take(&start);
    }
    noteEdit();
}

QWidget* OptionalField::editor() const
{
    return m_inner->editor();
}

void OptionalField::collect(std::vector<Field*>& fields)
{
    std::vector<Field*> inside;
    m_inner->collect(inside);
    fields.push_back(this);
    for (Field* field : inside)
        if (field != m_inner)
            fields.push_back(field);
}

void OptionalField::setReadOnly(bool readOnly)
{
    m_box->setEnabled(!readOnly);
    m_inner->setReadOnly(readOnly);
}

}  // namespace orrery::widgets::form
