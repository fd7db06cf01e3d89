#include "controls.h"

#include <QCoreApplication>

namespace orrery::widgets {

QComboBox* narrowBox(const QString& name, const QString& tooltip, int letters)
{
    auto* box = new QComboBox;
    box->setAccessibleName(name);
    box->setToolTip(tooltip);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(letters);
    return box;
}

QLineEdit* makePairEdit()
{
    auto* edit = new QLineEdit;
    edit->setObjectName(QStringLiteral("pair"));
    edit->setAccessibleName(QCoreApplication::translate("widgets", "Second text of a pair"));
    edit->setPlaceholderText(QCoreApplication::translate("widgets", "second text of a pair, if any"));
    edit->setToolTip(QCoreApplication::translate("widgets", "For models that read two texts: question and passage, premise and hypothesis"));
    return edit;
}

QString stateText(const core::Json& state, const char* key, const QString& standard)
{
    return state.is_object() && state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : standard;
}

double stateNumber(const core::Json& state, const char* key, double standard)
{
    return state.is_object() && state.contains(key) && state[key].is_number() ? state[key].get<double>() : standard;
}

int stateInteger(const core::Json& state, const char* key, int standard)
{
    return state.is_object() && state.contains(key) && state[key].is_number_integer() ? state[key].get<int>() : standard;
}

core::Json stateObject(const core::Json& state, const char* key)
{
    return state.is_object() && state.contains(key) && state[key].is_object() ? state[key] : core::Json::object();
}

}  // namespace orrery::widgets
