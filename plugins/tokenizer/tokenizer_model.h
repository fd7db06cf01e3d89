#pragma once
#include <QString>
#include <QStringList>
#include <memory>
#include <stop_token>
#include <vector>

#include <core/text/comparison.h>
#include <core/text/tokenizer.h>

namespace orrery::store {
class Workspace;
}

namespace orrery::plugins {

/// A tokenizer that the panel compares, by what a person names it with: a file, a folder, a MODEL argument, "bytes".
struct OpenedTokenizer {
    QString name;
    text::TokenizerPtr tokenizer;  ///< null: could not be opened
    QString error;
};

/// What one tokenizer makes of the text. Plain values, made off the UI thread.
struct TokenizedText {
    QString name, kind, error;  ///< error: nothing else is set
    qint64 size = 0;
    text::TextCounts counts;
    struct Token {
        qint64 id = 0;
        QString shown, piece, script;  ///< the text it stands for, as the vocabulary writes it, and of which script
        qint64 begin = 0, end = 0;     ///< bytes
        qint64 word = -1;              ///< -1: none
        bool special = false, unknown = false;
        bool dropped = false;  ///< no token: a part of the text that none stands for
    };
    std::vector<Token> tokens;  ///< the first `kShownTokens`
    bool cutShort = false;
};

/// More tokens than a person reads are counted, not shown.
inline constexpr std::size_t kShownTokens = 5000;

/// Opens each name once; those in `known` are not read again. Any thread.
std::vector<OpenedTokenizer> openTokenizers(const QStringList& names, const std::vector<OpenedTokenizer>& known,
                                            const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop);
/// Any thread. Errors of a tokenizer stand in its entry.
std::vector<TokenizedText> tokenizeAll(const std::vector<OpenedTokenizer>& tokenizers, const std::string& text, bool special, std::stop_token stop);

/// A name as it is shown: the last parts of a path.
QString shortName(const QString& name);

}  // namespace orrery::plugins
