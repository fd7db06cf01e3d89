#include <QtTest>

#include <core/store/run_filter.h>

#include "store_test_support.h"

using namespace store_test;

namespace {

std::string comparisonText(RunFilter::Comparison comparison)
{
    using Comparison = RunFilter::Comparison;
    switch (comparison) {
    case Comparison::Equal: return "=";
    case Comparison::NotEqual: return "!=";
    case Comparison::Less: return "<";
    case Comparison::LessOrEqual: return "<=";
    case Comparison::Greater: return ">";
    case Comparison::GreaterOrEqual: return ">=";
    case Comparison::Contains: return "~";
    case Comparison::In: return "in";
    }
    return "?";
}

/// The tree with all parentheses: `((lr < 1) and ("wide"))`.
std::string treeText(const RunFilter& filter, std::size_t index)
{
    const RunFilter::Node& node = filter.nodes[index];
    if (node.kind == RunFilter::Kind::Words)
        return "\"" + node.values[0].text + "\"";
    if (node.kind == RunFilter::Kind::Not)
        return "not " + treeText(filter, node.arguments[0]);
    if (node.kind == RunFilter::Kind::Condition) {
        std::vector<std::string> values;
        for (const auto& value : node.values)
            values.push_back(value.isNull ? "null" : value.number ? core::formatNumber(*value.number) : "'" + value.text + "'");
        return "(" + node.field + " " + comparisonText(node.comparison) + " " + core::join(values, "|") + ")";
    }
    std::vector<std::string> parts;
    for (const std::size_t argument : node.arguments)
        parts.push_back(treeText(filter, argument));
    return "(" + core::join(parts, node.kind == RunFilter::Kind::And ? " and " : " or ") + ")";
}

std::string tree(const std::string& text)
{
    const RunFilter filter = parseRunFilter(text);
    return filter.empty() ? "all" : treeText(filter, filter.nodes.size() - 1);
}

std::vector<std::string> texts(const Completions& found)
{
    std::vector<std::string> out;
    for (const auto& item : found.items)
        out.push_back(item.text);
    return out;
}

const std::vector<RunField>& someFields()
{
    static const std::vector<RunField> fields = [] {
        auto list = runProperties();
        list.push_back({"test/accuracy", RunField::Kind::Metric, true, {}});
        list.push_back({"train.optimizer.lr", RunField::Kind::Document, true, {"0.001", "0.01"}});
        list.push_back({"train.optimizer.id", RunField::Kind::Document, false, {"adamw", "sgd"}});
        return list;
    }();
    return fields;
}

}  // namespace

class RunFilterTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void theTreeIsAsTheGrammarSays_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("expected");
        QTest::newRow("nothing") << ""
                                 << "all";
        QTest::newRow("blanks") << " \t "
                                << "all";
        QTest::newRow("the example") << "test/accuracy.last > 0.97 and optimizer.lr < 1e-2"
                                     << "((test/accuracy.last > 0.97) and (optimizer.lr < 0.01))";
        QTest::newRow("without blanks") << "lr<1e-2"
                                        << "(lr < 0.01)";
        QTest::newRow("and binds tighter than or") << "a=1 or b=2 and c=3"
                                                   << "((a = 1) or ((b = 2) and (c = 3)))";
        QTest::newRow("parentheses") << "(a=1 or b=2) and c=3"
                                     << "(((a = 1) or (b = 2)) and (c = 3))";
        QTest::newRow("not binds tightest") << "not a=1 and b=2"
                                            << "(not (a = 1) and (b = 2))";
        QTest::newRow("not twice") << "not not a=1"
                                   << "not not (a = 1)";
        QTest::newRow("words side by side") << "mnist wide lr<1"
                                            << "(\"mnist\" and \"wide\" and (lr < 1))";
        QTest::newRow("keywords in any case") << "a=1 AND NOT b=2 Or c=3"
                                              << "(((a = 1) and not (b = 2)) or (c = 3))";
        QTest::newRow("a list") << "width in (64, 128, wide)"
                                << "(width in 64|128|'wide')";
        QTest::newRow("not in a list") << "width not in (64)"
                                       << "not (width in 64)";
        QTest::newRow("a word, then not") << "digits not tag=bad"
                                          << "(\"digits\" and not (tag = 'bad'))";
        QTest::newRow("quotes") << "name = \"two words\" or notes ~ 'it\\'s \\\\'"
                                << "((name = 'two words') or (notes ~ 'it's \\'))";
        QTest::newRow("a number in quotes is a text") << "name = \"12\""
                                                      << "(name = '12')";
        QTest::newRow("null") << "parent != null"
                              << "(parent != null)";
        QTest::newRow("infinite and NaN") << "loss = inf or loss = nan or loss = -inf"
                                          << "((loss = inf) or (loss = nan) or (loss = -inf))";
        QTest::newRow("a sign") << "x >= +3 y <= -4"
                                << "((x >= 3) and (y <= -4))";
        QTest::newRow("a date") << "created > 2026-11-25T10:00"
                                << "(created > '2026-11-25T10:00')";
        QTest::newRow("double equals") << "a == 1"
                                       << "(a = 1)";
        QTest::newRow("a quoted field") << "\"odd name\" = 1"
                                        << "(odd name = 1)";
    }
    void theTreeIsAsTheGrammarSays()
    {
        QFETCH(QString, text);
        QFETCH(QString, expected);
        QCOMPARE(QString::fromStdString(tree(text.toStdString())), expected);
    }

    void errorsSayColumnExpectedAndFound_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("no value") << "lr <"
                                  << "column 5: expected a value, found the end";
        QTest::newRow("a keyword as value") << "lr < and a"
                                            << "column 6: expected a value, found \"and\"";
        QTest::newRow("no condition after and") << "a=1 and"
                                                << "column 8: expected a field, a word or (, found the end";
        QTest::newRow("or at the begin") << "or a"
                                         << "column 1: expected a field, a word or (, found \"or\"";
        QTest::newRow("open parenthesis") << "(a=1 or b=2"
                                          << "column 12: expected and, or, or ), found the end";
        QTest::newRow("closing parenthesis") << "a=1) b"
                                             << "column 4: expected and, or, or the end, found \")\"";
        QTest::newRow("unknown operator") << "a ! 1"
                                          << "column 3: expected one of = != < <= > >= ~, found \"!\"";
        QTest::newRow("another unknown operator") << "a >== 1"
                                                  << "column 5: expected a value, found \"=\"";
        QTest::newRow("empty list") << "a in ()"
                                    << "column 7: expected a value, found \")\"";
        QTest::newRow("list without parentheses") << "a in 1"
                                                  << "column 6: expected ( and the values after in, found \"1\"";
        QTest::newRow("list without comma") << "a in (1 2)"
                                            << "column 9: expected , or ), found \"2\"";
        QTest::newRow("quote without end") << "name = \"abc"
                                           << "column 8: expected a closing quote, found the end";
        QTest::newRow("columns are characters") << "name = \"ä€\" and"
                                                << "column 16: expected a field, a word or (, found the end";
    }
    void errorsSayColumnExpectedAndFound()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const std::string said = messageOf<core::InputError>([&] { parseRunFilter(text.toStdString()); });
        QCOMPARE(QString::fromStdString(said), "query \"" + text + "\", " + message);
    }

    void hugeAndDeepQueriesAreRefused()
    {
        QVERIFY(contains(messageOf<core::InputError>([] { parseRunFilter(std::string(20'000, 'a')); }), "expected at most 10000 bytes, got 20000"));
        QVERIFY(contains(messageOf<core::InputError>([] { parseRunFilter(std::string(5000, '(')); }), "nested deeper than 100 levels"));
        std::string nots, many;
        for (int i = 0; i < 2000; ++i)
            nots += "not ";
        for (int i = 0; i < 2000; ++i)
            many += "a ";
        QVERIFY(contains(messageOf<core::InputError>([&] { parseRunFilter(nots + "a"); }), "nested deeper than 100 levels"));
        QVERIFY(contains(messageOf<core::InputError>([&] { parseRunFilter(many); }), "expected at most 500 conditions"));
    }

    void aQuotedTextReadsBack_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text : {"plain", "two words", "it's", "\"", "back\\slash", "\\\"", "and", "null", "a(b)", "", "1e-2", "ä"})
            QTest::newRow(text) << text;
    }
    void aQuotedTextReadsBack()
    {
        QFETCH(QString, text);
        const RunFilter filter = parseRunFilter("name = " + quotedForFilter(text.toStdString()));
        QCOMPARE(QString::fromStdString(filter.nodes[0].values[0].text), text);
        QVERIFY(!filter.nodes[0].values[0].isNull);
    }

    void completionGivesWhatMayStandThere_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("first");
        QTest::addColumn<int>("from");
        QTest::newRow("a field by its begin") << "sta"
                                              << "started" << 0;
        QTest::newRow("a field by a part of its path") << "tag=x and lr"
                                                       << "train.optimizer.lr" << 10;
        QTest::newRow("a metric") << "not test"
                                  << "test/accuracy" << 4;
        QTest::newRow("an operator") << "status "
                                     << "=" << 7;
        QTest::newRow("a value") << "status = f"
                                 << "finished" << 9;
        QTest::newRow("a value in a list") << "status in (failed, c"
                                           << "cancelled" << 19;
        QTest::newRow("a value of the document") << "optimizer = s"
                                                 << "sgd" << 12;
        QTest::newRow("a value by the end of a path") << "train.optimizer.lr < "
                                                      << "0.001" << 21;
        QTest::newRow("a connecting word") << "id = 3 "
                                           << "and" << 7;
        QTest::newRow("the begin of a connecting word") << "id = 3 o"
                                                        << "or" << 7;
        QTest::newRow("the list after in") << "id in "
                                           << "(" << 6;
        QTest::newRow("after a value of a list") << "id in (3"
                                                 << "," << 8;
        QTest::newRow("in a quote without end") << "status = \"fin"
                                                << "finished" << 9;
        QTest::newRow("not in") << "status not in (r"
                                << "running" << 15;
    }
    void completionGivesWhatMayStandThere()
    {
        QFETCH(QString, text);
        QFETCH(QString, first);
        QFETCH(int, from);
        const Completions found = completions(text.toStdString(), std::size_t(text.size()), someFields());
        if (first == ",") {  // "3" is still being written
            const Completions after = completions(text.toStdString() + " ", std::size_t(text.size()) + 1, someFields());
            QCOMPARE(QString::fromStdString(after.items.at(0).text), first);
            return;
        }
        QVERIFY(!found.items.empty());
        QCOMPARE(QString::fromStdString(found.items[0].text), first);
        QCOMPARE(int(found.from), from);
        QCOMPARE(int(found.to), int(text.size()));
    }

    void completionOffersNothingWrong()
    {
        // Numbers are not compared with "contains"; what does not hold the begin is not offered.
        const auto operators = texts(completions("id ", 3, someFields()));
        QVERIFY(std::find(operators.begin(), operators.end(), "~") == operators.end());
        QVERIFY(std::find(operators.begin(), operators.end(), "<=") != operators.end());
        QVERIFY(completions("zzz", 3, someFields()).items.empty());
        // The place counts, not the end of the text.
        const Completions inside = completions("sta = finished", 3, someFields());
        QCOMPARE(int(inside.to), 3);
        QCOMPARE(QString::fromStdString(inside.items.at(0).text), QString("started"));
        QCOMPARE(int(completions("a", 99, someFields()).to), 1);
        const auto statistics = texts(completions("test/accuracy", 13, someFields()));
        QVERIFY(std::find(statistics.begin(), statistics.end(), "test/accuracy.max") != statistics.end());
    }
};

QTEST_APPLESS_MAIN(RunFilterTest)
#include "run_filter_test.moc"
