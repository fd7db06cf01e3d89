#pragma once
#include <QString>

#include <core/base/schema.h>

class QComboBox;
class QWidget;

/// Internal to widgets: small parts that the fields of schema_fields.cpp and schema_fields_nested.cpp share.
namespace orrery::widgets::form {

/// A scalar as it stands in a line edit.
QString scalarText(const core::Json& value);
/// The name of a parameter for people: "weight decay".
QString labelText(const core::Parameter& parameter);
/// A box that does not take the wheel from the form around it.
QComboBox* makeBox(QWidget* parent);
/// Shows `text` in the box; a text that is no item becomes one, so that nothing given is lost.
void showInBox(QComboBox* box, const QString& text, int regularItems);

}  // namespace orrery::widgets::form
