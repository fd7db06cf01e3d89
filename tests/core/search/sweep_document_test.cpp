#include <QTest>

#include <core/catalogue.h>
#include <core/search/sweep_document.h>

#include "../message_of.h"
#include "search_fixture.h"

using namespace orrery;
using core::Json;

class SweepDocumentTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void aSweepIsReadWithItsDefaults()
    {
        const auto sweep = search::resolveSweep(test::smallSweep());
        QCOMPARE(sweep.trials, std::int64_t(4));
        QCOMPARE(sweep.settings["goal"].get<std::string>(), std::string("minimize"));
        QCOMPARE(sweep.space.size(), std::size_t(2));
        QVERIFY(sweep.space[0].isLog && !sweep.space[0].isInteger);
        QCOMPARE(sweep.space[1].choices.size(), std::size_t(2));
        QCOMPARE(sweep.rungs.size(), std::size_t(1));
        // Of a maximised metric the larger value is the better one.
        QCOMPARE(sweep.lossOf(3), 3.0);
        Json document = test::smallSweep();
        document["sweep"]["goal"] = "maximize";
        QCOMPARE(search::resolveSweep(document).lossOf(3), -3.0);
        // Left open, it is what the metric is good for; what is said counts.
        document["sweep"].erase("goal");
        document["sweep"]["metric"] = "val/accuracy";
        QCOMPARE(search::resolveSweep(document).settings["goal"].get<std::string>(), std::string("maximize"));
        QCOMPARE(search::resolveSweep(document).lossOf(3), -3.0);
        document["sweep"]["goal"] = "minimize";
        QCOMPARE(search::resolveSweep(document).lossOf(3), 3.0);
    }

    void aTrialChangesItsParametersAndNothingElse()
    {
        const auto sweep = search::resolveSweep(test::smallSweep());
        Json base = sweep.base.document, trial = train::resolveExperiment(search::experimentAt(sweep, {0.0, 0.9})).document;
        QCOMPARE(trial["train"]["optimizer"]["lr"].get<double>(), 1e-3);
        QCOMPARE(trial["train"]["batch_size"].get<int>(), 16);
        base["train"]["optimizer"]["lr"] = 1e-3;
        QVERIFY(trial == base);
        QVERIFY(!trial.contains("sweep"));
    }

    void pathsLeadThroughWhatTheDocumentLeavesOut_data()
    {
        QTest::addColumn<QString>("optimizer");
        QTest::addColumn<QString>("path");
        QTest::addColumn<QString>("settings");
        QTest::addColumn<QString>("pointer");
        QTest::addColumn<QString>("expected");
        QTest::newRow("a component in short") << "\"sgd\""
                                              << "train.optimizer.lr"
                                              << R"({"choices": [0.25]})"
                                              << "/train/optimizer/lr"
                                              << "0.25";
        QTest::newRow("a component left out") << ""
                                              << "train.optimizer.weight_decay"
                                              << R"({"choices": [0.25]})"
                                              << "/train/optimizer/weight_decay"
                                              << "0.25";
        QTest::newRow("a group left out") << ""
                                          << "train.checkpoint.keep"
                                          << R"({"choices": [7]})"
                                          << "/train/checkpoint/keep"
                                          << "7";
        QTest::newRow("a whole component") << "\"sgd\""
                                           << "train.optimizer"
                                           << R"({"choices": [{"id": "adamw", "lr": 0.5}]})"
                                           << "/train/optimizer/lr"
                                           << "0.5";
        QTest::newRow("an id") << "\"sgd\""
                               << "train.optimizer.id"
                               << R"({"choices": ["adam"]})"
                               << "/train/optimizer/id"
                               << "\"adam\"";
        QTest::newRow("an element of a list") << ""
                                              << "model.hidden.0"
                                              << R"({"range": [16, 16]})"
                                              << "/model/hidden/0"
                                              << "16";
        QTest::newRow("the seed") << ""
                                  << "seed"
                                  << R"({"choices": [11]})"
                                  << "/seed"
                                  << "11";
    }
    void pathsLeadThroughWhatTheDocumentLeavesOut()
    {
        QFETCH(QString, optimizer);
        QFETCH(QString, path);
        QFETCH(QString, settings);
        QFETCH(QString, pointer);
        QFETCH(QString, expected);
        Json document = test::smallSweep();
        document["train"].erase("optimizer");
        if (!optimizer.isEmpty())
            document["train"]["optimizer"] = Json::parse(optimizer.toStdString());
        document["sweep"]["parameters"] = {{path.toStdString(), Json::parse(settings.toStdString())}};
        const auto sweep = search::resolveSweep(document);
        const Json trial = train::resolveExperiment(search::experimentAt(sweep, {0.5})).document;
        QVERIFY2(trial.at(Json::json_pointer(pointer.toStdString())) == Json::parse(expected.toStdString()), trial.dump(1).c_str());
    }

    void whatIsWrongIsSaidWithItsPlace_data()
    {
        QTest::addColumn<QString>("patch");  // merged into the section
        QTest::addColumn<QString>("message");
        const auto parameters = [](const char* text) { return QString(R"({"parameters": %1})").arg(text); };
        QTest::newRow("no parameters") << R"({"parameters": null})"
                                       << "sweep.parameters: expected a value, got null";
        QTest::newRow("parameters of another kind") << R"({"parameters": [1]})"
                                                    << "sweep.parameters: expected an object with at least one parameter";
        QTest::newRow("unknown path") << parameters(R"({"train.optimizer.lrr": {"range": [1, 2]}})")
                                      << "sweep.parameters.train.optimizer.lrr: unknown parameter \"lrr\" of train.optimizer; did you mean \"lr\"?";
        QTest::newRow("unknown first step")
            << parameters(R"({"trian.optimizer.lr": {"range": [1, 2]}})")
            << "sweep.parameters.trian.optimizer.lr: unknown parameter \"trian\" of the experiment; did you mean \"train\"?";
        QTest::newRow("path through a number") << parameters(R"({"seed.x": {"range": [1, 2]}})") << "it is a single value";
        QTest::newRow("index out of the list") << parameters(R"({"model.hidden.3": {"range": [1, 2]}})")
                                               << "expected an index below 1 for the list model.hidden, got \"3\"";
        QTest::newRow("empty choices") << parameters(R"({"train.batch_size": {"choices": []}})")
                                       << "sweep.parameters.train.batch_size.choices: expected at least one value, got none";
        QTest::newRow("a choice twice") << parameters(R"({"train.batch_size": {"choices": [8, 8]}})")
                                        << "sweep.parameters.train.batch_size.choices[1]: is given twice";
        QTest::newRow("a choice of the wrong type")
            << parameters(R"({"train.batch_size": {"choices": [8, "many"]}})") << "sweep.parameters.train.batch_size.choices[1]: expected an integer";
        QTest::newRow("a choice out of range") << parameters(R"({"train.batch_size": {"choices": [0]}})")
                                               << "sweep.parameters.train.batch_size.choices[0]: expected an integer";
        QTest::newRow("an unknown component") << parameters(R"({"train.optimizer": {"choices": ["adamm"]}})") << "did you mean \"adam";
        QTest::newRow("range outside the schema's")
            << parameters(R"({"train.optimizer.lr": {"range": [-1, 2]}})") << "sweep.parameters.train.optimizer.lr.range[0]: expected a number";
        QTest::newRow("logarithmic from 0") << parameters(R"({"train.warmup": {"range": [0, 10], "log": true}})")
                                            << "sweep.parameters.train.warmup.range[0]: expected a number > 0 for a logarithmic range, got 0";
        QTest::newRow("range turned round") << parameters(R"({"train.optimizer.lr": {"range": [2, 1]}})")
                                            << "range: expected the lowest value first, got 2.0 and 1.0";
        QTest::newRow("range of one number") << parameters(R"({"train.optimizer.lr": {"range": [2]}})")
                                             << "range: expected two numbers, the lowest and the highest, got 1";
        QTest::newRow("range of a text") << parameters(R"({"train.schedule.id": {"range": [1, 2]}})")
                                         << "range: expected \"choices\": the parameter is no number";
        QTest::newRow("neither") << parameters(R"({"train.optimizer.lr": {}})") << "expected a \"range\" or \"choices\"";
        QTest::newRow("both") << parameters(R"({"train.optimizer.lr": {"range": [1, 2], "choices": [1]}})") << "expected a \"range\" or \"choices\"";
        QTest::newRow("a misspelt key") << parameters(R"({"train.optimizer.lr": {"rnge": [1, 2]}})") << "did you mean \"range\"?";
        QTest::newRow("one inside the other") << parameters(R"({"train.optimizer": {"choices": ["sgd"]}, "train.optimizer.lr": {"range": [0.1, 1]}})")
                                              << "sweep.parameters.train.optimizer.lr: lies inside train.optimizer";
        QTest::newRow("unknown sampler") << R"({"sampler": "randm"})"
                                         << "did you mean \"random\"?";
        QTest::newRow("unknown metric") << R"({"metric": "val/acuracy"})"
                                        << "sweep.metric: expected a metric of this experiment";
        QTest::newRow("nearest metric") << R"({"metric": "val/acuracy"})"
                                        << "did you mean \"val/accuracy\"?";
        QTest::newRow("wrong goal") << R"({"goal": "best"})"
                                    << "sweep.goal: expected one of \"auto\", \"minimize\", \"maximize\", got \"best\"";
        QTest::newRow("no trials") << R"({"trials": 0})"
                                   << "sweep.trials: expected an integer";
        QTest::newRow("a test metric of stopped trials") << R"({"sampler": {"id": "successive_halving", "eta": 2}, "metric": "test/loss"})"
                                                         << "sweep.metric: expected a metric of the training or the validation part";
        QTest::newRow("a huge grid")
            << R"({"sampler": {"id": "grid", "points": 9999}, "parameters": {"train.optimizer.lr": {"range": [0.1, 1]}, "model.dropout": {"range": [0, 0.5]}}})"
            << "sweep.sampler: expected a grid of at most 100000 combinations";
    }
    void whatIsWrongIsSaidWithItsPlace()
    {
        QFETCH(QString, patch);
        QFETCH(QString, message);
        Json document = test::smallSweep();
        const Json changes = Json::parse(patch.toStdString());
        for (const auto& [key, value] : changes.items())
            document["sweep"][key] = value;
        const QString said = saidBy([&] { search::resolveSweep(document); });
        QVERIFY2(said.contains(message), qPrintable("said: " + said));
    }

    void aDocumentWithoutASweepIsRefused()
    {
        Json document = test::smallSweep();
        document.erase("sweep");
        QVERIFY(saidBy([&] { search::resolveSweep(document); }).startsWith("sweep: is required"));
        document = test::smallSweep();
        document["train"]["batch_size"] = -1;
        QVERIFY(saidBy([&] { search::resolveSweep(document); }).startsWith("train.batch_size: expected"));
    }

    void rungsEndAtEvaluations()
    {
        Json document = test::smallSweep();
        document["train"]["steps"] = 20;
        document["train"]["evaluate_every"] = 3;
        document["sweep"]["sampler"] = {{"id", "successive_halving"}, {"eta", 2}};
        document["sweep"]["parameters"] = {{"train.optimizer.lr", {{"range", {0.01, 0.1}}}}};
        const auto sweep = search::resolveSweep(document);
        const auto trial = train::resolveExperiment(search::experimentAt(sweep, {0.5}));
        std::vector<std::int64_t> steps;
        for (const auto& rung : sweep.rungs)
            steps.push_back(search::lastStepIn(sweep, rung, trial).value_or(-1));
        // 4 trials by halves: a quarter, a half, all of 20 steps; 5 and 10 go up to the next multiples of 3.
        QCOMPARE(steps, (std::vector<std::int64_t>{6, 12, -1}));
    }
};

QTEST_GUILESS_MAIN(SweepDocumentTest)
#include "sweep_document_test.moc"
