#pragma once
#include <QString>
#include <memory>

#include <core/scene/cloud/cloud_session.h>
#include <viewers/cloud_picture.h>
#include <widgets/background.h>

namespace orrery::plugins {

/// A cloud as the panel holds it: what was read, what was done to it, and its picture.
struct OpenCloud {
    QString file, format;
    QString notes;  ///< what the reader left out or dropped
    std::shared_ptr<const scene::CloudSession> session;
    std::shared_ptr<const viewers::CloudPicture> picture;
    std::shared_ptr<const viewers::CloudColours> colours;
};

/// Reads a file and makes its picture. @param memory  bytes that may be taken at most.
/// @throws core::StorageError, core::InputError, core::FormatError, core::Cancelled.
OpenCloud openCloud(const QString& file, std::size_t memory, widgets::BackgroundContext& context);
/// The cloud with one more filter.
OpenCloud filterCloud(OpenCloud cloud, const std::string& id, const core::Json& parameters, widgets::BackgroundContext& context);
/// Coloured anew in the given style, or in the default one where the cloud lacks what the style asks for.
void recolour(OpenCloud& cloud, const viewers::CloudStyle& style);
/// Points, bounds, fields: what the panel says of a cloud.
QString describeCloud(const OpenCloud& cloud);
/// Coordinates in the file's frame and all values of one point.
QString describePoint(const scene::PointCloud& cloud, std::uint32_t point);

}  // namespace orrery::plugins
