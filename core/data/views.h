#pragma once
#include <vector>

#include "posed_pictures.h"

namespace orrery::data {

/// Posed pictures, one sample a view: the input is the camera's row (scene::cameraRow), the target the picture [height, width, 3] in 0..1. What learns a scene
/// from whole pictures also asks for the rest: cameras in double precision, the scene's place, points that are known to lie on surfaces.
/// Pictures are straightened: the cameras have no lens distortion. Samples of one batch must have one size.
class ViewSet : public DataSet {
public:
    explicit ViewSet(PosedPictures pictures) : m_pictures(std::move(pictures)) {}
    std::int64_t size() const override { return std::int64_t(m_pictures.cameras.size()); }
    const scene::Camera& camera(std::int64_t index) const { return m_pictures.cameras[std::size_t(index)]; }
    const std::array<double, 6>& box() const { return m_pictures.box; }
    const std::vector<scene::ScenePoint>& points() const { return m_pictures.points; }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override;
    std::string computeHash() const override;

private:
    PosedPictures m_pictures;
};

}  // namespace orrery::data
