// Forward passes of our architectures by formula, counted as graph/flops.h counts: a multiply-add 2, a norm or softmax 5 an element, other arithmetic 1.
#include <vector>

#include "counters.h"

namespace orrery::scaling {
namespace {

using core::Json;
using Count = std::int64_t;

Count numberOf(const Json& parameters, const char* key)
{
    return parameters.at(key).get<Count>();
}

/// `rows` vectors of `in` values through a matrix: `out` values each.
Count linear(Count rows, Count in, Count out, bool bias = true)
{
    return rows * out * (2 * in + (bias ? 1 : 0));
}

/// 1 where dropout of that probability is a node.
Count dropoutNode(const Json& parameters, const char* key)
{
    return parameters.at(key).get<double>() > 0 ? 1 : 0;
}

bool readoutIsDivided(const Json& parameters)
{
    const std::string kind = parameters.value("parametrisation", "standard");
    return kind == "mup" || kind == "mean_field";
}

Count mlpFormula(const Json& parameters, Count batch)
{
    const Count perUnit = 1 + (parameters.at("batch_norm").get<bool>() ? 5 : 0) + dropoutNode(parameters, "dropout");
    Count width = numberOf(parameters, "features"), total = 0;
    for (const Count hidden : parameters.at("hidden").get<std::vector<Count>>()) {
        total += linear(batch, width, hidden) + perUnit * batch * hidden;
        width = hidden;
    }
    return total + (readoutIsDivided(parameters) ? batch * width : 0) + linear(batch, width, numberOf(parameters, "classes"));
}

Count lenetFormula(const Json& parameters, Count batch)
{
    const Count kernel = numberOf(parameters, "kernel"), padding = numberOf(parameters, "padding");
    const Count perPixel = 2 + (parameters.at("batch_norm").get<bool>() ? 5 : 0);  // activation, pooling, norm
    Count size = numberOf(parameters, "image_size"), channels = numberOf(parameters, "channels"), total = 0;
    for (const Count maps : parameters.at("maps").get<std::vector<Count>>()) {
        size = size + 2 * padding - kernel + 1;
        total += batch * size * size * maps * (2 * kernel * kernel * channels + 1 + perPixel);
        size /= 2;
        channels = maps;
    }
    Count width = channels * size * size;
    for (const Count hidden : parameters.at("hidden").get<std::vector<Count>>()) {
        total += linear(batch, width, hidden) + (1 + dropoutNode(parameters, "dropout")) * batch * hidden;
        width = hidden;
    }
    return total + linear(batch, width, numberOf(parameters, "classes"));
}

/// One stretch of a residual network: follows the size of its maps.
class ConvolutionCount {
public:
    ConvolutionCount(Count batch, Count size, Count channels) : m_batch(batch), m_size(size), m_channels(channels) {}
    /// Convolution without bias, batch norm, and relu if `active`.
    void convolve(Count out, Count kernel, Count stride, Count padding, bool active)
    {
        m_size = (m_size + 2 * padding - kernel) / stride + 1;
        m_total += m_batch * m_size * m_size * out * (2 * kernel * kernel * m_channels + 5 + (active ? 1 : 0));
        m_channels = out;
    }
    void pool(Count kernel, Count stride, Count padding)
    {
        m_size = (m_size + 2 * padding - kernel) / stride + 1;
        m_total += kernel * kernel * elements();  // a window for each number of the result
    }
    void elementwise(Count operations) { m_total += operations * elements(); }
    Count elements() const { return m_batch * m_size * m_size * m_channels; }
    Count size() const { return m_size; }
    Count channels() const { return m_channels; }
    Count total() const { return m_total; }

private:
    Count m_batch, m_size, m_channels, m_total = 0;
};

struct ResnetShape {
    std::vector<Count> blocks;
    Count width = 64, expansion = 1;
    bool imagenet = false, projects = true;
};

ResnetShape resnetShape(const Json& parameters)
{
    const Count depth = numberOf(parameters, "depth");
    if (parameters.at("layout") == "imagenet")
        return {depth == 18 ? std::vector<Count>{2, 2, 2, 2} : std::vector<Count>{3, 4, 6, 3}, 64, depth == 50 ? 4 : 1, true, true};
    return {std::vector<Count>(3, (depth - 2) / 6), numberOf(parameters, "width"), 1, false, parameters.at("shortcut") == "B"};
}

/// What a block adds beside its main path where the size changes.
Count shortcutCount(const ResnetShape& shape, Count batch, Count size, Count in, Count out)
{
    return shape.projects ? batch * size * size * out * (2 * in + 5) : 0;
}

Count resnetFormula(const Json& parameters, Count batch)
{
    const ResnetShape shape = resnetShape(parameters);
    ConvolutionCount count(batch, numberOf(parameters, "image_size"), numberOf(parameters, "channels"));
    shape.imagenet ? count.convolve(shape.width, 7, 2, 3, true) : count.convolve(shape.width, 3, 1, 1, true);
    if (shape.imagenet)
        count.pool(3, 2, 1);
    Count total = 0, width = shape.width;
    for (std::size_t stage = 0; stage < shape.blocks.size(); ++stage, width *= 2)
        for (Count block = 0; block < shape.blocks[stage]; ++block) {
            const Count stride = stage > 0 && block == 0 ? 2 : 1, in = count.channels(), out = width * shape.expansion;
            if (shape.expansion == 4)
                count.convolve(width, 1, 1, 0, true);
            count.convolve(width, 3, stride, 1, true);
            shape.expansion == 4 ? count.convolve(out, 1, 1, 0, false) : count.convolve(out, 3, 1, 1, false);
            if (stride != 1 || in != out)
                total += shortcutCount(shape, batch, count.size(), in, out);
            count.elementwise(2);  // the sum and its relu
        }
    count.elementwise(1);  // the mean over pixels
    return total + count.total() + linear(batch, count.channels(), numberOf(parameters, "classes"));
}

struct BlockShape {
    Count batch, length, width, heads, inside;
    bool bias = true, mlp = true, norm = true, masked = false;
    Count patternDropout = 0, insideDropout = 0, residualDropout = 0;
};

Count attentionCount(const BlockShape& s)
{
    const Count rows = s.batch * s.length, pattern = s.batch * s.heads * s.length * s.length, feature = s.width / s.heads;
    // With a mask one product adds it; without, the queries are scaled before.
    const Count scores = pattern * 2 * feature + (s.masked ? pattern : rows * s.width);
    return linear(rows, s.width, 3 * s.width, s.bias) + scores + (5 + s.patternDropout) * pattern + rows * s.width * 2 * s.length +
           linear(rows, s.width, s.width, s.bias);
}

Count blockCount(const BlockShape& s)
{
    const Count rows = s.batch * s.length, residual = rows * s.width * (1 + s.residualDropout), norm = s.norm ? 5 * rows * s.width : 0;
    Count total = norm + attentionCount(s) + residual;
    if (s.mlp)
        total += norm + linear(rows, s.width, s.inside, s.bias) + (1 + s.insideDropout) * rows * s.inside + linear(rows, s.inside, s.width, s.bias) +
                 residual;
    return total;
}

Count vitFormula(const Json& parameters, Count batch)
{
    const Count patch = numberOf(parameters, "patch_size"), side = numberOf(parameters, "image_size") / patch, width = numberOf(parameters, "width");
    const Count dropped = dropoutNode(parameters, "dropout");
    const BlockShape shape{batch,
                           side * side + 1,
                           width,
                           numberOf(parameters, "heads"),
                           numberOf(parameters, "mlp_width"),
                           true,
                           true,
                           true,
                           false,
                           dropoutNode(parameters, "attention_dropout"),
                           dropped,
                           dropped};
    const Count rows = batch * shape.length;
    Count total = linear(batch * side * side, numberOf(parameters, "channels") * patch * patch, width) + (1 + dropped) * rows * width;
    total += numberOf(parameters, "layers") * blockCount(shape) + 5 * rows * width;
    return total + (readoutIsDivided(parameters) ? batch * width : 0) + linear(batch, width, numberOf(parameters, "classes"));
}

Count gptFormula(const Json& parameters, Count batch, Count length)
{
    const Count width = numberOf(parameters, "width"), dropped = dropoutNode(parameters, "dropout");
    const bool norm = parameters.at("norm").get<bool>();
    const BlockShape shape{batch,
                           length,
                           width,
                           numberOf(parameters, "heads"),
                           4 * width,
                           parameters.at("bias").get<bool>(),
                           parameters.at("mlp").get<bool>(),
                           norm,
                           true,
                           dropped,
                           0,
                           dropped};
    const Count rows = batch * length;
    Count total = (1 + dropped) * rows * width + length * length;  // positions, and filling the mask
    total += numberOf(parameters, "layers") * blockCount(shape) + (norm ? 5 * rows * width : 0);
    return total + (readoutIsDivided(parameters) ? rows * width : 0) + linear(rows, width, numberOf(parameters, "vocabulary"), false);
}

Count lstmFormula(const Json& parameters, Count batch, Count length)
{
    const Count width = numberOf(parameters, "width"), layers = numberOf(parameters, "layers"), rows = batch * length;
    const Count dropped = dropoutNode(parameters, "dropout") * (layers + 1);
    // Two matrices and two biases of four gates, then nine operations a unit.
    const Count layer = rows * (2 * 8 * width * width + 8 * width + 9 * width);
    return dropped * rows * width + layers * layer + (readoutIsDivided(parameters) ? rows * width : 0) +
           linear(rows, width, numberOf(parameters, "vocabulary"), false);
}

}  // namespace

std::optional<std::int64_t> forwardFormula(std::string_view architecture, const Json& parameters, std::int64_t batch, std::int64_t length)
{
    if (architecture == "mlp")
        return mlpFormula(parameters, batch);
    if (architecture == "lenet")
        return lenetFormula(parameters, batch);
    if (architecture == "resnet")
        return resnetFormula(parameters, batch);
    if (architecture == "vit")
        return vitFormula(parameters, batch);
    if (architecture == "gpt")
        return gptFormula(parameters, batch, length);
    if (architecture == "lstm")
        return lstmFormula(parameters, batch, length);
    return std::nullopt;
}

}  // namespace orrery::scaling
