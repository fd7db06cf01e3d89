#pragma once
#include <QString>
#include <QStringList>
#include <functional>
#include <memory>
#include <vector>

#include <core/generate/generation.h>
#include <core/store/workspace.h>
#include <core/text/tokenizer.h>
#include <widgets/background.h>

namespace orrery::plugins {

/// What the panel asks for.
struct WriteRequest {
    QString model;  ///< MODEL argument
    std::shared_ptr<store::Workspace> workspace;
    std::string prompt;
    /// Tokens of the text as it stands, to go on from; empty: begin with the prompt. For an encoder-decoder those of the answer.
    std::vector<std::int64_t> text;
    generation::TextOptions options;
};

/// A token on show.
struct ShownToken {
    struct Alternative {
        std::int64_t token = 0;
        QString text;
        double probability = 0;
    };
    std::int64_t token = 0;
    QString text;
    double probability = 0;  ///< NaN: it was given, not written
    std::vector<Alternative> alternatives;
};

/// How a text ended.
struct WriteResult {
    generation::TextEnd end = generation::TextEnd::Length;
    QString cache;  ///< a sentence about the cache
    double seconds = 0;
    int tokens = 0;
};

/// Opens the model and writes; on a worker's thread.
/// @param begin  Gets the tokens that the text begins with, before anything is written, and the tokenizer (null: the model has none). @param token  Gets each new one.
/// @throws what opening and writing throw.
WriteResult writeForPanel(const WriteRequest& request, widgets::BackgroundContext& context,
                          const std::function<void(std::vector<ShownToken>, text::TokenizerPtr)>& begin,
                          const std::function<void(ShownToken)>& token);

/// Each token as it is shown alone.
QStringList textsOf(const std::vector<ShownToken>& tokens);
/// What they read as together, without special tokens: characters of several tokens are whole here. Empty without a tokenizer.
QString readText(const text::Tokenizer* tokenizer, const std::vector<ShownToken>& tokens);

}  // namespace orrery::plugins
