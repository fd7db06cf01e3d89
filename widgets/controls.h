#pragma once
#include <QComboBox>
#include <QLineEdit>
#include <QString>

#include <core/base/json.h>

/// Small things that panels are put together from. UI thread.
namespace orrery::widgets {

/// A combo box that may be as narrow as `letters`, with a name for people who cannot see it.
QComboBox* narrowBox(const QString& name, const QString& tooltip, int letters = 6);

/// A field for the second text of a pair (question and passage, premise and hypothesis), to stand beside the one for the text. Its name is "pair"; empty: no pair.
QLineEdit* makePairEdit();

// Keys of a panel's stored state; what has the wrong type or is not there gives the default.
QString stateText(const core::Json& state, const char* key, const QString& standard = {});
double stateNumber(const core::Json& state, const char* key, double standard);
int stateInteger(const core::Json& state, const char* key, int standard);
core::Json stateObject(const core::Json& state, const char* key);

}  // namespace orrery::widgets
