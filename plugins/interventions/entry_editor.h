#pragma once
#include <QWidget>
#include <map>

#include <core/base/json.h>

class QComboBox;
class QCompleter;
class QLabel;
class QLineEdit;
class QStringListModel;

namespace orrery::widgets {
class SchemaForm;
}

namespace orrery::plugins {

/// One intervention as a form: place (completed from the model), unit, kind with its parameters, source, when. UI thread.
class EntryEditor : public QWidget {
    Q_OBJECT
public:
    explicit EntryEditor(QWidget* parent = nullptr);
    /// Shows an entry of the document; emits nothing. Null: disabled.
    void setEntry(const core::Json& entry);
    const core::Json& entry() const { return m_entry; }
    void setPlaces(const QStringList& places);
    void setSources(const QStringList& names);
    void setIssues(const QStringList& messages);

Q_SIGNALS:
    /// Edited by hand. `field` names what was edited: consecutive edits of one field may be merged.
    void edited(const orrery::core::Json& entry, const QString& field);

private:
    QLineEdit* makeUnitField(const char* axis, const QString& label);
    QWidget* makeUnit();
    void setUpPlace();
    void setUpKind();
    void setUpSource();
    void change(const char* key, core::Json value);
    void changeUnit(const char* axis, const QString& text);
    void chooseKind();
    void showKind();

    core::Json m_entry;
    QLineEdit *m_place, *m_when;
    std::map<std::string, QLineEdit*> m_unit;
    QComboBox *m_kind, *m_source;
    QLabel *m_summary, *m_issues;
    widgets::SchemaForm* m_form;
    QStringListModel* m_places;
};

}  // namespace orrery::plugins
