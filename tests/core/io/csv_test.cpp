#include <core/io/csv.h>

#include <cmath>

#include "support.h"

using namespace orrery;
using namespace orrery::io;

namespace {

CsvTable parse(std::string_view text, CsvOptions options = {})
{
    return parseCsv(text, "t.csv", options);
}

}  // namespace

class CsvTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void infersOneTypeAColumn()
    {
        const CsvTable table = parse("a,b,c\n1,1.5,red\n-2,,blue\n+3,1e3,red\n");
        QCOMPARE(table.rows, std::size_t(3));
        QCOMPARE(table.columns[0].type, ColumnType::Integer);
        QCOMPARE(table.columns[0].numbers, (std::vector<double>{1, -2, 3}));
        QCOMPARE(table.columns[1].type, ColumnType::Real);
        QVERIFY(std::isnan(table.columns[1].numbers[1]));
        QCOMPARE(table.columns[1].missingCount, std::size_t(1));
        QCOMPARE(table.columns[1].numbers[2], 1000.0);
        QCOMPARE(table.columns[2].type, ColumnType::Category);
        QCOMPARE(table.columns[2].categories, (std::vector<std::string>{"blue", "red"}));
        QCOMPARE(table.columns[2].codes, (std::vector<std::int32_t>{1, 0, 1}));
    }

    void manyDistinctTextsAreText()
    {
        std::string text = "name\n";
        for (int i = 0; i < 60; ++i)
            text += "word" + std::to_string(i) + "\n";
        QCOMPARE(parse(text).columns[0].type, ColumnType::Text);
        QCOMPARE(parse(text).columns[0].texts[59], std::string("word59"));
    }

    void understandsQuotes()
    {
        const CsvTable table = parse("name,text\n\"a,b\",\"he said \"\"no\"\"\"\n\"two\nlines\",x\n");
        QCOMPARE(table.columns[0].categories, (std::vector<std::string>{"a,b", "two\nlines"}));
        QCOMPARE(table.columns[1].categories, (std::vector<std::string>{"he said \"no\"", "x"}));
        QCOMPARE(table.lines, (std::vector<std::size_t>{2, 3}));
    }

    void separatorsAndLineEnds_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::newRow("comma") << QByteArray("x,y\n1,2\n3,4\n");
        QTest::newRow("semicolon") << QByteArray("x;y\n1;2\n3;4\n");
        QTest::newRow("tab") << QByteArray("x\ty\n1\t2\n3\t4\n");
        QTest::newRow("CRLF") << QByteArray("x,y\r\n1,2\r\n3,4\r\n");
        QTest::newRow("CR") << QByteArray("x,y\r1,2\r3,4\r");
        QTest::newRow("no last line end") << QByteArray("x,y\n1,2\n3,4");
        QTest::newRow("byte order mark") << QByteArray("\xef\xbb\xbfx,y\n1,2\n3,4\n");
        QTest::newRow("blank lines") << QByteArray("\nx,y\n\n1,2\n\n\n3,4\n\n");
        QTest::newRow("blanks around") << QByteArray("x, y\n 1 ,2\n3, 4 \n");
    }
    void separatorsAndLineEnds()
    {
        QFETCH(QByteArray, text);
        const CsvTable table = parse(text.toStdString());
        QCOMPARE(table.columns.size(), std::size_t(2));
        QCOMPARE(table.columns[1].name, std::string("y"));
        QCOMPARE(table.columns[0].numbers, (std::vector<double>{1, 3}));
        QCOMPARE(table.columns[1].numbers, (std::vector<double>{2, 4}));
    }

    void columnsWithoutNamesAreNumbered()
    {
        QCOMPARE(parse("1,2\n3,4\n").columns[1].name, std::string("column_2"));
        const CsvTable table = parse("a,,a\n1,2,3\n");
        QCOMPARE(table.columns[1].name, std::string("column_2"));
        QCOMPARE(table.columns[2].name, std::string("a_2"));
    }

    void headerCanBeForced()
    {
        CsvOptions options;
        options.header = CsvHeader::Present;
        QCOMPARE(parse("2020,2021\n1,2\n", options).columns[0].name, std::string("2020"));
        options.header = CsvHeader::Absent;
        QCOMPARE(parse("a,b\nc,d\n", options).rows, std::size_t(2));
    }

    void refusesBrokenTables_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("too few fields") << QByteArray("a,b\n1,2\n3\n") << "t.csv: line 3: expected 2 fields, got 1";
        QTest::newRow("too many fields") << QByteArray("a,b\n1,2,3\n") << "t.csv: line 2: expected 2 fields, got 3";
        QTest::newRow("after a quoted line break") << QByteArray("a,b\n\"x\ny\",2\n3\n") << "t.csv: line 4: expected 2 fields, got 1";
        QTest::newRow("open quote") << QByteArray("a,b\n\"1,2\n") << "t.csv: line 2: a quote is not closed";
        QTest::newRow("text behind a quote") << QByteArray("a,b\n\"1\"x,2\n")
                                             << "t.csv: line 2: expected a separator behind a closing quote, got 'x'";
        QTest::newRow("empty") << QByteArray() << "t.csv: expected a table with rows, got none";
        QTest::newRow("header alone") << QByteArray("a,b\n") << "t.csv: expected a table with rows, got none";
    }
    void refusesBrokenTables()
    {
        QFETCH(QByteArray, text);
        QFETCH(QString, message);
        QCOMPARE(messageOf([&] { parse(text.toStdString()); }), message);
    }

    void hugeNumbersAreInfinite()
    {
        const CsvTable table = parse("x\n1e999\n-1e999\n1e-999\n9007199254740993\n");
        QVERIFY(std::isinf(table.columns[0].numbers[0]) && table.columns[0].numbers[1] < 0);
        QCOMPARE(table.columns[0].numbers[2], 0.0);
        QCOMPARE(table.columns[0].type, ColumnType::Real);
    }

    void fieldsAreQuotedWhereNeeded()
    {
        QCOMPARE(csvField("plain"), std::string("plain"));
        QCOMPARE(csvField("a,b"), std::string("\"a,b\""));
        QCOMPARE(csvField("a \"b\""), std::string("\"a \"\"b\"\"\""));
        const CsvTable back = parse("x,y\n" + csvField(" a\n\"") + ",1\n");
        QCOMPARE(back.columns[0].categories[0], std::string(" a\n\""));
    }
};

QTEST_APPLESS_MAIN(CsvTest)
#include "csv_test.moc"
