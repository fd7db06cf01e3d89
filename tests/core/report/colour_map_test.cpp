#include <core/base/error.h>
#include <core/report/colour_map.h>

#include <QtTest>
#include <cmath>
#include <limits>

using namespace orrery;
using namespace orrery::report;

class ColourMapTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    /// matplotlib 3.6.3, `_cm_listed.py` (viridis) and `_cm.py` (coolwarm, Moreland's own table of 33 colours), times 255.
    void givesPublishedValues_data()
    {
        QTest::addColumn<QString>("map");
        QTest::addColumn<double>("position");
        QTest::addColumn<QList<double>>("expected");
        QTest::newRow("viridis, first") << "viridis" << 0.0 << QList<double>{0.267004 * 255, 0.004874 * 255, 0.329415 * 255};
        QTest::newRow("viridis, entry 127") << "viridis" << 127 / 255.0 << QList<double>{0.128729 * 255, 0.563265 * 255, 0.551229 * 255};
        QTest::newRow("viridis, entry 128") << "viridis" << 128 / 255.0 << QList<double>{0.127568 * 255, 0.566949 * 255, 0.550556 * 255};
        QTest::newRow("viridis, last") << "viridis" << 1.0 << QList<double>{0.993248 * 255, 0.906157 * 255, 0.143936 * 255};
        QTest::newRow("coolwarm, 0") << "coolwarm" << 0.0 << QList<double>{58.6004535, 76.17308133, 192.189204015};
        QTest::newRow("coolwarm, 1/4") << "coolwarm" << 0.25 << QList<double>{141.003055, 175.676980, 253.820780};
        QTest::newRow("coolwarm, centre") << "coolwarm" << 0.5 << QList<double>{220.675775, 220.679604, 220.675868};
        QTest::newRow("coolwarm, 3/4") << "coolwarm" << 0.75 << QList<double>{244.290782, 153.724820, 122.852858};
        QTest::newRow("coolwarm, 1") << "coolwarm" << 1.0 << QList<double>{179.946655, 3.966821, 38.309367};
    }

    void givesPublishedValues()
    {
        QFETCH(QString, map);
        QFETCH(double, position);
        QFETCH(QList<double>, expected);
        const Rgb colour = colourMap(map.toStdString()).at(position);
        QVERIFY(std::abs(colour.r - expected[0]) <= 0.52);
        QVERIFY(std::abs(colour.g - expected[1]) <= 0.52);
        QVERIFY(std::abs(colour.b - expected[2]) <= 0.52);
    }

    void lightnessIsThatOfKnownColours()
    {
        QCOMPARE(lightness({0, 0, 0}), 0.0);
        QVERIFY(std::abs(lightness({255, 255, 255}) - 100) < 1e-3);
        // sRGB primaries: CIELAB L* 53.24, 87.73, 32.30.
        QVERIFY(std::abs(lightness({255, 0, 0}) - 53.24) < 0.01);
        QVERIFY(std::abs(lightness({0, 255, 0}) - 87.73) < 0.01);
        QVERIFY(std::abs(lightness({0, 0, 255}) - 32.30) < 0.01);
    }

    void sequentialMapsGetSteadilyLighter()
    {
        for (const ColourMap* map : {&viridis(), &grey()})
            for (int i = 1; i <= 64; ++i)
                QVERIFY2(lightness(map->at(i / 64.0)) > lightness(map->at((i - 1) / 64.0)), map->name().c_str());
    }

    void divergingMapIsLightestInTheCentreAndEvenOnBothSides()
    {
        for (int i = 1; i <= 32; ++i) {
            QVERIFY(lightness(coolwarm().at(0.5 - i / 64.0)) < lightness(coolwarm().at(0.5 - (i - 1) / 64.0)));
            QVERIFY(lightness(coolwarm().at(0.5 + i / 64.0)) < lightness(coolwarm().at(0.5 + (i - 1) / 64.0)));
            QVERIFY(std::abs(lightness(coolwarm().at(0.5 - i / 64.0)) - lightness(coolwarm().at(0.5 + i / 64.0))) < 1.5);
        }
        const Rgb centre = coolwarm().atSymmetric(0, 3);
        QCOMPARE(centre.r, centre.g);
        QCOMPARE(centre.g, centre.b);
    }

    void scalesClampsAndMarksNaN()
    {
        const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
        QCOMPARE(viridis().at(-1), viridis().at(0));
        QCOMPARE(viridis().at(infinity), viridis().at(1));
        QCOMPARE(viridis().at(nan), kNoValue);
        QCOMPARE(coolwarm().atSymmetric(-2, 2), coolwarm().at(0));
        QCOMPARE(coolwarm().atSymmetric(1, 2), coolwarm().at(0.75));
        QCOMPARE(coolwarm().atSymmetric(5, 0), coolwarm().at(0.5));
        QCOMPARE(grey().atScaled(3, 1, 5), grey().at(0.5));
        QCOMPARE(grey().atScaled(nan, 1, 5), kNoValue);
    }

    void categoricalColoursAreThePublishedOnes()
    {
        QCOMPARE(okabeIto().size(), std::size_t(8));
        QCOMPARE(hexColour(okabeIto()[0]), std::string("#000000"));
        QCOMPARE(hexColour(okabeIto()[1]), std::string("#e69f00"));
        QCOMPARE(hexColour(okabeIto()[7]), std::string("#cc79a7"));
        for (std::size_t i = 0; i < 7; ++i)
            for (std::size_t j = 0; j < i; ++j)
                QVERIFY(seriesColour(i) != seriesColour(j));
        QCOMPARE(seriesColour(7), seriesColour(0));
    }

    void unknownNameSuggestsTheNearest()
    {
        try {
            colourMap("virdis");
            QFAIL("expected an InputError");
        } catch (const core::InputError& error) {
            QCOMPARE(std::string(error.what()), std::string("unknown colour map \"virdis\"; did you mean \"viridis\"?"));
        }
    }
};

QTEST_APPLESS_MAIN(ColourMapTest)
#include "colour_map_test.moc"
