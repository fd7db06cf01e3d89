// Point clouds on the command line: scene info, convert, filter.
#include "cli_runner.h"

using namespace orrery;

namespace {

// A grid of 20 x 20 points on z = 0 in two colours, with intensities 0 to 399, and one far point.
std::string grid()
{
    std::string text = "x,y,z,red,green,blue,intensity\n";
    for (int i = 0; i < 400; ++i)
        text += fmt::format("{},{},0,{},0,0,{}\n", i % 20, i / 20, i < 200 ? 255 : 0, i);
    return text + "100,100,100,1,2,3,5000\n";
}

}  // namespace

class CliSceneTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void infoShowsWhatAFileHolds()
    {
        const test::Cli cli;
        cli.write("a.csv", grid());
        const auto info = cli.json({"scene", "info", "a.csv"});
        QVERIFY(info.at("format") == "csv" && info.at("points") == 401 && info.at("triangles") == 0 && info.at("colours") == true);
        QVERIFY(info.at("bounds").at("high") == core::Json({100, 100, 100}));
        QVERIFY(info.at("fields")[0] ==
                core::Json({{"name", "intensity"}, {"min", 0.0}, {"max", 5000.0}, {"mean", (399 * 200 + 5000) / 401.0}, {"missing", 0}}));
        QVERIFY(info.at("bytes") == 401 * (12 + 3 + 4));
        const auto text = cli.run({"scene", "info", "a.csv"});
        QCOMPARE(text.status, 0);
        QVERIFY2(text.out.contains("401 points, 0 triangles, 0 edges; colours; ") && text.out.contains("x from 0 to 100"), qPrintable(text.out));
    }

    void droppedPointsAreReported()
    {
        const test::Cli cli;
        cli.write("n.xyz", "0 0 0\nnan 1 1\n2 2 2\n");
        const auto answer = cli.run({"scene", "info", "n.xyz"});
        QVERIFY2(answer.error.contains("left out: 1 points whose coordinates are NaN or infinite"), qPrintable(answer.error));
        QVERIFY(cli.json({"scene", "info", "n.xyz"}).at("dropped") == 1);
    }

    void convertGoesThroughEveryFormatAndBack()
    {
        const test::Cli cli;
        cli.write("a.csv", grid());
        QString before = "a.csv";
        for (const char* next : {"a.ply", "a.pcd", "a.las", "a.xyz"}) {
            QVERIFY(cli.json({"scene", "convert", before, next}).at("lost").empty());
            before = next;
        }
        cli.json({"scene", "convert", "a.ply", "b.ply", "--set", "encoding=ascii"});
        QVERIFY(cli.read("b.ply").starts_with("ply\nformat ascii 1.0\n"));
        cli.json({"scene", "convert", "b.ply", "c.ply"});
        QVERIFY(cli.read("c.ply") == cli.read("a.ply"));
        const auto last = cli.json({"scene", "info", "a.xyz"});
        QVERIFY(last.at("points") == 401 && last.at("fields")[0].at("max") == 5000.0);
        const auto answer = cli.run({"scene", "convert", "a.ply", "a.obj"});
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.error.contains("obj has no place for: field intensity"), qPrintable(answer.error));
    }

    void filtersAreAppliedInTheirOrder()
    {
        const test::Cli cli;
        cli.write("a.csv", grid());
        const auto document = cli.json({"scene", "filter", "a.csv", "out.ply", "--apply", "radius_outlier?radius=2&neighbours=2", "--apply",
                                        "plane?distance=0.1&keep=plane", "--apply", "voxel?size=10"});
        QVERIFY(document.at("points") == 4);
        QVERIFY(document.at("filters")[0].at("points") == 400);
        QVERIFY(document.at("filters")[1].at("details").at("inliers") == 400);
        QVERIFY(document.at("filters")[2].at("parameters").at("take") == "mean");
        // The mean of each quarter of the grid.
        const auto info = cli.json({"scene", "info", "out.ply"});
        QVERIFY(info.at("bounds").at("low") == core::Json({4.5, 4.5, 0.0}) && info.at("bounds").at("high") == core::Json({14.5, 14.5, 0.0}));
        const auto text = cli.run({"scene", "filter", "a.csv", "out.ply", "--apply", "crop?high=19,19,0"});
        QVERIFY2(text.out.startsWith("crop?high=19.0,19.0,0.0: 400 points"), qPrintable(text.out + text.error));
    }

    void theSeedDecidesARandomChoice()
    {
        const test::Cli cli;
        cli.write("a.csv", grid());
        for (const char* name : {"1.ply", "2.ply"})
            cli.json({"scene", "filter", "a.csv", name, "--apply", "random?count=50", "--seed", "3"});
        cli.json({"scene", "filter", "a.csv", "3.ply", "--apply", "random?count=50", "--seed", "4"});
        QVERIFY(cli.read("1.ply") == cli.read("2.ply") && cli.read("1.ply") != cli.read("3.ply"));
    }

    void badCallsAreRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("no subcommand") << QStringList{"scene"} << "subcommand is required";
        QTest::newRow("no file") << QStringList{"scene", "info"} << "file is required";
        QTest::newRow("unknown format") << QStringList{"scene", "info", "a.dat"} << "a.dat: not a known file of points";
        QTest::newRow("damaged") << QStringList{"scene", "info", "cut.ply"}
                                 << "cut.ply: element vertex announces 9 entries of at least 12 bytes, but 4 bytes are left";
        QTest::newRow("only NaN") << QStringList{"scene", "info", "nan.xyz"} << "expected at least one point with finite coordinates; all 1 are NaN";
        QTest::newRow("empty") << QStringList{"scene", "info", "empty.ply"} << "the file is empty";
        QTest::newRow("wrong name") << QStringList{"scene", "convert", "a.xyz", "out.jpg"} << "the extension does not name a format of points";
        QTest::newRow("wrong encoding") << QStringList{"scene", "convert", "a.xyz", "out.ply", "--set", "encoding=morse"} << "encoding";
        QTest::newRow("no filter") << QStringList{"scene", "filter", "a.xyz", "out.ply"} << "--apply is required";
        QTest::newRow("unknown filter") << QStringList{"scene", "filter", "a.xyz", "out.ply", "--apply", "voxl?size=1"} << "did you mean \"voxel\"?";
        QTest::newRow("out of range") << QStringList{"scene", "filter", "a.xyz", "out.ply", "--apply", "voxel?size=0"}
                                      << "size: expected a number > 0, got 0";
        QTest::newRow("nothing left") << QStringList{"scene", "filter", "a.xyz", "out.ply", "--apply", "crop?low=9,9,9"}
                                      << "none of the 2 points would be left";
    }
    void badCallsAreRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        const test::Cli cli;
        cli.write("a.xyz", "0 0 0\n1 1 1\n");
        cli.write("a.dat", "hello");
        cli.write("nan.xyz", "nan 0 0\n");
        cli.write("empty.ply", "");
        cli.write("cut.ply",
                  "ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\nproperty float y\nproperty float z\nend_header\nabcd");
        cli.write("out.ply", "what was there");
        VERIFY_REFUSED(cli.run(arguments), 2, message);
        QVERIFY(cli.read("out.ply") == "what was there");
    }

    void aMissingFileAndAFullFolderFail()
    {
        const test::Cli cli;
        const auto answer = cli.run({"scene", "info", "none.ply"});
        QVERIFY(answer.status != 0 && answer.error.contains("none.ply"));
        cli.write("a.xyz", "0 0 0\n");
        const auto second = cli.run({"scene", "convert", "a.xyz", "no/such/folder/out.ply"});
        QVERIFY(second.status != 0 && second.error.contains("no/such/folder"));
    }
};

QTEST_GUILESS_MAIN(CliSceneTest)
#include "cli_scene_test.moc"
