#pragma once
#include <QOpenGLShaderProgram>
#include <QOpenGLVertexArrayObject>
#include <QSize>
#include <memory>

/// Private to viewers.
namespace orrery::viewers {

/// Eye-dome lighting: darkens a pixel by how much nearer its neighbours are, so that a cloud without normals shows its shape. One pass over colour and depth
/// textures into the bound framebuffer. The OpenGL context must be current.
/// Source: Boucheny & Ribes (2011), "Eye-dome lighting: a non-photorealistic shading technique", Kitware Source 17.
class EdlPass {
public:
    struct Input {
        unsigned colour = 0, depth = 0;  ///< texture names, both of the picture's size
        double nearPlane = 0.1, farPlane = 1;
        double strength = 1;
        int neighbours = 8;  ///< 4 is faster
        int reach = 2;       ///< pixels to the farthest neighbours: half as many in a picture of half the size
        QSize pixels;
    };
    EdlPass();
    void draw(const Input& input);

private:
    QOpenGLShaderProgram m_program;
    QOpenGLVertexArrayObject m_array;
};

}  // namespace orrery::viewers
