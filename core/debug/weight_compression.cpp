#include "weight_compression.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/low_rank.h>

namespace orrery::debug {
namespace {

constexpr double kLargestFloat16 = 65504;
constexpr double kInt8Steps = 127;
/// Quotient and product are rounded to float: each by up to 2^-24 of 127 steps.
constexpr double kInt8Rounding = 2 * 127.0 / (1 << 24);

bool isCompressed(const at::Tensor& weight, WeightForm form)
{
    const bool roundsAll = form == WeightForm::Float16 || form == WeightForm::BFloat16;
    return weight.scalar_type() == at::kFloat && weight.numel() > 0 && (roundsAll || weight.dim() >= 2);
}

at::Tensor rowsOf(const at::Tensor& weight)
{
    return weight.reshape({weight.size(0), -1});
}

/// Puts nodes between kept tensors and the values of parameters.
class Unpacker {
public:
    explicit Unpacker(const graph::Model& model) : m_model(model), m_data(model.graph->data()) {}
    graph::Model int8()
    {
        return each(WeightForm::Int8, [this](const graph::Parameter& parameter, const at::Tensor& weight) {
            const at::Tensor largest = std::get<0>(rowsOf(weight).abs().max(1));
            const at::Tensor scale = at::where(largest > 0, largest / kInt8Steps, at::ones_like(largest));
            const at::Tensor whole =
                (rowsOf(weight) / scale.unsqueeze(1)).round().clamp(-kInt8Steps, kInt8Steps).to(at::kChar).reshape(weight.sizes());
            unpack(parameter, "orrery::onnx_dequantize", "",
                   {keep(parameter.name + ".int8", whole), keep(parameter.name + ".scale", scale), graph::Operand::literal({}),
                    graph::Operand::literal(std::int64_t(0))});
        });
    }
    graph::Model times(WeightForm form)
    {
        return each(form, [this, form](const graph::Parameter& parameter, const at::Tensor& weight) {
            at::Tensor mask = at::ones_like(weight);
            if (form == WeightForm::Pruned)
                mask.view(-1).index_fill_(0, weight.reshape(-1).abs().argsort().slice(0, 0, weight.numel() / 2), 0);
            unpack(parameter, "aten::mul", "Tensor", {keep(parameter.name + ".dense", weight), keep(parameter.name + ".mask", mask)});
        });
    }

private:
    template <class Change>
    graph::Model each(WeightForm form, const Change& change)
    {
        const auto parameters = std::exchange(m_data.parameters, {});
        for (const auto& parameter : parameters) {
            const at::Tensor& weight = m_model.weights.at(parameter.name);
            if (isCompressed(weight, form)) {
                change(parameter, weight);
            } else {
                m_data.parameters.push_back(parameter);
                m_weights.set(parameter.name, weight);
            }
        }
        m_data.body.nodes.insert(m_data.body.nodes.begin(), m_nodes.begin(), m_nodes.end());
        graph::Model made = m_model;
        made.graph = std::make_shared<const graph::Graph>(std::move(m_data));
        made.weights = std::move(m_weights);
        return made;
    }
    graph::Operand keep(const std::string& name, const at::Tensor& tensor)
    {
        const auto id = graph::ValueId(m_data.values.size());
        m_data.values.push_back({name});
        m_data.parameters.push_back({name, id, graph::Parameter::Kind::Buffer, tensor.sizes().vec(), tensor.scalar_type(), {}});
        m_weights.set(name, tensor);
        return graph::Operand::of(id);
    }
    /// The node takes the parameter's place: what read the one reads the other.
    void unpack(const graph::Parameter& parameter, const std::string& op, const std::string& overload, std::vector<graph::Operand> inputs)
    {
        graph::Node node;
        node.name = m_data.values[std::size_t(parameter.value)].name;
        node.op = op;
        node.overload = overload;
        node.inputs = std::move(inputs);
        node.outputs = {parameter.value};
        m_nodes.push_back(std::move(node));
    }
    const graph::Model& m_model;
    graph::GraphData m_data;
    graph::Weights m_weights;
    std::vector<graph::Node> m_nodes;
};

/// To the nearest number of so many bits, halves to the even one.
double nearest(double number, int bits, int leastExponent)
{
    if (number == 0)
        return number;
    const double step = std::ldexp(1.0, std::max(std::ilogb(number), leastExponent) - (bits - 1));
    return std::nearbyint(number / step) * step;
}

std::span<const float> floatsOf(const at::Tensor& tensor)
{
    return {tensor.data_ptr<float>(), std::size_t(tensor.numel())};
}

/// What a row of numbers stands for, and how far each may be from what it was.
struct Meant {
    std::vector<float> numbers;
    std::function<double(double)> bound;
};

Meant rounded(std::span<const float> row, int bits, int leastExponent)
{
    Meant meant;
    for (const float number : row)
        meant.numbers.push_back(float(nearest(number, bits, leastExponent)));
    meant.bound = [bits, least = std::ldexp(1.0, leastExponent - bits)](double number) {
        return std::max(std::ldexp(std::abs(number), -bits), least);
    };
    return meant;
}

Meant wholeSteps(std::span<const float> row)
{
    float largest = 0;
    for (const float number : row)
        largest = std::max(largest, std::abs(number));
    const float scale = largest > 0 ? largest / float(kInt8Steps) : 1.0f;
    Meant meant;
    for (const float number : row)
        meant.numbers.push_back(float(std::nearbyint(number / scale)) * scale);
    meant.bound = [scale](double) { return (0.5 + kInt8Rounding) * double(scale); };
    return meant;
}

Meant withoutSmallerHalf(std::span<const float> all)
{
    std::vector<float> sizes;
    for (const float number : all)
        sizes.push_back(std::abs(number));
    const std::size_t half = sizes.size() / 2;
    std::nth_element(sizes.begin(), sizes.begin() + std::ptrdiff_t(half), sizes.end());
    const float least = sizes[half];
    Meant meant;
    for (const float number : all)
        meant.numbers.push_back(std::abs(number) < least ? 0.0f : number);
    meant.bound = [least](double) { return double(least); };
    return meant;
}

Meant meantOf(std::span<const float> row, WeightForm form)
{
    switch (form) {
    case WeightForm::Float16: return rounded(row, 11, -14);
    case WeightForm::BFloat16: return rounded(row, 8, -126);
    case WeightForm::Int8: return wholeSteps(row);
    case WeightForm::Pruned: return withoutSmallerHalf(row);
    case WeightForm::Masked:
    case WeightForm::LowRank: break;
    }
    return {{row.begin(), row.end()}, [](double) { return 0.0; }};
}

/// Columns that are turned in pairs until all stand at right angles: their lengths are the singular values, and the turns are the right singular vectors.
/// Source: Hestenes (1958), "Inversion of matrices by biorthogonalization and related results", doi:10.1137/0106005.
struct TurnedColumns {
    std::vector<std::vector<double>> columns, turns;
    explicit TurnedColumns(std::vector<std::vector<double>> matrix) : columns(std::move(matrix))
    {
        for (std::size_t i = 0; i < columns.size(); ++i) {
            turns.emplace_back(columns.size(), 0.0);
            turns.back()[i] = 1;
        }
        constexpr int kSweeps = 60;
        for (int sweep = 0; sweep < kSweeps && turnAll(); ++sweep)
            ;
    }

private:
    static double product(const std::vector<double>& a, const std::vector<double>& b)
    {
        return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    }
    static void turn(std::vector<double>& a, std::vector<double>& b, double c, double s)
    {
        for (std::size_t i = 0; i < a.size(); ++i) {
            const double first = a[i], second = b[i];
            a[i] = c * first - s * second;
            b[i] = s * first + c * second;
        }
    }
    bool turnAll()
    {
        constexpr double kRight = 1e-15;
        bool turned = false;
        for (std::size_t i = 0; i < columns.size(); ++i)
            for (std::size_t j = i + 1; j < columns.size(); ++j) {
                const double both = product(columns[i], columns[j]), first = product(columns[i], columns[i]),
                             second = product(columns[j], columns[j]);
                if (std::abs(both) <= kRight * std::sqrt(first * second))
                    continue;
                const double ratio = (second - first) / (2 * both);
                const double tangent = (ratio < 0 ? -1 : 1) / (std::abs(ratio) + std::hypot(1, ratio)), c = 1 / std::hypot(1, tangent);
                turn(columns[i], columns[j], c, c * tangent);
                turn(turns[i], turns[j], c, c * tangent);
                turned = true;
            }
        return turned;
    }
};

/// The nearest matrix of a rank, and the root of the sum of the squared singular values that it leaves out.
Meant truncated(std::span<const float> numbers, std::size_t rows, std::size_t rank)
{
    const std::size_t width = numbers.size() / rows;
    std::vector<std::vector<double>> matrix(width, std::vector<double>(rows));
    for (std::size_t i = 0; i < numbers.size(); ++i)
        matrix[i % width][i / width] = double(numbers[i]);
    const TurnedColumns found(std::move(matrix));
    std::vector<std::pair<double, std::size_t>> squares;
    for (std::size_t i = 0; i < width; ++i)
        squares.emplace_back(std::inner_product(found.columns[i].begin(), found.columns[i].end(), found.columns[i].begin(), 0.0), i);
    std::sort(squares.rbegin(), squares.rend());
    std::vector<double> sums(numbers.size(), 0.0);
    double dropped = 0;
    for (std::size_t place = 0; place < width; ++place) {
        const auto [square, column] = squares[place];
        if (place >= rank)
            dropped += square;
        for (std::size_t i = 0; place < rank && i < numbers.size(); ++i)
            sums[i] += found.columns[column][i / width] * found.turns[column][i % width];
    }
    Meant meant;
    double missing = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        meant.numbers.push_back(float(sums[i]));
        missing += (sums[i] - double(numbers[i])) * (sums[i] - double(numbers[i]));
    }
    // Eckart & Young (1936): what is missing is what was left out, to rounding.
    constexpr double kRounding = 1e-9;
    if (std::abs(std::sqrt(missing) - std::sqrt(dropped)) > kRounding * (1 + std::sqrt(missing)))
        throw core::Error(
            fmt::format("expected {:.9g} to be missing of a matrix of rank {}, got {:.9g}", std::sqrt(dropped), rank, std::sqrt(missing)));
    meant.bound = [most = std::sqrt(dropped)](double number) { return most * (1 + kRounding) + std::abs(number) * 1e-6; };
    return meant;
}

void checkBound(const std::string& name, std::span<const float> before, const Meant& meant)
{
    for (std::size_t i = 0; i < before.size(); ++i)
        if (!(std::abs(double(meant.numbers[i]) - double(before[i])) <= meant.bound(before[i])))
            throw core::Error(fmt::format("{}: expected a number no farther than {:.3g} from {:.9g}, got {:.9g}", name, meant.bound(before[i]),
                                          before[i], meant.numbers[i]));
}

const graph::LowRankSettings kLowRank{1, 2};

/// Which weights are taken apart is asked; what they stand for is worked out here.
graph::Weights lowRankMeant(const graph::Model& model)
{
    graph::Weights meant = model.weights;
    for (const auto& factor : graph::lowRank(model.graph, model.weights, kLowRank).factors) {
        const at::Tensor before = model.weights.at(factor.name).contiguous();
        const Meant made = truncated(floatsOf(before), std::size_t(before.size(0)), std::size_t(factor.rank));
        checkBound(factor.name, floatsOf(before), made);
        at::Tensor after = at::empty_like(before);
        std::copy(made.numbers.begin(), made.numbers.end(), after.data_ptr<float>());
        meant.set(factor.name, after);
    }
    return meant;
}

}  // namespace

std::string weightFormName(WeightForm form)
{
    switch (form) {
    case WeightForm::Float16: return "float16";
    case WeightForm::BFloat16: return "bfloat16";
    case WeightForm::Int8: return "int8";
    case WeightForm::Pruned: return "pruned";
    case WeightForm::Masked: return "masked";
    case WeightForm::LowRank: return "low-rank";
    }
    return {};
}

graph::Model compressed(const graph::Model& model, WeightForm form)
{
    if (form == WeightForm::Int8)
        return Unpacker(model).int8();
    if (form == WeightForm::Pruned || form == WeightForm::Masked)
        return Unpacker(model).times(form);
    graph::Model made = model;
    if (form == WeightForm::LowRank) {
        auto taken = graph::lowRank(model.graph, model.weights, kLowRank);
        made.graph = std::move(taken.graph);
        made.weights = std::move(taken.weights);
        return made;
    }
    for (const auto& [name, weight] : model.weights.tensors()) {
        if (!isCompressed(weight, form))
            continue;
        if (form == WeightForm::Float16 && weight.abs().max().item<double>() > kLargestFloat16)
            throw core::InputError(name + ": holds a number beyond the range of float16");
        made.weights.set(name, weight.to(form == WeightForm::Float16 ? at::kHalf : at::kBFloat16));
    }
    return made;
}

graph::Weights weightsMeant(const graph::Model& model, WeightForm form)
{
    if (form == WeightForm::LowRank)
        return lowRankMeant(model);
    graph::Weights meant;
    for (const auto& [name, weight] : model.weights.tensors()) {
        if (!isCompressed(weight, form)) {
            meant.set(name, weight);
            continue;
        }
        const at::Tensor before = weight.contiguous();
        at::Tensor after = at::empty_like(before);
        // A scale belongs to a row; everything else is one row.
        const std::int64_t rows = form == WeightForm::Int8 ? weight.size(0) : 1;
        const std::size_t length = std::size_t(weight.numel() / rows);
        for (std::int64_t row = 0; row < rows; ++row) {
            const auto numbers = floatsOf(before).subspan(std::size_t(row) * length, length);
            const Meant made = meantOf(numbers, form);
            checkBound(name, numbers, made);
            std::copy(made.numbers.begin(), made.numbers.end(), after.data_ptr<float>() + std::size_t(row) * length);
        }
        meant.set(name, after);
    }
    return meant;
}

}  // namespace orrery::debug
