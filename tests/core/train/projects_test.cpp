// Every example document opens and trains, cut short.
#include <QTest>

#include <core/train/document_file.h>

#include "../../experiment_documents.h"
#include "training_fixture.h"

using namespace orrery;
using test::MemorySink;

class ProjectsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void trainsCutShort_data() { test::addExperimentDocuments(); }
    void trainsCutShort()
    {
        QFETCH(QString, file);
        const std::string batch = file.contains("splats") ? "1" : "32";  // a step of Gaussians is one picture
        const std::vector<std::string> changes{"train.epochs=null", "train.steps=3",  "train.evaluate_samples=40",
                                               "train.warmup=0",    "data.limit=120", "train.batch_size=" + batch};
        const auto experiment = train::readExperiment(file.toStdString(), changes);
        jobs::DirectContext context({}, 2);
        MemorySink sink;
        const auto result = train::trainExperiment(experiment, context, sink);
        QCOMPARE(result.steps, 3);
        QVERIFY(result.metrics.contains("test/loss"));
        QVERIFY(sink.artifacts.contains(train::kFinalWeights));
    }

    void documentsGoThroughYamlUnchanged()
    {
        const auto experiment = train::readExperiment(ORRERY_SOURCE_DIR "/projects/digits/experiment.yaml");
        QVERIFY(train::parseYamlDocument(train::toYaml(experiment.document), "again") == experiment.document);
    }

    void digitsReachNinetyEightPercent()
    {
        const auto experiment = train::readExperiment(ORRERY_SOURCE_DIR "/projects/digits/experiment.yaml");
        jobs::DirectContext context({}, 2);
        MemorySink sink;
        const auto result = train::trainExperiment(experiment, context, sink);
        QVERIFY2(result.metrics.at("test/accuracy") >= 0.98, qPrintable(QString::number(result.metrics.at("test/accuracy"))));
    }

    void tablesAreLearned_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<double>("accuracy");
        QTest::newRow("wine") << "tabular/wine.yaml" << 0.94;
        QTest::newRow("breast cancer") << "tabular/breast_cancer.yaml" << 0.94;
    }
    void tablesAreLearned()
    {
        QFETCH(QString, file);
        QFETCH(double, accuracy);
        const auto experiment = train::readExperiment(std::string(ORRERY_SOURCE_DIR "/projects/") + file.toStdString());
        jobs::DirectContext context;
        MemorySink sink;
        const auto result = train::trainExperiment(experiment, context, sink);
        QVERIFY2(result.metrics.at("test/accuracy") >= accuracy, qPrintable(QString::number(result.metrics.at("test/accuracy"))));
    }

    /// Row b58: two sources with different labels; each label is told from the pictures, among them those that only one source knows.
    void findingsAreLearnedFromTwoSources()
    {
        const auto experiment = train::readExperiment(ORRERY_SOURCE_DIR "/projects/x-ray/experiment.yaml", {"train.epochs=8"});
        jobs::DirectContext context({}, 2);
        MemorySink sink;
        const auto result = train::trainExperiment(experiment, context, sink);
        for (const char* const name : {"test/auc_Mass", "test/auc_Nodule", "test/auc_Effusion"})
            QVERIFY2(result.metrics.at(name) >= 0.8, qPrintable(QString("%1 %2").arg(name).arg(result.metrics.at(name))));
    }
};

QTEST_APPLESS_MAIN(ProjectsTest)
#include "projects_test.moc"
