#include <QTest>

#include "../message_of.h"
#include "cases.h"

using namespace orrery;
using namespace orrery::text;

namespace {

std::string joined(const core::Json& value)
{
    return value.dump();
}

core::Json offsetsOf(const Encoding& encoding, const std::string& text, const std::string& pair)
{
    auto list = core::Json::array();
    for (std::size_t i = 0; i < encoding.size(); ++i) {
        const std::string& original = encoding.sequenceIds[i] == 1 ? pair : text;
        list.push_back({characterAt(original, encoding.offsets[i].begin), characterAt(original, encoding.offsets[i].end)});
    }
    return list;
}

core::Json wordsOf(const Encoding& encoding)
{
    auto list = core::Json::array();
    for (const auto word : encoding.wordIds)
        list.push_back(word < 0 ? core::Json() : core::Json(word));
    return list;
}

core::Json flagsOf(const std::vector<std::int8_t>& flags)
{
    auto list = core::Json::array();
    for (const auto flag : flags)
        list.push_back(int(flag));
    return list;
}

/// What differs between our encoding and the library's; empty: nothing.
std::string difference(const Tokenizer& tokenizer, const core::Json& wanted)
{
    const auto text = wanted["text"].get<std::string>();
    const auto pair = wanted.value("pair", "");
    EncodeOptions options;
    options.addSpecialTokens = wanted["add_special"].get<bool>();
    options.ownLimits = true;
    if (wanted.contains("pair"))
        options.pair = pair;
    const auto encoding = tokenizer.encode(text, options);
    const auto check = [&](const char* what, const core::Json& found) {
        return found == wanted[what] ? std::string() : std::string(what) + ": expected " + joined(wanted[what]) + ", got " + joined(found) + "\n";
    };
    std::string out = check("tokens", encoding.tokens) + check("ids", encoding.ids) + check("offsets", offsetsOf(encoding, text, pair)) +
                      check("word_ids", wordsOf(encoding)) + check("type_ids", encoding.typeIds) + check("special", flagsOf(encoding.special)) +
                      check("attention", flagsOf(encoding.attention));
    const auto ids = wanted["ids"].get<std::vector<std::int64_t>>();
    // The library shows bytes that are no UTF-8 as U+FFFD.
    out += check("decoded", withReplacements(tokenizer.decode(ids, false)));
    out += check("decoded_plain", withReplacements(tokenizer.decode(ids, true)));
    return out.empty() ? out : "text " + joined(text) + (options.pair ? " and " + joined(pair) : "") + "\n" + out;
}

}  // namespace

class TokenizerCasesTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void givesWhatTheLibraryGives_data()
    {
        QTest::addColumn<QString>("folder");
        for (const auto& folder : caseFolders())
            QTest::newRow(folder.filename().c_str()) << QString::fromStdString(folder.string());
    }

    void givesWhatTheLibraryGives()
    {
        QFETCH(QString, folder);
        const auto path = std::filesystem::path(folder.toStdString());
        const auto tokenizer = tokenizerIn(path);
        const auto cases = core::Json::parse(dataFile(path / "cases.json.gz"))["cases"];
        QVERIFY(cases.size() > 10);
        int wrong = 0;
        for (const auto& wanted : cases) {
            const auto found = difference(*tokenizer, wanted);
            if (!found.empty() && ++wrong <= 3)
                qWarning("%s", found.c_str());
        }
        QCOMPARE(wrong, 0);
    }

    void idsAloneAreTheSame()
    {
        for (const auto& folder : caseFolders()) {
            const auto tokenizer = tokenizerIn(folder);
            for (const auto cases = core::Json::parse(dataFile(folder / "cases.json.gz")); const auto& wanted : cases.at("cases")) {
                EncodeOptions options;
                options.addSpecialTokens = false;
                const auto text = wanted["text"].get<std::string>();
                QCOMPARE(tokenizer->ids(text), tokenizer->encode(text, options).ids);
            }
        }
    }

    void aCardGivesTheSameTokenizer()
    {
        for (const auto& folder : caseFolders()) {
            const auto tokenizer = tokenizerIn(folder);
            const auto again = tokenizerFromCard(tokenizer->toJson());
            QCOMPARE(again->size(), tokenizer->size());
            QCOMPARE(again->ids("Hello, κόσμε 你好 \n x", true), tokenizer->ids("Hello, κόσμε 你好 \n x", true));
            QCOMPARE(tokenizerFromCard(tokenizer->toJson()).get(), again.get());  // read once
        }
    }
};

QTEST_APPLESS_MAIN(TokenizerCasesTest)
#include "tokenizer_cases_test.moc"
