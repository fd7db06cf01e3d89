#pragma once
#include <QFileInfo>
#include <QString>

namespace orrery::app {

/// What a file or folder is for the window. The words decide nothing that its reader would not check again.
enum class FileKind { Document, Scene, Table, Tokenizer, Model };

struct OpenedFile {
    FileKind kind = FileKind::Model;
    QString path;  ///< to be opened: the file itself, or the checkpoint folder that it is a part of
};

/// By the name's ending, by what lies beside it (`config.json`, an index and weights of a checkpoint folder stand for the folder) and, for archives of arrays, by their names.
/// Never throws; reads names and one small file. Any thread.
OpenedFile whatToOpen(const QFileInfo& file);

/// The filter of a file dialog: everything `whatToOpen` knows by its ending first, then each kind, then all files.
QString openFileFilter();

}  // namespace orrery::app
