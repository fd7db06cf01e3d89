// Times of the Experiments panel with 10,000 runs and curves of a million points: `experiments_bench [RUNS]` prints medians in milliseconds as JSON. Not a test: nothing
// asserts a time.
#include <QApplication>
#include <QElapsedTimer>
#include <QLineEdit>
#include <QScrollBar>
#include <QTabWidget>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <algorithm>
#include <cmath>
#include <iostream>

#include <core/base/rng.h>
#include <core/catalogue.h>
#include <core/store/workspace.h>
#include <plugins/experiments/experiments_panel.h>
#include <plugins/experiments/parallel_page.h>
#include <plugins/experiments/query_edit.h>
#include <plugins/experiments/run_curves.h>
#include <widgets/session.h>

using namespace orrery;
using namespace orrery::plugins;

namespace {

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values.empty() ? std::nan("") : values[values.size() / 2];
}

double milliseconds(const std::function<void()>& work)
{
    QElapsedTimer time;
    time.start();
    work();
    return double(time.nsecsElapsed()) / 1e6;
}

/// Runs of eight widths, five learning rates and many seeds. An export and its import commit once for many.
void fill(store::Workspace& workspace, const QTemporaryDir& folder, int count)
{
    std::vector<store::RunId> ids;
    for (int i = 0; i < 40; ++i) {
        store::NewRun run;
        run.name = "width " + std::to_string(8 << (i % 8));
        run.seed = std::uint64_t(i);
        run.document = {{"name", run.name},
                        {"seed", i},
                        {"model", {{"id", "mlp"}, {"width", 8 << (i % 8)}, {"depth", 1 + i % 3}}},
                        {"data", {{"id", "digits"}}},
                        {"train", {{"batch_size", 32}, {"optimizer", {{"id", "adamw"}, {"lr", std::pow(10, -1.0 - i % 5)}}}}}};
        const auto id = workspace.createRun(run);
        workspace.startRun(id);
        for (int step = 1; step <= 20; ++step)
            workspace.metric(id, "train/loss", step, 2.0 / step + i * 0.01);
        workspace.metric(id, "val/accuracy", 20, 0.5 + i * 0.01);
        workspace.metric(id, "test/accuracy", 20, 0.5 + std::sin(i) * 0.4);
        workspace.flush();
        workspace.setStatus(id, store::RunStatus::Finished);
        ids.push_back(id);
    }
    const auto file = folder.filePath("runs.orrery").toStdString();
    while (int(ids.size()) < count) {
        workspace.exportRuns(std::span(ids).first(std::min(ids.size(), std::size_t(count) - ids.size())), file);
        for (const auto id : workspace.importRuns(file))
            ids.push_back(id);
    }
}

store::RunId longRun(store::Workspace& workspace, std::size_t points)
{
    store::NewRun run;
    run.name = "a million points";
    run.document = {{"name", run.name}};
    const auto id = workspace.createRun(run);
    workspace.startRun(id);
    std::vector<std::int64_t> steps(points);
    std::vector<double> values(points);
    for (std::size_t i = 0; i < points; ++i) {
        steps[i] = std::int64_t(i) + 1;
        values[i] = 1 / std::sqrt(double(i + 1)) + 0.1 * std::sin(double(i) * 0.37);
    }
    workspace.metrics(id, "train/loss", steps, values);
    workspace.flush();
    workspace.setStatus(id, store::RunStatus::Finished);
    return id;
}

void waitUntil(const std::function<bool()>& condition)
{
    while (!condition())
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents, 5);
}

}  // namespace

int main(int argc, char** argv)
{
    QApplication application(argc, argv);
    core::registerAll();
    const int count = argc > 1 ? std::atoi(argv[1]) : 10000;
    const QTemporaryDir folder;
    widgets::Session session;
    session.openWorkspace(folder.filePath("workspace"));
    fill(*session.workspace(), folder, count);
    const auto wide = longRun(*session.workspace(), 1'000'000);
    core::Json out{{"runs", count}};
    ExperimentsPanel panel(session);
    panel.resize(1280, 800);
    out["open_ms"] = milliseconds([&] {
        panel.show();
        waitUntil([&] { return panel.table()->model()->totalRows() >= count && panel.isIdle(); });
    });

    // Scrolled row by row and painted at once.
    auto* table = panel.table()->table();
    std::vector<double> frames;
    for (int i = 0; i < 120; ++i) {
        table->verticalScrollBar()->setValue(i * 7);
        frames.push_back(milliseconds([&] { table->viewport()->repaint(); }));
    }
    out["table_frame_ms"] = median(frames);

    std::vector<double> queries, asked;
    for (const char* text : {"test/accuracy > 0.7 and optimizer.lr < 1e-2", "width = 64", "model.width in (8, 16) and not depth = 2", "width 8",
                             "val/accuracy >= 0.6 or seed = 3"}) {
        asked.push_back(milliseconds([&] {
            store::RunQuery query;
            query.where = text;
            session.workspace()->runs(query);
        }));
        bool isShown = false;
        const auto connection = QObject::connect(panel.query(), &QueryEdit::queryChanged, [&] { isShown = true; });
        bool isAnswered = false;
        const auto answer = QObject::connect(panel.table()->model(), &QAbstractItemModel::layoutChanged, [&] { isAnswered = isShown; });
        panel.query()->setText(text);
        waitUntil([&] { return isShown; });
        queries.push_back(milliseconds([&] {
            waitUntil([&] { return isAnswered; });
            table->viewport()->repaint();
        }));
        QObject::disconnect(connection);
        QObject::disconnect(answer);
        waitUntil([&] { return panel.isIdle(); });
    }
    out["query_ms"] = median(asked);
    out["query_to_rows_ms"] = median(queries);
    panel.query()->setText({});
    waitUntil([&] { return panel.table()->model()->totalRows() >= count && panel.isIdle(); });

    panel.tabs()->setCurrentWidget(panel.parallel());
    panel.parallel()->setAxes({"model.width", "model.depth", "train.optimizer.lr", "val/accuracy", "test/accuracy"});
    waitUntil([&] { return panel.isIdle() && panel.parallel()->view()->axes().size() == 5; });
    auto* view = panel.parallel()->view();
    std::vector<double> draws;
    for (int i = 0; i < 11; ++i) {
        view->setBrush("test/accuracy", std::pair{0.1 + 0.01 * i, 0.8});  // everything is drawn anew
        draws.push_back(milliseconds([&] { view->repaint(); }));
    }
    out["parallel_draw_ms"] = median(draws);

    panel.tabs()->setCurrentWidget(panel.curves());
    session.selectRuns({wide});
    waitUntil([&] {
        return panel.isIdle() && panel.curves()->plot("loss") && !panel.curves()->plot("loss")->drawnData(QString("%1:train/loss").arg(wide)).empty();
    });
    auto* plot = panel.curves()->plot("loss");
    std::vector<double> zooms;
    for (int i = 0; i < 11; ++i)
        zooms.push_back(milliseconds([&] {
            plot->setRange(widgets::PlotAxis::X, i * 50'000, i * 50'000 + 300'000);
            waitUntil([&] { return plot->isIdle(); });
            plot->repaint();
        }));
    out["million_points_zoom_ms"] = median(zooms);
    std::cout << out.dump(2) << std::endl;
    return 0;
}
