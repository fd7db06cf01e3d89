#include "edl_pass.h"

#include <QOpenGLContext>
#include <QOpenGLExtraFunctions>
#include <QVector2D>
#include <numbers>

namespace orrery::viewers {
namespace {

const char* kVertex = R"(#version 150
void main() {
    vec2 corner = vec2((gl_VertexID & 1) * 4 - 1, (gl_VertexID & 2) * 2 - 1);
    gl_Position = vec4(corner, 0.0, 1.0);
})";

// The logarithm of the distance makes the shade the same near and far: the sum of the logarithms of the ratios to nearer neighbours is that of their product, which
// costs one logarithm for all. Where nothing was drawn, depth is 1, and the background casts no shade and takes none. Steps are written out: a table of them that is
// indexed in a loop costs a software renderer more than all the rest.
const char* kFragment = R"(#version 150
uniform sampler2D colour, depth;
uniform vec2 planes;
uniform float exponent;
uniform int neighbours, reach;
uniform ivec2 last;
out vec4 result;
float inverseDistance(float d) {
    return planes.y - d * (planes.y - planes.x);
}
float ratio(ivec2 place, float own) {
    float other = texelFetch(depth, clamp(place, ivec2(0), last), 0).r;
    return other < 1.0 ? max(1.0, inverseDistance(other) * own) : 1.0;
}
void main() {
    ivec2 at = ivec2(gl_FragCoord.xy);
    float d = texelFetch(depth, at, 0).r, own = 1.0 / inverseDistance(d), shade = 1.0;
    if (d < 1.0) {
        float product = ratio(at + ivec2(reach, 0), own) * ratio(at - ivec2(reach, 0), own) * ratio(at + ivec2(0, reach), own) * ratio(at - ivec2(0, reach), own);
        if (neighbours > 4)
            product *= ratio(at + ivec2(1, 1), own) * ratio(at + ivec2(-1, 1), own) * ratio(at + ivec2(1, -1), own) * ratio(at + ivec2(-1, -1), own);
        shade = pow(product, exponent);
    }
    result = vec4(texelFetch(colour, at, 0).rgb * shade, 1.0);
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
    // exp(-60 strength mean(log2(ratio)))
    m_program.setUniformValue("exponent", float(-60 * input.strength / (input.neighbours * std::numbers::ln2)));
    m_program.setUniformValue("neighbours", input.neighbours);
    m_program.setUniformValue("reach", input.reach);
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
