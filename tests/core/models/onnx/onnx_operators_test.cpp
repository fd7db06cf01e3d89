// Each operator that the writer of ONNX knows, alone in a graph: written, opened again, the same values.
#include <ATen/CPUGeneratorImpl.h>

#include <QTemporaryDir>
#include <QtTest>

#include <core/graph/builder.h>
#include <core/models/exporter.h>

#include "onnx_testing.h"

using namespace orrery;
using namespace orrery::tests;
using graph::Builder;
using Var = Builder::Var;
using Sizes = std::vector<std::int64_t>;

namespace {

/// Inputs: x and y [batch, 4, 6] with numbers of both signs, p the same above zero, i [batch, 4, 6] from 0 to 3, picture [batch, 4, 6, 6].
struct Inputs {
    Var x, y, p, i, picture;
};

struct Case {
    std::function<Var(Builder&, const Inputs&)> build;
};

Case plain(const std::string& op)
{
    return {[op](Builder& b, const Inputs& in) { return b.op(op, {in.x}); }};
}

Case positive(const std::string& op)
{
    return {[op](Builder& b, const Inputs& in) { return b.op(op, {in.p}); }};
}

Case both(const std::string& op)
{
    return {[op](Builder& b, const Inputs& in) { return b.op(op, {in.x, in.y}); }};
}

Case with(const std::string& op, std::vector<Builder::Arg> more)
{
    return {[op, more](Builder& b, const Inputs& in) {
        std::vector<Builder::Arg> args = {in.x};
        args.insert(args.end(), more.begin(), more.end());
        return b.op(op, args);
    }};
}

Case whole(const std::string& op, std::vector<Builder::Arg> more)
{
    return {[op, more](Builder& b, const Inputs& in) {
        std::vector<Builder::Arg> args = {in.i};
        args.insert(args.end(), more.begin(), more.end());
        return b.op(op, args);
    }};
}

Var weight(Builder& builder, const std::string& name, const Sizes& shape)
{
    return builder.parameter(name, shape, core::Json{{"kind", "normal"}, {"std", 1.0}});
}

/// Windows and diagonals, statistics, activations, losses, sorting.
void addFurtherCases(std::map<std::string, Case>& all)
{
    for (const char* op : {"asinh", "square", "erfc", "selu", "log_sigmoid", "isinf"})
        all[op] = plain(std::string("aten::") + op);
    all["acosh"] = {[](Builder& b, const Inputs& in) { return b.op("aten::acosh", {b.op("aten::add.Scalar", {in.p, 1})}); }};
    all["atanh"] = {[](Builder& b, const Inputs& in) { return b.op("aten::atanh", {b.op("aten::tanh", {in.x})}); }};
    for (const char* op : {"isposinf", "isneginf"})
        all[op] = {[op](Builder& b, const Inputs& in) {
            return b.op(std::string("aten::") + op,
                        {b.op("aten::div.Tensor", {b.op("aten::round", {in.x}), b.op("aten::sub.Tensor", {in.i, in.i})})});
        }};
    for (const char* direction : {"left", "right"})  // numbers of both signs
        all[fmt::format("shift to the {}", direction)] = {[direction](Builder& b, const Inputs& in) {
            return b.op(fmt::format("aten::bitwise_{}_shift.Tensor", direction),
                        {b.op("aten::sub.Scalar", {b.op("aten::mul.Scalar", {in.i, 5}), 7}), in.i});
        }};
    all["item"] = {[](Builder& b, const Inputs& in) { return b.op("aten::mul.Scalar", {in.x, b.op("aten::item", {b.op("aten::sum", {in.y})})}); }};
    all["fmod"] = both("aten::fmod.Tensor");
    all["celu"] = with("aten::celu", {1.5});
    all["elu with scale"] = with("aten::elu", {1.5, 2.0, 1});
    all["threshold"] = with("aten::threshold", {0.3, -2.0});
    all["hardshrink"] = with("aten::hardshrink", {0.4});
    all["softshrink"] = with("aten::softshrink", {0.4});
    all["glu"] = with("aten::glu", {-1});
    all["addcmul"] = {[](Builder& b, const Inputs& in) { return b.op("aten::addcmul", {in.x, in.y, in.p, 0.5}); }};
    all["addcdiv"] = {[](Builder& b, const Inputs& in) { return b.op("aten::addcdiv", {in.x, in.y, in.p, -2.0}); }};
    all["lerp"] = {[](Builder& b, const Inputs& in) { return b.op("aten::lerp.Scalar", {in.x, in.y, 0.3}); }};
    for (const char* op : {"var", "std"}) {
        all[std::string(op) + " of all"] = with(std::string("aten::") + op, {true});
        all[std::string(op) + " of axes"] = with(std::string("aten::") + op + ".dim", {Sizes{1, -1}, false, true});
        all[std::string(op) + ", corrected by two"] = with(std::string("aten::") + op + ".correction", {Sizes{1}, 2, false});
    }
    all["prod of all"] = with("aten::prod", {nullptr});
    all["prod"] = with("aten::prod.dim_int", {1, true});
    all["narrow"] = with("aten::narrow", {2, 1, 3});
    all["narrow from the back"] = with("aten::narrow", {2, -3, 3});
    all["unfold"] = with("aten::unfold", {2, 3, 2});
    all["unfold inside"] = with("aten::unfold", {1, 2, 1});
    for (const int offset : {0, 2, -1})
        all["diagonal " + std::to_string(offset)] = with("aten::diagonal", {offset, 1, 2});
    all["diagonal of outer axes"] = {[](Builder& b, const Inputs& in) { return b.op("aten::diagonal", {in.picture, 1, 3, 1}); }};
    all["repeat_interleave"] = with("aten::repeat_interleave.self_int", {2, 1});
    all["repeat_interleave of all"] = with("aten::repeat_interleave.self_int", {3, nullptr});
    all["roll"] = with("aten::roll", {Sizes{2, -1}, Sizes{2, 1}});
    all["roll far"] = with("aten::roll", {Sizes{9}, Sizes{1}});
    for (const bool falling : {false, true})
        for (const std::size_t output : {0u, 1u})
            all[fmt::format("sort {} {}", falling, output)] = {[falling, output](Builder& b, const Inputs& in) {
                return b.ops("aten::sort", {in.x, 1, falling}).at(output);
            }};
    all["argsort"] = with("aten::argsort", {2, true});
    all["one_hot"] = whole("aten::one_hot", {5});
    all["pixel_shuffle"] = {[](Builder& b, const Inputs& in) { return b.op("aten::pixel_shuffle", {in.picture, 2}); }};
    all["movedim"] = {[](Builder& b, const Inputs& in) { return b.op("aten::movedim.intlist", {in.picture, Sizes{1, 3}, Sizes{-1, 0}}); }};
    all["numpy_T"] = plain("aten::numpy_T");
    all["nonzero"] = whole("aten::nonzero", {});
    all["mask"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::index.Tensor", {in.y, b.list({b.op("aten::gt.Scalar", {in.x, 0.2})}, "Optional[Tensor]")});
    }};
    all["scatter a number"] = {[](Builder& b, const Inputs& in) { return b.op("aten::scatter.value", {in.x, 2, in.i, 7.5}); }};
    all["mse_loss"] = {[](Builder& b, const Inputs& in) { return b.op("aten::mse_loss", {in.x, in.y, 1}); }};
    all["l1_loss"] = {[](Builder& b, const Inputs& in) { return b.op("aten::l1_loss", {in.x, in.y, 2}); }};
    all["cross_entropy_loss"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::cross_entropy_loss", {in.x, b.op("aten::select.int", {in.i, 1, 0}), nullptr, 1, -100, 0.0});
    }};
    all["grid_sampler"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::grid_sampler", {in.picture, b.op("aten::tanh", {b.op("aten::slice.Tensor", {in.picture, 3, 0, 2, 1})}), 0, 1, false});
    }};
    all["avg_pool3d"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::avg_pool3d",
                    {b.op("aten::unsqueeze", {in.picture, 1}), Sizes{2, 2, 2}, Sizes{2, 2, 2}, Sizes{1, 0, 1}, false, true, nullptr});
    }};
    all["max_pool3d"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::max_pool3d", {b.op("aten::unsqueeze", {in.picture, 1}), Sizes{2, 3, 3}, Sizes{1, 2, 2}});
    }};
    all["tril, computed"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::tril", {in.x, b.op("aten::sub.int", {b.size(in.x, 1), b.size(in.x, 2)})});
    }};
}

std::map<std::string, Case> cases()
{
    std::map<std::string, Case> all;
    addFurtherCases(all);
    for (const char* op :
         {"abs",     "neg", "ceil", "floor", "round", "sign",  "trunc",     "cos",         "sin",  "tan",  "cosh",  "sinh",  "atan",      "tanh",
          "sigmoid", "erf", "exp",  "expm1", "relu",  "relu6", "hardswish", "hardsigmoid", "mish", "silu", "isnan", "clone", "contiguous"})
        all[op] = plain(std::string("aten::") + op);
    for (const char* op : {"log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal"})
        all[op] = positive(std::string("aten::") + op);
    for (const char* op : {"add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "maximum", "minimum", "max.other", "min.other", "eq.Tensor",
                           "ne.Tensor", "lt.Tensor", "le.Tensor", "gt.Tensor", "ge.Tensor", "remainder.Tensor", "floor_divide", "rsub.Tensor"})
        all[op] = both(std::string("aten::") + op);
    all["add with alpha"] = {[](Builder& b, const Inputs& in) { return b.op("aten::add.Tensor", {in.x, in.y, 2.5}); }};
    all["whole and real"] = {[](Builder& b, const Inputs& in) { return b.op("aten::mul.Tensor", {in.i, in.x}); }};
    all["whole quotient"] = whole("aten::div.Scalar", {3});
    all["whole quotient, floor"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::div.Tensor_mode", {b.op("aten::sub.Scalar", {in.i, 2}), b.op("aten::add.Scalar", {in.i, 2}), "floor"});
    }};
    all["quotient, trunc"] = {[](Builder& b, const Inputs& in) { return b.op("aten::div.Tensor_mode", {in.x, in.p, "trunc"}); }};
    all["whole remainder"] = whole("aten::remainder.Scalar", {3});
    all["pow"] = {[](Builder& b, const Inputs& in) { return b.op("aten::pow.Tensor_Tensor", {in.p, in.x}); }};
    all["logical"] = {[](Builder& b, const Inputs& in) {
        const auto small = b.op("aten::lt.Scalar", {in.x, 0.2}), large = b.op("aten::gt.Scalar", {in.y, -0.2});
        return b.op("aten::logical_xor",
                    {b.op("aten::logical_and", {small, large}), b.op("aten::logical_or", {small, b.op("aten::logical_not", {large})})});
    }};
    all["where"] = {[](Builder& b, const Inputs& in) { return b.op("aten::where.self", {b.op("aten::gt.Scalar", {in.x, 0}), in.x, in.y}); }};
    all["any"] = {[](Builder& b, const Inputs& in) { return b.op("aten::any.dim", {b.op("aten::gt.Scalar", {in.x, 1}), -1, false}); }};
    all["all"] = {[](Builder& b, const Inputs& in) { return b.op("aten::all.dim", {b.op("aten::gt.Scalar", {in.x, -1}), 1, true}); }};
    all["clamp"] = with("aten::clamp", {-0.5, 0.5});
    all["clamp_min"] = with("aten::clamp_min", {-0.5});
    all["clamp_max"] = with("aten::clamp_max", {0.5});
    all["hardtanh"] = with("aten::hardtanh", {-0.5, 0.7});
    all["leaky_relu"] = with("aten::leaky_relu", {0.2});
    all["elu"] = with("aten::elu", {1.5});
    all["softplus"] = plain("aten::softplus");
    all["gelu tanh"] = with("aten::gelu", {"tanh"});
    all["softmax"] = with("aten::softmax.int", {1});
    all["log_softmax"] = with("aten::log_softmax.int", {-1});
    for (const char* op : {"sum", "mean"}) {
        all[std::string(op) + " of all"] = plain(std::string("aten::") + op);
        all[std::string(op) + " of axes"] =
            with(std::string("aten::") + op + (std::string(op) == "sum" ? ".dim_IntList" : ".dim"), {Sizes{0, -1}, true});
    }
    all["sum of whole"] = whole("aten::sum.dim_IntList", {Sizes{1}, false});
    for (const char* op : {"amax", "amin", "logsumexp"})
        all[op] = with(std::string("aten::") + op, {Sizes{1}, false});
    for (const char* op : {"argmax", "argmin"}) {
        all[op] = with(std::string("aten::") + op, {1, true});
        all[std::string(op) + " of all"] = plain(std::string("aten::") + op);
    }
    for (const char* op : {"max", "min"}) {
        all[std::string(op) + " of all"] = plain(std::string("aten::") + op);
        for (const std::size_t output : {0u, 1u})
            all[std::string(op) + (output ? " places" : " of axis")] = {[op, output](Builder& b, const Inputs& in) {
                return b.ops(std::string("aten::") + op + ".dim", {in.x, 1, false}).at(output);
            }};
    }
    for (const double p : {1.0, 2.0, 3.0, double(INFINITY)})
        all["norm " + std::to_string(p)] = with("aten::linalg_vector_norm", {p, Sizes{-1}, true});
    all["cumsum"] = with("aten::cumsum", {1});
    all["group_norm"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::group_norm", {in.picture, 2, weight(b, "scale", {4}), weight(b, "shift", {4}), 1e-5});
    }};
    all["instance_norm"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::instance_norm", {in.picture, weight(b, "scale", {4}), nullptr, nullptr, nullptr, true, 0.1, 1e-5, false});
    }};
    all["layer_norm without scale"] = with("aten::layer_norm", {Sizes{6}, nullptr, nullptr, 1e-5});
    all["prelu"] = {[](Builder& b, const Inputs& in) { return b.op("aten::prelu", {in.picture, weight(b, "slopes", {4})}); }};
    all["conv_transpose2d"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::conv_transpose2d.input",
                    {in.picture, weight(b, "kernel", {4, 2, 3, 3}), weight(b, "bias", {2}), Sizes{2, 2}, Sizes{1, 1}, Sizes{1, 1}, 1});
    }};
    all["nearest"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::upsample_nearest2d.vec", {in.picture, nullptr, c10::IValue(std::vector<double>{2.0, 3.0})});
    }};
    for (const bool aligned : {false, true})
        all[aligned ? "bilinear, aligned" : "bilinear"] = {[aligned](Builder& b, const Inputs& in) {
            return b.op("aten::upsample_bilinear2d.vec", {in.picture, Sizes{9, 13}, aligned, nullptr});
        }};
    all["gather"] = {[](Builder& b, const Inputs& in) { return b.op("aten::gather", {in.x, 2, in.i}); }};
    all["scatter"] = {[](Builder& b, const Inputs& in) { return b.op("aten::scatter_add", {in.x, 2, in.i, in.y}); }};
    all["select last"] = with("aten::select.int", {1, -1});
    for (const std::size_t output : {0u, 1u})
        all[output ? "topk places" : "topk"] = {[output](Builder& b, const Inputs& in) {
            return b.ops("aten::topk", {in.x, 3, -1, true, true}).at(output);
        }};
    all["repeat"] = with("aten::repeat", {Sizes{2, 1, 3, 1}});
    all["flip"] = with("aten::flip", {Sizes{1, 2}});
    all["unflatten"] = with("aten::unflatten.int", {2, Sizes{2, 3}});
    all["pad"] = with("aten::constant_pad_nd", {Sizes{1, 2, 0, 1}, 0.5});
    all["chunk"] = {[](Builder& b, const Inputs& in) { return b.unpack(b.op("aten::chunk", {in.x, 4, 2}), 3)[2]; }};
    all["split"] = {[](Builder& b, const Inputs& in) { return b.unpack(b.op("aten::split.Tensor", {in.x, 4, 2}), 2)[1]; }};
    all["select_scatter"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::select_scatter", {in.x, b.op("aten::select.int", {in.y, 1, 0}), 1, -1});
    }};
    all["slice_scatter"] = {[](Builder& b, const Inputs& in) {
        return b.op("aten::slice_scatter", {in.x, b.op("aten::slice.Tensor", {in.y, 2, 0, 2, 1}), 2, 1, 3, 1});
    }};
    return all;
}

}  // namespace

class OnnxOperatorsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void eachIsTheSame_data()
    {
        QTest::addColumn<QString>("name");
        for (const auto& [name, each] : cases())
            QTest::newRow(name.c_str()) << QString::fromStdString(name);
    }
    void eachIsTheSame()
    {
        QFETCH(QString, name);
        Builder builder("one");
        Inputs in{builder.input("x", "float32", {"batch", "4", "6"}), builder.input("y", "float32", {"batch", "4", "6"}),
                  builder.input("p", "float32", {"batch", "4", "6"}), builder.input("i", "int64", {"batch", "4", "6"}),
                  builder.input("picture", "float32", {"batch", "4", "6", "6"})};
        auto model = builder.finish({{"value", cases().at(name.toStdString()).build(builder, in)}});
        model.weights = graph::initialize(*model.graph, 5);
        const std::filesystem::path file = m_folder.filePath("one.onnx").toStdString();
        for (const std::int64_t opset : {17, 20}) {
            models::ExportOptions options;
            options.parameters = {{"opset", opset}};
            models::exportModel(file, model, "onnx", options);
            const auto written = models::importOnnx(file);
            QVERIFY2(written.notes.empty(), written.notes.empty() ? "" : written.notes[0].c_str());
            for (const std::int64_t batch : {1, 3}) {
                auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t(batch));
                const auto x = at::randn({batch, 4, 6}, generator), y = at::randn({batch, 4, 6}, generator);
                graph::RunRequest request;
                request.inputs = {x, y, at::randn({batch, 4, 6}, generator).abs() + 0.1, at::randint(0, 4, {batch, 4, 6}, generator, at::kLong),
                                  at::randn({batch, 4, 6, 6}, generator)};
                const auto expected = graph::Executor(model.graph).run(model.weights, request).outputs.at(0);
                const auto found = graph::Executor(written.model.graph).run(written.model.weights, request).outputs.at(0);
                const auto text = difference(found, expected, 1e-5, 1e-5);
                QVERIFY2(text.empty(), text.c_str());
            }
        }
    }

private:
    QTemporaryDir m_folder;
};

QTEST_APPLESS_MAIN(OnnxOperatorsTest)
#include "onnx_operators_test.moc"
