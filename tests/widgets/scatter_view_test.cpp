// Points: drawn where they are said to be and in the colours they are said to have, selected by mouse and keyboard, saved.
#include <QAction>
#include <QElapsedTimer>
#include <QFileInfo>
#include <QImage>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QWheelEvent>
#include <cmath>

#include <core/base/error.h>
#include <widgets/scatter_view.h>
#include <widgets/theme.h>

using namespace orrery;
using widgets::ScatterView;

namespace {

/// Five points of three categories, far from each other; the last has none.
void fill(ScatterView& view)
{
    view.resize(500, 400);
    view.setPoints({0, 1, 2, 3, 4}, {0, 3, 1, 4, 2});
    view.setCategories({0, 1, 2, 0, -1}, {"cat", "dog", "owl"}, "Animal");
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
}

void click(ScatterView& view, int index, Qt::KeyboardModifiers modifiers = {})
{
    QTest::mouseClick(&view, Qt::LeftButton, modifiers, view.toPixel(index).toPoint());
}

}  // namespace

class ScatterViewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void pointsHaveTheirColours();
    void clicksAndBandsSelect();
    void keysStepAndZoom();
    void numbersRunOverTheColourMap();
    void otherPointsKeepOrDropTheSelection();
    void picturesAndNumbersAreSaved();
    void notFiniteIsLeftOutAndWrongCountsAreRefused();
    void tenThousandPointsArePaintedQuickly();
};

void ScatterViewTest::pointsHaveTheirColours()
{
    ScatterView view;
    fill(view);
    for (const bool dark : {false, true}) {
        view.setPalette(widgets::Theme::palette(dark));
        const QImage shown = view.grab().toImage();
        for (int i = 0; i < 5; ++i)
            QCOMPARE(shown.pixelColor(view.toPixel(i).toPoint()).rgb(), view.pointColour(i).rgb());
        QCOMPARE(view.pointColour(0), widgets::categoryColor(0, dark));
        QCOMPARE(view.pointColour(1), widgets::categoryColor(1, dark));
        QCOMPARE(view.pointColour(4), widgets::toQColor(report::kNoValue));
    }
    QCOMPARE(view.legend(), (QStringList{"cat", "dog", "owl", "others"}));
    QVERIFY(view.toPixel(1).y() < view.toPixel(0).y());  // up is larger
    QCOMPARE(view.pointAt(view.toPixel(3)), std::optional<int>(3));
    QCOMPARE(view.pointAt((view.toPixel(0) + view.toPixel(1)) / 2), std::nullopt);
}

void ScatterViewTest::clicksAndBandsSelect()
{
    ScatterView view;
    fill(view);
    QSignalSpy selected(&view, &ScatterView::selectionChanged);
    click(view, 3);
    QCOMPARE(view.selected(), QList<int>{3});
    click(view, 1, Qt::ShiftModifier);
    QCOMPARE(view.selected(), (QList<int>{1, 3}));
    click(view, 4);
    QCOMPARE(view.selected(), QList<int>{4});
    const QPoint corner = view.toPixel(0).toPoint() + QPoint(-8, 8), other = view.toPixel(2).toPoint() + QPoint(8, -8);
    QTest::mousePress(&view, Qt::LeftButton, {}, corner);
    QTest::mouseMove(&view, (corner + other) / 2);
    QTest::mouseRelease(&view, Qt::LeftButton, {}, other);
    QCOMPARE(view.selected(), (QList<int>{0, 2}));
    QCOMPARE(selected.count(), 4);
    view.setSelected({1, 99, -1});  // from elsewhere: no signal, nothing that is not there
    QCOMPARE(view.selected(), QList<int>{1});
    QCOMPARE(selected.count(), 4);
    QSignalSpy activated(&view, &ScatterView::pointActivated);
    QTest::mouseDClick(&view, Qt::LeftButton, {}, view.toPixel(2).toPoint());
    QCOMPARE(activated.count(), 1);
    QCOMPARE(activated.first().first().toInt(), 2);
}

void ScatterViewTest::keysStepAndZoom()
{
    ScatterView view;
    fill(view);
    view.setFocus();
    QTest::keyClick(&view, Qt::Key_Right);
    QCOMPARE(view.selected(), QList<int>{0});
    QTest::keyClick(&view, Qt::Key_Right);
    QTest::keyClick(&view, Qt::Key_Right);
    QTest::keyClick(&view, Qt::Key_Left);
    QCOMPARE(view.selected(), QList<int>{1});
    QTest::keyClick(&view, Qt::Key_A, Qt::ControlModifier);
    QCOMPARE(view.selected().size(), 5);
    QTest::keyClick(&view, Qt::Key_Escape);
    QVERIFY(view.selected().isEmpty());
    const double apart = view.toPixel(4).x() - view.toPixel(0).x();
    QTest::keyClick(&view, Qt::Key_Plus);
    QVERIFY(std::abs((view.toPixel(4).x() - view.toPixel(0).x()) / apart - 1.25) < 1e-9);
    QTest::keyClick(&view, Qt::Key_Home);
    QVERIFY(std::abs(view.toPixel(4).x() - view.toPixel(0).x() - apart) < 1e-9);
    // The wheel keeps the point under the pointer where it is.
    const QPointF fixed = view.toPixel(2);
    QWheelEvent wheel(fixed, view.mapToGlobal(fixed), {}, {0, 240}, Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
    QApplication::sendEvent(&view, &wheel);
    QVERIFY((view.toPixel(2) - fixed).manhattanLength() < 1e-6);
    QVERIFY(view.toPixel(4).x() - view.toPixel(0).x() > apart * 1.1);
}

void ScatterViewTest::numbersRunOverTheColourMap()
{
    ScatterView view;
    fill(view);
    view.setNumbers({10, 20, 15, std::nan(""), 12}, "Confidence");
    QCOMPARE(view.pointColour(0), widgets::toQColor(report::viridis().at(0)));
    QCOMPARE(view.pointColour(1), widgets::toQColor(report::viridis().at(1)));
    QCOMPARE(view.pointColour(2), widgets::toQColor(report::viridis().at(0.5)));
    QCOMPARE(view.pointColour(3), widgets::toQColor(report::kNoValue));
    QVERIFY(view.toCsv().contains("\"Confidence\"\n0,0,0,0,10\n"));
}

void ScatterViewTest::otherPointsKeepOrDropTheSelection()
{
    ScatterView view;
    fill(view);
    view.setSelected({2});
    view.setPoints({5, 6, 7, 8, 9}, {1, 1, 2, 2, 3});
    QCOMPARE(view.selected(), QList<int>{2});
    QCOMPARE(view.legend().size(), 4);
    view.setPoints({1, 2}, {1, 2});
    QVERIFY(view.selected().isEmpty());
    QVERIFY(view.legend().isEmpty());
}

void ScatterViewTest::picturesAndNumbersAreSaved()
{
    QTemporaryDir folder;
    ScatterView view;
    fill(view);
    view.setSelected({1});
    QCOMPARE(view.toCsv(), QString("point,x,y,selected,\"Animal\"\n0,0,0,0,\"cat\"\n1,1,3,1,\"dog\"\n2,2,1,0,\"owl\"\n3,3,4,0,\"cat\"\n4,4,2,0,\n"));
    for (const char* ending : {"png", "svg", "pdf", "csv"}) {
        const QString file = folder.filePath(QString("points.") + ending);
        view.exportTo(file, {300, 200});
        QVERIFY2(QFileInfo(file).size() > 50, ending);
    }
    QCOMPARE(QImage(folder.filePath("points.png")).width() % 300, 0);
    QVERIFY_EXCEPTION_THROWN(view.exportTo(folder.filePath("points.gif")), core::InputError);
    QCOMPARE(view.exportActions().size(), 3);
}

void ScatterViewTest::notFiniteIsLeftOutAndWrongCountsAreRefused()
{
    ScatterView view;
    view.resize(300, 300);
    view.setPoints({0, std::nan(""), 1}, {0, 1, 1});
    view.grab();
    QCOMPARE(view.pointAt(view.toPixel(2)), std::optional<int>(2));
    QVERIFY_EXCEPTION_THROWN(view.setCategories({1}, {"a"}), core::ShapeError);
    QVERIFY_EXCEPTION_THROWN(view.setNumbers({1}, "a"), core::ShapeError);
    QVERIFY_EXCEPTION_THROWN(view.setPoints({1}, {}), core::ShapeError);
    view.setPoints({}, {});
    view.grab();
    QTest::keyClick(&view, Qt::Key_Right);
    QVERIFY(view.selected().isEmpty());
}

void ScatterViewTest::tenThousandPointsArePaintedQuickly()
{
    ScatterView view;
    view.resize(700, 600);
    std::vector<double> x, y;
    std::vector<int> categories;
    for (int i = 0; i < 10000; ++i) {
        x.push_back(std::sin(i * 0.7) * i);
        y.push_back(std::cos(i * 1.3) * i);
        categories.push_back(i % 10);
    }
    view.setPoints(x, y);
    view.setCategories(categories, {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    QElapsedTimer timer;
    timer.start();
    for (int i = 0; i < 10; ++i) {
        view.setSelected({i});
        view.repaint();
    }
    qInfo("repainting 10,000 points with a new selection: %.1f ms", double(timer.nsecsElapsed()) / 1e7);
    timer.restart();
    view.setPoints(x, y);
    view.repaint();
    qInfo("painting 10,000 new points: %.1f ms", double(timer.nsecsElapsed()) / 1e6);
    QCOMPARE(view.count(), 10000);
}

QTEST_MAIN(ScatterViewTest)
#include "scatter_view_test.moc"
