#pragma once
#include <QString>
#include <memory>
#include <optional>

#include <core/scene/splat/statistics.h>
#include <core/train/trainer.h>
#include <viewers/splat_view.h>

namespace orrery::store {
class Workspace;
}

namespace orrery::plugins {

/// Gaussians as the panel holds them: where they are from, what they are like. Made in the background.
struct OpenSplats {
    QString source;             ///< a file, `synthetic:room`, or `run:ID`
    std::optional<qint64> run;  ///< of a run: which
    qint64 step = 0;            ///< of a run: after how many steps
    enum class Stage { File, Live, Stored, Final } stage = Stage::File;
    std::shared_ptr<const viewers::SplatScene> scene;
    scene::SplatStatistics statistics;
};

/// @param memory  Bytes that may be taken at most. @throws core::InputError, core::FormatError, core::StorageError.
OpenSplats openSplatFile(const QString& file, std::size_t memory);
/// What a run has stored; nothing if that is what is known already, or if it has stored none yet.
/// @throws core::InputError for a run that trains something else.
std::optional<OpenSplats> storedSplats(const store::Workspace& workspace, qint64 run, const std::optional<OpenSplats>& known);
/// What a training has just published.
OpenSplats liveSplats(qint64 run, const train::Snapshot& snapshot);

/// "run 3 after 1,200 steps, training".
QString titleOf(const OpenSplats& splats);
/// Counts, bounds, sizes: what the panel says of them.
QString describeSplats(const OpenSplats& splats);
/// All values of one Gaussian.
QString describeGaussian(const scene::Splats& splats, std::uint32_t gaussian);

}  // namespace orrery::plugins
