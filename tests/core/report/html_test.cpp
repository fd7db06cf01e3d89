#include <core/base/error.h>
#include <core/report/html.h>
#include <core/report/plot.h>

#include <QRegularExpression>
#include <QXmlStreamReader>
#include <QtTest>

using namespace orrery;
using namespace orrery::report;

namespace {

Drawing everyShape()
{
    Drawing drawing{100, 50, {}};
    drawing.line({0, 0.125}, {10.5, 20}, {Ink::Foreground, 1, {}});
    drawing.items.push_back(PolylineItem{{{1, 2}, {3.456, 4}}, {Rgb{1, 2, 255}, 1.5, {4, 3}}, {}});
    drawing.items.push_back(ClipStart{{0, 0, 50, 25}});
    drawing.rect({1, 1, 10, 5}, Colour(Rgb{255, 0, 0}, 0.5), {Ink::Grid, 0.5, {}});
    drawing.items.push_back(ClipEnd{});
    drawing.text({{5, 6}, "<b>&\"'", 9, Anchor::End, Ink::Muted, -90, true});
    drawing.items.push_back(RasterItem{{0, 0, 8, 8}, io::Image{1, 1, 3, {255, 0, 0}}, false});
    return drawing;
}

/// The whole text and the elements of well-formed XML; fails the test otherwise.
struct Parsed {
    QStringList elements, texts;
    QList<QXmlStreamAttributes> attributes;
    QString error;
};

Parsed parsedXml(const std::string& xml)
{
    Parsed result;
    QXmlStreamReader reader(QByteArray::fromStdString(xml));
    while (!reader.atEnd()) {
        if (reader.readNext() == QXmlStreamReader::StartElement) {
            result.elements << reader.name().toString();
            result.attributes << reader.attributes();
        } else if (reader.isCharacters() && !reader.isWhitespace()) {
            result.texts << reader.text().toString();
        }
    }
    result.error = reader.hasError() ? reader.errorString() : QString();
    return result;
}

Report hostileReport()
{
    const std::string hostile = "</style></svg><script>alert('1')</script>\" onload=\"x&\x01\xff";
    Report report{hostile, hostile, {}};
    CurvePlot plot;
    plot.x.title = plot.y.title = hostile;
    plot.series.push_back({hostile, {1, 2}, {3, 4}, {}, {}, seriesColour(0), false});
    Section section{hostile, {}};
    section.blocks.emplace_back(Paragraph{hostile, TextStyle::Warning});
    section.blocks.emplace_back(Code{hostile, hostile});
    section.blocks.emplace_back(Table{hostile, {{hostile}, {hostile, Align::Right}}, {{{hostile}, {hostile, true}}}});
    section.blocks.emplace_back(Picture{drawCurves(plot), hostile, hostile});
    section.blocks.emplace_back(KeyValues{{{hostile, hostile}}});
    report.blocks.emplace_back(std::move(section));
    return report;
}

}  // namespace

class HtmlTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    /// RFC 4648, section 10.
    void base64IsThatOfTheStandard()
    {
        const std::vector<std::pair<std::string, std::string>> cases{
            {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
        for (const auto& [bytes, text] : cases)
            QCOMPARE(base64(bytes), text);
        QCOMPARE(base64(std::string("\x00\xff\xfe", 3)), std::string("AP/+"));
    }

    void escapesMarkupAndBrokenText_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("expected");
        const QByteArray replacement = "\xef\xbf\xbd";
        QTest::newRow("markup") << QByteArray("<a href=\"x\">&'") << QByteArray("&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        QTest::newRow("UTF-8 stays") << QByteArray("ä€😀") << QByteArray("ä€😀");
        QTest::newRow("control") << QByteArray("a\x01z\t\n") << QByteArray("a" + replacement + "z\t\n");
        QTest::newRow("null byte") << QByteArray("a\0b", 3) << QByteArray("a" + replacement + "b");
        QTest::newRow("stray byte") << QByteArray("a\xff") << QByteArray("a" + replacement);
        QTest::newRow("cut off") << QByteArray("\xe2\x82") << QByteArray(replacement + replacement);
        QTest::newRow("overlong <") << QByteArray("\xc0\xbc") << QByteArray(replacement + replacement);
        QTest::newRow("surrogate") << QByteArray("\xed\xa0\x80") << QByteArray(replacement + replacement + replacement);
        QTest::newRow("noncharacter") << QByteArray("\xef\xbf\xbf") << replacement;
        QTest::newRow("empty") << QByteArray() << QByteArray("");
    }

    void escapesMarkupAndBrokenText()
    {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, expected);
        QCOMPARE(QByteArray::fromStdString(escaped(text.toStdString())), expected);
    }

    void svgHasExactNumbers()
    {
        const std::string svg = toSvg(everyShape(), "A title", "What it shows");
        const Parsed xml = parsedXml(svg);
        QCOMPARE(xml.error, QString());
        QCOMPARE(xml.elements, QStringList({"svg", "title", "desc", "line", "polyline", "clipPath", "rect", "g", "rect", "text", "image"}));
        const auto attribute = [&](int element, const char* name) { return xml.attributes[element].value(name).toString(); };
        QCOMPARE(attribute(0, "viewBox"), QString("0 0 100 50"));
        QCOMPARE(attribute(0, "role"), QString("img"));
        QCOMPARE(attribute(3, "x2"), QString("10.5"));
        QCOMPARE(attribute(3, "class"), QString("sF"));
        QCOMPARE(attribute(4, "points"), QString("1,2 3.46,4"));
        QCOMPARE(attribute(4, "stroke"), QString("#0102ff"));
        QCOMPARE(attribute(4, "stroke-dasharray"), QString("4 3"));
        QCOMPARE(attribute(7, "clip-path"), QString("url(#%1)").arg(attribute(5, "id")));
        QCOMPARE(attribute(8, "fill-opacity"), QString("0.5"));
        QCOMPARE(attribute(9, "transform"), QString("rotate(-90 5 6)"));
        QCOMPARE(attribute(9, "text-anchor"), QString("end"));
        QVERIFY(xml.texts.contains("<b>&\"'"));
        const QByteArray png = QByteArray::fromBase64(attribute(10, "href").mid(int(strlen("data:image/png;base64,"))).toLatin1());
        const io::Image image = io::decodeImage(png.toStdString(), "raster");
        QCOMPARE(image.pixels, (std::vector<std::uint8_t>{255, 0, 0}));
    }

    /// Every coordinate of the curve in the file is the data point put through the axes, rounded to a hundredth.
    void svgCurveMatchesTheData()
    {
        CurvePlot plot;
        plot.series.push_back({"s", {}, {}, {}, {}, seriesColour(0), false});
        for (int i = 0; i < 50; ++i) {
            plot.series[0].x.push_back(i * 7);
            plot.series[0].y.push_back(std::sin(i * 0.3) * 1e-3 + 5);
        }
        const CurveLayout layout = layoutCurves(plot);
        const Parsed xml = parsedXml(toSvg(drawCurves(plot), "t", "d"));
        const auto index = xml.elements.indexOf("polyline");
        const QStringList points = xml.attributes[index].value("points").toString().split(' ');
        QCOMPARE(points.size(), 50);
        for (int i = 0; i < 50; ++i) {
            QVERIFY(std::abs(points[i].section(',', 0, 0).toDouble() - layout.x.toPoint(plot.series[0].x[std::size_t(i)])) <= 0.00501);
            QVERIFY(std::abs(points[i].section(',', 1, 1).toDouble() - layout.y.toPoint(plot.series[0].y[std::size_t(i)])) <= 0.00501);
        }
    }

    void unclosedClipsAreClosedAndStrayEndsRefused()
    {
        Drawing drawing{10, 10, {ClipStart{{0, 0, 1, 1}}, ClipStart{{0, 0, 1, 1}}}};
        QCOMPARE(parsedXml(toSvg(drawing, "", "")).error, QString());
        drawing.items = {ClipEnd{}};
        QVERIFY_EXCEPTION_THROWN(toSvg(drawing, "", ""), core::InputError);
    }

    void hostileTextStaysText()
    {
        const std::string html = toHtml(hostileReport());
        const QString text = QString::fromStdString(html);
        QVERIFY(!text.contains("<script"));
        QVERIFY(!text.contains("\" onload="));
        QCOMPARE(text.count("</style>"), 1);
        QCOMPARE(text.count("</svg>"), 1);
        QVERIFY(QString::fromUtf8(QByteArray::fromStdString(html)).toUtf8().toStdString() == html);  // valid UTF-8
    }

    /// Everything but the head's void elements is XML, so a parser can check that all elements nest.
    void bodyIsWellFormed()
    {
        QString text = QString::fromStdString(toHtml(hostileReport()));
        text.remove("<!DOCTYPE html>\n");
        text.replace(QRegularExpression("<meta([^>]*)>"), "<meta\\1/>");
        QCOMPARE(parsedXml(text.toStdString()).error, QString());
    }

    void needsNothingElse()
    {
        QString text = QString::fromStdString(toHtml(hostileReport()));
        text.remove("http://www.w3.org/2000/svg");
        QVERIFY(!text.contains("http:") && !text.contains("https:") && !text.contains("url(h") && !text.contains("@import"));
    }

    void sameReportSameBytes()
    {
        const std::string first = toHtml(hostileReport());
        for (int i = 0; i < 3; ++i)
            QVERIFY(toHtml(hostileReport()) == first);
        const Report small{"T", "", {Section{"S", {Paragraph{"p"}}}}};
        const std::string html = toHtml(small);
        QCOMPARE(html.substr(html.find("<body>")), std::string("<body>\n<header>\n<h1>T</h1>\n</header>\n<main>\n<section "
                                                               "id=\"s1\">\n<h2>S</h2>\n<p>p</p>\n</section>\n</main>\n</body>\n</html>\n"));
    }

    void tablesHaveHeadersAndIdsAreUnique()
    {
        Report report = hostileReport();
        report.blocks.push_back(report.blocks.front());
        const QString text = QString::fromStdString(toHtml(report));
        QCOMPARE(text.count("<th scope=\"col\""), 4);
        QCOMPARE(text.count("<th scope=\"row\""), 2);
        QSet<QString> ids;
        auto matches = QRegularExpression(" id=\"([^\"]*)\"").globalMatch(text);
        while (matches.hasNext()) {
            const QString id = matches.next().captured(1);
            QVERIFY2(!ids.contains(id), qPrintable(id));
            ids << id;
        }
        QVERIFY(ids.contains("s2"));
        QVERIFY(text.contains("<a href=\"#s2\">"));
    }

    void rejectsRowsOfOtherLength()
    {
        try {
            toHtml({"T", "", {Table{"numbers", {{"a"}, {"b"}}, {{{"1"}}}}}});
            QFAIL("expected an InputError");
        } catch (const core::InputError& error) {
            QCOMPARE(std::string(error.what()), std::string("report table \"numbers\", row 0: expected 2 cells, got 1"));
        }
    }
};

QTEST_APPLESS_MAIN(HtmlTest)
#include "html_test.moc"
