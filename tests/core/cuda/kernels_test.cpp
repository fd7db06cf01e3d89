#include <core/cuda/kernels.h>

#include <ATen/Context.h>

#include <QTest>

#include "../message_of.h"

using namespace orrery;

/// What the kernels compute is compared with the CPU by `orrery-cli selftest cuda.*`, where a GPU is. Here: that they load, and what is said where they cannot work.
class KernelsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void kernelsLoadWhereTheyWereBuilt()
    {
        if (const auto missing = cuda::kernelsMissing(); !missing.empty())
            QSKIP(("SKIP: no kernels: " + missing).c_str());
        QCOMPARE(cuda::kernels("test").version, cuda::kApiVersion);
    }

    void kernelsSayWhatIsWrongWithoutAGpu()
    {
        if (at::globalContext().hasCUDA() || !cuda::kernelsMissing().empty())
            QSKIP("SKIP: a GPU, or no kernels");
        float out[16] = {}, ray[6] = {0, 0, 0, 1, 0, 0};
        const char* const error = cuda::kernels("test").directionEncode(0, ray, 1, out);
        QVERIFY(error && *error);
        const auto message = messageOf([&] { cuda::check("direction_encode", error); });
        QCOMPARE(message, std::string("direction_encode: CUDA: ") + error);
    }

    void missingKernelsAreNamedWithTheirReason()
    {
        if (cuda::kernelsMissing().empty())
            QSKIP("SKIP: the kernels are there");
        const auto message = messageOf([] { cuda::kernels("hash_encode"); });
        QVERIFY2(message.starts_with("hash_encode: expected CUDA kernels for a model on the GPU, found none ("), message.c_str());
    }

    void nothingIsSaidWhereAllIsWell() { cuda::check("anything", nullptr); }
};

QTEST_GUILESS_MAIN(KernelsTest)
#include "kernels_test.moc"
