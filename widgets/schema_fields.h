#pragma once
#include <QString>
#include <QStringList>
#include <QWidget>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <core/base/schema.h>

class QCheckBox;
class QComboBox;
class QFormLayout;
class QHBoxLayout;
class QLabel;
class QLineEdit;
class QVBoxLayout;

/// The fields a `SchemaForm` is made of. Each holds its part of the document as it was given or typed, and shows it.
namespace orrery::widgets::form {

/// Called after the user changed the field of a path.
using Edited = std::function<void(const QString& path)>;

/// One parameter: its editor with the error text below. `read` gives back what `take` got until the user changes it.
class Field : public QWidget {
    Q_OBJECT
public:
    Field(core::Parameter parameter, QString path, Edited edited, QWidget* parent);
    const core::Parameter& parameter() const { return m_parameter; }
    const QString& path() const { return m_path; }

    /// @param value  Null: the document does not have it, the default is shown.
    virtual void take(const core::Json* value) = 0;
    /// Nothing if it is to stay out of the document.
    virtual std::optional<core::Json> read() const = 0;
    /// What takes the keyboard focus.
    virtual QWidget* editor() const = 0;
    /// This field and those inside.
    virtual void collect(std::vector<Field*>& fields) { fields.push_back(this); }
    virtual void setReadOnly(bool readOnly) = 0;

    void setError(const QString& text);
    QString error() const;
    /// False while its row is hidden because a condition does not hold.
    bool isShown() const { return m_shown; }
    void noteShown(bool shown) { m_shown = shown; }

protected:
    /// Above the error text.
    QVBoxLayout* body() const { return m_body; }
    void noteEdit() { m_edited(m_path); }
    const Edited& edited() const { return m_edited; }
    void changeEvent(QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    void colorError();
    void fitError();

    core::Parameter m_parameter;
    QString m_path;
    Edited m_edited;
    QVBoxLayout* m_body;
    QLabel* m_error;
    bool m_shown = true;
};

/// The field that suits a parameter.
Field* makeField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
/// A value that a parameter may start with when it is switched on or added to a list.
core::Json startingValue(const core::Parameter& parameter);
/// Text as typed in a line -> value: a number where one is wanted and readable, else the text itself. Nothing for an empty line.
std::optional<core::Json> parseLine(const core::Parameter& parameter, const QString& text);
QString lineText(const core::Parameter& parameter, const core::Json& value);

/// Numbers, texts, lists of numbers, any JSON: one line.
class LineField : public Field {
    Q_OBJECT
public:
    LineField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
    void take(const core::Json* value) override;
    std::optional<core::Json> read() const override { return m_value; }
    QWidget* editor() const override;
    void setReadOnly(bool readOnly) override;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void step(int direction);
    QLineEdit* m_line;
    std::optional<core::Json> m_value;
};

class BoolField : public Field {
    Q_OBJECT
public:
    BoolField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
    void take(const core::Json* value) override;
    std::optional<core::Json> read() const override { return m_value; }
    QWidget* editor() const override;
    void setReadOnly(bool readOnly) override;

private:
    QCheckBox* m_box;
    std::optional<core::Json> m_value;
};

class ChoiceField : public Field {
    Q_OBJECT
public:
    ChoiceField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
    void take(const core::Json* value) override;
    std::optional<core::Json> read() const override { return m_value; }
    QWidget* editor() const override;
    void setReadOnly(bool readOnly) override;

private:
    QComboBox* m_box;
    std::optional<core::Json> m_value;
};

/// A check box before the field of the same parameter: unchecked is null.
class OptionalField : public Field {
    Q_OBJECT
public:
    OptionalField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
    void take(const core::Json* value) override;
    std::optional<core::Json> read() const override;
    QWidget* editor() const override;
    void collect(std::vector<Field*>& fields) override;
    void setReadOnly(bool readOnly) override;
    QCheckBox* checkBox() const { return m_box; }

private:
    void toggled(bool on);
    QCheckBox* m_box;
    Field* m_inner;
    bool m_null = true;    ///< the document says null
    bool m_absent = true;  ///< the document says nothing
};

/// The rows of one object: the whole document, a group, or the parameters of a component.
class ObjectRows : public QWidget {
    Q_OBJECT
public:
    ObjectRows(const core::Schema& schema, const QString& path, Edited edited, QWidget* parent);
    /// @param object  Null: absent. Keys that are no parameters are kept (`reserved` is left to the owner).
    void take(const core::Json* object, const QString& reserved = {});
    /// The object as edited; nothing if it was absent and still holds nothing.
    std::optional<core::Json> read() const;
    void collect(std::vector<Field*>& fields) const;
    void setReadOnly(bool readOnly);
    bool isEmpty() const { return m_rows.empty(); }
    QWidget* firstEditor() const;

private:
    struct Row {
        Field* field;
        bool suppressed = false;  ///< does not apply since the user changed what it depends on: kept in the field, out of the document
    };
    bool applies(const core::Parameter& parameter) const;
    const Row* find(const std::string& name) const;
    void childEdited(const QString& path);
    void updateConditions(bool suppress);

    QString m_path;
    Edited m_edited;
    QFormLayout* m_layout;
    std::vector<Row> m_rows;
    core::Json m_given;  ///< for the order of keys and for what is no parameter
    bool m_absent = true;
};

class GroupField : public Field {
    Q_OBJECT
public:
    GroupField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
    void take(const core::Json* value) override;
    std::optional<core::Json> read() const override;
    QWidget* editor() const override;
    void collect(std::vector<Field*>& fields) override;
    void setReadOnly(bool readOnly) override;

private:
    ObjectRows* m_rows;
    std::optional<core::Json> m_odd;  ///< a value that is no object, until something is edited
};

/// The id of a registered component in a box, its parameters below.
class ComponentField : public Field {
    Q_OBJECT
public:
    ComponentField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
    void take(const core::Json* value) override;
    std::optional<core::Json> read() const override;
    QWidget* editor() const override;
    void collect(std::vector<Field*>& fields) override;
    void setReadOnly(bool readOnly) override;

private:
    void chosen(const QString& id);
    void showId(const QString& id);
    void showRows(const core::Json* object);

    QComboBox* m_box;
    QWidget* m_frame;
    ObjectRows* m_rows = nullptr;
    QString m_id;                       ///< of the rows on show
    std::optional<core::Json> m_value;  ///< as given or chosen; parameters come from the rows
    bool m_readOnly = false;
};

/// Elements one below the other, each with a button that removes it.
class ListField : public Field {
    Q_OBJECT
public:
    ListField(const core::Parameter& parameter, const QString& path, const Edited& edited, QWidget* parent);
    void take(const core::Json* value) override;
    std::optional<core::Json> read() const override;
    QWidget* editor() const override;
    void collect(std::vector<Field*>& fields) override;
    void setReadOnly(bool readOnly) override;

private:
    void rebuild(const core::Json& elements);
    void change(const core::Json& elements);

    QVBoxLayout* m_list;
    QWidget* m_add;
    std::vector<Field*> m_elements;
    std::optional<core::Json> m_value;
    bool m_readOnly = false;
};

}  // namespace orrery::widgets::form
