#pragma once
// What the tests of the Attribution panel share: the panel on a workspace, its parts by name, and the same numbers by core alone.
#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QTableWidget>
#include <QTest>
#include <map>

#include <core/catalogue.h>
#include <core/explain/attribution.h>
#include <core/train/predict.h>
#include <core/train/samples.h>
#include <plugins/attribution/attribution_panel.h>
#include <plugins/attribution/brush_view.h>

#include "trained_bench.h"

namespace orrery::test::attribution {

using Bench = PanelBench<plugins::AttributionPanel>;

inline const core::Json kSmall{{"id", "mlp"}, {"hidden", {8}}};
inline const core::Json kPictures{{"id", "lenet"}, {"maps", {4, 8}}, {"kernel", 3}, {"padding", 1}, {"hidden", {16}}};

inline QComboBox* box(const Bench& bench, const QString& name)
{
    for (auto* found : bench.panel->findChildren<QComboBox*>())
        if (found->accessibleName() == name)
            return found;
    return nullptr;
}

inline QPushButton* explainButton(const Bench& bench)
{
    return bench.child<QPushButton>("explain");
}
inline QString numbers(const Bench& bench)
{
    return bench.child<QLabel>("numbers")->text();
}
inline QString subject(const Bench& bench)
{
    return bench.child<QLabel>("subject")->text();
}

inline void chooseMethod(const Bench& bench, const QString& id)
{
    auto* methods = box(bench, "Method");
    methods->setFocus();
    QTest::keyClick(methods, Qt::Key_Home);
    for (int i = methods->findData(id); i > 0; --i)
        QTest::keyClick(methods, Qt::Key_Down);
    QCOMPARE(methods->currentData().toString(), id);
}

inline at::Tensor inputOf(const Bench& bench, store::RunId run, std::int64_t sample)
{
    const auto data = train::dataOfRun(*bench.workspace(), run);
    const std::int64_t index = data->split(data::Split::Test)[std::size_t(sample)];
    return data->fetch({&index, 1}).inputs[0];
}

/// The same by core alone.
inline explain::AttributionResult expected(const Bench& bench, store::RunId run, std::int64_t sample, const char* method,
                                           const core::Json& parameters = core::Json::object(), std::optional<std::int64_t> target = {},
                                           const std::string& site = {})
{
    const auto model = train::modelOfRun(*bench.workspace(), run);
    explain::AttributionRequest request;
    request.inputs = {inputOf(bench, run, sample)};
    request.site = site;
    request.parameters = parameters;
    request.target = target;
    return explain::attribute(graph::Executor(model.graph), model.weights, method, request);
}

/// Waits until the subject is open and can be explained.
inline void waitUntilReady(const Bench& bench)
{
    QTRY_VERIFY2_WITH_TIMEOUT(explainButton(bench)->isEnabled() || !bench.panel->errorText().isEmpty(), "never ready", 60000);
    QCOMPARE(bench.panel->errorText(), QString());
    QTRY_VERIFY(explainButton(bench)->isVisible() && bench.panel->isIdle());
}

/// Cell of the row that names this class in the table of the answer by hand.
inline QString answerCell(const Bench& bench, const QString& className, int column)
{
    auto* table = bench.child<QTableWidget>("answer");
    for (int row = 0; row < table->rowCount(); ++row)
        if (table->item(row, 0)->text() == className)
            return table->item(row, column)->toolTip();
    return {};
}

/// Each class's probability by core alone, as text.
inline std::map<std::string, QString> probabilities(const graph::Model& model, const at::Tensor& output)
{
    std::map<std::string, QString> found;
    const at::Tensor row = output.dim() == 3 ? output.select(1, output.size(1) - 1) : output;
    const auto ranked = train::topClasses(row, model.card, std::size_t(row.size(1)));
    for (const auto& score : ranked.at(0))
        found[score.name.empty() ? std::to_string(score.index) : score.name] = plugins::fullNumber(score.probability);
    return found;
}

}  // namespace orrery::test::attribution
