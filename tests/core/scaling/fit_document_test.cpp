// Fits as documents: both ways, in a workspace, and what is refused.
#include <QTemporaryDir>
#include <QTest>

#include "../message_of.h"
#include "scaling_test_support.h"

using namespace orrery;
using namespace orrery::scaling;
using core::Json;

class FitDocumentTest : public QObject {
    Q_OBJECT
    jobs::DirectContext m_context{{}, 2};

    static Table tableOf(const Points& points)
    {
        Table table;
        table.name = points.name;
        table.names = points.inputNames;
        table.columns = points.inputs;
        table.names.push_back("loss");
        table.columns.push_back(points.loss);
        table.places = points.places;
        table.runs = points.runs;
        return table;
    }
    FitOutcome outcomeOf(const Json& request, const std::vector<store::RunId>& runs = {})
    {
        auto points = pointsOfLaw(*makeLaw("power_law_floor"), {8, 0.4, 0.6}, {logPlaces(1, 1e6, 20)}, 0.01, 5);
        points.runs = runs;
        for (std::size_t row = 0; row < runs.size(); ++row)
            points.places[row] = "run " + std::to_string(runs[row]);
        return runFit(requestFromJson(request), tableOf(points), m_context);
    }
private Q_SLOTS:
    void requestsReadBack()
    {
        const auto request = requestFromJson({{"law", "power_law"},
                                              {"objective", "huber"},
                                              {"delta", 0.01},
                                              {"space", "linear"},
                                              {"search", "random"},
                                              {"starts", 7},
                                              {"seed", 5},
                                              {"columns", {{"loss", "val"}}},
                                              {"scale", {{"x", 1e3}}},
                                              {"hold_out", "x"},
                                              {"below", 1e4},
                                              {"resamples", 30},
                                              {"level", 0.8}});
        QCOMPARE(request.objective.delta, 0.01);
        QVERIFY(request.objective.space == Space::Linear && request.starts.random && request.starts.count == 7);
        QCOMPARE(request.bootstrap.seed, std::uint64_t(5));
        QCOMPARE(request.columns.scales.at("x"), 1e3);
        const auto document = toJson(request);
        QVERIFY(toJson(requestFromJson(document)) == document);
        QVERIFY(document.at("law") == Json({{"id", "power_law"}}));
        const auto defaults = toJson(requestFromJson(Json::object()));
        QVERIFY(toJson(requestFromJson(defaults)) == defaults);
        QVERIFY(toJson(requestFromJson({{"objective", "absolute"}})).at("objective") == "absolute");
    }

    void badRequestsAreRefused_data()
    {
        QTest::addColumn<QString>("request");
        QTest::addColumn<QString>("message");
        QTest::newRow("law") << R"({"law": "chinchila"})"
                             << "did you mean \"chinchilla\"?";
        QTest::newRow("objective") << R"({"objective": "hubber"})"
                                   << "objective: ";
        QTest::newRow("delta") << R"({"delta": 0})"
                               << "delta: expected a number > 0";
        QTest::newRow("delta of squares") << R"({"objective": "absolute", "delta": 1})"
                                          << "delta: ";
        QTest::newRow("starts") << R"({"search": "random", "starts": 0})"
                                << "starts: expected an integer in 1";
        QTest::newRow("level") << R"({"level": 1})"
                               << "level: ";
        QTest::newRow("columns") << R"({"columns": {"loss": 3}})"
                                 << "columns: expected an object NAME: column, got {\"loss\":3}";
        QTest::newRow("scale") << R"({"scale": [1]})"
                               << "scale: expected an object NAME: factor, got [1]";
        QTest::newRow("unknown") << R"({"objektive": 1})"
                                 << "objektive: unknown key; did you mean \"objective\"?";
    }
    void badRequestsAreRefused()
    {
        QFETCH(QString, request);
        QFETCH(QString, message);
        const auto said = saidBy([&] { requestFromJson(Json::parse(request.toStdString())); });
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void resultsSayWhatWasFound()
    {
        const auto outcome = outcomeOf({{"law", "power_law_floor"}, {"hold_out", "x"}, {"below", 1e4}, {"resamples", 20}});
        const auto document = resultJson(outcome);
        QCOMPARE(document.at("law").get<std::string>(), std::string("power_law_floor"));
        QCOMPARE(document.at("parameters").at("b").get<double>(), outcome.fit.parameters[1]);
        QCOMPARE(document.at("rows").get<int>(), 13);
        QCOMPARE(document.at("held_out").at("rows").size(), std::size_t(7));
        QCOMPARE(document.at("held_out").at("rows")[0].at("place").get<std::string>(), std::string("line 15"));
        QVERIFY(document.at("objective").at("name") == "huber" && document.at("objective").at("delta") == 1e-3 &&
                document.at("objective").at("space") == "log");
        QCOMPARE(document.at("objective").at("value").get<double>(), outcome.heldOut->fit.objective);
        QVERIFY(document.at("certificate").at("starts") == 42);
        QVERIFY(document.at("bootstrap").at("intervals").at("b")[0].get<double>() <
                document.at("bootstrap").at("intervals").at("b")[1].get<double>());
        QCOMPARE(outcome.fit.residuals.size(), std::size_t(20));  // of all rows, the held-out ones among them
        const auto fitted = fittedLawFromJson(document, "f.json");
        QVERIFY(fitted.parameters == outcome.fit.parameters);
    }

    void expressionsKeepTheirText()
    {
        const auto outcome = outcomeOf({{"law", {{"id", "expression"}, {"text", "c + a * x ^ (-b)"}}}});
        const auto fitted = fittedLawFromJson(resultJson(outcome), "f.json");
        QCOMPARE(fitted.law->formula(), std::string("c + a * x ^ (-b)"));
        QVERIFY(fitted.parameters == outcome.fit.parameters);
        const auto builtIn = outcomeOf({{"law", "power_law_floor"}});
        QVERIFY(relativeError(fitted.parameters[1], builtIn.fit.parameters[1]) < 1e-5);
    }

    void brokenFilesAreNamed_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("list") << "[1]"
                              << "f.json: law: expected the name of a law, found none";
        QTest::newRow("number") << R"({"law": 3})"
                                << "f.json: law: expected the name of a law, found 3";
        QTest::newRow("unknown") << R"({"law": "power"})"
                                 << "unknown law \"power\"";
        QTest::newRow("missing parameter") << R"({"law": "power_law", "parameters": {"a": 1}})"
                                           << "f.json: parameters.b: expected a number, found none";
        QTest::newRow("no number") << R"({"law": "power_law", "parameters": {"a": "x", "b": 1}})"
                                   << "f.json: parameters.a: expected a number, found \"x\"";
        QTest::newRow("negative") << R"({"law": "power_law", "parameters": {"a": -1, "b": 1}})"
                                  << "f.json: parameters.a: expected a number above 0, got -1";
    }
    void brokenFilesAreNamed()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const auto said = saidBy([&] { fittedLawFromJson(Json::parse(text.toStdString()), "f.json"); });
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void storedFitsComeBackWhole()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        std::vector<store::RunId> runs;
        for (int i = 0; i < 20; ++i)
            runs.push_back(100 + i);
        for (const auto& ids : {std::vector<store::RunId>{}, runs}) {
            const auto outcome = outcomeOf({{"law", "power_law_floor"}, {"hold_out", "x"}, {"below", 1e4}, {"resamples", 20}}, ids);
            const auto id = storeFit(*workspace, outcome, {{"file", "t.csv"}}, 1.5);
            const auto stored = readFit(*workspace, id);
            QVERIFY(stored.outcome.fit.parameters == outcome.fit.parameters);
            QVERIFY(stored.outcome.fit.predicted == outcome.fit.predicted && stored.outcome.fit.residuals == outcome.fit.residuals);
            QVERIFY(stored.outcome.points.inputs == outcome.points.inputs && stored.outcome.points.loss == outcome.points.loss);
            QVERIFY(stored.outcome.points.places[3] == (ids.empty() ? "line 5" : "run 103"));
            QVERIFY(stored.outcome.points.runs == ids);
            QVERIFY(stored.outcome.heldOut->rows == outcome.heldOut->rows && stored.outcome.heldOut->errors == outcome.heldOut->errors);
            QVERIFY(stored.outcome.bootstrap->parameters == outcome.bootstrap->parameters);
            QCOMPARE(QString::fromStdString(Json::diff(resultJson(outcome), resultJson(stored.outcome)).dump()), QString("[]"));
            QCOMPARE(stored.analysis.seconds, 1.5);
        }
        QCOMPARE(workspace->analyses({}, kFitMethod).size(), std::size_t(2));
    }

    void damagedStoredFitsAreRefused()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        store::NewAnalysis other;
        other.method = "saliency";
        QVERIFY(saidBy([&] { readFit(*workspace, workspace->addAnalysis(other)); }).contains("expected a fit of a scaling law, found \"saliency\""));
        store::NewAnalysis empty;
        empty.method = kFitMethod;
        QVERIFY(saidBy([&] { readFit(*workspace, workspace->addAnalysis(empty)); }).contains("law: expected the name of a law, found none"));
        const auto outcome = outcomeOf({{"law", "power_law_floor"}});
        const auto id = storeFit(*workspace, outcome, {{"file", "t.csv"}}, 1);
        workspace->addAnalysisArtifact(id, {"points", "text/csv", {}}, "x,loss\n1,2\n1,nan\n");
        const auto damaged = saidBy([&] { readFit(*workspace, id); });
        QVERIFY2(damaged.contains("points: line 3, column \"loss\": expected a finite number > 0"), qPrintable(damaged));
        std::filesystem::remove(workspace->artifactPath(workspace->analysis(id).artifacts.at(0)));
        const auto missing = saidBy([&] { readFit(*workspace, id); });
        QVERIFY2(missing.contains("the file of artifact \"points\" is missing"), qPrintable(missing));
    }
};

QTEST_APPLESS_MAIN(FitDocumentTest)
#include "fit_document_test.moc"
