#include <QApplication>
#include <QClipboard>
#include <QFile>
#include <QImage>
#include <QLabel>
#include <QSignalSpy>
#include <QSvgRenderer>
#include <QTemporaryDir>
#include <QTest>
#include <QWheelEvent>
#include <cmath>
#include <limits>

#include <core/base/error.h>
#include <widgets/export.h>
#include <widgets/plot_view.h>
#include <widgets/theme.h>

#include "shots.h"

using namespace orrery;
using namespace orrery::widgets;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

PlotData ramp(int count, double slope = 1)
{
    PlotData data;
    for (int i = 0; i < count; ++i) {
        data.x.push_back(i);
        data.y.push_back(slope * i);
    }
    return data;
}

PlotSeries named(const QString& title, PlotData data)
{
    PlotSeries series;
    series.title = title;
    series.data = std::move(data);
    return series;
}

}  // namespace

class PlotViewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QApplication::setStyle("Fusion");
        QApplication::setPalette(Theme::palette(false));
    }
    void init();
    void cleanup() { m_view.reset(); }
    void smoothingEqualsTheBiasCorrectedFormula();
    void smoothingSkipsNaN();
    void theRangeFollowsTheDataUntilZoomed();
    void appendedPointsAreDrawn();
    void pointsOfSeveralSeriesHaveShapes();
    void aLonePointIsSeen();
    void appendRefusesUnequalLengths();
    void logAxesLeaveOutWhatIsNotPositive();
    void countedAxesAreMarkedAtWholeNumbers();
    void rubberBandZoomsToTheDraggedStretch();
    void wheelZoomsAtThePointer();
    void middleButtonPans();
    void keysZoomPanAndShowAll();
    void cursorSnapsAndIsSharedBetweenLinkedViews();
    void hoverShowsTheValue();
    void clickOnAPointNamesIt();
    void clickOnTheLegendHidesTheCurve();
    void theLegendHidesNoCurve_data();
    void theLegendHidesNoCurve();
    void providerIsAskedForTheVisibleStretch();
    void lateAnswersOfOldRequestsAreIgnored();
    void answersAfterTheViewIsGoneAreHarmless();
    void replacedSeriesKeepTheirColour();
    void coloursAreReusedAndDistinct();
    void exportsPngSvgPdfAndCsv();
    void exportsRefuseOtherEndings();
    void csvJoinsSeriesByX();
    void saveActionAsksForAFile();
    void aMillionPointsAreTaken();
    void theCurveIsPaintedInItsColour();
    void pictures();

private:
    std::unique_ptr<PlotView> m_view;
};

void PlotViewTest::init()
{
    m_view = std::make_unique<PlotView>();
    m_view->resize(600, 400);
    m_view->show();
    QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
}

void PlotViewTest::smoothingEqualsTheBiasCorrectedFormula()
{
    // By hand for weight 0.5: averages 0.5*1, 0.25*1+0.5*2, ... divided by 1 - 0.5^n.
    const std::vector<double> y{1, 2, 4};
    const std::vector<double> s = smoothed(y, 0.5);
    QCOMPARE(s[0], 1.0);
    QCOMPARE(s[1], (0.25 * 1 + 0.5 * 2) / 0.75);
    QCOMPARE(s[2], (0.125 * 1 + 0.25 * 2 + 0.5 * 4) / 0.875);
    QCOMPARE(smoothed(y, 0), y);
}

void PlotViewTest::smoothingSkipsNaN()
{
    const std::vector<double> s = smoothed(std::vector<double>{kNaN, 3, kNaN, 3}, 0.9);
    QVERIFY(std::isnan(s[0]) && std::isnan(s[2]));
    QCOMPARE(s[1], 3.0);
    QVERIFY(std::abs(s[3] - 3) < 1e-12);
}

void PlotViewTest::theRangeFollowsTheDataUntilZoomed()
{
    m_view->setSeries("a", named("a", ramp(11)));
    QVERIFY(m_view->range(PlotAxis::X).first <= 0 && m_view->range(PlotAxis::X).second >= 10);
    QVERIFY(m_view->range(PlotAxis::X).second < 11);
    m_view->setRange(PlotAxis::X, 2, 4);
    QVERIFY(!m_view->isFollowing());
    m_view->append("a", std::vector<double>{50}, std::vector<double>{50});
    QCOMPARE(m_view->range(PlotAxis::X), std::pair(2.0, 4.0));
    m_view->showAll();
    QVERIFY(m_view->range(PlotAxis::X).second >= 50);
}

/// The pixels within 5 of a point that are not of the ground, as a mask.
static QImage markAt(PlotView& view, double x, double y)
{
    const QPoint at = view.toPixel(x, y).toPoint();
    const QImage image = view.grab(QRect(at - QPoint(5, 5), QSize(11, 11))).toImage();
    QImage mask(image.size(), QImage::Format_Grayscale8);
    for (int row = 0; row < image.height(); ++row)
        for (int column = 0; column < image.width(); ++column) {
            const QColor pixel = image.pixelColor(column, row);
            mask.setPixelColor(column, row,
                               std::abs(pixel.lightness() - view.palette().color(QPalette::Base).lightness()) > 60 ? Qt::black : Qt::white);
        }
    return mask;
}

void PlotViewTest::pointsOfSeveralSeriesHaveShapes()
{
    // Fourteen series: each colour twice. Two of one colour differ in shape, and so do neighbours.
    constexpr int kSeries = 14;
    m_view->resize(900, 300);
    m_view->setLegendVisible(false);
    for (int i = 0; i < kSeries; ++i) {
        PlotSeries series = named(QString::number(i), {{double(i)}, {0.5}, {}, {}});
        series.style = LineStyle::Points;
        m_view->setSeries(QString::number(i), series);
    }
    m_view->setRange(PlotAxis::X, -1, kSeries);
    m_view->setRange(PlotAxis::Y, 0, 1);
    QTRY_VERIFY(m_view->isIdle());
    const auto inkOf = [](const QImage& mask) {
        int count = 0;
        for (int row = 0; row < mask.height(); ++row)
            for (int column = 0; column < mask.width(); ++column)
                count += mask.pixelColor(column, row) == Qt::black ? 1 : 0;
        return count;
    };
    QTRY_VERIFY(inkOf(markAt(*m_view, kSeries - 1, 0.5)) > 0);
    const auto difference = [&](int a, int b) {
        const QImage first = markAt(*m_view, a, 0.5), second = markAt(*m_view, b, 0.5);
        int count = 0;
        for (int row = 0; row < first.height(); ++row)
            for (int column = 0; column < first.width(); ++column)
                count += first.pixelColor(column, row) != second.pixelColor(column, row) ? 1 : 0;
        return count;
    };
    QVERIFY(m_view->seriesColor("0") == m_view->seriesColor("7"));
    for (int i = 0; i < kSeries; ++i)
        for (int k = 0; k < i; ++k)
            if (m_view->seriesColor(QString::number(i)) == m_view->seriesColor(QString::number(k)) || k == i - 1)
                QVERIFY2(difference(i, k) > 6, qPrintable(QString("%1 and %2: %3").arg(i).arg(k).arg(difference(i, k))));
}

void PlotViewTest::appendedPointsAreDrawn()
{
    m_view->setSeries("a", named("a", ramp(3)));
    m_view->append("a", std::vector<double>{3, 4}, std::vector<double>{7, kNaN});
    const PlotData drawn = m_view->drawnData("a");
    QCOMPARE(drawn.x, (std::vector<double>{0, 1, 2, 3, 4}));
    QCOMPARE(drawn.y[3], 7.0);
    QVERIFY(std::isnan(drawn.y[4]));
    m_view->setSmoothing(0.5);
    m_view->append("a", std::vector<double>{5}, std::vector<double>{1});
    QCOMPARE(m_view->drawnData("a").y.back(), smoothed(std::vector<double>{0, 1, 2, 7, kNaN, 1}, 0.5).back());
}

/// A comparison that ends at its first value has one: a line without length is no mark.
void PlotViewTest::aLonePointIsSeen()
{
    m_view->setSeries("a", named("a", {{1}, {2}, {}, {}}));
    m_view->showAll();
    const auto coloured = [&] {
        const QPoint at = m_view->toPixel(1, 2).toPoint();
        return m_view->grab().toImage().pixelColor(at) == m_view->seriesColor("a");
    };
    QTRY_VERIFY(coloured());
}

void PlotViewTest::appendRefusesUnequalLengths()
{
    m_view->setSeries("a", named("a", ramp(3)));
    QVERIFY_EXCEPTION_THROWN(m_view->append("a", std::vector<double>{1, 2}, std::vector<double>{1}), core::ShapeError);
    QVERIFY_EXCEPTION_THROWN(m_view->append("b", std::vector<double>{1}, std::vector<double>{1}), core::InputError);
}

void PlotViewTest::logAxesLeaveOutWhatIsNotPositive()
{
    m_view->setSeries("a", named("a", {{0, 1, 10, 100}, {-5, 0, 0.01, 100}, {}, {}}));
    m_view->setLog(PlotAxis::Y, true);
    const auto [low, high] = m_view->range(PlotAxis::Y);
    QVERIFY(low > 0 && low <= 0.01 && high >= 100 && high < 1000);
    // A decade takes the same room everywhere.
    const double first = m_view->toPixel(1, 0.1).y() - m_view->toPixel(1, 1).y(), second = m_view->toPixel(1, 1).y() - m_view->toPixel(1, 10).y();
    QVERIFY(std::abs(first - second) < 0.5);
}

void PlotViewTest::countedAxesAreMarkedAtWholeNumbers()
{
    m_view->setAxisTitle(PlotAxis::X, "layer");
    m_view->setSeries("a", named("loss", ramp(3, 0.5)));
    const auto marks = [&] {
        QTest::qWait(0);  // the range follows the data a moment later
        m_view->grab();
        QVector<double> found;
        for (const auto* child : m_view->findChildren<QObject*>())
            if (child->inherits("QCPAxis") && child->property("label") == "layer")
                found = child->property("tickVector").value<QVector<double>>();
        return found;
    };
    const auto isWhole = [](double x) { return x == std::round(x); };
    const auto plain = marks();
    QVERIFY(plain.size() > 2 && !std::all_of(plain.begin(), plain.end(), isWhole));
    m_view->setWhole(PlotAxis::X);
    const auto whole = marks();
    QVERIFY(whole.size() > 2 && std::all_of(whole.begin(), whole.end(), isWhole));
}

void PlotViewTest::rubberBandZoomsToTheDraggedStretch()
{
    m_view->setSeries("a", named("", ramp(101)));
    QTest::qWait(0);
    QWidget* canvas = m_view->childAt(m_view->rect().center());
    const QPoint from = canvas->mapFrom(m_view.get(), m_view->toPixel(20, 20).toPoint()),
                 to = canvas->mapFrom(m_view.get(), m_view->toPixel(60, 60).toPoint());
    QSignalSpy changed(m_view.get(), &PlotView::rangeChanged);
    QTest::mousePress(canvas, Qt::LeftButton, {}, from);
    QTest::mouseMove(canvas, (from + to) / 2);
    QTest::mouseMove(canvas, to);
    QTest::mouseRelease(canvas, Qt::LeftButton, {}, to);
    QTRY_VERIFY(changed.size() > 0);
    const auto [low, high] = m_view->range(PlotAxis::X);
    QVERIFY2(std::abs(low - 20) < 1 && std::abs(high - 60) < 1, qPrintable(QString("%1 %2").arg(low).arg(high)));
    QTest::mouseDClick(canvas, Qt::LeftButton, {}, from);
    QVERIFY(m_view->isFollowing());
    QVERIFY(m_view->range(PlotAxis::X).second >= 100);
}

void PlotViewTest::wheelZoomsAtThePointer()
{
    m_view->setSeries("a", named("", ramp(101)));
    QTest::qWait(0);
    QWidget* canvas = m_view->childAt(m_view->rect().center());
    const QPointF at = m_view->toPixel(50, 50);
    const QPointF local = canvas->mapFrom(m_view.get(), at.toPoint());
    const auto before = m_view->range(PlotAxis::X);
    QWheelEvent wheel(local, canvas->mapToGlobal(local), {}, {0, 120}, Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
    QApplication::sendEvent(canvas, &wheel);
    const auto after = m_view->range(PlotAxis::X);
    QVERIFY(after.second - after.first < before.second - before.first);
    QVERIFY(std::abs(m_view->toValue(at).x() - 50) < 1);
}

void PlotViewTest::middleButtonPans()
{
    m_view->setSeries("a", named("", ramp(101)));
    QTest::qWait(0);
    QWidget* canvas = m_view->childAt(m_view->rect().center());
    const auto before = m_view->range(PlotAxis::X);
    const QPoint from = canvas->mapFrom(m_view.get(), m_view->toPixel(50, 50).toPoint());
    QTest::mousePress(canvas, Qt::MiddleButton, {}, from);
    QMouseEvent move(QEvent::MouseMove, from + QPoint(40, 0), canvas->mapToGlobal(from + QPoint(40, 0)), Qt::NoButton, Qt::MiddleButton, {});
    QApplication::sendEvent(canvas, &move);
    QTest::mouseRelease(canvas, Qt::MiddleButton, {}, from + QPoint(40, 0));
    const auto after = m_view->range(PlotAxis::X);
    QVERIFY(after.first < before.first);
    QVERIFY(std::abs((after.second - after.first) - (before.second - before.first)) < 1e-6);
    // What was under the pointer moved with it.
    QVERIFY(std::abs(m_view->toPixel(50, 50).x() - (canvas->mapTo(m_view.get(), from).x() + 40)) < 2);
}

void PlotViewTest::keysZoomPanAndShowAll()
{
    m_view->setSeries("a", named("", ramp(101)));
    const auto all = m_view->range(PlotAxis::X);
    QTest::keyClick(m_view.get(), Qt::Key_Plus);
    const auto zoomed = m_view->range(PlotAxis::X);
    QVERIFY(zoomed.second - zoomed.first < all.second - all.first);
    QTest::keyClick(m_view.get(), Qt::Key_Right);
    QVERIFY(m_view->range(PlotAxis::X).first > zoomed.first);
    QTest::keyClick(m_view.get(), Qt::Key_Home);
    QCOMPARE(m_view->range(PlotAxis::X), all);
}

void PlotViewTest::cursorSnapsAndIsSharedBetweenLinkedViews()
{
    PlotView other;
    // Beside the first one: the pointer is real, and the window on top would get it.
    other.setGeometry(m_view->x() + 700, m_view->y(), 600, 400);
    other.setSeries("b", named("b", ramp(101, -2)));
    other.show();
    QVERIFY(QTest::qWaitForWindowExposed(&other));
    m_view->setSeries("a", named("a", ramp(101)));
    PlotView::link({m_view.get(), &other});
    QTest::qWait(0);
    QWidget* canvas = m_view->childAt(m_view->rect().center());
    QSignalSpy moved(m_view.get(), &PlotView::cursorMoved), otherMoved(&other, &PlotView::cursorMoved);
    QTest::mouseMove(canvas, canvas->mapFrom(m_view.get(), m_view->toPixel(40.3, 50).toPoint()));
    QTRY_VERIFY(moved.size() > 0);
    QCOMPARE(moved.back().front().toDouble(), 40.0);
    QCOMPARE(other.cursorPosition(), std::optional(40.0));
    QCOMPARE(otherMoved.size(), 0);
    QEvent leave(QEvent::Leave);
    QApplication::sendEvent(canvas, &leave);
    QVERIFY(!other.cursorPosition());
}

void PlotViewTest::hoverShowsTheValue()
{
    m_view->setAxisTitle(PlotAxis::X, "step");
    m_view->setSeries("a", named("loss <1>", ramp(101, 0.5)));
    QTest::qWait(0);
    QWidget* canvas = m_view->childAt(m_view->rect().center());
    QTest::mouseMove(canvas, canvas->mapFrom(m_view.get(), m_view->toPixel(40, 20).toPoint()));
    QTRY_VERIFY(m_view->cursorPosition());
    const auto labels = m_view->findChildren<QLabel*>();
    QVERIFY(std::any_of(labels.begin(), labels.end(), [](const QLabel* label) {
        return label->isVisible() && label->text().contains("step 40") && label->text().contains("loss &lt;1&gt;") && label->text().contains(">20<");
    }));
}

void PlotViewTest::clickOnAPointNamesIt()
{
    m_view->setSeries("a", named("", ramp(11)));
    m_view->setSeries("b", named("", ramp(11, 3)));
    QTest::qWait(0);
    QWidget* canvas = m_view->childAt(m_view->rect().center());
    QSignalSpy clicked(m_view.get(), &PlotView::pointClicked);
    QTest::mouseClick(canvas, Qt::LeftButton, {}, canvas->mapFrom(m_view.get(), m_view->toPixel(5, 15).toPoint()));
    QCOMPARE(clicked.size(), 1);
    QCOMPARE(clicked[0][0].toString(), QStringLiteral("b"));
    QCOMPARE(clicked[0][2].toDouble(), 15.0);
    QTest::mouseClick(canvas, Qt::LeftButton, {}, canvas->mapFrom(m_view.get(), m_view->toPixel(5, 25).toPoint()));
    QCOMPARE(clicked.size(), 1);
}

void PlotViewTest::theLegendHidesNoCurve_data()
{
    QTest::addColumn<QList<double>>("values");  // at 0, 1, 2, ...
    QTest::addColumn<QSize>("size");
    QTest::addColumn<bool>("inside");
    const QList<double> rising{0, 1, 2, 3, 4, 5}, box{0, 9, 0, 9, 0, 9, 0, 9};
    QTest::newRow("a corner is free") << rising << QSize(480, 300) << true;
    QTest::newRow("small, a corner is free") << rising << QSize(320, 220) << true;
    QTest::newRow("lines with few points cross each corner") << QList<double>{9, 0, 9} << QSize(300, 170) << false;
    QTest::newRow("every corner is taken") << box << QSize(480, 300) << false;
    QTest::newRow("small, every corner is taken") << box << QSize(260, 170) << false;
}

void PlotViewTest::theLegendHidesNoCurve()
{
    QFETCH(QList<double>, values);
    QFETCH(QSize, size);
    QFETCH(bool, inside);
    PlotData data;
    for (int i = 0; i < values.size(); ++i) {
        data.x.push_back(i);
        data.y.push_back(values[i]);
    }
    m_view->resize(size);
    // Long names: two a line, and a gap.
    for (const QString id : {"one", "two", "three"})
        m_view->setSeries(id, named(id.repeated(size.width() < 300 ? 4 : 1), data));
    // Asked along the lines, not at the points alone.
    const auto hidden = [&] {
        int count = 0;
        const QRectF legend = m_view->legendRect();
        for (std::size_t i = 1; i < data.x.size(); ++i)
            for (double part = 0; part <= 1; part += 0.01)
                count += legend.contains(m_view->toPixel(data.x[i - 1] + part, data.y[i - 1] + part * (data.y[i] - data.y[i - 1])));
        return count;
    };
    const auto isInside = [&] { return m_view->legendRect().top() < m_view->toPixel(0, m_view->range(PlotAxis::Y).first).y(); };
    QTRY_COMPARE(isInside(), inside);
    QTRY_COMPARE(hidden(), 0);
    QVERIFY(!m_view->legendRect().isEmpty());
    QVERIFY(QRectF(m_view->rect()).contains(m_view->legendRect()));
    takeShots(*m_view, QString("legend-%1").arg(QTest::currentDataTag()));
    // With other curves it comes back to a corner, and a click on it still hides one.
    m_view->clear();
    m_view->resize(480, 300);
    m_view->setSeries("only", named("only", ramp(11)));
    QTRY_VERIFY(isInside());
    QTRY_VERIFY(m_view->legendRect().height() < 60);
}

void PlotViewTest::clickOnTheLegendHidesTheCurve()
{
    m_view->setSeries("a", named("first", ramp(11)));
    m_view->setSeries("b", named("second", ramp(11, 3)));
    // The legend gets its place when it is first painted.
    QTest::qWait(20);
    QWidget* canvas = m_view->childAt(m_view->rect().center());
    QSignalSpy changed(m_view.get(), &PlotView::seriesVisibilityChanged);
    // The curves end at the upper right, so the legend is at the lower right, where it hides no point.
    for (int y = 20; y < 80; y += 4)
        QTest::mouseClick(canvas, Qt::LeftButton, {}, QPoint(canvas->width() - 50, y));
    QCOMPARE(changed.size(), 0);
    for (int y = canvas->height() - 40; y > canvas->height() / 2 && changed.isEmpty(); y -= 4)
        QTest::mouseClick(canvas, Qt::LeftButton, {}, QPoint(canvas->width() - 50, y));
    QCOMPARE(changed.size(), 1);
    QVERIFY(!m_view->isSeriesVisible(changed[0][0].toString()));
    // Falling curves leave the upper right free.
    m_view->setSeries("a", named("first", ramp(11, -1)));
    m_view->setSeries("b", named("second", ramp(11, -3)));
    QTest::qWait(20);
    changed.clear();
    for (int y = 20; y < 80 && changed.isEmpty(); y += 4)
        QTest::mouseClick(canvas, Qt::LeftButton, {}, QPoint(canvas->width() - 50, y));
    QCOMPARE(changed.size(), 1);
}

void PlotViewTest::providerIsAskedForTheVisibleStretch()
{
    QList<PlotRequest> asked;
    PlotSeries series;
    series.title = "a";
    series.provider = [&](const PlotRequest& request, PlotReply reply) {
        asked << request;
        PlotData data;
        const double from = std::max(request.from, 0.0), to = std::min(request.to, 1'000'000.0);
        for (int i = 0; i <= 100; ++i) {
            data.x.push_back(from + (to - from) * i / 100);
            data.y.push_back(std::sin(data.x.back()));
            data.low.push_back(-1);
            data.high.push_back(1);
        }
        reply(data);
    };
    m_view->setSeries("a", series);
    QCOMPARE(asked.size(), 1);
    QVERIFY(std::isinf(asked[0].from) && std::isinf(asked[0].to));
    QVERIFY(asked[0].buckets >= 100 && asked[0].buckets <= 600);
    QVERIFY(m_view->isIdle());
    m_view->setRange(PlotAxis::X, 500, 700);
    QVERIFY(!m_view->isIdle());
    QTRY_COMPARE(asked.size(), 2);
    QCOMPARE(asked[1].from, 500.0);
    QCOMPARE(asked[1].to, 700.0);
    QCOMPARE(m_view->drawnData("a").x.front(), 500.0);
    QTRY_VERIFY(m_view->isIdle());
}

void PlotViewTest::lateAnswersOfOldRequestsAreIgnored()
{
    QList<PlotReply> replies;
    PlotSeries series;
    series.provider = [&](const PlotRequest&, PlotReply reply) { replies << reply; };
    m_view->setSeries("a", series);
    m_view->refresh("a");
    QCOMPARE(replies.size(), 2);
    replies[1]({{1, 2}, {5, 6}, {}, {}});
    replies[0]({{9}, {9}, {}, {}});
    QCOMPARE(m_view->drawnData("a").x, (std::vector<double>{1, 2}));
    QVERIFY(m_view->isIdle());
}

void PlotViewTest::answersAfterTheViewIsGoneAreHarmless()
{
    PlotReply kept;
    {
        PlotView view;
        PlotSeries series;
        series.provider = [&](const PlotRequest&, PlotReply reply) { kept = reply; };
        view.setSeries("a", series);
    }
    QVERIFY(kept);
    kept({{1}, {1}, {}, {}});
}

void PlotViewTest::replacedSeriesKeepTheirColour()
{
    m_view->setSeries("a", named("a", ramp(3)));
    m_view->setSeries("b", named("b", ramp(3)));
    const QColor color = m_view->seriesColor("b");
    m_view->setSeries("b", named("b2", ramp(30)));
    QCOMPARE(m_view->seriesColor("b"), color);
    QCOMPARE(m_view->seriesIds(), (QStringList{"a", "b"}));
    QCOMPARE(m_view->drawnData("b").x.size(), std::size_t(30));
}

void PlotViewTest::coloursAreReusedAndDistinct()
{
    for (int i = 0; i < 5; ++i)
        m_view->setSeries(QString::number(i), named("", ramp(3)));
    QSet<QRgb> colors;
    for (int i = 0; i < 5; ++i)
        colors.insert(m_view->seriesColor(QString::number(i)).rgb());
    QCOMPARE(colors.size(), 5);
    const QColor freed = m_view->seriesColor("1");
    m_view->removeSeries("1");
    m_view->setSeries("new", named("", ramp(3)));
    QCOMPARE(m_view->seriesColor("new"), freed);
    for (const bool dark : {false, true})
        for (int i = 0; i < 7; ++i)
            QVERIFY(contrast(categoryColor(i, dark), Theme::palette(dark).color(QPalette::Base)) >= 3);
}

void PlotViewTest::exportsPngSvgPdfAndCsv()
{
    QTemporaryDir folder;
    m_view->setSeries("a", named("a", ramp(11)));
    m_view->exportTo(folder.filePath("p.png"), {300, 200});
    const QImage image(folder.filePath("p.png"));
    QCOMPARE(image.size(), QSize(600, 400));
    QCOMPARE(image.pixelColor(2, 2), QColor(Qt::white));
    m_view->exportTo(folder.filePath("p.svg"), {300, 200});
    QSvgRenderer svg(folder.filePath("p.svg"));
    QVERIFY(svg.isValid());
    QCOMPARE(svg.viewBox().size(), QSize(300, 200));
    m_view->exportTo(folder.filePath("p.pdf"), {300, 200});
    QFile pdf(folder.filePath("p.pdf"));
    QVERIFY(pdf.open(QIODevice::ReadOnly));
    QVERIFY(pdf.readAll().startsWith("%PDF"));
    m_view->exportTo(folder.filePath("p.csv"));
    QFile csv(folder.filePath("p.csv"));
    QVERIFY(csv.open(QIODevice::ReadOnly));
    QVERIFY(csv.readAll().startsWith("x,a\n0,0\n1,1\n"));
    // The export leaves the view as it was.
    QCOMPARE(m_view->drawnData("a").x.size(), std::size_t(11));
}

void PlotViewTest::exportsRefuseOtherEndings()
{
    QTemporaryDir folder;
    try {
        m_view->exportTo(folder.filePath("p.gif"));
        QFAIL("expected an error");
    } catch (const core::InputError& error) {
        QVERIFY(QString(error.what()).endsWith("expected a name ending in .png, .svg, .pdf or .csv, got \"gif\""));
    }
    QVERIFY_EXCEPTION_THROWN(m_view->exportTo(folder.filePath("missing/p.png")), core::StorageError);
}

void PlotViewTest::csvJoinsSeriesByX()
{
    m_view->setSeries("a", named("loss, train", {{1, 2}, {0.5, 0.25}, {}, {}}));
    m_view->setSeries("b", named("val", {{2, 3}, {9, 8}, {}, {}}));
    QCOMPARE(m_view->toCsv(), QStringLiteral("x,\"loss, train\",val\n1,0.5,\n2,0.25,9\n3,,8\n"));
}

void PlotViewTest::saveActionAsksForAFile()
{
    QTemporaryDir folder;
    m_view->setSeries("a", named("a", ramp(3)));
    const AskSaveFile before = askSaveFile();
    askSaveFile() = [&](QWidget*, const QString&, const QString&) { return folder.filePath("chosen.svg"); };
    m_view->exportActions().front()->trigger();
    askSaveFile() = before;
    QVERIFY(QFile::exists(folder.filePath("chosen.svg")));
    m_view->exportActions().back()->trigger();
    QCOMPARE(QApplication::clipboard()->text(), QStringLiteral("x,a\n0,0\n1,1\n2,2\n"));
}

void PlotViewTest::aMillionPointsAreTaken()
{
    PlotData data = ramp(1'000'000);
    for (std::size_t i = 0; i < data.y.size(); ++i)
        data.y[i] = std::sin(double(i) * 1e-4) + (i % 17) * 0.01;
    m_view->setSeries("a", named("a", std::move(data)));
    QVERIFY(!m_view->grab().isNull());
    QCOMPARE(m_view->drawnData("a").x.size(), std::size_t(1'000'000));
}

void PlotViewTest::theCurveIsPaintedInItsColour()
{
    PlotSeries series = named("", {{0, 10}, {5, 5}, {}, {}});
    series.width = 4;
    m_view->setSeries("a", series);
    const QPoint at = m_view->toPixel(5, 5).toPoint();
    const QColor wanted = m_view->seriesColor("a");
    QColor found;
    // Painting is queued.
    QTRY_VERIFY((found = m_view->grab().toImage().pixelColor(at)) != QColor(Qt::white));
    QVERIFY2(std::abs(found.red() - wanted.red()) < 12 && std::abs(found.green() - wanted.green()) < 12 &&
                 std::abs(found.blue() - wanted.blue()) < 12,
             qPrintable(found.name()));
}

void PlotViewTest::pictures()
{
    m_view->setTitle("Loss");
    m_view->setAxisTitle(PlotAxis::X, "step");
    m_view->setAxisTitle(PlotAxis::Y, "loss");
    for (int run = 0; run < 4; ++run) {
        PlotData data;
        for (int i = 1; i < 400; ++i) {
            data.x.push_back(i * 10);
            data.y.push_back(2.3 * std::exp(-i / (60.0 + 20 * run)) + 0.1 + 0.08 * std::sin(i * 12.9898 + run) * std::exp(-i / 300.0));
        }
        m_view->setSeries(QString::number(run), named(QString("run %1: train/loss").arg(run + 1), data));
    }
    PlotData banded;
    for (int i = 0; i < 50; ++i) {
        banded.x.push_back(i * 80);
        banded.y.push_back(1.2 + 0.3 * std::sin(i * 0.2));
        banded.low.push_back(banded.y.back() - 0.15);
        banded.high.push_back(banded.y.back() + 0.15);
    }
    m_view->setSeries("band", named("pyramid of 1,000,000 points", banded));
    m_view->setSmoothing(0.8);
    m_view->setCursor(1200);
    takeShots(*m_view, "plot");
    m_view->setLog(PlotAxis::Y, true);
    m_view->setLog(PlotAxis::X, true);
    takeShots(*m_view, "plot-log");
}

QTEST_MAIN(PlotViewTest)
#include "plot_view_test.moc"
