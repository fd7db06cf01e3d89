#include "cloud_work.h"

#include <fmt/format.h>

#include <QFileInfo>
#include <QLocale>
#include <QStringList>
#include <utility>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/jobs/job.h>
#include <core/scene/cloud/formats.h>

namespace orrery::plugins {
namespace {

QString number(double value)
{
    return QString::number(value, 'g', 8);
}

void makePicture(OpenCloud& cloud, std::stop_token stop)
{
    cloud.picture = viewers::cloudPicture(cloud.session->shared(), std::move(stop));
}

void checkMemory(const QString& file, std::size_t needed, std::size_t memory)
{
    if (needed > memory)
        throw core::InputError(
            fmt::format("{}: showing it takes about {}, this machine has {}; make it smaller first: orrery-cli scene filter IN OUT --apply random",
                        file.toStdString(), core::formatBytes(needed), core::formatBytes(memory)));
}

}  // namespace

OpenCloud openCloud(const QString& file, std::size_t memory, widgets::BackgroundContext& context)
{
    checkMemory(file, std::size_t(QFileInfo(file).size()), memory);
    auto read = scene::readCloud(file.toStdString(), context.stopToken());
    context.throwIfStopped();
    const auto& mesh = read.mesh;
    checkMemory(file, scene::bytesOf(mesh) + viewers::pictureBytes(mesh.points.size(), mesh.triangleCount(), mesh.edgeCount()), memory);
    OpenCloud cloud;
    cloud.file = file;
    cloud.format = QString::fromStdString(read.format + ", " + read.encoding);
    QStringList notes;
    if (read.dropped > 0)
        notes << QObject::tr("%1 points without finite coordinates left out").arg(read.dropped);
    for (const auto& text : read.leftOut)
        notes << QObject::tr("left out: %1").arg(QString::fromStdString(text));
    cloud.notes = notes.join("; ");
    cloud.session = std::make_shared<scene::CloudSession>(std::make_shared<const scene::TriangleMesh>(std::move(read.mesh)));
    makePicture(cloud, context.stopToken());
    recolour(cloud, viewers::defaultStyle(cloud.session->current().points));
    return cloud;
}

OpenCloud filterCloud(OpenCloud cloud, const std::string& id, const core::Json& parameters, widgets::BackgroundContext& context)
{
    cloud.session = std::make_shared<scene::CloudSession>(cloud.session->with(id, parameters, 0, context.job()));
    makePicture(cloud, context.stopToken());
    recolour(cloud, cloud.colours->style);
    return cloud;
}

void recolour(OpenCloud& cloud, const viewers::CloudStyle& style)
{
    try {
        cloud.colours = viewers::cloudColours(*cloud.picture, style);
    } catch (const core::InputError&) {
        cloud.colours = viewers::cloudColours(*cloud.picture, viewers::defaultStyle(cloud.picture->mesh->points));
    }
}

QString describeCloud(const OpenCloud& cloud)
{
    const auto& mesh = cloud.session->current();
    const auto locale = QLocale::c();
    QStringList lines{QFileInfo(cloud.file).fileName() + " (" + cloud.format + ")",
                      QObject::tr("%1 points").arg(locale.toString(qulonglong(mesh.points.size())))};
    if (mesh.triangleCount() > 0)
        lines << QObject::tr("%1 triangles").arg(locale.toString(qulonglong(mesh.triangleCount())));
    if (mesh.edgeCount() > 0)
        lines << QObject::tr("%1 edges").arg(locale.toString(qulonglong(mesh.edgeCount())));
    if (const auto bounds = scene::bounds(mesh.points))
        for (std::size_t axis = 0; axis < 3; ++axis)
            lines << QString("%1: %2 … %3").arg(QChar(u"xyz"[axis]), number(bounds->low[axis]), number(bounds->high[axis]));
    QStringList fields;
    if (mesh.points.hasColours())
        fields << QObject::tr("colours");
    if (mesh.points.hasNormals())
        fields << QObject::tr("normals");
    for (const auto& field : mesh.points.fields)
        fields << QString::fromStdString(field.name);
    if (!fields.isEmpty())
        lines << QObject::tr("Has %1").arg(fields.join(", "));
    if (!cloud.notes.isEmpty())
        lines << cloud.notes;
    return lines.join("\n");
}

QString describePoint(const scene::PointCloud& cloud, std::uint32_t point)
{
    QStringList parts;
    for (std::size_t axis = 0; axis < 3; ++axis)
        parts << number(cloud.origin[axis] + double(cloud.positions[3 * point + axis]));
    QString text = QObject::tr("point %1: %2").arg(point).arg(parts.join(", "));
    if (cloud.hasColours())
        text += QString("\nrgb %1 %2 %3").arg(cloud.colours[3 * point]).arg(cloud.colours[3 * point + 1]).arg(cloud.colours[3 * point + 2]);
    for (const auto& field : cloud.fields)
        text += QString("\n%1 %2").arg(QString::fromStdString(field.name), number(field.offset + double(field.values[point])));
    return text;
}

}  // namespace orrery::plugins
