// orrery-cli attribute, checked by hand: on a linear model every method must give w * x, on a hinge each quadrature rule its own sum.
#include <ATen/ATen.h>

#include <csignal>

#include <core/models/model_file.h>
#include <core/store/workspace.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;
using core::Json;

namespace {

// Numbers with few bits: their products and sums are exact in float.
const at::Tensor kWeight = at::tensor({0.5f, -1.25f, 2.0f, 3.0f, 0.25f, -0.75f}).reshape({2, 3});
const at::Tensor kX = at::tensor({1.5f, -2.0f, 0.25f, 4.0f, 8.0f, -0.5f}).reshape({2, 3});

}  // namespace

class CliAttributeTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    Json attribute(const QStringList& more, const char* model = "linear.safetensors", const char* input = "x.npy") const
    {
        return m_cli.json(QStringList{"attribute", model, "--input", input, "--out", "a.npy"} + more);
    }
    at::Tensor attribution() const { return m_cli.array("a.npy"); }
private Q_SLOTS:
    void initTestCase()
    {
        auto linear = zoo::buildModel("mlp", {{"features", 3}, {"hidden", Json::array()}, {"classes", 2}}, 0);
        linear.weights.set("out.weight", kWeight);
        linear.weights.set("out.bias", at::tensor({0.125f, -0.5f}));
        models::saveModel(m_cli.path("linear.safetensors"), linear);
        m_cli.writeArray("x.npy", kX);
        // relu(x - 0.5), once.
        auto hinge = zoo::buildModel("mlp", {{"features", 1}, {"hidden", {1}}, {"classes", 1}}, 0);
        hinge.weights.set("fc1.weight", at::ones({1, 1}));
        hinge.weights.set("fc1.bias", at::full({1}, -0.5f));
        hinge.weights.set("out.weight", at::ones({1, 1}));
        hinge.weights.set("out.bias", at::zeros({1}));
        models::saveModel(m_cli.path("hinge.safetensors"), hinge);
        m_cli.writeArray("one.npy", at::ones({1, 1}));
    }

    void linearModelGivesWeightTimesInput_data()
    {
        QTest::addColumn<QStringList>("options");
        QTest::newRow("input x gradient") << QStringList{"--method", "input_x_gradient"};
        QTest::newRow("occlusion") << QStringList{"--method", "occlusion"};
        QTest::newRow("deep lift") << QStringList{"--method", "deep_lift"};
        QTest::newRow("layer gradient x activation") << QStringList{"--method", "layer_gradient_x_activation"};
        for (const char* rule : {"gausslegendre", "riemann_left", "riemann_right", "riemann_middle"})
            for (const char* steps : {"1", "50"})
                QTest::addRow("integrated gradients, %s, %s steps", rule, steps)
                    << QStringList{"--method", "integrated_gradients", "--set", QString("method=") + rule, "--set", QString("n_steps=") + steps};
        QTest::newRow("integrated gradients in small pieces") << QStringList{"--method", "integrated_gradients", "--set", "internal_batch_size=2"};
    }
    void linearModelGivesWeightTimesInput()
    {
        QFETCH(QStringList, options);
        for (int target : {0, 1}) {
            const auto document = attribute(options + QStringList{"--target", QString::number(target)});
            QCOMPARE(document.at("method").get<std::string>(), options[1].toStdString());
            QVERIFY(document.at("target") == Json({target, target}));
            QVERIFY(at::equal(attribution(), kX * kWeight[target]));
            QVERIFY(document.at("standard_error").is_null());
            if (options[1] != "integrated_gradients")
                continue;
            for (const auto& error : document.at("completeness_error"))
                QVERIFY(std::abs(error.get<double>()) < 1e-12);
        }
    }

    void saliencyIsTheGradient()
    {
        attribute({"--method", "saliency", "--target", "0"});
        QVERIFY(at::equal(attribution(), kWeight[0].abs().expand({2, 3})));
        const auto document = attribute({"--method", "saliency", "--target", "0", "--set", "abs=false"});
        QVERIFY(at::equal(attribution(), kWeight[0].expand({2, 3})));
        QVERIFY(document.at("parameters") == Json({{"abs", false}}));
        QVERIFY(document.at("completeness_error").is_null());
    }

    void targetDefaultsToTheLargestOutput()
    {
        const auto document = attribute({"--method", "input_x_gradient"});
        const auto outputs = at::linear(kX, kWeight, at::tensor({0.125f, -0.5f}));
        const auto best = outputs.argmax(1);
        for (int i = 0; i < 2; ++i) {
            QCOMPARE(document.at("target")[std::size_t(i)].get<std::int64_t>(), best[i].item<std::int64_t>());
            QCOMPARE(document.at("outputs")[std::size_t(i)].get<double>(), outputs[i][best[i]].item<double>());
            QVERIFY(at::equal(attribution()[i], kX[i] * kWeight[best[i].item<std::int64_t>()]));
        }
    }

    // x = 1 with baseline 0: the gradient is 1 where alpha > 1/2. The rules sum it over their own points; F changes by 1/2.
    void rulesSumOverTheirOwnPoints_data()
    {
        QTest::addColumn<QString>("rule");
        QTest::addColumn<int>("steps");
        QTest::addColumn<double>("sum");
        QTest::newRow("left: 0 1/4 2/4 3/4") << "riemann_left" << 4 << 0.25;
        QTest::newRow("right: 1/4 2/4 3/4 1") << "riemann_right" << 4 << 0.5;
        QTest::newRow("middle: 1/8 3/8 5/8 7/8") << "riemann_middle" << 4 << 0.5;
        QTest::newRow("trapezoid: 0 1/3 2/3 1, ends count half") << "riemann_trapezoid" << 4 << 0.375;
        QTest::newRow("Gauss-Legendre with 2 points") << "gausslegendre" << 2 << 0.5;
        QTest::newRow("Gauss-Legendre with 3 points, 5/18 beyond the middle") << "gausslegendre" << 3 << 5.0 / 18;
    }
    void rulesSumOverTheirOwnPoints()
    {
        QFETCH(QString, rule);
        QFETCH(int, steps);
        QFETCH(double, sum);
        const auto document =
            attribute({"--method", "integrated_gradients", "--target", "0", "--set", "method=" + rule, "--set", QString("n_steps=%1").arg(steps)},
                      "hinge.safetensors", "one.npy");
        QVERIFY2(std::abs(document.at("sum").get<double>() - sum) < 1e-7, qPrintable(QString::number(document.at("sum").get<double>(), 'g', 17)));
        QVERIFY(std::abs(document.at("completeness_error").get<double>() - (sum - 0.5)) < 1e-7);
        QCOMPARE(document.at("target").get<int>(), 0);
        QCOMPARE(document.at("parameters").at("method").get<std::string>(), rule.toStdString());
        QCOMPARE(document.at("parameters").at("baseline").get<double>(), 0.0);
    }

    void toleranceDoublesTheSteps()
    {
        const auto document =
            attribute({"--method", "integrated_gradients", "--set", "method=riemann_left", "--set", "n_steps=2", "--set", "tolerance=0.02"},
                      "hinge.safetensors", "one.npy");
        QVERIFY(std::abs(document.at("completeness_error").get<double>()) <= 0.02);
        QCOMPARE(document.at("details").at("steps").get<int>(), 64);
        QVERIFY(document.at("details").at("converged").get<bool>());
    }

    void baselineShiftsTheShares()
    {
        attribute({"--method", "integrated_gradients", "--target", "0", "--set", "baseline=1"});
        QVERIFY(at::allclose(attribution(), (kX - 1) * kWeight[0], 0, 1e-6));
        attribute({"--method", "occlusion", "--target", "0", "--set", "window=[3]"});
        const auto whole = (kX * kWeight[0]).sum(1, true).expand({2, 3});
        QVERIFY(at::equal(attribution(), whole));
    }

    void anInnerValueIsExplained()
    {
        const auto document = attribute({"--method", "input_x_gradient", "--target", "0", "--at", "relu"}, "hinge.safetensors", "one.npy");
        QCOMPARE(document.at("site").get<std::string>(), std::string("relu"));
        QCOMPARE(document.at("sum").get<double>(), 0.5);
    }

    void noiseTunnelTakesTheParametersOfItsMethod()
    {
        const auto document = attribute({"--method", "noise_tunnel", "--target", "1", "--set", "method.id=integrated_gradients", "--set",
                                         "method.n_steps=3", "--set", "stdevs=0", "--set", "nt_samples=4"});
        QVERIFY(at::allclose(attribution(), kX * kWeight[1], 1e-6));
        const auto& method = document.at("parameters").at("method");
        QCOMPARE(method.at("id").get<std::string>(), std::string("integrated_gradients"));
        QCOMPARE(method.at("n_steps").get<int>(), 3);
        QCOMPARE(method.at("method").get<std::string>(), std::string("gausslegendre"));
        QVERIFY(document.at("standard_error").get<double>() < 1e-6);
        attribute({"--method", "noise_tunnel", "--target", "1", "--set", "nt_type=vargrad", "--seed", "3"});
        QVERIFY(at::equal(attribution(), at::zeros({2, 3})));
    }

    void baselinesComeFromAFile()
    {
        m_cli.writeArray("baselines.npy", at::full({2, 3}, 0.5f));
        const auto document = attribute({"--method", "gradient_shap", "--target", "0", "--set", "baselines=baselines.npy"});
        QVERIFY(at::allclose(attribution(), (kX - 0.5) * kWeight[0], 0, 1e-6));
        QCOMPARE(document.at("details").at("baselines").get<int>(), 2);
        for (const auto& error : document.at("completeness_error"))
            QVERIFY(std::abs(error.get<double>()) < 1e-6);
    }

    // relu(x - 0.5) at x = 1: the unit goes from 0 to 0.5, and the output with it.
    void layersAndNeuronsOfTheHinge_data()
    {
        QTest::addColumn<QStringList>("options");
        QTest::addColumn<double>("sum");
        QTest::newRow("activation") << QStringList{"--method", "layer_activation", "--at", "relu"} << 0.5;
        QTest::newRow("conductance") << QStringList{"--method", "layer_conductance", "--at", "relu", "--set", "method=riemann_trapezoid"} << 0.5;
        QTest::newRow("influence") << QStringList{"--method", "internal_influence", "--at", "fc1"} << 0.5;
        QTest::newRow("neuron gradient") << QStringList{"--method", "neuron_gradient", "--set", "layer=relu", "--set", "neuron=[0]"} << 1.0;
        QTest::newRow("neuron conductance") << QStringList{"--method", "neuron_conductance", "--set", "layer=relu", "--set", "neuron=[0]"} << 0.5;
        QTest::newRow("deep lift") << QStringList{"--method", "deep_lift"} << 0.5;
        QTest::newRow("guided backpropagation") << QStringList{"--method", "guided_backprop"} << 1.0;
        QTest::newRow("deconvolution") << QStringList{"--method", "deconvolution"} << 1.0;
        QTest::newRow("layer integrated gradients")
            << QStringList{"--method", "integrated_gradients", "--at", "fc1", "--set", "baseline_at=input", "--set", "method=riemann_middle"} << 0.5;
    }
    void layersAndNeuronsOfTheHinge()
    {
        QFETCH(QStringList, options);
        QFETCH(double, sum);
        const auto document = attribute(options, "hinge.safetensors", "one.npy");
        QVERIFY2(std::abs(document.at("sum").get<double>() - sum) < 1e-6, qPrintable(QString::number(document.at("sum").get<double>(), 'g', 17)));
    }

    void picturesGetMaps_data()
    {
        QTest::addColumn<QString>("method");
        QTest::addColumn<QStringList>("options");
        QTest::addColumn<std::vector<std::int64_t>>("shape");
        using Shape = std::vector<std::int64_t>;
        QTest::newRow("grad-cam") << "grad_cam" << QStringList{} << Shape{2, 1, 12, 12};
        QTest::newRow("layer grad-cam") << "grad_cam" << QStringList{"--set", "upsample=false"} << Shape{2, 1, 3, 3};
        QTest::newRow("guided grad-cam") << "guided_grad_cam" << QStringList{} << Shape{2, 1, 12, 12};
        QTest::newRow("deep lift") << "deep_lift" << QStringList{} << Shape{2, 1, 12, 12};
        QTest::newRow("guided backpropagation") << "guided_backprop" << QStringList{} << Shape{2, 1, 12, 12};
        QTest::newRow("deconvolution") << "deconvolution" << QStringList{} << Shape{2, 1, 12, 12};
        QTest::newRow("conductance") << "layer_conductance" << QStringList{"--at", "conv1"} << Shape{2, 3, 12, 12};
        QTest::newRow("mask of channels") << "extremal_perturbation"
                                          << QStringList{"--at",  "conv2",       "--set", "mask=channels", "--set", "areas=[0.05,0.25,0.6]",
                                                         "--set", "max_iter=20", "--set", "random_masks=2"}
                                          << Shape{2, 4, 6, 6};
        QTest::newRow("feature inversion") << "feature_inversion" << QStringList{"--at", "conv2", "--set", "max_iter=20", "--set", "area=0.5"}
                                           << Shape{2, 1, 12, 12};
    }
    void picturesGetMaps()
    {
        QFETCH(QString, method);
        QFETCH(QStringList, options);
        QFETCH(std::vector<std::int64_t>, shape);
        m_cli.writeArray("image.npy", at::arange(288, at::kFloat).reshape({2, 1, 12, 12}).sin());
        const char* model = "zoo:lenet?image_size=12&maps=3,4&kernel=3&padding=1&pooling=max&activation=relu&hidden=8";
        const auto document = attribute(QStringList{"--method", method} + options, model, "image.npy");
        QVERIFY(document.at("shape") == Json(shape));
        QCOMPARE(attribution().sizes().vec(), shape);
        QVERIFY(at::isfinite(attribution()).all().item<bool>());
        QVERIFY(attribution().abs().sum().item<double>() > 0);
    }

    void textSaysTheSame()
    {
        const auto answer = m_cli.compute({"attribute", "linear.safetensors", "--input", "x.npy", "--method", "integrated_gradients"});
        QCOMPARE(answer.status, 0);
        QVERIFY(answer.out.contains("completeness error"));
        QVERIFY(answer.out.contains("with respect to table [2, 3]"));
    }

    void wrongRequestsAreStatusTwo_data()
    {
        QTest::addColumn<QStringList>("options");
        QTest::addColumn<QString>("message");
        QTest::newRow("unknown method") << QStringList{"--method", "saliencyy"} << "unknown attribution \"saliencyy\"; did you mean \"saliency\"?";
        QTest::newRow("no method") << QStringList{} << "--method is required";
        QTest::newRow("unknown parameter") << QStringList{"--method", "integrated_gradients", "--set", "nsteps=3"}
                                           << "integrated_gradients.nsteps: unknown key; did you mean \"n_steps\"?";
        QTest::newRow("parameter of another type") << QStringList{"--method", "saliency", "--set", "abs=3"}
                                                   << "saliency.abs: expected true or false, got 3";
        QTest::newRow("parameter out of range") << QStringList{"--method", "integrated_gradients", "--set", "n_steps=0"}
                                                << "n_steps: expected an integer in 1..";
        QTest::newRow("unknown rule") << QStringList{"--method", "integrated_gradients", "--set", "method=riemann_lft"} << "riemann_left";
        QTest::newRow("setting without value") << QStringList{"--method", "saliency", "--set", "abs"} << "abs";
        QTest::newRow("target out of range") << QStringList{"--method", "saliency", "--target", "2"} << "target: expected 0..1, got 2";
        QTest::newRow("unknown place") << QStringList{"--method", "saliency", "--at", "tabel"} << "no value fits \"tabel\"; did you mean \"table\"?";
        QTest::newRow("window of two axes on one") << QStringList{"--method", "occlusion", "--set", "window=[1,2]"}
                                                   << "occlusion.window: expected 1 or 1 numbers (a sample is [3]), got 2";
        QTest::newRow("neuron out of range") << QStringList{"--method", "neuron_gradient", "--set", "layer=out", "--set", "neuron=[2]"}
                                             << "neuron_gradient.neuron[0]: expected 0..1 (a sample of out.linear is [2]), got 2";
        QTest::newRow("neuron with too many indices") << QStringList{"--method", "neuron_conductance", "--set", "layer=out", "--set", "neuron=[0,1]"}
                                                      << "neuron_conductance.neuron: expected 1 indices (a sample of out.linear is [2]), got 2";
        QTest::newRow("unknown layer") << QStringList{"--method", "neuron_gradient", "--set", "layer=outt", "--set", "neuron=[0]"}
                                       << "no value fits \"outt\"; did you mean \"out\"?";
        QTest::newRow("no layer") << QStringList{"--method", "neuron_gradient", "--set", "neuron=[0]"} << "neuron_gradient.layer: is required";
        QTest::newRow("unknown method in the tunnel") << QStringList{"--method", "noise_tunnel", "--set", "method.id=salience"}
                                                      << "unknown attribution \"salience\"; did you mean \"saliency\"?";
        QTest::newRow("unknown parameter in the tunnel")
            << QStringList{"--method", "noise_tunnel", "--set", "method.id=integrated_gradients", "--set", "method.nsteps=3"}
            << "noise_tunnel.method.nsteps: unknown key; did you mean \"n_steps\"?";
        QTest::newRow("no picture") << QStringList{"--method", "grad_cam"} << "grad_cam: no layer of this model holds a picture";
        QTest::newRow("not a picture") << QStringList{"--method", "guided_grad_cam", "--at", "out"}
                                       << "guided_grad_cam: expected a place that holds [batch, channel, height, width], out.linear holds [2, 2]";
        QTest::newRow("baselines that are no number") << QStringList{"--method", "gradient_shap", "--set", "baselines=[1,2]"}
                                                      << "gradient_shap.baselines: expected a number or the path of a .npy array, got [1,2]";
        QTest::newRow("area outside") << QStringList{"--method", "extremal_perturbation", "--set", "areas=[1.5]"}
                                      << "extremal_perturbation.areas[0]: expected a number";
        QTest::newRow("unknown kind of mask") << QStringList{"--method", "extremal_perturbation", "--set", "mask=places"} << "channels";
        QTest::newRow("inversion of the input") << QStringList{"--method", "feature_inversion"}
                                                << "feature_inversion: \"table\" is the model's input itself; choose an inner value";
        QTest::newRow("channel outside") << QStringList{"--method", "feature_inversion", "--at", "out", "--set", "channels=[2]"}
                                         << "feature_inversion.channels: expected 0..1 (\"out.linear\" is [2, 2]), got 2";
        QTest::newRow("unknown ending") << QStringList{"--method", "saliency", "--out", "a.gif"} << "a.gif: expected a file ending in";
    }
    void wrongRequestsAreStatusTwo()
    {
        QFETCH(QStringList, options);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(QStringList{"attribute", "linear.safetensors", "--input", "x.npy"} + options);
        VERIFY_REFUSED(answer, 2, message);
        QCOMPARE(answer.out, QString());
    }

    void faultsSayWhatToDo_data()
    {
        QTest::addColumn<QString>("model");
        QTest::addColumn<QStringList>("input");
        QTest::addColumn<QString>("message");
        const QString linear = "linear.safetensors";
        const QString notFinite = ": the explained output is not finite (NaN or infinity); look for NaN in the input and in the model's weights";
        QTest::newRow("no model") << "nothing.safetensors" << QStringList{"--input", "x.npy"} << "model nothing.safetensors: no such file";
        QTest::newRow("damaged model") << "cut.safetensors" << QStringList{"--input", "x.npy"} << "cut.safetensors";
        QTest::newRow("NaN in the input") << linear << QStringList{"--input", "nan.npy"} << "saliency" + notFinite;
        QTest::newRow("NaN in the weights") << "sick.safetensors" << QStringList{"--input", "x.npy"} << "saliency" + notFinite;
        QTest::newRow("no sample") << linear << QStringList{"--input", "empty.npy"} << "saliency: expected at least one sample, got table [0, 3]";
        QTest::newRow("another shape") << linear << QStringList{"--input", "wide.npy"}
                                       << "--input wide.npy: expected [batch, 3] for the model's input \"table\", got [2, 4]";
        QTest::newRow("damaged array") << linear << QStringList{"--input", "cut.npy"} << "cut.npy: the NPY header is cut off";
        QTest::newRow("damaged picture") << "zoo:lenet" << QStringList{"--image", "no.png"} << "no.png: expected a PNG, JPEG or WebP picture";
        QTest::newRow("no input") << linear << QStringList{} << "expected one of --input, --sample, --image, --text";
        QTest::newRow("no workspace for a run") << "run:9" << QStringList{"--input", "x.npy"} << "expected a workspace folder";
    }
    void faultsSayWhatToDo()
    {
        QFETCH(QString, model);
        QFETCH(QStringList, input);
        QFETCH(QString, message);
        m_cli.writeArray("nan.npy", kX * std::nanf(""));
        m_cli.writeArray("empty.npy", at::zeros({0, 3}));
        m_cli.writeArray("wide.npy", at::ones({2, 4}));
        m_cli.write("cut.npy", m_cli.read("x.npy").substr(0, 40));
        m_cli.write("cut.safetensors", m_cli.read("linear.safetensors").substr(0, 60));
        m_cli.write("no.png", "no picture");
        auto sick = zoo::buildModel("mlp", {{"features", 3}, {"hidden", Json::array()}, {"classes", 2}}, 0);
        sick.weights.set("out.weight", kWeight * std::nanf(""));
        models::saveModel(m_cli.path("sick.safetensors"), sick);
        const auto answer = m_cli.compute(QStringList{"attribute", model, "--method", "saliency"} + input);
        VERIFY_REFUSED(answer, 2, message);
        QCOMPARE(answer.out, QString());
    }

    // Hours of work, ended in its middle: the workspace is whole, holds what it held, and takes the next attribution.
    void endedInMidWorkTheWorkspaceIsWhole_data()
    {
        QTest::addColumn<int>("signal");
        QTest::newRow("killed") << SIGKILL;
        QTest::newRow("interrupted") << SIGINT;
    }
    void endedInMidWorkTheWorkspaceIsWhole()
    {
        QFETCH(int, signal);
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        cli.json({"train", "small.yaml", "--set", "train.epochs=1", "--threads", "1", "--workspace", "w"});
        const QStringList once = {"attribute", "run:1", "--workspace", "w", "--sample", "0", "--split", "test", "--method"};
        cli.json(once + QStringList{"saliency"});
        QProcess process;
        cli.start(process, once + QStringList{"noise_tunnel", "--threads", "1", "--out", "a.npy", "--set", "method.id=integrated_gradients", "--set",
                                              "method.n_steps=100000", "--set", "nt_samples=1000"});
        QVERIFY(!process.waitForFinished(5000));
        ::kill(pid_t(process.processId()), signal);
        QVERIFY(process.waitForFinished(20'000));
        if (signal == SIGINT)
            QCOMPARE(process.exitCode(), 130);
        QVERIFY(!cli.has("a.npy"));
        const auto workspace = store::Workspace::open(cli.path("w"));
        QVERIFY(workspace->check().empty());
        QCOMPARE(workspace->analyses(1).size(), std::size_t(1));
        const auto next = cli.json(once + QStringList{"integrated_gradients"});
        QCOMPARE(workspace->analyses(1).size(), std::size_t(2));
        QVERIFY(next.at("analyses").is_array());
    }
};

QTEST_GUILESS_MAIN(CliAttributeTest)
#include "cli_attribute_test.moc"
