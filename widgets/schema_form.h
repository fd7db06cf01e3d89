#pragma once
#include <QString>
#include <QWidget>
#include <memory>
#include <vector>

#include <core/base/schema.h>

namespace orrery::widgets {

/// A form made from a `core::Schema`: one row a parameter, nested components with a box for their id, lists with add and remove, groups, optional
/// parameters with
/// a check box, units as suffix, help as tooltip, conditional parameters shown when they apply. Reads and writes the document as `core::Json`.
///
/// Nothing typed is lost: text that is no number stays in its field and in the document as text, and the error stands below the field.
/// Parameters left at their default are not written unless they were in the document already. Unknown keys of the document are kept and listed as
/// errors.
/// UI thread.
class SchemaForm : public QWidget {
    Q_OBJECT
public:
    explicit SchemaForm(QWidget* parent = nullptr);
    ~SchemaForm() override;

    /// Rebuilds the form; the document becomes an empty object.
    void setSchema(const core::Schema& schema);
    const core::Schema& schema() const;
    /// Shows a document; emits nothing. Keyboard focus and scroll position stay on the same parameter where it still exists.
    void setDocument(const core::Json& document);
    /// The document as edited, unresolved.
    const core::Json& document() const;
    /// All defaults filled in; what is wrong is left out. Check `isValid` first.
    core::Json resolved() const;

    /// What is wrong, with paths relative to the document (`optimizer.lr`), from the schema and from `setExtraIssues`.
    const std::vector<core::Issue>& issues() const;
    bool isValid() const { return issues().empty(); }
    /// Errors found elsewhere (a file that does not exist), shown at their fields until replaced. Paths as in `issues`.
    void setExtraIssues(std::vector<core::Issue> issues);
    /// Moves the keyboard focus to the field of a path and scrolls to it. False if there is no such field.
    bool focusField(const QString& path);
    /// The editing widget of a path (`optimizer.lr`, `layers[0]`), for tests and completion; null if there is none.
    QWidget* field(const QString& path) const;
    /// The error text shown at a path; empty if none.
    QString errorAt(const QString& path) const;
    void setReadOnly(bool readOnly);

Q_SIGNALS:
    /// The user changed one field. `before` and `after` are whole documents, so an undo command needs no more; consecutive edits with the same `path`
    /// come from typing in one field and may be merged.
    void edited(const QString& path, const orrery::core::Json& before, const orrery::core::Json& after);
    /// The issues may have changed.
    void issuesChanged();

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
