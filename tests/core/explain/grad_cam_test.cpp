// Class activation maps against the paper's formula on plain tensors.
#include <QTest>

#include "../message_of.h"
#include "lenet_by_hand.h"

using namespace orrery;
using namespace orrery::test;

namespace {

// Bilinear interpolation with pixel centres at half integers, one pixel at a time.
at::Tensor enlarged(const at::Tensor& map, std::int64_t size)
{
    const auto from = map.size(2);
    auto result = at::empty({map.size(0), 1, size, size}, at::kDouble);
    const auto at = [&](std::int64_t i) {
        const double place = std::clamp((double(i) + 0.5) * double(from) / double(size) - 0.5, 0.0, double(from - 1));
        const auto low = std::min<std::int64_t>(std::int64_t(place), from - 1);
        return std::tuple{low, std::min(low + 1, from - 1), place - double(low)};
    };
    for (std::int64_t n = 0; n < map.size(0); ++n)
        for (std::int64_t i = 0; i < size; ++i)
            for (std::int64_t k = 0; k < size; ++k) {
                const auto [top, bottom, v] = at(i);
                const auto [left, right, u] = at(k);
                const auto m = map[n][0];
                result[n][0][i][k] = (m[top][left] * (1 - u) + m[top][right] * u) * (1 - v) + (m[bottom][left] * (1 - u) + m[bottom][right] * u) * v;
            }
    return result;
}

}  // namespace

class GradCamTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void gradCamEqualsTheFormula();
    void gradCamOfAPooledLinearHeadIsTheClassActivationMap();
    void gradCamChoosesTheLastPicture_data();
    void gradCamChoosesTheLastPicture();
    void guidedGradCamIsTheProduct();
    void picturesAreAskedFor();
};

void GradCamTest::gradCamEqualsTheFormula()
{
    const auto model = zooModel("lenet", kLenet, 5);
    const auto x = noise({2, 1, 8, 8}, 7);
    // The head behind the second convolution's relu, differentiated by libtorch on plain tensors.
    const auto w = [&](const char* name) { return model.weights.at(name); };
    const auto p1 = at::max_pool2d(at::conv2d(x, w("conv1.weight"), w("conv1.bias"), 1, 1).relu(), 2);
    const auto a = at::conv2d(p1, w("conv2.weight"), w("conv2.bias"), 1, 1).relu().requires_grad_(true);
    const auto h = at::linear(at::max_pool2d(a, 2).flatten(1), w("fc1.weight"), w("fc1.bias")).relu();
    at::linear(h, w("fc2.weight"), w("fc2.bias")).select(1, 3).sum().backward();
    auto map = at::zeros({2, 1, 4, 4}, at::kDouble);
    for (std::int64_t n = 0; n < 2; ++n)
        for (std::int64_t channel = 0; channel < 4; ++channel)
            map[n][0] += a.grad()[n][channel].sum() / 16 * a[n][channel].detach();
    const auto site = model.graph->value(model.graph->resolve("op:relu").at(1)).name;
    const auto layer = attributionOf(model, "grad_cam", {x}, {.parameters = {{"upsample", false}}, .target = 3, .site = site});
    QVERIFY(size(map) > 1e-3);
    QVERIFY(largest(layer.attribution, map) < 1e-14);
    QCOMPARE(layer.site, site);
    QVERIFY(largest(layer.value, a.detach()) < 1e-14);
    const auto positive = attributionOf(model, "grad_cam", {x}, {.parameters = {{"upsample", false}, {"relu", true}}, .target = 3, .site = site});
    QVERIFY(largest(positive.attribution, map.clamp_min(0)) < 1e-14);
    const auto upsampled = attributionOf(model, "grad_cam", {x}, {.target = 3, .site = site});
    QVERIFY(largest(upsampled.attribution, enlarged(map, 8)) < 1e-14);
    QCOMPARE(upsampled.site, std::string("image"));
    QVERIFY(at::equal(upsampled.value, x));
}

void GradCamTest::gradCamOfAPooledLinearHeadIsTheClassActivationMap()
{
    // Global average pooling and a linear layer: the paper's equation 1 turns into the weights of the class, divided by the number of pixels.
    const auto model = zooModel("resnet", {{"depth", 8}, {"image_size", 16}}, 5);
    const auto x = noise({1, 3, 16, 16}, 3);
    const auto result = attributionOf(model, "grad_cam", {x}, {.parameters = {{"upsample", false}}, .target = 6});
    const auto activation = result.value[0];
    QCOMPARE(activation.sizes().vec(), (std::vector<std::int64_t>{64, 4, 4}));
    const auto expected = (model.weights.at("fc.weight")[6].reshape({64, 1, 1}) / 16 * activation).sum(0);
    QVERIFY(size(expected) > 1e-6);
    QVERIFY(largest(result.attribution[0][0], expected) < 1e-13);
}

void GradCamTest::gradCamChoosesTheLastPicture_data()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<QString>("op");
    QTest::addColumn<QString>("shape");
    QTest::newRow("lenet: the last pooling") << "zoo:lenet?image_size=28"
                                             << "aten::avg_pool2d"
                                             << "[1,16,4,4]";
    QTest::newRow("resnet: before the average") << "zoo:resnet?depth=8"
                                                << "aten::relu"
                                                << "[1,64,8,8]";
    QTest::newRow("vit: the patches, not an attention pattern") << "zoo:vit?image_size=16&patch_size=4&layers=1&heads=2&width=8&mlp_width=8&classes=5"
                                                                << "aten::conv2d"
                                                                << "[1,8,4,4]";
}

void GradCamTest::gradCamChoosesTheLastPicture()
{
    QFETCH(QString, model);
    QFETCH(QString, op);
    QFETCH(QString, shape);
    const auto opened = zoo::openZoo(model.toStdString(), 1);
    std::vector<std::int64_t> size = {1};
    for (std::size_t i = 1; i < 4; ++i)
        size.push_back(std::stoll(opened.card.inputs.at(0).shape.at(i)));
    const auto x = noise(size, 1).to(at::kFloat);
    const auto layer = attributionOf(opened, "grad_cam", {x}, {.parameters = {{"upsample", false}}});
    QCOMPARE(QString::fromStdString(opened.graph->producer(*opened.graph->findValue(layer.site))->op), op);
    QCOMPARE(QString::fromStdString(layer.details.at("layer_shape").dump()), shape);
    const auto whole = attributionOf(opened, "grad_cam", {x}).attribution;
    QCOMPARE(whole.sizes().vec(), (std::vector<std::int64_t>{1, 1, size[2], size[3]}));
}

void GradCamTest::guidedGradCamIsTheProduct()
{
    const auto model = zooModel("lenet", kLenet, 5);
    const auto x = noise({2, 1, 8, 8}, 7);
    double seen = 0;
    for (std::int64_t target = 0; target < 10; ++target) {
        const auto map = attributionOf(model, "grad_cam", {x}, {.parameters = {{"upsample", false}, {"relu", true}}, .target = target}).attribution;
        const auto guidance = backwardByHand(model, x, target, guided);
        const auto factor = 8 / map.size(2);
        const auto nearest = map.repeat_interleave(factor, 2).repeat_interleave(factor, 3);
        QVERIFY(largest(attributionOf(model, "guided_grad_cam", {x}, {.target = target}).attribution, guidance * nearest) < 1e-13);
        const auto smooth =
            attributionOf(model, "guided_grad_cam", {x}, {.parameters = {{"interpolate_mode", "bilinear"}}, .target = target}).attribution;
        QVERIFY(largest(smooth, guidance * enlarged(map, 8)) < 1e-13);
        seen = std::max(seen, size(guidance * nearest));
    }
    QVERIFY(seen > 1e-4);  // for some classes the two agree nowhere
}

void GradCamTest::picturesAreAskedFor()
{
    const auto table = zooModel("mlp", {{"features", 5}, {"hidden", {6}}, {"classes", 3}}, 8);
    const auto x = noise({2, 5}, 1);
    for (const char* method : {"grad_cam", "guided_grad_cam"}) {
        QVERIFY(saidBy([&] { attributionOf(table, method, {x}); }).startsWith(QString(method) + ": no layer of this model holds a picture"));
        QVERIFY(saidBy([&] {
                    attributionOf(table, method, {x}, {.site = "op:relu"});
                }).startsWith(QString(method) + ": expected a place that holds [batch, channel, height, width], "));
    }
    const auto gpt = zoo::buildModel("gpt", {{"vocabulary", 11}, {"block_length", 8}, {"layers", 1}, {"heads", 2}, {"width", 8}}, 2);
    const auto tokens = at::tensor(std::vector<std::int64_t>{1, 4, 7, 2}, at::kLong).unsqueeze(0);
    QVERIFY(saidBy([&] { attributionOf(gpt, "grad_cam", {tokens}, {.site = "blocks.0.attn.scores"}); }).contains("the map is laid over a picture"));
    QCOMPARE(
        attributionOf(gpt, "grad_cam", {tokens}, {.parameters = {{"upsample", false}}, .site = "blocks.0.attn.scores"}).attribution.sizes().vec(),
        (std::vector<std::int64_t>{1, 1, 4, 4}));
}

QTEST_APPLESS_MAIN(GradCamTest)
#include "grad_cam_test.moc"
