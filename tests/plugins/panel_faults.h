#pragma once
// What a panel that looks inside a model says where model and data do not go together: one table for all of them.
#include <QAbstractButton>
#include <QLabel>
#include <QTest>
#include <functional>

#include <core/models/model_file.h>
#include <core/models/open_model.h>

#include "damaged_models.h"
#include "trained_bench.h"

namespace orrery::test {

/// A model of 12 tokens that reads 8 of them.
inline const char* const kTokenModel = "zoo:gpt?vocabulary=12&block_length=8&layers=2&heads=2&width=16";

/// Sequences of `vocabulary` tokens that the model above reads, or does not.
inline QString sequences(int vocabulary = 12, int length = 4, double test = 0.2)
{
    return QStringLiteral(
               R"({"id": "repeated_sequences", "vocabulary": %1, "length": %2, "shortest": 2, "samples": 40, "split": {"val": 0.2, "test": %3}})")
        .arg(vocabulary)
        .arg(length)
        .arg(test);
}

inline void addFaults()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<QString>("data");
    QTest::addColumn<QString>("message");
    QTest::newRow("tokens outside the vocabulary") << kTokenModel << sequences(99) << "expected tokens from 0 to 11, got ";
    QTest::newRow("sequences that are too long") << kTokenModel << sequences(12, 20)
                                                 << "expected at most 8 tokens (the model's longest sequence), got 40";
    QTest::newRow("numbers for tokens") << kTokenModel << R"({"id": "iris"})"
                                        << "the model takes tokens";
    QTest::newRow("part without samples") << kTokenModel << sequences(12, 4, 0) << "test part";
    QTest::newRow("run that is not there") << "run:99" << sequences() << "99";
    QTest::newRow("no such file") << "gone.safetensors" << sequences() << "gone.safetensors";
    QTest::newRow("damaged model") << "CUT" << sequences() << "cut.safetensors";
    QTest::newRow("data that are not known") << kTokenModel << R"({"id": "repeated_sequence"})"
                                             << "did you mean \"repeated_sequences\"?";
}

/// The file of the open model is replaced and opened again: what is shown is of the new one. @param shown  Numbers that another model's weights change.
template <class Panel>
void checkReplacedModel(PanelBench<Panel>& bench, const std::function<QString()>& shown)
{
    const QString file = bench.folder.filePath(QStringLiteral("replaced.safetensors"));
    models::OpenOptions options;
    const auto save = [&] {
        models::saveModel(file.toStdString(), models::openModel(kTokenModel, options));
        ++options.seed;
    };
    save();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.data = core::Json::parse(sequences().toStdString());
        s.samples = {0};
    });
    bench.session.openModel(file);
    QTRY_VERIFY_WITH_TIMEOUT(!shown().isEmpty() && bench.panel->isIdle() && !bench.session.hasBackgroundWork(), 30000);
    const QString before = shown();
    bench.session.openModel(file);
    QTRY_VERIFY(bench.panel->isIdle() && !bench.session.hasBackgroundWork());
    QCOMPARE(shown(), before);
    save();
    bench.session.openModel(file);
    QTRY_VERIFY2_WITH_TIMEOUT(!shown().isEmpty() && shown() != before, qPrintable(shown()), 30000);
}

/// Selects what the row says, and starts the panel's work where it lets one: the sentence stands in its band (or in the label `status`), and the next sound selection is looked at as
/// if nothing had been. @param button  What starts the work; null: it starts by itself.
template <class Panel>
void checkFault(PanelBench<Panel>& bench, const char* button, const std::function<bool()>& isReady, const char* status = nullptr)
{
    QFETCH(QString, model);
    QFETCH(QString, data);
    QFETCH(QString, message);
    const auto select = [&](const QString& name, const QString& document) {
        bench.session.changeSelection([&](widgets::Selection& s) {
            s.model = name;
            s.data = core::Json::parse(document.toStdString());
            s.samples = {0};
        });
    };
    const auto said = [&] {
        QString text = bench.panel->errorText();
        if (status)
            text += bench.template child<QLabel>(status)->text();
        return text;
    };
    select(model == "CUT" ? cutModel(bench.folder.path()) : model, data);
    QTRY_VERIFY2_WITH_TIMEOUT(said().contains(message) || isReady(), qPrintable("said: " + said()), 30000);
    if (!said().contains(message) && button)
        QTest::mouseClick(bench.template child<QAbstractButton>(button), Qt::LeftButton);
    QTRY_VERIFY2_WITH_TIMEOUT(said().contains(message), qPrintable("said: " + said()), 30000);
    QTRY_VERIFY(bench.panel->isIdle() && !bench.session.hasBackgroundWork());
    select(kTokenModel, sequences());
    QTRY_VERIFY2_WITH_TIMEOUT(isReady() && !said().contains(message), qPrintable("said: " + said()), 30000);
    QTRY_VERIFY(bench.panel->isIdle() && !bench.session.hasBackgroundWork());
}

}  // namespace orrery::test
