#pragma once
// Models that cannot be opened, as files, and what a panel says of them: one table for the panels that open one. What does not suit a model is in panel_faults.h.
#include <QDir>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>
#include <filesystem>
#include <functional>
#include <sys/stat.h>

#include <core/base/files.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/store/workspace.h>
#include <core/train/experiment.h>
#include <core/train/runs.h>
#include <core/train/trainer.h>

#include "damaged_models.h"

namespace orrery::test {

inline void addModelFaults()
{
    QTest::addColumn<QString>("kind");
    QTest::addColumn<QString>("message");
    QTest::newRow("no such file") << "gone"
                                  << "no such file";
    QTest::newRow("empty file") << "empty"
                                << "an empty file";
    QTest::newRow("another file") << "text"
                                  << "first bytes 68 65 6c 6c 6f";
    QTest::newRow("cut file") << "cut"
                              << "cut.safetensors: ";
    QTest::newRow("folder without a model") << "folder"
                                            << "a folder with neither config.json nor one file of weights";
    QTest::newRow("pipe") << "pipe"
                          << "expected a file or a folder, found a pipe or a device";
    QTest::newRow("weights that never came") << "link"
                                             << "model.safetensors: cannot be opened: No such file";
    QTest::newRow("run that is not there") << "run"
                                           << "99";
    QTest::newRow("run that was not trained") << "untrained"
                                              << "has no weights: expected one of the steps (none yet)";
    QTest::newRow("run whose weights are gone") << "weights gone"
                                                << "the file of artifact \"final weights\" is missing";
    QTest::newRow("run whose weights are cut") << "weights cut"
                                               << "artifacts/";
}

/// A run that says it has trained, with what is left of its weights: "run without weights", "weights gone", "weights cut".
inline QString faultyRun(const QString& kind, store::Workspace& workspace)
{
    const core::Json document{{"model", {{"id", "mlp"}}}, {"data", {{"id", "iris"}}}};
    const auto run = train::createRun(workspace, train::resolveExperiment(document));
    if (kind != "untrained") {
        const QTemporaryDir folder;
        const auto file = folder.filePath("weights").toStdString();
        models::saveModel(file, models::openModel("zoo:mlp?features=4&classes=3"));
        const auto stored = workspace.artifactPath(workspace.addArtifactFile(run, {train::kFinalWeights, "application/vnd.safetensors", {}}, file));
        std::filesystem::permissions(stored, std::filesystem::perms::owner_all);
        if (kind == "weights cut")
            std::filesystem::resize_file(stored, 100);
        else
            std::filesystem::remove(stored);
    }
    workspace.flush();
    return QStringLiteral("run:%1").arg(run);
}

/// The row's model, made in `folder` or in the workspace: a MODEL argument.
inline QString faultyModel(const QString& kind, const QString& folder, store::Workspace& workspace)
{
    if (kind == "cut")
        return cutModel(folder);
    if (kind == "run")
        return QStringLiteral("run:99");
    if (kind == "untrained" || kind.startsWith(QLatin1String("weights ")))
        return faultyRun(kind, workspace);
    const QString name = folder + "/" + kind;
    const auto write = [](const QString& file, const char* text) { core::writeFileAtomically(file.toStdString(), text); };
    if (kind == "empty" || kind == "text")
        write(name, kind == "text" ? "hello" : "");
    if (kind == "folder" || kind == "link")
        QDir().mkpath(name);
    if (kind == "pipe")
        ::mkfifo(QFile::encodeName(name).constData(), 0600);
    if (kind == "link") {
        write(name + "/config.json", R"({"model_type": "gpt2"})");
        QFile::link(QStringLiteral("../blobs/0123"), name + "/model.safetensors");
    }
    return name;
}

/// Writes over a file as a program does it that saves in place: it cuts the file first.
inline void cutInPlace(const QString& file)
{
    std::filesystem::resize_file(file.toStdString(), 64);
}

}  // namespace orrery::test
