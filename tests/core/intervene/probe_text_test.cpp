// Probes that read a typed text: on the copying model, whose stream holds each token one-hot.
#include <ATen/ATen.h>

#include <QTest>

#include <core/intervene/probe_text.h>

#include "hand_built.h"

using namespace orrery;
using namespace orrery::intervene;

namespace {

/// A probe that names the token whose place in the stream `from` on is on.
LinearProbe probeOf(const graph::Model& model, const char* canonical, std::int64_t from, const char* pooling)
{
    const std::int64_t width = 17;
    LinearProbe probe;
    probe.value = model.card.canonicalNames.at(canonical);
    probe.kind = "logistic";
    probe.pooling = pooling;
    probe.label = "token";
    probe.classNames = {"a", "b", "c", "d", "e", "f"};
    probe.mean = at::zeros({width}, at::kDouble);
    probe.scale = at::ones({width}, at::kDouble);
    probe.weight = at::zeros({6, width}, at::kDouble);
    probe.weight.slice(1, from, from + 6).copy_(3 * at::eye(6, at::kDouble));
    probe.bias = at::zeros({6}, at::kDouble);
    return probe;
}

at::Tensor text()
{
    return at::tensor({4, 0, 1, 2}, at::kLong).unsqueeze(0);
}

}  // namespace

class ProbeTextTest : public QObject {
    Q_OBJECT
    graph::Model m_model = copyingModel();
    graph::Executor m_executor{m_model.graph};
private Q_SLOTS:
    void everyPositionIsRead()
    {
        const auto probe = probeOf(m_model, "blocks.0.resid_post", 0, "each");
        const auto reading = readText(m_model, m_executor, probe, text());
        QVERIFY(reading.byPosition);
        QVERIFY(at::equal(reading.read, text()[0]));
        QVERIFY(std::abs(reading.probability[1].item<double>() - std::exp(3.0) / (std::exp(3.0) + 5)) < 1e-12);
        // What was copied there is the first token, everywhere.
        const auto copied = readText(m_model, m_executor, probeOf(m_model, "blocks.0.resid_post", 11, "last"), text());
        QVERIFY(at::equal(copied.read, at::full({4}, 4, at::kLong)));
        const auto document = readingDocument(reading, probe, m_model.card, text());
        QCOMPARE(document["rows"].size(), std::size_t(4));
        QCOMPARE(document["rows"][0]["name"].get<std::string>(), std::string("e"));
        QCOMPARE(document["rows"][3]["read_name"].get<std::string>(), std::string("c"));
    }

    void aProbeOfMeansReadsTheWholeText()
    {
        const auto probe = probeOf(m_model, "blocks.0.resid_pre", 0, "mean");
        const auto reading = readText(m_model, m_executor, probe, text());
        QVERIFY(!reading.byPosition);
        QCOMPARE(reading.outputs.size(0), 1);
        QVERIFY(at::allclose(reading.outputs[0], at::tensor({0.75, 0.75, 0.75, 0.0, 0.75, 0.0}, at::kDouble)));
        QVERIFY(!readingDocument(reading, probe, m_model.card, text())["rows"][0].contains("position"));
    }

    void badProbesAreNamed()
    {
        auto probe = probeOf(m_model, "blocks.0.resid_post", 0, "flatten");
        QVERIFY_EXCEPTION_THROWN(readText(m_model, m_executor, probe, text()), core::ShapeError);
        probe.pooling = "each";
        probe.value = "no.such.value";
        QVERIFY_EXCEPTION_THROWN(readText(m_model, m_executor, probe, text()), core::InputError);
        graph::Model broken = m_model;
        broken.weights.set("wte.weight", at::full({6, 17}, std::nan("")));
        QVERIFY_EXCEPTION_THROWN(readText(broken, m_executor, probeOf(m_model, "blocks.0.resid_post", 0, "each"), text()), core::InputError);
    }
};

QTEST_APPLESS_MAIN(ProbeTextTest)
#include "probe_text_test.moc"
