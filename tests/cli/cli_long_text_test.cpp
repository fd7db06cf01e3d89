// A text longer than the model's positions: every command says the length and the limit in the same sentence.
#include <ATen/ATen.h>

#include <QRegularExpression>

#include <core/models/model_file.h>

#include "../core/intervene/hand_built.h"
#include "cli_runner.h"

using namespace orrery;

class CliLongTextTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
private Q_SLOTS:
    void initTestCase()
    {
        models::saveModel(m_cli.path("copying.safetensors"), intervene::copyingModel());  // 5 positions
        m_cli.writeArray("seven.npy", at::zeros({1, 7}, at::kLong));
        m_cli.writeArray("five.npy", at::zeros({1, 5}, at::kLong));
    }

    void theLimitIsSaid_data()
    {
        QTest::addColumn<QStringList>("arguments");
        const QString model = "copying.safetensors", text = "abcdefa", array = "seven.npy";
        QTest::newRow("forward") << QStringList{"forward", model, "--input", array};
        QTest::newRow("inspect") << QStringList{"inspect", model, "--input", array};
        QTest::newRow("predict, text") << QStringList{"predict", model, "--text", text};
        QTest::newRow("predict, array") << QStringList{"predict", model, "--input", array};
        QTest::newRow("attribute, text") << QStringList{"attribute", model, "--text", text, "--method", "saliency"};
        QTest::newRow("attribute, array") << QStringList{"attribute", model, "--input", array, "--method", "saliency"};
        QTest::newRow("intervene, text") << QStringList{"intervene", model, "--at", "embed", "--do", "zero", "--text", text};
        QTest::newRow("intervene, array") << QStringList{"intervene", model, "--at", "embed", "--do", "zero", "--input", array};
        QTest::newRow("patch, text") << QStringList{"patch", model, "--clean", "text:" + text, "--corrupted", "text:abc"};
        QTest::newRow("patch, array") << QStringList{"patch", model, "--clean", "text:abc", "--corrupted", array};
        QTest::newRow("lens, text") << QStringList{"lens", model, "--text", text};
        QTest::newRow("lens, array") << QStringList{"lens", model, "--input", array};
        QTest::newRow("lens, context") << QStringList{"lens", model, "--text", "ab", "--kind", "transplant", "--context", text};
        QTest::newRow("probe, data") << QStringList{
            "probe",   model,
            "--at",    "blocks.0.resid_post",
            "--data",  R"({"id": "repeated_sequences", "vocabulary": 6, "length": 3, "shortest": 2, "samples": 40})",
            "--label", "token"};
    }
    void theLimitIsSaid()
    {
        QFETCH(QStringList, arguments);
        const auto answer = m_cli.compute(arguments);
        QVERIFY2(QString(answer.error).contains(QRegularExpression("expected at most 5 tokens \\(the model's longest sequence\\), got (6|7)")),
                 qPrintable(answer.error));
        QCOMPARE(answer.status, 2);
        QCOMPARE(answer.out, QString());
    }

    void whatFitsIsRun()
    {
        QCOMPARE(m_cli.compute({"forward", "copying.safetensors", "--input", "five.npy"}).status, 0);
        QCOMPARE(m_cli.compute({"predict", "copying.safetensors", "--text", "abcde"}).status, 0);
    }
};

QTEST_GUILESS_MAIN(CliLongTextTest)
#include "cli_long_text_test.moc"
