// Export from the Model panel: each format is written, opened again and compared; what is in the way stays.
#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QToolButton>

#include <core/base/files.h>
#include <core/catalogue.h>
#include <core/models/exporter.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <plugins/model/export_dialog.h>

#include "../widgets/shots.h"
#include "model_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using test::kLenet;
using test::WideBench;

namespace {

/// The dialog as a person opens it.
ExportDialog* openDialog(WideBench& bench)
{
    QTest::mouseClick(bench.child<QToolButton>("exportModel"), Qt::LeftButton);
    return bench.panel->findChild<ExportDialog*>();
}

void choose(ExportDialog& dialog, const QString& format, const QString& target)
{
    auto* box = dialog.findChild<QComboBox*>("format");
    box->setCurrentIndex(box->findData(format));
    auto* field = dialog.findChild<QLineEdit*>("target");
    field->selectAll();
    QTest::keyClicks(field, target);
}

QString resultOf(ExportDialog& dialog)
{
    auto* result = dialog.findChild<QLabel*>("result");
    QTest::mouseClick(dialog.findChild<QPushButton*>("export"), Qt::LeftButton);
    [&] { QTRY_VERIFY_WITH_TIMEOUT(!result->text().isEmpty() && dialog.findChild<QPushButton*>("export")->isEnabled(), 30000); }();
    return result->text();
}

}  // namespace

class ModelExportTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;

private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void everyFormatIsWrittenAndCompared()
    {
        WideBench bench;
        bench.open(kLenet);
        auto* dialog = openDialog(bench);
        QVERIFY(dialog);
        takeShots(*dialog, "model_export");
        // The name takes the ending of each format in turn.
        auto* box = dialog->findChild<QComboBox*>("format");
        QVERIFY2(dialog->findChild<QLineEdit*>("target")->text().endsWith("/lenet.safetensors"),
                 qPrintable(dialog->findChild<QLineEdit*>("target")->text()));
        box->setCurrentIndex(box->findData("onnx"));
        QVERIFY(dialog->findChild<QLineEdit*>("target")->text().endsWith("/lenet.onnx"));
        for (const auto& component : models::exporterRegistry().components()) {
            const auto& writer = models::exporterRegistry().factory(component.id);
            const QString target = m_folder.filePath(QString::fromStdString(component.id + writer.ending));
            choose(*dialog, QString::fromStdString(component.id), target);
            const QString text = resultOf(*dialog);
            if (component.id == "checkpoint") {  // the zoo's LeNet is of no family that has a folder
                QVERIFY2(text.startsWith("Not written: ") && !QFileInfo::exists(target), qPrintable(text));
                continue;
            }
            QVERIFY2(text.startsWith("Written: " + target), qPrintable(text));
            QCOMPARE(text.contains("opened again: "), writer.opensAgain);
            QVERIFY2(!text.contains("does not agree"), qPrintable(text));
            QCOMPARE(dialog->findChild<QPushButton*>("open")->isEnabled(), writer.opensAgain);
            QVERIFY(QFileInfo(target).size() > 100);
            // What was said has its own room.
            const auto* check = dialog->findChild<QCheckBox*>("check");
            QTRY_VERIFY2(check->height() >= check->sizeHint().height(), qPrintable(QString("%1 %2: %3 of %4, dialog %5")
                                                                                       .arg(component.id.c_str())
                                                                                       .arg(check->isVisible())
                                                                                       .arg(check->height())
                                                                                       .arg(check->sizeHint().height())
                                                                                       .arg(dialog->height())));
        }
        choose(*dialog, "torchscript", m_folder.filePath("again.pt"));
        QCOMPARE(dialog->command(), QString("orrery-cli export 'zoo:lenet?image_size=8&kernel=3&padding=1' --to torchscript --out %1 --check")
                                        .arg(m_folder.filePath("again.pt")));
        resultOf(*dialog);
        QTest::mouseClick(dialog->findChild<QPushButton*>("open"), Qt::LeftButton);
        QCOMPARE(bench.session.selection().model, m_folder.filePath("again.pt"));
    }

    void whatIsInTheWayStays()
    {
        const QString file = m_folder.filePath("source.safetensors");
        models::saveModel(file.toStdString(), models::openModel(kLenet));
        const auto before = core::readFile(file.toStdString());
        WideBench bench;
        bench.open(file);
        auto* dialog = openDialog(bench);
        choose(*dialog, "npz", file);
        QVERIFY(resultOf(*dialog).contains("expected another name than that of the model, which would be lost"));
        choose(*dialog, "npz", m_folder.filePath("none/such.npz"));
        QVERIFY(resultOf(*dialog).startsWith("Not written: "));
        choose(*dialog, "npz", m_folder.path());
        QVERIFY(resultOf(*dialog).contains("found a folder"));
        choose(*dialog, "npz", QString());
        dialog->findChild<QLineEdit*>("target")->clear();
        QVERIFY(!dialog->findChild<QPushButton*>("export")->isEnabled());
        QVERIFY(core::readFile(file.toStdString()) == before);
    }
};

QTEST_MAIN(ModelExportTest)
#include "model_export_test.moc"
