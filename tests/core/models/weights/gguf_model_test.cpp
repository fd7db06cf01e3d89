#include <QtTest>

#include <core/graph/executor.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>

#include "../../message_of.h"

using namespace orrery;

class GgufModelTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    // The GGUF files were written from the checkpoints that the library behind ../hf computed these logits with.
    void logitsAreThoseOfTheCheckpoint_data()
    {
        QTest::addColumn<QString>("checkpoint");
        QTest::addColumn<double>("tolerance");
        QTest::newRow("llama") << "llama" << 2e-6;
        QTest::newRow("qwen2") << "qwen2" << 2e-6;
        QTest::newRow("gpt2") << "gpt2" << 2e-6;
        // Weights of 8 bits are off by up to 1/254 of the largest of their block.
        QTest::newRow("llama_q8") << "llama" << 2e-2;
    }
    void logitsAreThoseOfTheCheckpoint()
    {
        QFETCH(QString, checkpoint);
        QFETCH(double, tolerance);
        const auto wanted = models::loadTensors(std::string(ORRERY_TEST_DATA "/hf/") + checkpoint.toStdString() + "/expect.safetensors");
        const auto model = models::openModel(std::string(ORRERY_TEST_DATA "/weights/") + QTest::currentDataTag() + ".gguf");
        const auto logits = graph::Executor(model.graph).forward(model.weights, {wanted.at("input_ids")});
        const double scale = wanted.at("logits").abs().max().item<double>(), error = (logits - wanted.at("logits")).abs().max().item<double>();
        qInfo("largest error %g of logits up to %g", error, scale);
        QVERIFY(error <= tolerance * scale);
        // Another vocabulary row, or two rows in the wrong order, would be far away from that.
        QVERIFY(scale > 0.1);
    }
};

QTEST_APPLESS_MAIN(GgufModelTest)
#include "gguf_model_test.moc"
