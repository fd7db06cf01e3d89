// What people read of exceptions that are not ours.
#include <QtTest>

#include <c10/util/Exception.h>
#include <filesystem>
#include <new>

#include <core/base/error.h>
#include <core/base/plain_reason.h>

using namespace orrery::core;

class PlainReasonTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void libtorchsCallStackIsLeftOut()
    {
        try {
            TORCH_CHECK(false, "expected 3 sizes, got ", 4);
        } catch (const c10::Error& error) {
            QVERIFY(std::string(error.what()).find("Exception raised from") != std::string::npos);
            QCOMPARE(plainReason(error), std::string("expected 3 sizes, got 4"));
        }
    }

    void askingForTooMuchMemoryIsSaid_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("said");
        const QString rest = "there is not enough memory for 64.0 GiB at once; smaller batches or inputs take less";
        QTest::newRow("alone")
            << "[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 68719476736 bytes. "
               "Error code 12 (Cannot allocate memory)\nframe #0: c10::ThrowEnforceNotMet(...)\n"
            << rest;
        QTest::newRow("of a node")
            << "conv1 (aten::conv2d) failed: [enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you "
               "tried to allocate 68719476736 bytes. Error code 12"
            << "conv1 (aten::conv2d) failed: " + rest;
        QTest::newRow("about something else") << "you tried to allocate a name"
                                              << "you tried to allocate a name";
        QTest::newRow("without a number") << "can't allocate memory: you tried to allocate many bytes"
                                          << "can't allocate memory: you tried to allocate many bytes";
    }
    void askingForTooMuchMemoryIsSaid()
    {
        QFETCH(QString, text);
        QFETCH(QString, said);
        QCOMPARE(QString::fromStdString(withoutCallStack(text.toStdString())), said);
    }

    void halvesAreAdvisedOfAnotherType()
    {
        const auto said =
            withoutCallStack("ln_1 (aten::layer_norm) failed: \"LayerNormKernelImpl\" not implemented for 'Half'\nException raised from x");
        QVERIFY2(said.ends_with(
                     "not implemented for 'Half'; float16 is computed on graphics cards alone here, another compute type runs (--dtype float32)"),
                 said.c_str());
        QCOMPARE(withoutCallStack("\"f\" not implemented for 'Bool'"), std::string("\"f\" not implemented for 'Bool'"));
    }

    void theStandardLibrarysErrorsAreSentences()
    {
        QCOMPARE(plainReason(std::bad_alloc()), std::string("there is not enough memory; smaller batches or inputs take less"));
        try {
            std::filesystem::create_directories("/dev/null/x");
        } catch (const std::exception& error) {
            QCOMPARE(plainReason(error), std::string("/dev/null/x: Not a directory"));
        }
    }

    void oursStayAsTheyAre()
    {
        QCOMPARE(plainReason(InputError("a.csv: line 3: expected 2 fields, got 1")), std::string("a.csv: line 3: expected 2 fields, got 1"));
    }
};

QTEST_APPLESS_MAIN(PlainReasonTest)
#include "plain_reason_test.moc"
