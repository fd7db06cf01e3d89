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
    std::string begin;  ///< what an encoder-decoder's answer begins with; its prompt is the source
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

/// What a text begins with.
struct WriteBeginning {
    std::vector<ShownToken> tokens;
    QStringList source;            ///< tokens that an encoder-decoder answers to; empty: the model has no source
    text::TokenizerPtr tokenizer;  ///< null: the model has none
};

/// How a text ended.
struct WriteResult {
    generation::TextEnd end = generation::TextEnd::Length;
    QString cache;  ///< a sentence about the cache
    double seconds = 0;
    int tokens = 0;
};

/// What a model can be asked to write, known as soon as it is open.
struct WriteAbilities {
    bool hasSource = false;  ///< an encoder-decoder: the prompt is the source, and its answer may be given a beginning
    QString whyNot;          ///< why it cannot write; empty: it can
};
/// @throws what opening throws. On a worker's thread.
WriteAbilities abilitiesOf(const QString& model, const std::shared_ptr<store::Workspace>& workspace);

/// Opens the model and writes; on a worker's thread.
/// @param begin  Gets what the text begins with, before anything is written. @param token  Gets each new one.
/// @throws what opening and writing throw.
WriteResult writeForPanel(const WriteRequest& request, widgets::BackgroundContext& context, const std::function<void(WriteBeginning)>& begin,
                          const std::function<void(ShownToken)>& token);

/// Each token as it is shown alone.
QStringList textsOf(const std::vector<ShownToken>& tokens);
/// What they read as together, without special tokens: characters of several tokens are whole here. Empty without a tokenizer.
QString readText(const text::Tokenizer* tokenizer, const std::vector<ShownToken>& tokens);

}  // namespace orrery::plugins
