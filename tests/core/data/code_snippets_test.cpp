// Functions with a misused variable: what they hold, and that code comes back from its pieces.
#include <QTest>

#include <ATen/ATen.h>
#include <map>
#include <regex>
#include <set>

#include <core/data/masking.h>
#include <core/data/vocabulary.h>
#include <core/text/tokenizer.h>

#include "../train/training_fixture.h"

using namespace orrery;
using namespace orrery::data;
using core::Json;

namespace {

Json misuse(const Json& more = Json::object())
{
    Json document{{"id", "variable_misuse"}, {"samples", 2000}};
    document.update(more);
    return document;
}

std::string snippetText(const DataSet& set, const at::Tensor& row)
{
    const at::Tensor tokens = row.contiguous();
    return set.vocabulary()->tokenizer()->decode({tokens.data_ptr<std::int64_t>(), std::size_t(tokens.numel())}, true);
}

/// The function with its names replaced by their order of appearance: two of one form become equal.
std::string shapeOf(const std::string& text)
{
    static const std::set<std::string> kWords{"def", "return", "if", "for", "in", "while", "with", "open", "as", "read", "append"};
    std::map<std::string, std::string> names;
    std::string out;
    const std::regex word("[a-z]+");
    auto at = text.begin();
    for (std::sregex_iterator match(text.begin(), text.end(), word), end; match != end; ++match) {
        out.append(at, match->operator[](0).first);
        const std::string name = match->str();
        if (kWords.contains(name))
            out += name;
        else
            out += names.try_emplace(name, "v" + std::to_string(names.size())).first->second;
        at = match->operator[](0).second;
    }
    out.append(at, text.end());
    return std::regex_replace(out, std::regex("[-*]"), "+");
}

}  // namespace

class CodeSnippetsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void halfOfTheFunctionsAreRightAndNoMisuseIs()
    {
        const DataSetPtr set = openData(misuse());
        std::vector<std::int64_t> all(2000);
        std::iota(all.begin(), all.end(), 0);
        const Batch batch = set->fetch(all);
        QCOMPARE(batch.targets.sum().item<std::int64_t>(), std::int64_t(1000));
        std::set<std::string> right, wrong;
        for (std::int64_t i = 0; i < 2000; ++i)
            (batch.targets[i].item<std::int64_t>() ? wrong : right).insert(shapeOf(snippetText(*set, batch.inputs[0][i])));
        QCOMPARE(right.size(), std::size_t(6));  // the forms
        QVERIFY(wrong.size() > 20);
        for (const auto& shape : wrong)
            QVERIFY2(!right.contains(shape), shape.c_str());
        for (const Split part : {Split::Train, Split::Val, Split::Test}) {
            const double share = set->fetch(set->split(part)).targets.to(at::kDouble).mean().item<double>();
            QVERIFY(std::abs(share - 0.5) < 0.02);
        }
    }

    void codeComesBackFromItsPieces()
    {
        const DataSetPtr set = openData(misuse({{"samples", 60}}));
        const auto& tokenizer = *set->vocabulary()->tokenizer();
        for (std::int64_t i = 0; i < 60; ++i) {
            const std::string text = snippetText(*set, set->fetch({&i, 1}).inputs[0][0]);
            QVERIFY(text.starts_with("def ") && text.ends_with("\n"));
            QCOMPARE(tokenizer.decode(tokenizer.ids(text)), text);
        }
        // Indentation, tabs, odd operators, strings in any script, and bytes that are no text.
        for (const std::string code : {"\tif x<<=3:\n\t\treturn  'naïve λ' # 日本語\n", "x = [\n    a,\n\n  b]\r\n", "\xff\xfe(\x01)"})
            QCOMPARE(tokenizer.decode(tokenizer.ids(code)), code);
    }

    void theSameSeedGivesTheSameFunctions()
    {
        const auto hash = [](const Json& more) { return openData(misuse(more))->contentHash(); };
        QCOMPARE(hash({{"seed", 1}}), hash({{"seed", 1}}));
        QVERIFY(hash({{"seed", 1}}) != hash({{"seed", 2}}));
        // Every set reads alike, so a model of one knows the pieces of another.
        QVERIFY(openData(misuse({{"seed", 1}}))->vocabulary()->toJson() ==
                openData(misuse({{"objective", "masked"}, {"samples", 50}}))->vocabulary()->toJson());
        QVERIFY(test::errorOf([] { openData(misuse({{"block_length", 8}})); }).contains("data.block_length: expected room for every snippet, got 8"));
    }
};

QTEST_APPLESS_MAIN(CodeSnippetsTest)
#include "code_snippets_test.moc"
