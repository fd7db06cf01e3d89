#include "generate_model.h"

#include <QCoreApplication>
#include <QElapsedTimer>

#include <ATen/ATen.h>

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

WriteAbilities abilitiesOf(const QString& model, const std::shared_ptr<store::Workspace>& workspace)
{
    const auto opened = widgets::openModelArgument(model, workspace);
    WriteAbilities can;
    can.hasSource = generation::answersToASource(opened.card);
    try {
        generation::checkWritesOn(opened.card);
        text::requiredTokenizer(opened.card);
    } catch (const core::InputError& error) {
        can.whyNot = QString::fromUtf8(error.what());
    }
    return can;
}

WriteResult writeForPanel(const WriteRequest& request, widgets::BackgroundContext& context, const std::function<void(WriteBeginning)>& begin,
                          const std::function<void(ShownToken)>& token)
{
    auto model = widgets::openModelArgument(request.model, request.workspace);
    const auto tokenizer = text::tokenizerOf(model.card);
    auto prompt = generation::promptFor(model, std::string_view(request.prompt));
    generation::beginAnswer(prompt, model, request.begin);
    if (!request.text.empty())
        prompt.tokens = request.text;
    WriteBeginning given;
    given.tokenizer = tokenizer;
    for (const auto each : prompt.tokens)
        given.tokens.push_back({each, labelOf(tokenizer.get(), each), std::nan(""), {}});
    for (std::int64_t i = 0; prompt.source.defined() && i < prompt.source.numel(); ++i)
        given.source << labelOf(tokenizer.get(), prompt.source.data_ptr<std::int64_t>()[i]);
    begin(std::move(given));
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
