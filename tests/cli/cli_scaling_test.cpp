// orrery-cli scaling: fits, intervals, profiles and plans of known laws; points from runs; every fault with its sentence.
#include <QRegularExpression>
#include <csignal>

#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/store/workspace.h>

#include "cli_process.h"
#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;
using core::Json;

class CliScalingTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    static double lossOf(double N, double D) { return 1.69 + 406.4 / std::pow(N, 0.34) + 410.7 / std::pow(D, 0.28); }
    static std::string chinchillaTable(double noise)
    {
        core::SplitMix64 random(3);
        std::string text = "N,D,loss\n";
        for (int i = 0; i < 8; ++i)
            for (int k = 0; k < 8; ++k) {
                const double N = 5e7 * std::pow(1.9, i), D = 1e9 * std::pow(2, k);
                text += fmt::format("{:.17g},{:.17g},{:.17g}\n", N, D, lossOf(N, D) * (1 + noise * (random.uniform() - 0.5)));
            }
        return text;
    }
    static double number(const Json& document, const char* name) { return document.at("parameters").at(name).get<double>(); }
private Q_SLOTS:
    void initTestCase()
    {
        m_cli.write("exact.csv", chinchillaTable(0));
        m_cli.write("noisy.csv", chinchillaTable(0.01));
        std::string curve = "samples,val_loss\n", steep = "x,loss\n", flat = "x,loss\n";
        for (int i = 0; i < 16; ++i) {
            const double x = 10 * std::pow(2, i);
            curve += fmt::format("{:.17g},{:.17g}\n", x / 1000, 8 * std::pow(x, -0.4) + 0.6);
            steep += fmt::format("{:.17g},{:.17g}\n", x, 4 * std::pow(x, -0.5));
            flat += fmt::format("{:.17g},{:.17g}\n", x, std::pow(x, -0.25));
        }
        m_cli.write("curve.csv", curve);
        m_cli.write("steep.csv", steep);
        m_cli.write("flat.csv", flat);
        m_cli.write("header.csv", "N,D,los\n1,2,3\n");
        m_cli.write("ragged.csv", "N,D,loss\n1,2,3\n1,2\n");
        m_cli.write("nan.csv", "N,D,loss\n1,2,3\n1,2,nan\n");
        m_cli.write("empty.csv", "");
        m_cli.write("bare.csv", "1000000,100000000,3\n2000000,100000000,2\n");
        m_cli.write("twice.csv", "N,D,loss,loss\n1,2,3,3\n2,3,2.5,2.5\n");
        m_cli.write("commas.csv", "N;D;loss\n1;2;2,5\n");
        m_cli.write("thousands.csv", "N,D,loss\n\"1,000,000\",2,2.5\n");
        m_cli.write("wide.csv", std::string("\xff\xfeN\0,\0D\0", 8));
        m_cli.write("zero.csv", std::string("N,D,loss\n1,2,\0", 14));
        m_cli.write("same.csv", "N,D,loss\n1,2,3\n1,2,3.1\n1,2,2.9\n1,2,3\n1,2,3\n1,2,3\n");
        m_cli.write("few.csv", "N,D,loss\n1,2,3\n2,3,2.5\n");
    }

    void allFiveParametersAreFound()
    {
        const auto fit = m_cli.json({"scaling", "fit", "exact.csv", "--law", "chinchilla"});
        for (const auto& [name, truth] :
             std::vector<std::pair<const char*, double>>{{"E", 1.69}, {"A", 406.4}, {"B", 410.7}, {"alpha", 0.34}, {"beta", 0.28}})
            QVERIFY2(std::abs(number(fit, name) / truth - 1) < 1e-8, name);
        QVERIFY(fit.at("law") == "chinchilla" && fit.at("rows") == 64 && fit.at("objective").at("name") == "huber");
        QVERIFY(fit.at("objective").at("value").get<double>() < 1e-20);
        QVERIFY(fit.at("certificate").at("starts") == 4500);
    }

    void peopleReadATable()
    {
        const auto answer =
            m_cli.compute({"scaling", "fit", "curve.csv", "--law", "power_law_floor", "--column", "loss=val_loss", "--scale", "x=1000", "--hold-out",
                           "samples", "--below", "40000", "--resamples", "20", "--plot", "fit.svg", "--out", "fit.json"});
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        for (const char* text :
             {"power_law_floor: a x^-b + c", "12 rows, huber (delta 0.001) of ln loss", "\nb                      0.4    0.4 to 0.4\n",
              "held out: 4 rows with x >= 40000", "written to fit.json", "written to fit.svg"})
            QVERIFY2(answer.out.contains(text), qPrintable(text + (" in " + answer.out)));
        QVERIFY(m_cli.read("fit.svg").find("<svg") != std::string::npos);
        const auto kept = Json::parse(m_cli.read("fit.json"));
        QVERIFY(std::abs(number(kept, "a") - 8) < 1e-5);
        QVERIFY(kept.at("held_out").at("largest_error").get<double>() < 1e-6);
    }

    void objectivesAndSpacesAreChosen()
    {
        for (const char* objective : {"huber", "least_squares", "absolute"})
            for (const char* space : {"log", "linear"}) {
                const auto fit = m_cli.json({"scaling", "fit", "steep.csv", "--law", "power_law", "--objective", objective, "--space", space});
                QVERIFY(fit.at("objective").at("name") == objective && fit.at("objective").at("space") == space);
                QVERIFY2(std::abs(number(fit, "b") - 0.5) < 1e-7, objective);
            }
        const auto random = m_cli.json({"scaling", "fit", "curve.csv", "--x", "samples", "--column", "loss=val_loss", "--law", "power_law_floor",
                                        "--search", "random", "--starts", "30", "--seed", "4"});
        QVERIFY(random.at("certificate").at("starts") == 30 && std::abs(number(random, "b") - 0.4) < 1e-6);
        const auto own =
            m_cli.json({"scaling", "fit", "steep.csv", "--law", "expression", "--set", "text=k * x ^ (-p)", "--set", "ranges.p=[-2, 2]"});
        QVERIFY(std::abs(number(own, "p") - 0.5) < 1e-7 && std::abs(number(own, "k") - 4) < 1e-6);
    }

    void bootstrapSaysHowCertain()
    {
        const auto first = m_cli.json({"scaling", "bootstrap", "noisy.csv", "--law", "chinchilla", "--resamples", "40", "--seed", "1", "--search",
                                       "random", "--starts", "100"});
        QVERIFY(first.at("bootstrap").at("resamples") == 40 && first.at("bootstrap").at("level") == 0.9);
        for (const auto& [name, truth] : std::vector<std::pair<const char*, double>>{{"E", 1.69}, {"alpha", 0.34}, {"beta", 0.28}}) {
            const auto& interval = first.at("bootstrap").at("intervals").at(name);
            const double low = interval[0].get<double>(), high = interval[1].get<double>();
            QVERIFY2(low < high && low < number(first, name) && number(first, name) < high && low < truth + 0.03 && truth - 0.03 < high, name);
        }
        const auto again = m_cli.json({"scaling", "bootstrap", "noisy.csv", "--law", "chinchilla", "--resamples", "40", "--seed", "1", "--search",
                                       "random", "--starts", "100", "--threads", "2"});
        QVERIFY(again == first);
    }

    void isoflopFindsTheExponents()
    {
        std::string text = "params,C,loss\n";
        for (const double budget : {1e18, 1e19, 1e20, 1e21})
            for (int i = -3; i <= 3; ++i) {
                const double best = 0.6 * std::pow(budget / 6, 0.28 / 0.62), N = best * std::pow(1.5, i);
                text += fmt::format("{:.17g},{:.17g},{:.17g}\n", N / 1e6, budget, lossOf(N, budget / 6 / N));
            }
        m_cli.write("iso.csv", text);
        const auto result = m_cli.json({"scaling", "isoflop", "iso.csv", "--column", "N=params", "--scale", "N=1e6", "--budget", "1e22", "--plot",
                                        "iso.svg", "--resamples", "50"});
        QVERIFY(result.at("profiles").size() == 4 && result.at("used") == 4);
        QVERIFY(std::abs(result.at("N").at("exponent").get<double>() - 0.28 / 0.62) < 0.01);
        QVERIFY(std::abs(result.at("D").at("exponent").get<double>() - 0.34 / 0.62) < 0.01);
        QVERIFY(result.at("N").at("exponent_interval").size() == 2);
        const auto& planned = result.at("budgets")[0];
        QVERIFY(std::abs(6 * planned.at("N").get<double>() * planned.at("D").get<double>() / 1e22 - 1) < 1e-6);
        QVERIFY(m_cli.has("iso.svg"));
        QVERIFY(m_cli.compute({"scaling", "isoflop", "iso.csv", "--column", "N=params", "--scale", "N=1e6"}).out.contains("best N"));
    }

    void plansFollowTheClosedForm()
    {
        const auto plan = m_cli.json(
            {"scaling", "plan", "chinchilla?E=1.69&A=406.4&B=410.7&alpha=0.34&beta=0.28", "--budget", "5.76e23", "--at", "N=70e9,D=1.4e12"});
        const double G = std::pow(0.34 * 406.4 / (0.28 * 410.7), 1 / 0.62), N = G * std::pow(5.76e23 / 6, 0.28 / 0.62);
        QVERIFY(std::abs(plan.at("budgets")[0].at("N").get<double>() / N - 1) < 1e-10);
        QVERIFY(std::abs(plan.at("losses")[0].at("loss").get<double>() - lossOf(70e9, 1.4e12)) < 1e-12);
        m_cli.json({"scaling", "fit", "exact.csv", "--search", "random", "--starts", "200", "--out", "c.json"});
        QVERIFY(std::abs(m_cli.json({"scaling", "plan", "c.json", "--budget", "5.76e23"}).at("budgets")[0].at("N").get<double>() / N - 1) < 1e-5);
        m_cli.json({"scaling", "fit", "steep.csv", "--law", "power_law", "--out", "steep.json"});
        m_cli.json({"scaling", "fit", "flat.csv", "--law", "power_law", "--out", "flat.json"});
        const auto crossing = m_cli.json({"scaling", "plan", "steep.json", "--against", "flat.json", "--from", "1", "--to", "1e6"});
        QVERIFY(std::abs(crossing.at("crossings")[0].at("x").get<double>() / 256 - 1) < 1e-6);
        QVERIFY(m_cli.compute({"scaling", "plan", "steep.json", "--against", "flat.json", "--from", "1e4", "--to", "1e6"})
                    .out.contains("no crossing between 10000 and 1e+06"));
    }

    void fitsAreKeptInAWorkspace()
    {
        const auto fit =
            m_cli.json({"scaling", "bootstrap", "noisy.csv", "--resamples", "20", "--search", "random", "--starts", "60", "--workspace", "kept"});
        QCOMPARE(fit.at("analysis").get<int>(), 1);
        const auto plan = m_cli.json({"scaling", "plan", "analysis:1", "--budget", "1e21", "--workspace", "kept"});
        const auto& interval = plan.at("budgets")[0].at("intervals").at("N");
        QVERIFY(interval[0].get<double>() < plan.at("budgets")[0].at("N").get<double>() &&
                plan.at("budgets")[0].at("N").get<double>() < interval[1].get<double>());
        VERIFY_REFUSED(m_cli.compute({"scaling", "plan", "analysis:7", "--budget", "1e21", "--workspace", "kept"}), 2, "analysis 7");
    }

    void pointsComeFromRuns()
    {
        m_cli.write("small.yaml", test::kSmallTraining);
        for (const char* steps : {"4", "8", "16"})
            m_cli.json({"train", "small.yaml", "--set", "train.epochs=null", "--set", QString("train.steps=%1").arg(steps), "--workspace", "w"});
        const auto fit = m_cli.json({"scaling", "fit", "--runs", "", "--workspace", "w", "--law", "power_law", "--column", "loss=test/loss",
                                     "--column", "x=train.steps*train.batch_size"});
        QCOMPARE(fit.at("rows").get<int>(), 3);
        QVERIFY(fit.contains("analysis"));
        // The table of the runs gives the same fit again.
        m_cli.json({"scaling", "fit", "--runs", "steps >= 4", "--workspace", "w", "--law", "power_law", "--column", "loss=test/loss", "--column",
                    "x=train.steps*train.batch_size", "--points", "points.csv"});
        QVERIFY(m_cli.read("points.csv").starts_with("run,loss,x\n1,"));
        QVERIFY(m_cli.json({"scaling", "fit", "points.csv", "--law", "power_law"}).at("parameters") == fit.at("parameters"));
        VERIFY_REFUSED(m_cli.compute({"scaling", "fit", "--runs", "", "--workspace", "w", "--column", "D=train.steps", "--column", "loss=test/los"}),
                       2, "unknown metric \"test/los\"; did you mean \"test/loss\"?");
        VERIFY_REFUSED(m_cli.compute({"scaling", "fit", "--runs", "nosuchname", "--workspace", "w", "--law", "power_law", "--x", "train.steps",
                                      "--column", "loss=test/loss"}),
                       2, "no run of the workspace matches the query");
    }

    // The shipped table: sixteen tiny GPTs, and the larger one that their law predicts.
    void theProjectsLawPredictsItsLargerRun()
    {
        const auto fit = m_cli.json({"scaling", "fit", m_cli.project("scaling/results.csv"), "--hold-out", "N", "--below", "3e5"});
        QCOMPARE(fit.at("rows").get<int>(), 16);
        QCOMPARE(fit.at("held_out").at("rows").size(), std::size_t(1));
        QVERIFY2(fit.at("held_out").at("largest_error").get<double>() < 0.05, fit.dump().c_str());
    }

    // The shipped table of equal compute: each model follows its law, and the GPT leads where the time is longest.
    void lawsOfEqualComputeAreFitted()
    {
        const std::string table = core::readFile(m_cli.project("equal-compute/results.csv").toStdString());
        const std::string header = table.substr(0, table.find('\n') + 1);
        std::map<std::string, double> longest;
        for (const std::string model : {"gpt", "lstm"}) {
            std::string own = header;
            for (const std::string& line : core::split(table, '\n'))
                if (line.starts_with(model + ","))
                    own += line + "\n";
            m_cli.write(model + "-rows.csv", own);
            const auto fit = m_cli.json({"scaling", "fit", QString::fromStdString(model + "-rows.csv"), "--law", "power_law_floor", "--x", "compute",
                                         "--out", QString::fromStdString(model + "-law.json")});
            QVERIFY(fit.at("rows") == 6 && fit.at("r2").get<double>() > 0.95);
            const std::string last = own.substr(own.find_last_of(',') + 1);
            longest[model] = std::stod(last);
        }
        QVERIFY(longest["gpt"] < longest["lstm"]);
        QVERIFY(
            m_cli.json({"scaling", "plan", "gpt-law.json", "--against", "lstm-law.json", "--from", "0.1", "--to", "1e6"}).at("crossings").empty());
    }

    // Its documents run: the shortest piece of the sweep, cut shorter.
    void theProjectsSweepRuns()
    {
        const auto sweep =
            m_cli.json({"sweep", m_cli.project("scaling/sweep.yaml"), "--workspace", "project", "--set", "data.limit=64", "--set", "train.warmup=0",
                        "--set", "sweep.parameters={\"model.width\": {\"choices\": [8, 16]}, \"train.steps\": {\"choices\": [2, 4]}}"});
        QVERIFY(sweep.contains("trials"));
        const auto fit =
            m_cli.json({"scaling", "fit", "--runs", "name ~ scaling", "--workspace", "project", "--law", "expression", "--set",
                        "text=a / N ^ b / D ^ c", "--column", "loss=test/loss", "--column", "D=train.steps*train.batch_size*data.block_length"});
        QCOMPARE(fit.at("rows").get<int>(), 4);
    }

    void wrongRequestsAreStatusTwo_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        const auto fit = [](const QStringList& more) { return QStringList{"fit"} + more; };
        QTest::newRow("no file") << fit({"nosuch.csv"}) << "nosuch.csv: expected a CSV file, found none";
        QTest::newRow("neither file nor runs") << fit({}) << "expected a CSV file, or --runs QUERY with a workspace";
        QTest::newRow("both") << fit({"exact.csv", "--runs", ""}) << "expected a CSV file or --runs, got both";
        QTest::newRow("runs without source") << fit({"--runs", ""}) << "--runs: expected --column D=SOURCE";
        QTest::newRow("header without the column") << fit({"header.csv"})
                                                   << "header.csv: expected a column \"loss\"; did you mean \"los\"?; the columns are N, D, los";
        QTest::newRow("ragged row") << fit({"ragged.csv"}) << "ragged.csv: line 3: expected 3 fields, got 2";
        QTest::newRow("NaN") << fit({"nan.csv"}) << "nan.csv: line 3, column \"loss\": expected a finite number > 0, found none, or NaN";
        QTest::newRow("no header") << fit({"bare.csv"}) << "the columns are 1000000, 100000000, 3: the first line should hold names";
        QTest::newRow("two columns of one name") << fit({"twice.csv"}) << "twice.csv: expected one column \"loss\", found several of that name";
        QTest::newRow("decimal commas") << fit({"commas.csv"})
                                        << "line 2, column \"loss\": expected a finite number > 0, found \"2,5\": numbers want a point";
        QTest::newRow("thousands parted") << fit({"thousands.csv"}) << "found \"1,000,000\": numbers want a point and no commas";
        QTest::newRow("UTF-16") << fit({"wide.csv"}) << "wide.csv: expected a table in UTF-8, got one in UTF-16";
        QTest::newRow("bytes that are no text") << fit({"zero.csv"}) << "zero.csv: expected a table of text, found a zero at byte 13";
        QTest::newRow("a folder") << fit({"."}) << "expected a CSV file, found a folder";
        QTest::newRow("one place again and again") << fit({"same.csv"})
                                                   << "same.csv: expected rows at 5 or more different places (N, D) to fit 5 parameters of";
        QTest::newRow("isoflop of one resample") << QStringList{"isoflop", "exact.csv", "--resamples", "1"}
                                                 << "expected no resamples or at least 2, got 1";
        QTest::newRow("isoflop of endless FLOPs") << QStringList{"isoflop", "exact.csv", "--flops", "inf"}
                                                  << "expected a finite number above 0, got \"inf\"";
        QTest::newRow("isoflop at no level") << QStringList{"isoflop", "exact.csv", "--level", "nan"}
                                             << "expected a number from 0.01 to 0.9999, got \"nan\"";
        QTest::newRow("empty table") << fit({"empty.csv"}) << "empty.csv: expected a table with rows, got none";
        QTest::newRow("fewer rows than parameters")
            << fit({"few.csv"}) << "few.csv: expected at least 5 rows to fit 5 parameters of E + A / N^alpha + B / D^beta, got 2";
        QTest::newRow("unknown law") << fit({"exact.csv", "--law", "chinchila"}) << "unknown law \"chinchila\"; did you mean \"chinchilla\"?";
        QTest::newRow("bad objective")
            << fit({"exact.csv", "--objective", "hubber"})
            << "objective: expected one of \"huber\", \"least_squares\", \"absolute\", got \"hubber\"; did you mean \"huber\"?";
        QTest::newRow("bad space") << fit({"exact.csv", "--space", "logs"}) << "space: expected one of \"log\", \"linear\", got \"logs\"";
        QTest::newRow("bad delta") << fit({"exact.csv", "--delta", "0"}) << "delta: expected a number > 0, got 0";
        QTest::newRow("bad scale") << fit({"exact.csv", "--scale", "N=-1"}) << "--scale N=-1: expected NAME=FACTOR with a number > 0";
        QTest::newRow("bad column") << fit({"exact.csv", "--column", "loss"}) << "--column loss: expected NAME=COLUMN";
        QTest::newRow("column of nothing") << fit({"exact.csv", "--column", "M=N"}) << "column of \"M\": the law takes loss and N, D";
        QTest::newRow("hold out of nothing") << fit({"exact.csv", "--hold-out", "C", "--below", "5"})
                                             << "hold out: expected an input of the law (N, D), got \"C\"";
        QTest::newRow("nothing below") << fit({"exact.csv", "--hold-out", "N", "--below", "5"}) << "all 64 lie at or above";
        QTest::newRow("x is not known") << fit({"exact.csv", "--law", "power_law"}) << "which column is x (--x COLUMN); the columns are N, D, loss";
        QTest::newRow("bad plot") << fit({"exact.csv", "--plot", "fit.bmp"}) << "--plot fit.bmp: expected a file ending in .svg";
        QTest::newRow("expression without column") << fit({"exact.csv", "--law", "expression", "--set", "text=a + b"})
                                                   << "expected the name of a column in it; there are N, D";
        QTest::newRow("one resample") << QStringList{"bootstrap", "steep.csv", "--law", "power_law", "--resamples", "1"}
                                      << "at least 2 resamples, got 1";
        QTest::newRow("isoflop of too few") << QStringList{"isoflop", "few.csv"} << "expected at least 3 different N, got 1";
        QTest::newRow("plan of nothing") << QStringList{"plan", "nosuch.json", "--budget", "1e20"}
                                         << "nosuch.json: expected a file of `scaling fit --out`";
        QTest::newRow("plan without question") << QStringList{"plan", "chinchilla?E=1"} << "expected --budget FLOPS, --at PLACE or --against FIT";
        QTest::newRow("plan without parameters") << QStringList{"plan", "chinchilla?E=1", "--budget", "1e20"}
                                                 << "parameters.A: expected a number, found none";
        QTest::newRow("plan of one input") << QStringList{"plan", "power_law?a=1&b=0.5", "--budget", "1e20"}
                                           << "expected a law of N and D, a x^-b takes x";
        QTest::newRow("plan of a table") << QStringList{"plan", "exact.csv", "--budget", "1e20"} << "exact.csv";
        QTest::newRow("plan of a negative budget") << QStringList{"plan", "chinchilla?E=1.69&A=406.4&B=410.7&alpha=0.34&beta=0.28", "--budget=-1"}
                                                   << "budget: expected a finite number > 0, got -1";
        QTest::newRow("unknown subcommand") << QStringList{"fitt"} << "unknown command \"fitt\"; did you mean \"fit\"?";
    }
    void wrongRequestsAreStatusTwo()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        VERIFY_REFUSED(m_cli.compute(QStringList{"scaling"} + arguments), 2, message);
    }

    void whereNothingCanBeWrittenNothingIsComputed()
    {
        for (const char* const option : {"--out", "--points", "--plot"}) {
            const auto answer = m_cli.compute({"scaling", "bootstrap", "noisy.csv", "--resamples", "1000000", option, "no/such.svg"});
            VERIFY_REFUSED(answer, 1, "no/such.svg: cannot be written: No such file or directory");
        }
    }

    void pointsThatLeaveParametersOpenAreSaidSo()
    {
        // One N: what N takes off the loss and what nothing takes off cannot be told apart.
        std::string text = "N,D,loss\n";
        for (int k = 0; k < 8; ++k)
            text += fmt::format("1e8,{:.17g},{:.17g}\n", 1e9 * std::pow(2, k), lossOf(1e8, 1e9 * std::pow(2, k)));
        m_cli.write("open.csv", text);
        const QString said = "these rows leave parameters open: other values of them fit as well";
        QVERIFY(m_cli.compute({"scaling", "fit", "open.csv", "--search", "random", "--starts", "30"}).out.contains(said));
        QVERIFY(!m_cli.compute({"scaling", "fit", "exact.csv", "--search", "random", "--starts", "30"}).out.contains(said));
    }

    void anInterruptEndsTheBootstrapCleanly()
    {
        QProcess process;
        m_cli.start(process, {"scaling", "bootstrap", "noisy.csv", "--resamples", "1000000", "--search", "random", "--starts", "20", "--threads", "1",
                              "--workspace", "interrupted"});
        QTRY_VERIFY_WITH_TIMEOUT(m_cli.has("interrupted/orrery.db") && test::computedSeconds(process.processId()) > 1.5, 60'000);
        ::kill(pid_t(process.processId()), SIGINT);
        QVERIFY(process.waitForFinished(20'000));
        QCOMPARE(process.exitCode(), 130);
        QVERIFY(process.readAllStandardError().contains("interrupted"));
        QVERIFY(store::Workspace::open(m_cli.path("interrupted"))->analyses().empty());
    }
};

QTEST_GUILESS_MAIN(CliScalingTest)
#include "cli_scaling_test.moc"
