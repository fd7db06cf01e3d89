// Experiment documents: what is filled in, and what is refused with which words.
#include <QTest>

#include <core/base/error.h>

#include "training_fixture.h"

using namespace orrery;
using core::Json;

namespace {

QString errorOfDocument(const char* json)
{
    return test::errorOf([&] { train::resolveExperiment(Json::parse(json)); });
}

}  // namespace

class ExperimentTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void fillsInWhatTheDataDecides()
    {
        const Json lenet =
            train::resolveExperiment(
                Json::parse(R"({"model": {"id": "lenet", "kernel": 3, "padding": 1, "classes": "auto", "channels": null}, "data": "digits"})"))
                .document;
        QVERIFY(lenet["model"]["image_size"] == Json(8));
        QVERIFY(lenet["model"]["classes"] == Json(10));
        QVERIFY(lenet["model"]["channels"] == Json(1));
        QVERIFY(lenet["train"]["loss"]["id"] == Json("cross_entropy"));
        QVERIFY(lenet["train"]["epochs"] == Json(10));
        const Json mlp = train::resolveExperiment(Json::parse(R"({"model": "mlp", "data": "breast_cancer"})")).document;
        QVERIFY(mlp["model"]["features"] == Json(30));
        QVERIFY(mlp["model"]["classes"] == Json(2));
        QVERIFY(mlp["train"]["metrics"].back()["id"] == Json("roc_auc"));
        const Json gpt =
            train::resolveExperiment(
                Json::parse(R"({"model": {"id": "gpt", "layers": 1, "heads": 2, "width": 16}, "data": {"id": "kjv", "block_length": 32}})"))
                .document;
        QVERIFY(gpt["model"]["vocabulary"] == Json(256));
        QVERIFY(gpt["model"]["block_length"] == Json(32));
        QVERIFY(gpt["train"]["metrics"].back()["id"] == Json("bits_per_character"));
    }

    void resolvingAgainChangesNothing()
    {
        const Json once = train::resolveExperiment(test::smallDigits()).document;
        QCOMPARE(QString::fromStdString(train::resolveExperiment(once).document.dump()), QString::fromStdString(once.dump()));
        QVERIFY(once["data_hash"].is_string());
    }

    void zooReferencesMeanTheSame()
    {
        const Json a = train::resolveExperiment(Json::parse(R"({"model": "zoo:mlp?hidden=32", "data": "wine"})")).document;
        const Json b = train::resolveExperiment(Json::parse(R"({"model": {"id": "mlp", "hidden": [32]}, "data": "wine"})")).document;
        QVERIFY(a["model"]["hidden"] == b["model"]["hidden"]);
        QVERIFY(a["model"]["features"] == b["model"]["features"]);
    }

    void hashIsOfWhatDecidesTheResult()
    {
        Json document = train::resolveExperiment(test::smallDigits()).document;
        const std::string hash = train::experimentHash(document);
        document["name"] = "other";
        document["notes"] = "x";
        QCOMPARE(train::experimentHash(document), hash);
        document["train"]["optimizer"]["lr"] = 0.011;
        QVERIFY(train::experimentHash(document) != hash);
    }

    void refusesWithPlaceAndReason_data()
    {
        QTest::addColumn<QString>("json");
        QTest::addColumn<QString>("message");
        QTest::newRow("typo in a key") << R"({"model": "mlp", "data": "wine", "train": {"epoch": 3}})"
                                       << "train.epoch: unknown key; did you mean \"epochs\"?";
        QTest::newRow("unknown key at the top") << R"({"model": "mlp", "data": "wine", "sede": 3})"
                                                << "sede: unknown key; did you mean \"seed\"?";
        QTest::newRow("optimizer") << R"({"model": "mlp", "data": "wine", "train": {"optimizer": "adamm"}})"
                                   << "train.optimizer: unknown optimizer \"adamm\"; did you mean \"adam\"?";
        QTest::newRow("learning rate") << R"({"model": "mlp", "data": "wine", "train": {"optimizer": {"id": "adam", "lr": "fast"}}})"
                                       << "train.optimizer.lr: expected a number > 0, got \"fast\"";
        QTest::newRow("no model") << R"({"data": "wine"})"
                                  << "model: is required: expected a model (its id, or an object with \"id\")";
        QTest::newRow("unknown data") << R"({"model": "mlp", "data": "wines"})"
                                      << "data: unknown data \"wines\"; did you mean \"wine\"?";
        QTest::newRow("epochs and steps") << R"({"model": "mlp", "data": "wine", "train": {"epochs": 3, "steps": 3}})"
                                          << "train.steps: expected epochs or steps, got both";
        QTest::newRow("contradicts the data") << R"({"model": {"id": "mlp", "features": 7}, "data": "wine"})"
                                              << "model.features: expected 13, as the data \"wine\" has, got 7";
        QTest::newRow("block too short") << R"({"model": {"id": "gpt", "layers": 1, "heads": 1, "width": 8, "block_length": 16}, "data": "kjv"})"
                                         << "model.block_length: expected at least 128, as the data \"kjv\" has, got 16";
        QTest::newRow("model takes other data")
            << R"({"model": "mlp", "data": "digits"})"
            << "model: \"image\" gives axes [batch, channel, height, width], but \"table\" takes [batch, feature]";
        QTest::newRow("loss takes other targets") << R"({"model": "mlp", "data": "wine", "train": {"loss": "mse", "metrics": ["accuracy"]}})"
                                                  << "train.loss: \"class\" gives class_index, but \"target\" takes float";
        QTest::newRow("metric takes other targets") << R"({"model": "mlp", "data": "wine", "train": {"metrics": ["accuracy", "mae"]}})"
                                                    << "train.metrics[1]: \"class\" gives class_index, but \"target\" takes float";
        QTest::newRow("device") << R"({"model": "mlp", "data": "wine", "train": {"device": "cudda"}})"
                                << "train.device: expected auto, cpu, cuda or cuda:N, got \"cudda\"; did you mean \"cuda\"?";
        QTest::newRow("other data") << R"({"model": "mlp", "data": "wine", "data_hash": "00"})"
                                    << "data_hash: expected data with hash 00, but \"wine\" has ";
        QTest::newRow("best of nothing") << R"({"model": "mlp", "data": "wine", "train": {"checkpoint": {"best": "loss"}}})"
                                         << "train.checkpoint.best: expected a metric of the validation part such as \"val/loss\", got \"loss\"";
        QTest::newRow("a list") << "[1]"
                                << "expected an object, got a list";
    }
    void refusesWithPlaceAndReason()
    {
        QFETCH(QString, json);
        QFETCH(QString, message);
        const QString error = errorOfDocument(qPrintable(json));
        QVERIFY2(error.startsWith(message) || error.contains(message), qPrintable(error));
    }

    void allIssuesAreReportedAtOnce()
    {
        const QString error =
            errorOfDocument(R"({"model": "mlp", "data": "wine", "seed": -1, "train": {"batch_size": 0, "schedule": {"id": "cosine", "x": 1}}})");
        QCOMPARE(error.split('\n').size(), 3);
    }

    void quickCheckNeedsNoData()
    {
        QVERIFY(train::quickCheck(test::smallDigits()).empty());
        const auto issues = train::quickCheck(
            Json::parse(R"({"model": {"id": "lenet", "classes": "auto"}, "data": {"id": "csv", "path": "not/there.csv"}, "train": {"lr": 1}})"));
        QCOMPARE(issues.size(), std::size_t(1));
        QCOMPARE(QString::fromStdString(issues[0].path), QString("train.lr"));
    }
};

QTEST_APPLESS_MAIN(ExperimentTest)
#include "experiment_test.moc"
