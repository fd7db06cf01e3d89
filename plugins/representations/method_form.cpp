#include "method_form.h"

#include <algorithm>

#include "page.h"

namespace orrery::plugins {
namespace {

QString described(const core::Component& component)
{
    return QString::fromStdString(component.summary + "\n" + component.source);
}

}  // namespace

MethodForm::MethodForm(const std::vector<core::Component>& components, const MethodTexts& texts, QObject* parent)
    : QObject(parent), m_components(components), m_box(widgets::narrowBox(texts.name, texts.tip)), m_more(new QToolButton),
      m_form(new widgets::SchemaForm)
{
    for (const auto& component : m_components) {
        m_box->addItem(QString::fromStdString(component.title), QString::fromStdString(component.id));
        m_box->setItemData(m_box->count() - 1, described(component), Qt::ToolTipRole);
    }
    m_more->setText(tr("Parameters"));
    m_more->setCheckable(true);
    m_more->setToolTip(texts.parametersTip);
    m_form->setAccessibleName(texts.formName);
    m_form->setVisible(false);
    connect(m_box, &QComboBox::currentIndexChanged, this, &MethodForm::choose);
    connect(m_more, &QToolButton::toggled, m_form, &QWidget::setVisible);
    connect(m_form, &widgets::SchemaForm::edited, this,
            [this](const QString&, const core::Json&, const core::Json& after) { m_parameters[id()] = after; });
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &MethodForm::changed);
    choose();
}

void MethodForm::choose()
{
    const auto component = std::find_if(m_components.begin(), m_components.end(), [this](const auto& each) { return each.id == id().toStdString(); });
    if (component == m_components.end())
        return;
    m_box->setToolTip(described(*component));
    m_form->setSchema(component->schema);
    if (const auto known = m_parameters.find(id()); known != m_parameters.end())
        m_form->setDocument(known->second);
    Q_EMIT changed();
}

void MethodForm::addState(core::Json& state, const char* key) const
{
    core::Json parameters = core::Json::object();
    for (const auto& [id, document] : m_parameters)
        parameters[id.toStdString()] = document;
    state.update({{key, id().toStdString()}, {"parameters", parameters}, {"form", m_more->isChecked()}});
}

void MethodForm::restoreState(const core::Json& state, const char* key)
{
    const core::Json parameters = widgets::stateObject(state, "parameters");
    for (const auto& [id, document] : parameters.items())
        if (document.is_object())
            m_parameters[QString::fromStdString(id)] = document;
    if (const int row = m_box->findData(widgets::stateText(state, key)); row >= 0)
        m_box->setCurrentIndex(row);
    if (state.is_object() && state.contains("form") && state["form"].is_boolean())
        m_more->setChecked(state["form"].get<bool>());
    choose();
}

}  // namespace orrery::plugins
