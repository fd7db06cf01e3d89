#pragma once
#include <QFlags>
#include <QList>
#include <QString>
#include <optional>

#include <core/base/json.h>

namespace orrery::widgets {

/// What is chosen in the window, as one value: panels send and receive it through the `Session`, so that a node, run, sample or token chosen
/// anywhere is chosen everywhere.
struct Selection {
    QString model;                         ///< a MODEL argument as on the command line; empty: none
    std::optional<qint64> weightsRun;      ///< weights of this run instead of the model's own
    std::optional<qint64> checkpointStep;  ///< of `weightsRun`; nothing: its newest
    QString valuePath;                     ///< node or value in the graph: `blocks.3.attn.softmax`
    QList<qint64> valueIndex;              ///< element or slice inside that value, one number an axis; may be shorter
    core::Json data;                       ///< data document (`{"id": "digits"}`); null: none
    QString split;                         ///< "train", "val", "test"
    QList<qint64> samples;                 ///< numbers of samples within the split
    std::optional<qint64> token;           ///< position in the token sequence
    std::optional<qint64> target;          ///< class or output to explain
    QList<qint64> runs;                    ///< chosen runs of the workspace
    QString sceneObject;

    bool operator==(const Selection&) const = default;
    core::Json toJson() const;
    /// Missing or ill-typed parts stay empty: the text may come from an older session.
    static Selection fromJson(const core::Json& document);
};

enum class SelectionPart {
    Model = 1,    ///< model
    Weights = 2,  ///< weightsRun, checkpointStep
    Value = 4,    ///< valuePath, valueIndex
    Data = 8,     ///< data, split
    Samples = 16,
    Token = 32,
    Target = 64,
    Runs = 128,
    Scene = 256,
};
Q_DECLARE_FLAGS(SelectionParts, SelectionPart)
Q_DECLARE_OPERATORS_FOR_FLAGS(SelectionParts)

/// The parts in which two selections differ.
SelectionParts difference(const Selection& a, const Selection& b);

}  // namespace orrery::widgets
