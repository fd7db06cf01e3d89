#include "generate_model.h"

#include <QCoreApplication>
#include <QElapsedTimer>

#include <cmath>

#include <core/base/error.h>
#include <core/generate/special_tokens.h>
#include <core/text/card_tokenizer.h>
#include <core/text/unicode.h>
#include <widgets/model_source.h>

namespace orrery::plugins {
namespace {

QString labelOf(const text::Tokenizer* tokenizer, std::int64_t token)
{
    return tokenizer ? QString::fromStdString(tokenizer->tokenText(token)) : QString::number(token);
}

ShownToken shown(const text::Tokenizer* tokenizer, const generation::GeneratedToken& token)
{
    ShownToken made{token.token, labelOf(tokenizer, token.token), token.probability, {}};
    for (const auto& [other, probability] : token.alternatives)
        made.alternatives.push_back({other, labelOf(tokenizer, other), probability});
    return made;
}

QString cacheSentence(const generation::Decoder& decoder)
{
    if (decoder.isCached())
        return QCoreApplication::translate("Generate", "keys and values kept");
    return QCoreApplication::translate("Generate", "the whole text was read for each token: %1").arg(QString::fromStdString(decoder.whyNotCached()));
}

}  // namespace

WriteResult writeForPanel(const WriteRequest& request, widgets::BackgroundContext& context,
                          const std::function<void(std::vector<ShownToken>, text::TokenizerPtr)>& begin, const std::function<void(ShownToken)>& token)
{
    auto model = widgets::openModelArgument(request.model, request.workspace);
    const auto tokenizer = text::tokenizerOf(model.card);
    auto prompt = generation::promptFor(model, std::string_view(request.prompt));
    if (!request.text.empty())
        prompt.tokens = request.text;
    std::vector<ShownToken> given;
    for (const auto each : prompt.tokens)
        given.push_back({each, labelOf(tokenizer.get(), each), std::nan(""), {}});
    begin(std::move(given), tokenizer);
    generation::TextOptions options = request.options;
    options.endTokens = generation::specialTokens(model.card).end;
    generation::Decoder decoder(std::move(model), generation::Decoder::Cache::Use, prompt.source);
    generation::TextControl control;
    control.stop = context.stopToken();
    int count = 0;
    control.token = [&](const generation::GeneratedToken& each) {
        context.progress(++count, double(options.maxNewTokens), "tokens");
        token(shown(tokenizer.get(), each));
    };
    QElapsedTimer timer;
    timer.start();
    const auto written = generation::writeText(decoder, prompt.tokens, options, tokenizer.get(), control);
    if (written.end == generation::TextEnd::Failed)
        throw core::Error(written.failure);  // the tokens are shown by now
    return {written.end, cacheSentence(decoder), double(timer.elapsed()) / 1000, count};
}

QStringList textsOf(const std::vector<ShownToken>& tokens)
{
    QStringList texts;
    for (const auto& token : tokens)
        texts << token.text;
    return texts;
}

QString readText(const text::Tokenizer* tokenizer, const std::vector<ShownToken>& tokens)
{
    std::vector<std::int64_t> numbers;
    for (const auto& token : tokens)
        numbers.push_back(token.token);
    return tokenizer ? QString::fromStdString(text::withReplacements(tokenizer->decode(numbers, true))) : QString();
}

}  // namespace orrery::plugins
