#include <core/base/error.h>
#include <core/report/plot.h>

#include <QtTest>
#include <cmath>
#include <limits>

using namespace orrery;
using namespace orrery::report;

namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();

template <class Item>
std::vector<Item> itemsOf(const Drawing& drawing)
{
    std::vector<Item> items;
    for (const DrawingItem& item : drawing.items)
        if (const auto* wanted = std::get_if<Item>(&item))
            items.push_back(*wanted);
    return items;
}

bool holdsText(const Drawing& drawing, const std::string& text)
{
    const auto items = itemsOf<TextItem>(drawing);
    return std::ranges::any_of(items, [&](const TextItem& item) { return item.text == text; });
}

std::string labels(const std::vector<Tick>& ticks)
{
    std::string text;
    for (const Tick& tick : ticks)
        text += (text.empty() ? "" : " ") + tick.label;
    return text;
}

CurvePlot simplePlot()
{
    CurvePlot plot;
    plot.x.title = "step";
    plot.y.title = "loss";
    plot.series.push_back({"a", {0, 10, 20}, {1.0, 0.5, 0.25}, {}, {}, seriesColour(0), false});
    return plot;
}

}  // namespace

class PlotTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void ticksAreNiceNumbers_data()
    {
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::addColumn<QString>("expected");
        QTest::newRow("unit") << 0.0 << 1.0 << "0.0 0.2 0.4 0.6 0.8 1.0";
        QTest::newRow("steps of 5") << 0.0 << 21.0 << "0 5 10 15 20";
        QTest::newRow("steps of 20") << 0.0 << 100.0 << "0 20 40 60 80 100";
        QTest::newRow("both signs") << -1.0 << 1.0 << "-1.0 -0.5 0 0.5 1.0";
        QTest::newRow("far from zero") << 0.97 << 0.99 << "0.970 0.975 0.980 0.985 0.990";
        QTest::newRow("large") << 0.0 << 3e6 << "0 1e+06 2e+06 3e+06";
        QTest::newRow("small") << 0.0 << 4e-5 << "0 1e-05 2e-05 3e-05 4e-05";
        QTest::newRow("swapped") << 1.0 << 0.0 << "0.0 0.2 0.4 0.6 0.8 1.0";
        QTest::newRow("one value") << 3.5 << 3.5 << "3.5";
        QTest::newRow("NaN") << kNan << 1.0 << "";
    }

    void ticksAreNiceNumbers()
    {
        QFETCH(double, low);
        QFETCH(double, high);
        QFETCH(QString, expected);
        QString found = QString::fromStdString(labels(linearTicks(low, high)));
        // Zero has no decimals; the table above is written as people would.
        QCOMPARE(found, expected.replace("0.0 0.2", "0 0.2"));
    }

    void ticksLieInsideAndDoNotDrift()
    {
        for (const auto& [low, high] : {std::pair{0.0, 0.7}, std::pair{-3.2, 17.9}, std::pair{1e-9, 2e-9}, std::pair{1e12, 1.5e12}}) {
            const auto ticks = linearTicks(low, high);
            QVERIFY(ticks.size() >= 3 && ticks.size() <= 11);
            for (const Tick& tick : ticks)
                QVERIFY(tick.value >= low - 1e-9 * (high - low) && tick.value <= high + 1e-9 * (high - low));
        }
        QCOMPARE(linearTicks(0, 0.7, 7)[3].value, 0.1 * 3);
    }

    void logTicksArePowersOfTen_data()
    {
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::addColumn<QString>("expected");
        QTest::newRow("four decades") << 0.01 << 100.0 << "0.01 0.1 1 10 100";
        QTest::newRow("one decade") << 1.0 << 10.0 << "1 2 5 10";
        QTest::newRow("tiny") << 1e-6 << 1e-3 << "1e-06 1e-05 1e-04 0.001";
        QTest::newRow("twelve decades") << 1e-6 << 1e6 << "1e-06 0.001 1 1000 1e+06";
        QTest::newRow("inside a decade") << 3.0 << 4.0 << "3.0 3.2 3.4 3.6 3.8 4.0";
        QTest::newRow("not positive") << 0.0 << 4.0 << "";
    }

    void logTicksArePowersOfTen()
    {
        QFETCH(double, low);
        QFETCH(double, high);
        QFETCH(QString, expected);
        QCOMPARE(QString::fromStdString(labels(logTicks(low, high))), expected);
    }

    void scaleMapsEndsAndMiddle()
    {
        const AxisScale linear(0, 10, 100, 200, false);
        QCOMPARE(linear.toPoint(0), 100.0);
        QCOMPARE(linear.toPoint(2.5), 125.0);
        const AxisScale log(0.1, 1000, 200, 0, true);
        QVERIFY(std::abs(log.toPoint(10) - 100) < 1e-9);
        QVERIFY(std::isnan(log.toPoint(0)));
        QVERIFY(std::isnan(log.toPoint(-1)));
        QVERIFY(std::isnan(linear.toPoint(kNan)));
    }

    void curvePointsLieWhereTheScaleSays()
    {
        const CurvePlot plot = simplePlot();
        const CurveLayout layout = layoutCurves(plot);
        const auto lines = itemsOf<PolylineItem>(drawCurves(plot));
        QCOMPARE(lines.size(), std::size_t(1));
        for (std::size_t i = 0; i < 3; ++i) {
            QCOMPARE(lines[0].points[i].x, layout.x.toPoint(plot.series[0].x[i]));
            QCOMPARE(lines[0].points[i].y, layout.y.toPoint(plot.series[0].y[i]));
            QVERIFY(lines[0].points[i].y >= layout.area.y && lines[0].points[i].y <= layout.area.bottom());
        }
        // Larger values lie higher: y points down.
        QVERIFY(lines[0].points[0].y < lines[0].points[2].y);
    }

    void gapsAtNaNAndSinglePointsAreMarked()
    {
        CurvePlot plot = simplePlot();
        plot.series[0] = {"a", {0, 1, 2, 3, 4}, {1, 2, kNan, 3, kNan}, {}, {}, seriesColour(0), false};
        const Drawing drawing = drawCurves(plot);
        QCOMPARE(itemsOf<PolylineItem>(drawing).size(), std::size_t(1));
        const auto layout = layoutCurves(plot);
        const auto rects = itemsOf<RectItem>(drawing);
        QVERIFY(std::ranges::any_of(
            rects, [&](const RectItem& item) { return std::abs(item.rect.centre().x - layout.x.toPoint(3)) < 1e-9 && item.rect.width == 3; }));
    }

    void marksOfSeveralSeriesHaveShapes()
    {
        CurvePlot plot;
        constexpr std::size_t kSeries = 14;
        for (std::size_t i = 0; i < kSeries; ++i) {
            plot.series.push_back({"s" + std::to_string(i), {double(i)}, {1}, {}, {}, seriesColour(i), false, true});
            plot.series.push_back({"line", {0, 1}, {0, 2}, {}, {}, seriesColour(0), false, false});  // takes no shape
        }
        const auto layout = layoutCurves(plot);
        std::vector<std::vector<Point>> shapes;
        std::vector<Rgb> colours;
        for (const auto& item : itemsOf<PolylineItem>(drawCurves(plot))) {
            if (item.fill == Colour())
                continue;  // a line
            const Point centre = shapes.size() < kSeries ? Point{layout.x.toPoint(double(shapes.size())), layout.y.toPoint(1)} : Point();
            std::vector<Point> shape;
            for (const Point corner : item.points)
                shape.push_back({std::round(10 * (corner.x - centre.x)), std::round(10 * (corner.y - centre.y))});
            shapes.push_back(std::move(shape));
            colours.push_back(item.fill.rgb);
        }
        QCOMPARE(shapes.size(), 2 * kSeries);  // those of the legend follow
        for (std::size_t i = 0; i < kSeries; ++i) {
            QCOMPARE(shapes[i].size(), shapes[kSeries + i].size());
            for (std::size_t k = 0; k < i; ++k)
                QVERIFY2(shapes[i] != shapes[k] || (colours[i] != colours[k] && k + 1 != i), qPrintable(QString("%1 and %2").arg(i).arg(k)));
        }
    }

    void bandsAreFilledBetweenLowAndHigh()
    {
        CurvePlot plot = simplePlot();
        plot.series[0].low = {0.5, 0.25, 0.125};
        plot.series[0].high = {2, 1, 0.5};
        const auto layout = layoutCurves(plot);
        const auto lines = itemsOf<PolylineItem>(drawCurves(plot));
        QCOMPARE(lines.size(), std::size_t(2));
        QCOMPARE(lines[0].points.size(), std::size_t(6));
        QCOMPARE(lines[0].points[0].y, layout.y.toPoint(2));
        QCOMPARE(lines[0].points[5].y, layout.y.toPoint(0.5));
        QVERIFY(lines[0].fill.alpha < 1);
    }

    void legendNamesEverySeries()
    {
        CurvePlot plot = simplePlot();
        for (int i = 0; i < 30; ++i)
            plot.series.push_back({"series " + std::to_string(i), {0, 1}, {0, 1}, {}, {}, seriesColour(std::size_t(i)), false});
        const Drawing drawing = drawCurves(plot);
        for (const Series& series : plot.series)
            QVERIFY(holdsText(drawing, series.name));
        for (const TextItem& item : itemsOf<TextItem>(drawing))
            QVERIFY(item.at.y <= drawing.height && item.at.x <= drawing.width);
    }

    void emptyPlotSaysSo()
    {
        CurvePlot plot;
        QVERIFY(holdsText(drawCurves(plot), "no values"));
        plot.y.log = true;
        plot.series.push_back({"a", {1, 2}, {-1, 0}, {}, {}, {}, false});
        QVERIFY(holdsText(drawCurves(plot), "no values"));
    }

    void rejectsListsOfDifferentLength()
    {
        CurvePlot plot = simplePlot();
        plot.series[0].y.pop_back();
        QVERIFY_EXCEPTION_THROWN(drawCurves(plot), core::ShapeError);
        try {
            layoutCurves(plot);
        } catch (const core::ShapeError& error) {
            QCOMPARE(std::string(error.what()), std::string("series \"a\": expected lists of equal length, got x 3, y 2, low 0, high 0"));
        }
    }

    void confusionMatrixShowsCountsAndShares()
    {
        const ConfusionMatrix matrix{{"cat", "dog"}, {{8, 2}, {0, 10}}, "test"};
        QCOMPARE(accuracy(matrix), 0.9);
        const Drawing drawing = drawConfusionMatrix(matrix);
        for (const char* text : {"8", "2", "10", "cat", "dog", "predicted class", "true class"})
            QVERIFY2(holdsText(drawing, text), text);
        const auto rects = itemsOf<RectItem>(drawing);
        QCOMPARE(rects[0].fill.rgb, viridis().at(0.8));
        QCOMPARE(rects[1].fill.rgb, viridis().at(0.2));
        QCOMPARE(rects[3].fill.rgb, viridis().at(1));
        // Row by row, from left to right.
        QVERIFY(rects[1].rect.x > rects[0].rect.x && rects[1].rect.y == rects[0].rect.y && rects[2].rect.y > rects[0].rect.y);
    }

    void confusionMatrixRejectsOtherShapes()
    {
        QVERIFY_EXCEPTION_THROWN(drawConfusionMatrix({{"a", "b"}, {{1, 2}}, ""}), core::ShapeError);
        QVERIFY_EXCEPTION_THROWN(drawConfusionMatrix({{"a", "b"}, {{1, 2}, {1}}, ""}), core::ShapeError);
        QVERIFY(std::isnan(accuracy({{"a"}, {{0}}, ""})));
        std::vector<std::string> classes;
        for (int i = 0; i < 200; ++i)
            classes.push_back("class " + std::to_string(i));
        const Drawing large = drawConfusionMatrix({classes, std::vector(200, std::vector<std::int64_t>(200, 1)), ""});
        QVERIFY(large.width < 600);
    }

    void gridIsColouredSymmetrically()
    {
        const io::Image image = colourGrid({3, 1, {-2, 0, 1}}, coolwarm(), 2);
        const Rgb centre = coolwarm().at(0.5), half = coolwarm().at(0.75), low = coolwarm().at(0);
        QCOMPARE(image.pixels, (std::vector<std::uint8_t>{low.r, low.g, low.b, centre.r, centre.g, centre.b, half.r, half.g, half.b}));
        QVERIFY_EXCEPTION_THROWN(colourGrid({3, 2, {1}}, coolwarm(), 1), core::ShapeError);
    }

    void attributionStandsBesideTheInput()
    {
        AttributionPicture picture;
        picture.input = io::Image{2, 2, 1, {0, 80, 160, 255}};
        picture.attribution = {2, 2, {0.5, -1, 0, 0.25}};
        const auto rasters = itemsOf<RasterItem>(drawAttribution(picture));
        QCOMPARE(rasters.size(), std::size_t(3));
        QCOMPARE(rasters[0].image.pixels, picture.input->pixels);
        QVERIFY(rasters[1].rect.x > rasters[0].rect.right());
        QCOMPARE(rasters[1].image.pixels[3], coolwarm().at(0).r);
        QVERIFY_EXCEPTION_THROWN(drawAttribution({}), core::ShapeError);
    }

    void barsAreSortedByMagnitude()
    {
        const std::vector<Bar> bars{{"small", 0.1}, {"negative", -2}, {"large", 1}, {"nan", kNan}};
        const Drawing drawing = drawBars(bars, "attribution", 2);
        const auto rects = itemsOf<RectItem>(drawing);
        QCOMPARE(rects.size(), std::size_t(2));
        QCOMPARE(rects[0].rect.width, 2 * rects[1].rect.width);
        QCOMPARE(rects[0].rect.right(), rects[1].rect.x);
        QVERIFY(holdsText(drawing, "and 1 more, together 0.1"));
        QVERIFY(!holdsText(drawing, "nan"));
        QVERIFY(drawBars({}, "attribution").height > 0);
    }

    void shortensAtCharactersNotBytes()
    {
        QCOMPARE(shortened("äöü", 3), std::string("äöü"));
        QCOMPARE(shortened("äöüß", 3), std::string("äö…"));
        QCOMPARE(shortNumber(0.983333333), std::string("0.98333"));
        QCOMPARE(shortNumber(kNan), std::string("nan"));
        QCOMPARE(shortNumber(-0.0), std::string("0"));
    }
};

QTEST_APPLESS_MAIN(PlotTest)
#include "plot_test.moc"
