#include "splat_work.h"

#include <fmt/format.h>

#include <QFileInfo>
#include <QLocale>
#include <QStringList>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/synthetic.h>
#include <core/store/workspace.h>
#include <core/train/runs.h>
#include <core/train/splat_learner.h>
#include <core/train/splat_runs.h>

namespace orrery::plugins {
namespace {

constexpr std::size_t kCopies = 3;  ///< of the values: the file's, a cropped part, what the rasteriser keeps of each

OpenSplats made(const QString& source, scene::Splats splats)
{
    OpenSplats out;
    out.source = source;
    out.statistics = scene::splatStatistics(splats);
    out.scene = viewers::makeSplatScene(std::move(splats));
    return out;
}

OpenSplats ofRun(qint64 run, qint64 step, OpenSplats::Stage stage, scene::Splats splats)
{
    auto out = made(QStringLiteral("run:%1").arg(run), std::move(splats));
    out.run = run;
    out.step = step;
    out.stage = stage;
    return out;
}

QString number(double value)
{
    return QString::number(value, 'g', 5);
}

QString count(std::size_t value)
{
    return QLocale::c().toString(qulonglong(value));
}

template <class Values>
QString joined(const Values& values)
{
    QStringList parts;
    for (const auto value : values)
        parts << number(double(value));
    return parts.join(QStringLiteral(", "));
}

}  // namespace

OpenSplats openSplatFile(const QString& file, std::size_t memory)
{
    const auto size = std::size_t(QFileInfo(file).size());
    if (size * kCopies > memory)
        throw core::InputError(fmt::format("{}: showing it takes about {}, this machine has {}", file.toStdString(),
                                           core::formatBytes(size * kCopies), core::formatBytes(memory)));
    auto read = scene::openSplats(file.toStdString());
    if (read.splats.size() == 0)
        throw core::InputError(fmt::format("{}: expected Gaussians, found none", file.toStdString()));
    return made(file, std::move(read.splats));
}

std::optional<OpenSplats> storedSplats(const store::Workspace& workspace, qint64 run, const std::optional<OpenSplats>& known)
{
    const bool isFinal = workspace.findArtifact(run, train::kFinalSplats).has_value();
    const auto steps = train::checkpointSteps(workspace, run);
    if (known && known->run == run) {
        const auto stage = isFinal ? OpenSplats::Stage::Final : OpenSplats::Stage::Stored;
        if (known->stage == OpenSplats::Stage::Final || (known->stage == stage && !isFinal && !steps.empty() && steps.back() <= known->step))
            return std::nullopt;
    }
    auto stored = train::splatsOfRun(workspace, run);
    if (!stored)
        return std::nullopt;
    return ofRun(run, stored->step, stored->isFinal ? OpenSplats::Stage::Final : OpenSplats::Stage::Stored, std::move(stored->splats));
}

OpenSplats liveSplats(qint64 run, const train::Snapshot& snapshot)
{
    return ofRun(run, snapshot.step, OpenSplats::Stage::Live, scene::splatsOf(snapshot.weights));
}

QString titleOf(const OpenSplats& splats)
{
    if (!splats.run)
        return QFileInfo(splats.source).fileName();
    const char* const stages[] = {"", ", training", ", stored", ", finished"};
    return QObject::tr("Run %1 after %2 steps").arg(*splats.run).arg(QLocale::c().toString(splats.step)) +
           QString::fromLatin1(stages[std::size_t(splats.stage)]);
}

QString describeSplats(const OpenSplats& splats)
{
    const auto& s = splats.statistics;
    QStringList lines{QObject::tr("%1 Gaussians, harmonics of degree %2, %3")
                          .arg(count(s.count))
                          .arg(s.degree)
                          .arg(QString::fromStdString(core::formatBytes(s.bytes)))};
    for (std::size_t axis = 0; axis < 3; ++axis)
        lines << QStringLiteral("%1: %2 … %3").arg(QChar(u"xyz"[axis]), number(s.box[axis]), number(s.box[axis + 3]));
    lines << QObject::tr("Median opacity %1, median largest deviation %2").arg(number(s.medianOpacity), number(s.medianSize));
    if (s.faint > 0)
        lines << QObject::tr("%1 are too faint to be seen (opacity below 1/255)").arg(count(s.faint));
    return lines.join(QStringLiteral("\n"));
}

QString describeGaussian(const scene::Splats& splats, std::uint32_t gaussian)
{
    const auto values = scene::gaussianValues(splats, gaussian);
    QStringList lines{QObject::tr("Gaussian %1").arg(gaussian),
                      QObject::tr("centre %1").arg(joined(values.centre)),
                      QObject::tr("standard deviations %1").arg(joined(values.deviations)),
                      QObject::tr("rotation (w, x, y, z) %1").arg(joined(values.rotation)),
                      QObject::tr("opacity %1").arg(number(values.opacity)),
                      QObject::tr("colour from all sides %1").arg(joined(values.colour))};
    for (std::size_t i = 0; i + 2 < values.harmonics.size(); i += 3)
        lines << QObject::tr("harmonic %1: %2").arg(i / 3).arg(joined(std::span(values.harmonics).subspan(i, 3)));
    return lines.join(QStringLiteral("\n"));
}

}  // namespace orrery::plugins
