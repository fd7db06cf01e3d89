#include "edl_pass.h"

#include <QOpenGLContext>
#include <QOpenGLExtraFunctions>
#include <QVector2D>

namespace orrery::viewers {
namespace {

const char* kVertex = R"(#version 150
void main() {
    vec2 corner = vec2((gl_VertexID & 1) * 4 - 1, (gl_VertexID & 2) * 2 - 1);
    gl_Position = vec4(corner, 0.0, 1.0);
})";

// The logarithm of the distance makes the shade the same near and far. Where nothing was drawn, depth is 1, and the background casts no shade and takes none.
const char* kFragment = R"(#version 150
uniform sampler2D colour, depth;
uniform vec2 planes;
uniform float strength;
uniform int neighbours;
uniform ivec2 last;
out vec4 result;
float logDistance(float d) {
    return log2(planes.x * planes.y / (planes.y - d * (planes.y - planes.x)));
}
void main() {
    ivec2 at = ivec2(gl_FragCoord.xy);
    vec3 own = texelFetch(colour, at, 0).rgb;
    float d = texelFetch(depth, at, 0).r;
    float response = 0.0;
    if (d < 1.0) {
        float here = logDistance(d);
        ivec2 steps[8] = ivec2[8](ivec2(2, 0), ivec2(-2, 0), ivec2(0, 2), ivec2(0, -2), ivec2(1, 1), ivec2(-1, 1), ivec2(1, -1), ivec2(-1, -1));
        for (int i = 0; i < neighbours; ++i) {
            float other = texelFetch(depth, clamp(at + steps[i], ivec2(0), last), 0).r;
            if (other < 1.0)
                response += max(0.0, here - logDistance(other));
        }
        response /= float(neighbours);
    }
    result = vec4(own * exp(-60.0 * strength * response), 1.0);
})";

}  // namespace

EdlPass::EdlPass()
{
    m_program.addShaderFromSourceCode(QOpenGLShader::Vertex, kVertex);
    m_program.addShaderFromSourceCode(QOpenGLShader::Fragment, kFragment);
    m_program.link();
    m_array.create();
}

void EdlPass::draw(const Input& input)
{
    auto* gl = QOpenGLContext::currentContext()->extraFunctions();
    gl->glDisable(GL_DEPTH_TEST);
    gl->glDisable(GL_BLEND);
    gl->glActiveTexture(GL_TEXTURE0);
    gl->glBindTexture(GL_TEXTURE_2D, input.colour);
    gl->glActiveTexture(GL_TEXTURE1);
    gl->glBindTexture(GL_TEXTURE_2D, input.depth);
    m_program.bind();
    m_program.setUniformValue("colour", 0);
    m_program.setUniformValue("depth", 1);
    m_program.setUniformValue("planes", QVector2D(float(input.nearPlane), float(input.farPlane)));
    m_program.setUniformValue("strength", float(input.strength));
    m_program.setUniformValue("neighbours", input.neighbours);
    const GLint last[] = {input.pixels.width() - 1, input.pixels.height() - 1};
    gl->glUniform2iv(m_program.uniformLocation("last"), 1, last);
    m_array.bind();
    gl->glDrawArrays(GL_TRIANGLES, 0, 3);
    m_array.release();
    m_program.release();
    gl->glBindTexture(GL_TEXTURE_2D, 0);
    gl->glActiveTexture(GL_TEXTURE0);
    gl->glBindTexture(GL_TEXTURE_2D, 0);
}

}  // namespace orrery::viewers
