#include <QtTest>

#include <limits>

#include <core/base/text.h>

using namespace orrery::core;

class TextTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void nearestNameFindsTypos_data();
    void nearestNameFindsTypos();
    void globMatchesPaths_data();
    void globMatchesPaths();
    void manyStarsDoNotExplode();
    void splitJoinTrimLower();
    void numbersAreShortAndExact_data();
    void numbersAreShortAndExact();
    void bytesShapesAndDurationsRead();
    void timeIsIso();
};

void TextTest::nearestNameFindsTypos_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("nearest");
    QTest::newRow("one letter missing") << "adm"
                                        << "adam";
    QTest::newRow("swapped letters") << "adamw_"
                                     << "adamw";
    QTest::newRow("neighbours swapped") << "rmsrpop"
                                        << "rmsprop";
    QTest::newRow("case") << "SGD"
                          << "sgd";
    QTest::newRow("tie goes to the first") << "adamx"
                                           << "adam";
    QTest::newRow("long name, three off") << "integrated_gradint"
                                          << "integrated_gradients";
    QTest::newRow("nothing near") << "transformer"
                                  << "";
    QTest::newRow("empty") << ""
                           << "";
    QTest::newRow("nothing in common") << "xy"
                                       << "";
}

void TextTest::nearestNameFindsTypos()
{
    QFETCH(QString, name);
    QFETCH(QString, nearest);
    const std::vector<std::string> names{"sgd", "adam", "adamw", "rmsprop", "integrated_gradients"};
    QCOMPARE(QString::fromStdString(nearestName(name.toStdString(), names).value_or("")), nearest);
    QCOMPARE(QString::fromStdString(didYouMean(name.toStdString(), names)), nearest.isEmpty() ? QString() : "; did you mean \"" + nearest + "\"?");
}

void TextTest::globMatchesPaths_data()
{
    QTest::addColumn<QString>("pattern");
    QTest::addColumn<QString>("path");
    QTest::addColumn<bool>("matches");
    const auto row = [](const char* pattern, const char* path, bool matches) {
        QTest::addRow("%s on %s", pattern, path) << QString(pattern) << QString(path) << matches;
    };
    row("blocks.*.attn.softmax", "blocks.3.attn.softmax", true);
    row("blocks.*.attn.softmax", "blocks.3.x.attn.softmax", false);
    row("blocks.**.softmax", "blocks.3.x.attn.softmax", true);
    row("**", "a.b.c", true);
    row("**", "", true);
    row("*", "a.b", false);
    row("*", "fc1", true);
    row("**.relu", "relu", true);
    row("**relu", "layer1.0.relu", true);
    row("relu#?", "relu#2", true);
    row("a?b", "a.b", false);
    row("cell[3]", "cell[3]", true);
    row("cell[3]", "cell3", false);
    row("cell[*]", "cell[12]", true);
    row("cell[*]", "cell", false);
    row("cell[*].h", "cell[12].h", true);
    row("cell[*]", "cell[12", false);
    row("lstm:1", "lstm:1", true);
    row("name@2", "name@2", true);
    row("fc", "fc1", false);
    row("", "", true);
    row("", "a", false);
    row("a*b*c", "axxbyyc", true);
    row("a*b*c", "axxbyy", false);
}

void TextTest::globMatchesPaths()
{
    QFETCH(QString, pattern);
    QFETCH(QString, path);
    QTEST(matchesGlob(pattern.toStdString(), path.toStdString()), "matches");
    QCOMPARE(isGlob(pattern.toStdString()), pattern.contains('*') || pattern.contains('?'));
}

void TextTest::manyStarsDoNotExplode()
{
    QVERIFY(!matchesGlob(std::string(200, '*') + "b", std::string(2000, 'a')));
    QVERIFY(matchesGlob(std::string(200, '*'), "a.b"));
}

void TextTest::splitJoinTrimLower()
{
    QCOMPARE(split("a.b..c", '.'), (std::vector<std::string>{"a", "b", "", "c"}));
    QCOMPARE(split("", '.'), std::vector<std::string>{""});
    QCOMPARE(join(std::vector<std::string>{"a", "b"}, ", "), std::string("a, b"));
    QCOMPARE(join(std::vector<std::string>{}, ", "), std::string());
    QCOMPARE(std::string(trim(" \t a b\n")), std::string("a b"));
    QCOMPARE(std::string(trim("  ")), std::string());
    QCOMPARE(lower("AdamW_2"), std::string("adamw_2"));
}

void TextTest::numbersAreShortAndExact_data()
{
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("text");
    QTest::newRow("tenth") << 0.1 << "0.1";
    QTest::newRow("small") << 1e-5 << "1e-05";
    QTest::newRow("whole") << 3.0 << "3";
    QTest::newRow("sum that is not 0.3") << 0.1 + 0.2 << "0.30000000000000004";
    QTest::newRow("minus zero") << -0.0 << "-0";
    QTest::newRow("nan") << std::numeric_limits<double>::quiet_NaN() << "nan";
    QTest::newRow("minus nan") << -std::numeric_limits<double>::quiet_NaN() << "nan";
    QTest::newRow("infinity") << std::numeric_limits<double>::infinity() << "inf";
    QTest::newRow("minus infinity") << -std::numeric_limits<double>::infinity() << "-inf";
    QTest::newRow("smallest") << 5e-324 << "5e-324";
}

void TextTest::numbersAreShortAndExact()
{
    QFETCH(double, value);
    QFETCH(QString, text);
    QCOMPARE(QString::fromStdString(formatNumber(value)), text);
    if (std::isfinite(value))
        QCOMPARE(std::stod(formatNumber(std::abs(value) < 1e-300 ? 0 : value)), std::abs(value) < 1e-300 ? 0 : value);
}

void TextTest::bytesShapesAndDurationsRead()
{
    QCOMPARE(formatBytes(0), std::string("0 B"));
    QCOMPARE(formatBytes(1023), std::string("1023 B"));
    QCOMPARE(formatBytes(1536), std::string("1.5 KiB"));
    QCOMPARE(formatBytes(1024 * 1024 - 1), std::string("1.0 MiB"));
    QCOMPARE(formatBytes(std::numeric_limits<std::uint64_t>::max()), std::string("16.0 EiB"));
    QCOMPARE(formatShape(std::vector<std::int64_t>{2, 3, 4}), std::string("[2, 3, 4]"));
    QCOMPARE(formatShape({}), std::string("[]"));
    QCOMPARE(formatDuration(65), std::string("1:05"));
    QCOMPARE(formatDuration(0.2), std::string("0:00"));
    QCOMPARE(formatDuration(59.7), std::string("1:00"));
    QCOMPARE(formatDuration(7390), std::string("2:03:10"));
    QCOMPARE(formatDuration(-3), std::string("0:00"));
    QCOMPARE(formatDuration(std::numeric_limits<double>::infinity()), std::string("?"));
}

void TextTest::timeIsIso()
{
    const QString now = QString::fromStdString(isoTimeNow());
    QVERIFY2(QRegularExpression("^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$").match(now).hasMatch(), qPrintable(now));
    QVERIFY(std::abs(QDateTime::fromString(now, Qt::ISODateWithMs).msecsTo(QDateTime::currentDateTimeUtc())) < 5000);
}

QTEST_APPLESS_MAIN(TextTest)
#include "text_test.moc"
