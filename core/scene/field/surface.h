#pragma once
#include <functional>

#include <core/scene/cloud/cloud.h>

#include "views.h"

namespace orrery::scene {

struct SurfaceOptions {
    int resolution = 128;   ///< places an edge of the cube, 2..512
    double density = 50;    ///< where the surface is, per edge of the cube
    bool triangles = true;  ///< else the points of the surface alone
};
/// The surface of a field as a coloured mesh in the world, with normals; colours as seen from straight above the surface.
/// @param onProgress  Called with the part that is done, 0..1. @throws core::InputError if the field never gets that dense: the message gives its highest density.
TriangleMesh fieldSurface(const FieldView& field, const SurfaceOptions& options, const std::stop_token& stop = {},
                          const std::function<void(double)>& onProgress = {});

}  // namespace orrery::scene
