#include "opened_file.h"

#include <QCoreApplication>
#include <QDir>
#include <QStringList>
#include <algorithm>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/io/zip.h>
#include <core/models/checkpoint_folder.h>

namespace orrery::app {
namespace {

const QStringList kDocuments{"yaml", "yml", "json"};
const QStringList kScenes{"ply", "pcd", "las", "xyz", "obj"};
const QStringList kTables{"csv", "tsv", "npy", "npz", "jsonl", "ndjson", "txt", "gz"};
const QStringList kModels{"pt", "pth", "pt2", "ts", "bin", "ckpt", "safetensors", "onnx", "gguf", "npz"};
const QStringList kTokenizers{"model", "words"};
const QStringList kTokenizerNames{"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt"};

bool hasEnding(const QFileInfo& file, const QStringList& endings)
{
    return endings.contains(file.suffix().toLower());
}

/// The folder whose config, index or weights the file is; empty if it stands alone.
QString checkpointOf(const QFileInfo& file)
{
    const auto folder = file.absoluteDir().absolutePath();
    if (models::checkpointModelType(folder.toStdString()).empty())
        return {};
    const auto name = file.fileName();
    const bool isPart = name == "config.json" || name.endsWith(".index.json") || hasEnding(file, {"safetensors", "bin"});
    return isPart ? folder : QString();
}

/// Arrays of a data set are called "x" and "y" unless its document says otherwise; weights have names of their own.
bool holdsWeights(const QFileInfo& file)
{
    try {
        const core::MappedFile mapped(file.absoluteFilePath().toStdString());
        const auto members = io::zipMembers(mapped.text(), file.fileName().toStdString(), std::uint64_t(file.size()) * 1024);
        return std::none_of(members.begin(), members.end(), [](const io::ZipMember& member) { return member.name == "x.npy"; });
    } catch (const core::Error&) {
        return false;  // damaged: whoever opens it says so
    }
}

QString patterns(const QStringList& endings)
{
    return "*." + endings.join(" *.");
}

}  // namespace

OpenedFile whatToOpen(const QFileInfo& file)
{
    const auto path = file.exists() ? QDir::cleanPath(file.absoluteFilePath()) : file.filePath();
    if (file.isDir())
        return {models::isCheckpointFolder(path.toStdString()) ? FileKind::Model : FileKind::Table, path};
    if (const auto folder = checkpointOf(file); !folder.isEmpty())
        return {FileKind::Model, folder};
    if (kTokenizerNames.contains(file.fileName()) || hasEnding(file, kTokenizers))
        return {FileKind::Tokenizer, path};
    if (file.fileName().startsWith("transforms") && hasEnding(file, {"json"}))
        return {FileKind::Table, path};  // cameras and pictures of a scene
    if (hasEnding(file, kDocuments))
        return {FileKind::Document, path};
    if (hasEnding(file, kScenes))
        return {FileKind::Scene, path};
    if (hasEnding(file, kTables) && !(hasEnding(file, {"npz"}) && holdsWeights(file)))
        return {FileKind::Table, path};
    return {FileKind::Model, path};
}

QString openFileFilter()
{
    const auto text = [](const char* words) { return QCoreApplication::translate("OpenedFile", words); };
    const struct {
        const char* title;
        QStringList endings;
    } kinds[]{{"Models and weights", kModels + QStringList{"json"}},
              {"Experiments and sweeps", kDocuments},
              {"Data", kTables},
              {"Point clouds and splats", kScenes},
              {"Tokenizers", kTokenizers + QStringList{"json", "txt"}}};
    QStringList all, filters;
    for (const auto& kind : kinds) {
        all += kind.endings;
        filters << QString("%1 (%2)").arg(text(kind.title), patterns(kind.endings));
    }
    all.removeDuplicates();
    return QStringList{QString("%1 (%2)").arg(text("All known files"), patterns(all)), filters.join(";;"), text("All files (*)")}.join(";;");
}

}  // namespace orrery::app
