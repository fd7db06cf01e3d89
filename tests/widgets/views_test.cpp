#include <QFile>
#include <QHelpEvent>
#include <QSignalSpy>
#include <QSpinBox>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QToolTip>
#include <QWheelEvent>
#include <cmath>
#include <limits>
#include <numeric>

#include <core/base/error.h>
#include <widgets/colour_bar.h>
#include <widgets/heat_map_view.h>
#include <widgets/image_view.h>
#include <widgets/numbers.h>
#include <widgets/tensor_table.h>
#include <widgets/theme.h>

#include "shots.h"

using namespace orrery;
using namespace orrery::widgets;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void showAndWait(QWidget& widget, QSize size)
{
    widget.resize(size);
    widget.show();
    QVERIFY(QTest::qWaitForWindowExposed(&widget));
}

}  // namespace

/// Heat maps, pictures with overlays, and tables of tensors.
class ViewsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QApplication::setStyle("Fusion");
        QApplication::setPalette(Theme::palette(false));
    }
    void heatMapRefusesWrongCounts();
    void cellsHaveTheColourOfTheirValue();
    void numbersStandInCellsOnlyWhereTheyFit();
    void numbersAreLegibleOnEveryColour();
    void normalisedRowsColourByShare();
    void heatMapMouseAndKeysChooseCells();
    void heatMapTooltipNamesRowColumnAndValue();
    void theChosenCellKeepsItsColour();
    void colourBarsSayWhatTheyShow();
    void zeroHasNoSign();
    void heatMapExports();
    void heatMapTakesNaNAndNoRows();
    void divergingColoursAreSymmetric();
    void pixelsAreEnlargedWithoutSmoothing();
    void overlayIsSymmetricAboutZero();
    void overlayOfAnotherSizeIsStretched();
    void imageRefusesWrongShapes();
    void wheelZoomsAndKeepsThePixelUnderThePointer();
    void clickNamesThePixel();
    void tensorTableShowsSlices();
    void tensorTableStatisticsEqualHandValues();
    void tensorTableRefusesWrongCounts();
    void themesHaveReadableText();
    void pictures();
};

void ViewsTest::heatMapRefusesWrongCounts()
{
    HeatMapView view;
    try {
        view.setMatrix({1, 2, 3}, 2, 2);
        QFAIL("expected an error");
    } catch (const core::ShapeError& error) {
        QCOMPARE(QString(error.what()), QStringLiteral("expected 4 values for [2, 2], got 3"));
    }
}

void ViewsTest::cellsHaveTheColourOfTheirValue()
{
    HeatMapView view;
    view.setMatrix({0, 1, 2, 3, 4, 5}, 2, 3);
    showAndWait(view, {400, 300});
    QCOMPARE(view.cellColor(0, 0), toQColor(report::viridis().at(0)));
    QCOMPARE(view.cellColor(1, 2), toQColor(report::viridis().at(1)));
    const QImage image = view.grab().toImage();
    for (int row = 0; row < 2; ++row)
        for (int column = 0; column < 3; ++column)
            QCOMPARE(image.pixelColor((view.cellRect(row, column).topLeft() + QPointF(4, 4)).toPoint()), view.cellColor(row, column));
}

void ViewsTest::numbersStandInCellsOnlyWhereTheyFit()
{
    HeatMapView view;
    view.setMatrix({12345, 2, 3, 4}, 2, 2);
    showAndWait(view, {400, 300});
    QCOMPARE(view.cellText(0, 0), QStringLiteral("12345"));
    view.setMatrix(std::vector<double>(100 * 100, 0.123), 100, 100);
    QVERIFY(view.cellText(0, 0).isEmpty());
    view.setMatrix({0.123, 0.5, 0.25, 1}, 2, 2);
    QCOMPARE(view.cellText(0, 0), QStringLiteral("0.12"));
    view.setDecimals(3);
    QCOMPARE(view.cellText(0, 0), QStringLiteral("0.123"));
}

void ViewsTest::numbersAreLegibleOnEveryColour()
{
    for (const std::string& name : report::colourMapNames())
        for (int i = 0; i <= 100; ++i) {
            const QColor color = toQColor(report::colourMap(name).at(i / 100.0));
            QVERIFY(contrast(textColorOn(color), color) >= 4.5);
        }
}

void ViewsTest::normalisedRowsColourByShare()
{
    HeatMapView view;
    view.setMatrix({90, 10, 1, 1}, 2, 2);
    view.setNormalisation(Normalisation::Rows);
    QCOMPARE(view.cellColor(1, 0), toQColor(report::viridis().at(0.5)));
    view.setNormalisation(Normalisation::Columns);
    QCOMPARE(view.cellColor(0, 0), toQColor(report::viridis().at(90.0 / 91)));
}

void ViewsTest::heatMapMouseAndKeysChooseCells()
{
    HeatMapView view;
    view.setMatrix({1, 2, 3, 4, 5, 6}, 2, 3);
    showAndWait(view, {400, 300});
    QSignalSpy clicked(&view, &HeatMapView::cellClicked);
    QTest::mouseClick(&view, Qt::LeftButton, {}, view.cellRect(0, 1).center().toPoint());
    QCOMPARE(clicked.size(), 1);
    QCOMPARE(clicked[0], (QVariantList{0, 1}));
    QTest::keyClick(&view, Qt::Key_Down);
    QTest::keyClick(&view, Qt::Key_Right);
    QTest::keyClick(&view, Qt::Key_Right);
    QCOMPARE(view.currentCell(), std::optional(std::pair(1, 2)));
    QTest::keyClick(&view, Qt::Key_Return);
    QCOMPARE(clicked.size(), 2);
    QCOMPARE(clicked[1], (QVariantList{1, 2}));
}

void ViewsTest::heatMapTooltipNamesRowColumnAndValue()
{
    HeatMapView view;
    view.setMatrix({1, 3, 0, 4}, 2, 2);
    view.setAxisTitles("true", "predicted");
    view.setLabels({"cat", "dog"}, {"cat", "dog"});
    view.setNormalisation(Normalisation::Rows);
    showAndWait(view, {400, 300});
    const QPoint at = view.cellRect(0, 1).center().toPoint();
    QHelpEvent help(QEvent::ToolTip, at, view.mapToGlobal(at));
    QApplication::sendEvent(&view, &help);
    QCOMPARE(QToolTip::text(), QStringLiteral("true cat, predicted dog: 3 (75.0 %)"));
    QToolTip::hideText();
}

// Cells of two pixels: a frame inside one would cover it.
void ViewsTest::theChosenCellKeepsItsColour()
{
    HeatMapView view;
    std::vector<double> values(200);
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = double(i % 100);
    view.setMatrix(values, 2, 100);
    view.resize(400, 160);
    view.setCurrentCell(1, 50);
    const QImage picture = view.grab().toImage();
    QCOMPARE(QColor(picture.pixel(view.cellRect(1, 50).center().toPoint())), view.cellColor(1, 50));
}

void ViewsTest::colourBarsSayWhatTheyShow()
{
    HeatMapView view;
    view.setMatrix({0, 1, 2, 3}, 2, 2);
    view.resize(300, 200);
    const double before = view.cellRect(1, 1).right();
    const QImage bare = view.grab().toImage();
    view.setValueTitle("similarity");
    QCOMPARE(view.valueTitle(), QString("similarity"));
    // It takes room of its own: no cell and no number of the scale is covered.
    QVERIFY(view.cellRect(1, 1).right() <= before);
    QVERIFY(view.grab().toImage() != bare);
    ColourBar bar;
    bar.resize(200, bar.sizeHint().height());
    bar.setScale(report::viridis(), {"entropy 4 nats", "0"}, "Entropy");
    const QImage scale = bar.grab().toImage();
    QCOMPARE(QColor(scale.pixel(3, 5)).rgb(), toQColor(report::viridis().at(2.5 / 198)).rgb());
    QCOMPARE(QColor(scale.pixel(196, 5)).rgb(), toQColor(report::viridis().at(195.5 / 198)).rgb());
    QCOMPARE(bar.toolTip(), QString("Entropy"));
}

void ViewsTest::zeroHasNoSign()
{
    QCOMPARE(fixedNumber(-0.00004, 4), QString("0.0000"));
    QCOMPARE(fixedNumber(-0.0, 2), QString("0.00"));
    QCOMPARE(fixedNumber(-0.00006, 4), QString("-0.0001"));
    QCOMPARE(fixedNumber(0.26, 1), QString("0.3"));
    QCOMPARE(fixedNumber(std::nan(""), 3), QString("nan"));
    QCOMPARE(fixedNumber(-std::numeric_limits<double>::infinity(), 3), QString("-inf"));
    QCOMPARE(shownNumber(-0.0), QString("0"));
    QCOMPARE(shownNumber(-1.5), QString("-1.5"));
    HeatMapView view;
    view.setMatrix({-1e-9, 0.5}, 1, 2);
    view.resize(400, 200);
    QCOMPARE(view.cellText(0, 0), QString("0.000"));
}

void ViewsTest::heatMapExports()
{
    QTemporaryDir folder;
    HeatMapView view;
    view.setMatrix({1, 2.5, 3, 4}, 2, 2);
    view.setLabels({"a", "b,c"}, {"x", "y"});
    QCOMPARE(view.toCsv(), QStringLiteral(",x,y\na,1,2.5\n\"b,c\",3,4\n"));
    for (const char* name : {"h.png", "h.svg", "h.pdf", "h.csv"}) {
        view.exportTo(folder.filePath(name), {300, 200});
        QVERIFY(QFile(folder.filePath(name)).size() > 10);
    }
}

void ViewsTest::heatMapTakesNaNAndNoRows()
{
    HeatMapView view;
    view.setMatrix({kNaN, 1, 2, kNaN}, 2, 2);
    showAndWait(view, {300, 300});
    QVERIFY(view.cellText(0, 0).isEmpty());
    QCOMPARE(view.cellColor(0, 1), toQColor(report::viridis().at(0)));
    view.setMatrix({kNaN}, 1, 1);
    view.grab();
    view.setMatrix({}, 0, 0);
    view.grab();
    QTest::mouseClick(&view, Qt::LeftButton, {}, view.rect().center());
    QVERIFY(!view.currentCell());
}

void ViewsTest::divergingColoursAreSymmetric()
{
    HeatMapView view;
    view.setMapKind(MapKind::Diverging);
    view.setMatrix({-1, 0, 4}, 1, 3);
    QCOMPARE(view.cellColor(0, 1), toQColor(report::coolwarm().at(0.5)));
    QCOMPARE(view.cellColor(0, 0), toQColor(report::coolwarm().at(0.375)));
}

void ViewsTest::pixelsAreEnlargedWithoutSmoothing()
{
    ImageView view;
    view.setPixels({0, 1, 1, 0}, 1, 2, 2);
    showAndWait(view, {200, 200});
    const QImage image = view.grab().toImage();
    const QRectF first = view.pixelRect(0, 0), second = view.pixelRect(1, 0);
    // Right up to the common edge each square keeps its own colour.
    QCOMPARE(image.pixelColor(int(first.right()) - 1, int(first.center().y())), QColor(Qt::black));
    QCOMPARE(image.pixelColor(int(second.left()), int(second.center().y())), QColor(Qt::white));
    QCOMPARE(first.width(), second.width());
}

void ViewsTest::overlayIsSymmetricAboutZero()
{
    ImageView view;
    view.setPixels({0, 1, 1, 0}, 1, 2, 2);
    view.setOverlay({-0.5, 0, 0.25, 1}, 2, 2);
    QCOMPARE(view.overlayRange(), 1.0);
    QCOMPARE(view.overlayColor(1, 0), toQColor(report::coolwarm().at(0.5)));
    QCOMPARE(view.overlayColor(0, 0), toQColor(report::coolwarm().at(0.25)));
    QCOMPARE(view.overlayColor(1, 1), toQColor(report::coolwarm().at(1)));
    showAndWait(view, {260, 200});
    view.setOverlayOpacity(1);
    QCOMPARE(view.grab().toImage().pixelColor(view.pixelRect(1, 1).center().toPoint()), view.overlayColor(1, 1));
    view.setOverlayOpacity(0);
    QCOMPARE(view.grab().toImage().pixelColor(view.pixelRect(1, 0).center().toPoint()), QColor(Qt::white));
}

void ViewsTest::overlayOfAnotherSizeIsStretched()
{
    ImageView view;
    view.setPixels(std::vector<float>(64, 0.5F), 1, 8, 8);
    view.setOverlay({1, -1}, 1, 2);
    QCOMPARE(view.overlayColor(3, 7), toQColor(report::coolwarm().at(1)));
    QCOMPARE(view.overlayColor(4, 0), toQColor(report::coolwarm().at(0)));
}

void ViewsTest::imageRefusesWrongShapes()
{
    ImageView view;
    QVERIFY_EXCEPTION_THROWN(view.setPixels({1, 2}, 2, 1, 1), core::ShapeError);
    QVERIFY_EXCEPTION_THROWN(view.setPixels({}, 1, 0, 0), core::ShapeError);
    QVERIFY_EXCEPTION_THROWN(view.setOverlay({1}, 2, 2), core::ShapeError);
}

void ViewsTest::wheelZoomsAndKeepsThePixelUnderThePointer()
{
    ImageView view;
    view.setPixels(std::vector<float>(28 * 28, 0.5F), 1, 28, 28);
    showAndWait(view, {300, 300});
    const QPointF at = view.pixelRect(20, 6).center();
    const double before = view.pixelRect(0, 0).width();
    QWheelEvent wheel(at, view.mapToGlobal(at), {}, {0, 240}, Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
    QApplication::sendEvent(&view, &wheel);
    QVERIFY(view.pixelRect(0, 0).width() > before);
    QCOMPARE(view.pixelAt(at), std::optional(QPoint(20, 6)));
    QTest::keyClick(&view, Qt::Key_Home);
    QCOMPARE(view.pixelRect(0, 0).width(), before);
}

void ViewsTest::clickNamesThePixel()
{
    ImageView view;
    view.setPixels(std::vector<float>(64, 0.5F), 1, 8, 8);
    showAndWait(view, {300, 300});
    QSignalSpy clicked(&view, &ImageView::pixelClicked);
    QTest::mouseClick(&view, Qt::LeftButton, {}, view.pixelRect(3, 5).center().toPoint());
    QCOMPARE(clicked.size(), 1);
    QCOMPARE(clicked[0], (QVariantList{3, 5}));
}

void ViewsTest::tensorTableShowsSlices()
{
    TensorTable table;
    std::vector<float> values(2 * 3 * 4);
    std::iota(values.begin(), values.end(), 0.0F);
    table.setTensor(values, {2, 3, 4}, "weights");
    showAndWait(table, {500, 300});
    QCOMPARE(table.toCsv(), QStringLiteral("0,1,2,3\n4,5,6,7\n8,9,10,11\n"));
    auto* box = table.findChild<QSpinBox*>();
    QVERIFY(box);
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Up);
    QCOMPARE(table.toCsv().left(11), QStringLiteral("12,13,14,15"));
    table.setCurrentIndex({0, 2, 1});
    QCOMPARE(table.currentIndex(), (std::vector<std::int64_t>{0, 2, 1}));
    table.setTensor({7}, {});
    QCOMPARE(table.toCsv(), QStringLiteral("7\n"));
    table.setTensor({}, {3, 0});
    QCOMPARE(table.statisticsText(), QStringLiteral("no values"));
}

void ViewsTest::tensorTableStatisticsEqualHandValues()
{
    TensorTable table;
    table.setTensor({1, 2, 3, 6, 0, std::numeric_limits<float>::infinity()}, {6});
    QCOMPARE(table.statisticsText(), QStringLiteral("6 values, min 0, max 6, mean 2.4, standard deviation 2.0591, zeros 16.7 %, 1 not finite"));
}

void ViewsTest::tensorTableRefusesWrongCounts()
{
    TensorTable table;
    QVERIFY_EXCEPTION_THROWN(table.setTensor({1, 2}, {3}), core::ShapeError);
}

void ViewsTest::themesHaveReadableText()
{
    for (const bool dark : {false, true}) {
        const QPalette palette = Theme::palette(dark);
        QCOMPARE(isDark(palette), dark);
        for (const auto& [text, background] :
             {std::pair(QPalette::Text, QPalette::Base), std::pair(QPalette::WindowText, QPalette::Window),
              std::pair(QPalette::ButtonText, QPalette::Button), std::pair(QPalette::HighlightedText, QPalette::Highlight),
              std::pair(QPalette::PlaceholderText, QPalette::Base), std::pair(QPalette::Link, QPalette::Base),
              std::pair(QPalette::ToolTipText, QPalette::ToolTipBase)})
            QVERIFY2(contrast(palette.color(text), palette.color(background)) >= 4.5,
                     qPrintable(QString("%1 %2").arg(text).arg(contrast(palette.color(text), palette.color(background)))));
        const ThemeColors colors = themeColors(palette);
        QVERIFY(contrast(colors.error, palette.color(QPalette::Window)) >= 4.5);
        QVERIFY(contrast(palette.color(QPalette::WindowText), colors.errorBackground) >= 4.5);
    }
}

void ViewsTest::pictures()
{
    HeatMapView confusion;
    std::vector<double> counts(100);
    for (int i = 0; i < 100; ++i)
        counts[std::size_t(i)] = i % 11 == 0 ? 30 + i % 7 : (i * 7) % 13 == 0 ? 2 : 0;
    confusion.setMatrix(counts, 10, 10);
    confusion.setAxisTitles("true class", "predicted class");
    confusion.setNormalisation(Normalisation::Rows);
    confusion.setCurrentCell(3, 3);
    showAndWait(confusion, {480, 420});
    takeShots(confusion, "confusion");
    HeatMapView weights;
    std::vector<double> values(8 * 20);
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = std::sin(double(i) * 0.7) * 0.3;
    values[5] = kNaN;
    weights.setMatrix(values, 8, 20);
    weights.setMapKind(MapKind::Diverging);
    weights.setLabels({}, QStringList(20, "a long column name"));
    showAndWait(weights, {480, 320});
    takeShots(weights, "weights");
    ImageView image;
    std::vector<float> pixels(64);
    std::vector<double> overlay(64);
    for (int i = 0; i < 64; ++i) {
        pixels[std::size_t(i)] = float((i * 37) % 17) / 16;
        overlay[std::size_t(i)] = std::sin(i * 0.3) * (i / 64.0);
    }
    image.setPixels(pixels, 1, 8, 8);
    image.setOverlay(overlay, 8, 8);
    showAndWait(image, {360, 300});
    takeShots(image, "image");
    TensorTable table;
    std::vector<float> tensor(2 * 12 * 16);
    for (std::size_t i = 0; i < tensor.size(); ++i)
        tensor[i] = float(std::sin(double(i)) * 0.5);
    table.setTensor(tensor, {2, 12, 16}, "blocks.0.attn.weight");
    showAndWait(table, {640, 360});
    takeShots(table, "tensor");
}

QTEST_MAIN(ViewsTest)
#include "views_test.moc"
