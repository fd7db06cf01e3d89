// Each optimizer against torch::optim, step by step.
#include <torch/torch.h>

#include <QTest>

#include <core/base/error.h>
#include <core/train/catalogue.h>
#include <core/train/gradients.h>

using namespace orrery;
using core::Json;

namespace {

struct Case {
    Json document;
    std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<at::Tensor>)> reference;
};

template <class Optimizer, class Options>
auto reference(Options options)
{
    return [options](std::vector<at::Tensor> parameters) { return std::make_unique<Optimizer>(parameters, options); };
}

std::map<std::string, Case> cases()
{
    using namespace torch::optim;
    return {
        {"sgd", {{{"id", "sgd"}, {"lr", 0.1}}, reference<SGD>(SGDOptions(0.1))}},
        {"sgd decay", {{{"id", "sgd"}, {"lr", 0.1}, {"weight_decay", 0.05}}, reference<SGD>(SGDOptions(0.1).weight_decay(0.05))}},
        {"sgd momentum",
         {{{"id", "sgd"}, {"lr", 0.1}, {"momentum", 0.9}, {"dampening", 0.3}, {"weight_decay", 0.01}},
          reference<SGD>(SGDOptions(0.1).momentum(0.9).dampening(0.3).weight_decay(0.01))}},
        {"sgd nesterov",
         {{{"id", "sgd"}, {"lr", 0.1}, {"momentum", 0.9}, {"nesterov", true}}, reference<SGD>(SGDOptions(0.1).momentum(0.9).nesterov(true))}},
        {"adam", {{{"id", "adam"}}, reference<Adam>(AdamOptions())}},
        {"adam decay",
         {{{"id", "adam"}, {"lr", 0.01}, {"betas", {0.8, 0.95}}, {"eps", 1e-6}, {"weight_decay", 0.1}},
          reference<Adam>(AdamOptions(0.01).betas({0.8, 0.95}).eps(1e-6).weight_decay(0.1))}},
        {"adam amsgrad", {{{"id", "adam"}, {"lr", 0.01}, {"amsgrad", true}}, reference<Adam>(AdamOptions(0.01).amsgrad(true))}},
        {"adamw", {{{"id", "adamw"}}, reference<AdamW>(AdamWOptions())}},
        {"adamw decay", {{{"id", "adamw"}, {"lr", 0.02}, {"weight_decay", 0.3}}, reference<AdamW>(AdamWOptions(0.02).weight_decay(0.3))}},
        {"rmsprop", {{{"id", "rmsprop"}}, reference<RMSprop>(RMSpropOptions())}},
        {"rmsprop centred",
         {{{"id", "rmsprop"}, {"lr", 0.005}, {"alpha", 0.9}, {"momentum", 0.7}, {"centered", true}, {"weight_decay", 0.01}},
          reference<RMSprop>(RMSpropOptions(0.005).alpha(0.9).momentum(0.7).centered(true).weight_decay(0.01))}},
    };
}

at::Tensor random(at::IntArrayRef shape, std::uint64_t seed, at::ScalarType dtype)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return at::randn(shape, generator, at::TensorOptions().dtype(dtype));
}

/// A matrix larger than one chunk, a vector, a scalar.
std::vector<at::Tensor> startValues(at::ScalarType dtype)
{
    return {random({150, 131}, 1, dtype), random({7}, 2, dtype), random({}, 3, dtype)};
}

at::Tensor gradientAt(int step, int index, const at::Tensor& value)
{
    return random(value.sizes(), std::uint64_t(100 + 10 * step + index), value.scalar_type());
}

std::vector<train::Trainable> trainables(const std::vector<at::Tensor>& values)
{
    std::vector<train::Trainable> out;
    for (std::size_t i = 0; i < values.size(); ++i)
        out.push_back({"p" + std::to_string(i), values[i].clone(), true});
    return out;
}

/// The largest difference in relation to max(1, |expected|).
double difference(const at::Tensor& a, const at::Tensor& b)
{
    return ((a - b).abs() / b.abs().clamp_min(1)).max().item<double>();
}

}  // namespace

class OptimizerTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void followsTorchOptim_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<bool>("fused");
        QTest::addColumn<bool>("wide");
        for (const auto& [name, ignored] : cases())
            for (const bool fused : {false, true})
                for (const bool wide : {false, true})
                    QTest::addRow("%s, %s, %s", name.c_str(), fused ? "fused" : "operators", wide ? "float64" : "float32")
                        << QString::fromStdString(name) << fused << wide;
    }
    void followsTorchOptim()
    {
        QFETCH(QString, name);
        QFETCH(bool, fused);
        QFETCH(bool, wide);
        const Case test = cases().at(name.toStdString());
        const std::vector<at::Tensor> start = startValues(wide ? at::kDouble : at::kFloat);
        std::vector<at::Tensor> theirs;
        for (const at::Tensor& value : start)
            theirs.push_back(value.clone().requires_grad_());
        const auto expected = test.reference(theirs);
        const auto parameters = trainables(start);
        const auto optimizer = train::makeOptimizer(test.document, parameters);
        optimizer->useFused(fused);
        const double rate = optimizer ? test.document.value("lr", name.startsWith("rmsprop") ? 1e-2 : 1e-3) : 0;
        for (int step = 0; step < 20; ++step) {
            std::vector<at::Tensor> gradients;
            for (std::size_t i = 0; i < start.size(); ++i) {
                // The last parameter has no gradient in every third step.
                gradients.push_back(i == 2 && step % 3 == 1 ? at::Tensor() : gradientAt(step, int(i), start[i]));
                theirs[i].mutable_grad() = gradients[i].defined() ? gradients[i].clone() : at::Tensor();
            }
            expected->step();
            optimizer->step(gradients, rate);
            for (std::size_t i = 0; i < start.size(); ++i) {
                if (!fused)
                    QVERIFY2(at::equal(parameters[i].tensor, theirs[i].detach()), qPrintable(QString("step %1, parameter %2").arg(step).arg(i)));
                else
                    QVERIFY2(difference(parameters[i].tensor, theirs[i].detach()) < (wide ? 1e-14 : 2e-6),
                             qPrintable(QString("step %1, parameter %2").arg(step).arg(i)));
            }
        }
    }

    /// torch.optim with one group a tensor: its rate multiplied, its decay divided, as muP's optimizers set their groups.
    void aRateOfItsOwnIsAParameterGroup_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* name : {"adam", "adamw", "sgd"})
            QTest::newRow(name) << name;
    }
    void aRateOfItsOwnIsAParameterGroup()
    {
        QFETCH(QString, name);
        const double rate = 0.01, decay = 0.1;
        const std::vector<double> factors{4, 0.25, 1};
        const std::vector<at::Tensor> start = startValues(at::kDouble);
        std::vector<train::Trainable> ours = trainables(start);
        std::vector<at::Tensor> theirs;
        std::vector<torch::optim::OptimizerParamGroup> groups;
        for (std::size_t i = 0; i < start.size(); ++i) {
            ours[i].rate = factors[i];
            theirs.push_back(start[i].clone().requires_grad_());
            const double own = rate * factors[i], shrink = decay / factors[i];
            std::unique_ptr<torch::optim::OptimizerOptions> options;
            if (name == "adam")
                options = std::make_unique<torch::optim::AdamOptions>(torch::optim::AdamOptions(own).weight_decay(shrink));
            else if (name == "adamw")
                options = std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(own).weight_decay(shrink));
            else
                options = std::make_unique<torch::optim::SGDOptions>(torch::optim::SGDOptions(own).weight_decay(shrink));
            groups.emplace_back(std::vector<at::Tensor>{theirs.back()}, std::move(options));
        }
        std::unique_ptr<torch::optim::Optimizer> expected;
        if (name == "adam")
            expected = std::make_unique<torch::optim::Adam>(groups, torch::optim::AdamOptions());
        else if (name == "adamw")
            expected = std::make_unique<torch::optim::AdamW>(groups, torch::optim::AdamWOptions());
        else
            expected = std::make_unique<torch::optim::SGD>(groups, torch::optim::SGDOptions(rate));
        const auto optimizer = train::makeOptimizer({{"id", name.toStdString()}, {"lr", rate}, {"weight_decay", decay}}, ours);
        for (int step = 0; step < 5; ++step) {
            std::vector<at::Tensor> gradients;
            for (std::size_t i = 0; i < start.size(); ++i) {
                gradients.push_back(gradientAt(step, int(i), start[i]));
                theirs[i].mutable_grad() = gradients[i].clone();
            }
            expected->step();
            optimizer->step(gradients, rate);
        }
        for (std::size_t i = 0; i < start.size(); ++i)
            QVERIFY2(difference(ours[i].tensor, theirs[i].detach()) < 1e-13, qPrintable(QString("parameter %1").arg(i)));
    }

    void stateContinuesToTheLastBit_data()
    {
        QTest::addColumn<QString>("name");
        for (const auto& [name, ignored] : cases())
            QTest::newRow(name.c_str()) << QString::fromStdString(name);
    }
    void stateContinuesToTheLastBit()
    {
        QFETCH(QString, name);
        const Json document = cases().at(name.toStdString()).document;
        const auto start = startValues(at::kFloat);
        const auto whole = trainables(start);
        const auto optimizer = train::makeOptimizer(document, whole);
        const auto stepOf = [&](train::Optimizer& which, int step) {
            std::vector<at::Tensor> gradients;
            for (std::size_t i = 0; i < start.size(); ++i)
                gradients.push_back(gradientAt(step, int(i), start[i]));
            which.step(gradients, 0.01, 0.5);
        };
        for (int step = 0; step < 5; ++step)
            stepOf(*optimizer, step);
        std::vector<at::Tensor> values;
        for (const auto& parameter : whole)
            values.push_back(parameter.tensor);
        const auto resumedParameters = trainables(values);
        const auto resumed = train::makeOptimizer(document, resumedParameters);
        resumed->restore(optimizer->state());
        for (int step = 5; step < 9; ++step) {
            stepOf(*optimizer, step);
            stepOf(*resumed, step);
        }
        for (std::size_t i = 0; i < start.size(); ++i)
            QVERIFY(at::equal(whole[i].tensor, resumedParameters[i].tensor));
    }

    void threadsDoNotChangeTheResult()
    {
        std::vector<at::Tensor> first;
        for (const int threads : {1, 2}) {
            at::set_num_threads(threads);
            const auto parameters = trainables(startValues(at::kFloat));
            const auto optimizer = train::makeOptimizer("adamw", parameters);
            std::vector<at::Tensor> gradients;
            for (std::size_t i = 0; i < parameters.size(); ++i)
                gradients.push_back(gradientAt(0, int(i), parameters[i].tensor));
            optimizer->step(gradients, 0.1);
            if (first.empty())
                for (const auto& parameter : parameters)
                    first.push_back(parameter.tensor);
            for (std::size_t i = 0; i < parameters.size(); ++i)
                QVERIFY(at::equal(parameters[i].tensor, first[i]));
        }
    }

    void excludedParametersDoNotDecay()
    {
        auto parameters = trainables({at::ones({3}), at::ones({3})});
        parameters[1].decay = false;
        const auto optimizer = train::makeOptimizer({{"id", "adamw"}, {"weight_decay", 0.5}}, parameters);
        optimizer->step(std::vector<at::Tensor>{at::zeros({3}), at::zeros({3})}, 0.1);
        QVERIFY(at::allclose(parameters[0].tensor, at::full({3}, 0.95)));
        QVERIFY(at::equal(parameters[1].tensor, at::ones({3})));
    }

    void refusesStateOfAnotherOptimizer()
    {
        const auto sgd = train::makeOptimizer({{"id", "sgd"}, {"momentum", 0.9}}, trainables({at::ones({2})}));
        const auto adam = train::makeOptimizer("adam", trainables({at::ones({2})}));
        sgd->step(std::vector<at::Tensor>{at::ones({2})}, 0.1);
        try {
            adam->restore(sgd->state());
            QFAIL("expected a FormatError");
        } catch (const core::FormatError& error) {
            QCOMPARE(QString(error.what()), QString("optimizer state: expected \"exp_avg/p0\" [2], got nothing"));
        }
    }

    void refusesNesterovWithoutMomentum()
    {
        QVERIFY_THROWS_EXCEPTION(core::InputError, train::makeOptimizer({{"id", "sgd"}, {"nesterov", true}}, {}));
    }

    void clippingFollowsTorch()
    {
        for (const double maximum : {0.5, 1000.0}) {
            std::vector<at::Tensor> theirs, gradients;
            for (const at::Tensor& value : startValues(at::kFloat)) {
                gradients.push_back(gradientAt(0, 1, value));
                theirs.push_back(value.clone().requires_grad_());
                theirs.back().mutable_grad() = gradients.back().clone();
            }
            const double expected = torch::nn::utils::clip_grad_norm_(theirs, maximum);
            const double norm = train::globalNorm(gradients);
            QVERIFY(std::abs(norm - expected) < 1e-5 * expected);
            for (std::size_t i = 0; i < theirs.size(); ++i)
                QVERIFY(at::allclose(theirs[i].grad(), gradients[i] * train::clipFactor(norm, maximum), 1e-5, 1e-9));
        }
    }

    void normShowsNanAndInfinity()
    {
        QVERIFY(std::isnan(train::globalNorm(std::vector<at::Tensor>{at::tensor({1.0f, NAN})})));
        QVERIFY(std::isinf(train::globalNorm(std::vector<at::Tensor>{at::Tensor(), at::tensor({1.0f, INFINITY})})));
        QCOMPARE(train::globalNorm(std::vector<at::Tensor>{at::full({2}, 3e38)}) > 1e38, true);  // No overflow: the sum is in double.
    }
};

QTEST_APPLESS_MAIN(OptimizerTest)
#include "optimizer_test.moc"
