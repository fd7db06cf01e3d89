#pragma once
#include <QSyntaxHighlighter>

#include "document_editor.h"

namespace orrery::widgets {

/// Colours keys, texts, numbers, words (true, null) and comments of JSON and YAML.
class DocumentHighlighter : public QSyntaxHighlighter {
    Q_OBJECT
public:
    explicit DocumentHighlighter(QTextDocument* document) : QSyntaxHighlighter(document) {}
    void setFormat(DocumentFormat format);
    void setDark(bool dark);

protected:
    void highlightBlock(const QString& text) override;

private:
    using QSyntaxHighlighter::setFormat;
    DocumentFormat m_format = DocumentFormat::Yaml;
    bool m_dark = false;
};

}  // namespace orrery::widgets
