#include <algorithm>

#include <core/scene/camera/vector.h>

#include "footprint.h"

namespace orrery::scene {

Projection::Projection(const Camera& camera, const SplatRenderOptions& o, int splatsDegree)
    : view(worldToView(camera)), eye(translation(camera.cameraToWorld)), focalX(camera.focalX), focalY(camera.focalY), centreX(camera.centreX),
      centreY(camera.centreY), width(camera.width), height(camera.height), tilesX((camera.width + kTileSide - 1) / kTileSide),
      tilesY((camera.height + kTileSide - 1) / kTileSide), degree(std::min(o.degree, splatsDegree)), options(o)
{
    const double marginX = 0.15 * width / focalX, marginY = 0.15 * height / focalY;
    limitLeft = -(centreX / focalX + marginX);
    limitRight = (width - centreX) / focalX + marginX;
    limitTop = -(centreY / focalY + marginY);
    limitBottom = (height - centreY) / focalY + marginY;
}

}  // namespace orrery::scene
