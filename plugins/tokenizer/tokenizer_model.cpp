#include "tokenizer_model.h"

#include <QDir>
#include <QFileInfo>

#include <core/base/error.h>
#include <core/text/card_tokenizer.h>
#include <core/text/unicode.h>
#include <widgets/model_source.h>

namespace orrery::plugins {
namespace {

OpenedTokenizer openOne(const QString& name, const std::shared_ptr<store::Workspace>& workspace)
{
    try {
        return {name,
                text::namedTokenizer(
                    name.toStdString(),
                    [&](const std::string& argument) { return widgets::openModelArgument(QString::fromStdString(argument), workspace).card; }),
                {}};
    } catch (const core::Error& error) {
        return {name, nullptr, QString::fromUtf8(error.what())};
    }
}

/// A stretch of bytes with the rest of the letters that it cuts: the script of a byte is that of its letter.
std::string wholeLetters(const std::string& text, std::size_t begin, std::size_t end)
{
    const auto isInside = [&](std::size_t at) { return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
    while (begin > 0 && isInside(begin))
        --begin;
    while (isInside(end))
        ++end;
    return text.substr(begin, end - begin);
}

std::vector<TokenizedText::Token> tokensOf(const text::Tokenizer& tokenizer, const text::Encoding& encoding, const std::string& text)
{
    std::vector<TokenizedText::Token> tokens;
    const auto dropped = text::droppedParts(encoding, text);
    auto next = dropped.begin();
    const auto addDropped = [&](std::size_t before) {
        for (; next != dropped.end() && next->begin < before; ++next) {
            TokenizedText::Token part;
            part.dropped = true;
            part.id = part.word = -1;
            part.begin = next->begin;
            part.end = next->end;
            part.shown = QString::fromStdString(text::withReplacements(text.substr(next->begin, next->end - next->begin)));
            tokens.push_back(std::move(part));
        }
    };
    for (std::size_t i = 0; i < std::min(encoding.size(), kShownTokens); ++i) {
        if (!encoding.special[i])
            addDropped(encoding.offsets[i].begin);
        TokenizedText::Token token;
        token.id = encoding.ids[i];
        token.special = encoding.special[i] != 0;
        token.unknown = tokenizer.unknownId() == encoding.ids[i] && !token.special;
        token.begin = encoding.offsets[i].begin;
        token.end = encoding.offsets[i].end;
        token.word = encoding.wordIds[i];
        const auto part = wholeLetters(text, std::size_t(token.begin), std::size_t(token.end));
        token.script = token.special ? QString() : QString::fromStdString(text::scriptName(text::mainScript(text::withReplacements(part))));
        token.piece = QString::fromStdString(text::escaped(encoding.tokens[i]));
        token.shown = token.unknown ? token.piece : QString::fromStdString(tokenizer.tokenText(token.id));
        tokens.push_back(std::move(token));
    }
    if (encoding.size() <= kShownTokens)
        addDropped(text.size());
    return tokens;
}

TokenizedText tokenizeOne(const OpenedTokenizer& opened, const std::string& text, bool special)
{
    TokenizedText out;
    out.name = opened.name;
    out.error = opened.error;
    if (!opened.tokenizer)
        return out;
    out.kind = QString::fromStdString(opened.tokenizer->kind());
    out.size = opened.tokenizer->size();
    try {
        text::EncodeOptions options;
        options.addSpecialTokens = special;
        const auto encoding = opened.tokenizer->encode(text, options);
        out.counts = text::countPieces(*opened.tokenizer, text);
        out.tokens = tokensOf(*opened.tokenizer, encoding, text);
        out.cutShort = encoding.size() > kShownTokens;
    } catch (const core::Error& error) {
        out.error = QString::fromUtf8(error.what());
    }
    return out;
}

}  // namespace

std::vector<OpenedTokenizer> openTokenizers(const QStringList& names, const std::vector<OpenedTokenizer>& known,
                                            const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop)
{
    std::vector<OpenedTokenizer> out;
    for (const auto& name : names) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const auto found = std::find_if(known.begin(), known.end(), [&](const auto& entry) { return entry.name == name && entry.tokenizer; });
        out.push_back(found == known.end() ? openOne(name, workspace) : *found);
    }
    return out;
}

std::vector<TokenizedText> tokenizeAll(const std::vector<OpenedTokenizer>& tokenizers, const std::string& text, bool special, std::stop_token stop)
{
    std::vector<TokenizedText> out;
    for (const auto& tokenizer : tokenizers) {
        if (stop.stop_requested())
            throw core::Cancelled();
        out.push_back(tokenizeOne(tokenizer, text, special));
    }
    return out;
}

QString shortName(const QString& name)
{
    const QFileInfo file(name);
    if (!name.contains('/') || name.contains('?'))
        return name;
    const QString last = file.fileName();
    return last.startsWith(QLatin1String("tokenizer.")) || last.startsWith(QLatin1String("vocab.")) ? file.dir().dirName() + '/' + last : last;
}

}  // namespace orrery::plugins
