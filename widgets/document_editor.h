#pragma once
#include <QString>
#include <QWidget>
#include <memory>
#include <optional>
#include <vector>

#include <core/base/schema.h>

class QPlainTextEdit;
class QUndoStack;

namespace orrery::widgets {

enum class DocumentFormat { Json, Yaml };

/// An experiment document as text: line numbers, syntax colours, and errors in place (wavy line, mark at the line number, list below that leads to
/// the place).
/// The same document as the form beside it: `document()` on one side, `setDocument` on the other. UI thread.
class DocumentEditor : public QWidget {
    Q_OBJECT
public:
    explicit DocumentEditor(QWidget* parent = nullptr);
    ~DocumentEditor() override;

    /// Writes the document as text in the current format; emits nothing. Text that already means the same document is left as it is, with its
    /// comments and spacing.
    void setDocument(const core::Json& document);
    /// What the text means; nothing while it cannot be read (then `messages` says why).
    std::optional<core::Json> document() const;
    void setText(const QString& text);
    QString text() const;
    /// Rewrites the text in the other format if it can be read. Yaml needs ORRERY_YAML.
    void setFormat(DocumentFormat format);
    DocumentFormat format() const;
    static bool isYamlAvailable();

    /// Errors by document path (`train.optimizer.lr`), shown at the line that holds that path, or at its nearest parent.
    void setIssues(const std::vector<core::Issue>& issues);
    /// Messages on show, "line 3: train.optimizer.lr: expected ...".
    QStringList messages() const;
    /// Line (from 1) of a path in the text; 0 if it is not there.
    int lineOf(const QString& path) const;
    void goToLine(int line);
    QPlainTextEdit* editor() const;
    void setReadOnly(bool readOnly);

Q_SIGNALS:
    /// The text was edited by hand and can be read.
    void edited(const orrery::core::Json& before, const orrery::core::Json& after);
    /// The text was edited; it may be unreadable.
    void textEdited();

protected:
    void changeEvent(QEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
