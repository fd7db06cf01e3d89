#pragma once
#include <QComboBox>
#include <QToolButton>
#include <map>
#include <vector>

#include <core/base/registry.h>
#include <widgets/schema_form.h>

namespace orrery::plugins {

/// What a method and its parameters are called on screen.
struct MethodTexts {
    QString name, tip;                ///< of the box
    QString parametersTip, formName;  ///< of the button that shows the parameters, and of their form
};

/// One of a family of components with its parameters: a box, a button that shows the form, the form. What was set for each component is remembered. The page
/// puts the three widgets where it wants them.
class MethodForm : public QObject {
    Q_OBJECT
public:
    MethodForm(const std::vector<core::Component>& components, const MethodTexts& texts, QObject* parent);

    QComboBox* box() const { return m_box; }
    QToolButton* more() const { return m_more; }
    widgets::SchemaForm* form() const { return m_form; }
    QString id() const { return m_box->currentData().toString(); }
    QString title() const { return m_box->currentText(); }
    const core::Json& document() const { return m_form->document(); }
    bool isValid() const { return m_form->isValid(); }
    /// Adds the component under `key`, what was set for all of them, and whether the form is shown.
    void addState(core::Json& state, const char* key) const;
    /// Unknown and ill-typed keys are ignored.
    void restoreState(const core::Json& state, const char* key);

Q_SIGNALS:
    /// Another component, or other issues of its parameters.
    void changed();

private:
    void choose();
    std::vector<core::Component> m_components;
    std::map<QString, core::Json> m_parameters;
    QComboBox* m_box;
    QToolButton* m_more;
    widgets::SchemaForm* m_form;
};

}  // namespace orrery::plugins
