// Times of the graph view with 10,000 nodes: `graph_bench [BLOCKS]` prints medians in milliseconds as JSON. Not a test: nothing asserts a time.
#include <QApplication>
#include <QElapsedTimer>
#include <QImage>
#include <QMouseEvent>
#include <QTemporaryDir>
#include <QTest>
#include <algorithm>
#include <cmath>
#include <iostream>

#include <core/catalogue.h>
#include <core/graph/builder.h>
#include <core/layout/fold_layout.h>
#include <plugins/model/model_tree.h>
#include <widgets/graph_view.h>
#include <widgets/session.h>

using namespace orrery;

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

double medianOf(int times, const std::function<void()>& work)
{
    std::vector<double> all;
    for (int i = 0; i < times; ++i)
        all.push_back(milliseconds(work));
    return median(all);
}

/// Transformer-like blocks of 25 nodes: norms, four projections, a residual stream, and one value that every block reads.
graph::Model deepModel(int blocks)
{
    graph::Builder builder("deep");
    auto x = builder.input("x", "float32", {"batch", "8"});
    const auto mask = builder.op("aten::sigmoid", {x}, "mask");
    for (int i = 0; i < blocks; ++i) {
        const auto block = builder.module("blocks." + std::to_string(i), "Block");
        auto h = builder.layerNorm("norm1", x, 8);
        {
            const auto attention = builder.module("attn", "Attention");
            const auto q = builder.linear("q", h, 8, 8), k = builder.linear("k", h, 8, 8), v = builder.linear("v", h, 8, 8);
            auto scores = builder.op("aten::mul.Tensor", {q, k});
            scores = builder.add(scores, mask);
            scores = builder.softmax(scores, -1);
            h = builder.linear("out", builder.op("aten::mul.Tensor", {scores, v}, "mix"), 8, 8);
        }
        x = builder.add(x, h);
        {
            const auto mlp = builder.module("mlp", "MLP");
            h = builder.linear("up", builder.layerNorm("norm", x, 8), 8, 16);
            for (int k = 0; k < 8; ++k)
                h = builder.op(k % 2 ? "aten::tanh" : "aten::sigmoid", {h}, "f" + std::to_string(k));
            h = builder.linear("down", h, 16, 8);
        }
        x = builder.add(x, h);
    }
    auto model = builder.finish({{"y", x}});
    model.weights = graph::initialize(*model.graph, 0);
    return model;
}

/// Milliseconds a frame while the picture is dragged by the mouse, a few pixels at a time.
double dragged(widgets::GraphView& view)
{
    const QPoint from(500, 400);
    QTest::mousePress(&view, Qt::MiddleButton, {}, from);
    std::vector<double> frames;
    for (int i = 1; i <= 30; ++i)
        frames.push_back(milliseconds([&] {
            QMouseEvent move(QEvent::MouseMove, from + QPoint(-7 * i, 5 * i), view.mapToGlobal(from), Qt::NoButton, Qt::MiddleButton, {});
            QApplication::sendEvent(&view, &move);
            view.repaint();
        }));
    QTest::mouseRelease(&view, Qt::MiddleButton, {}, from);
    return median(frames);
}

void waitFor(const widgets::GraphView& view)
{
    if (!QTest::qWaitFor([&] { return view.isIdle(); }, 60000))
        throw core::Error("the layout did not end");
}

}  // namespace

int main(int argc, char** argv)
{
    QApplication application(argc, argv);
    core::registerAll();
    const int blocks = argc > 1 ? std::atoi(argv[1]) : 460;
    const auto model = deepModel(blocks);
    core::Json figures = {{"nodes", model.graph->allNodes().size()}};

    figures["items_ms"] = medianOf(5, [&] { layout::itemsOf(*model.graph); });
    figures["inspect_structure_ms"] = medianOf(5, [&] { graph::inspectStructure(*model.graph, model.weights); });
    plugins::OpenedModelPtr opened;
    figures["panel_open_with_example_run_ms"] = medianOf(3, [&] { opened = plugins::openForPanel("deep", model, {}); });

    widgets::Session session;
    widgets::GraphView view(session);
    view.resize(1100, 800);
    view.show();
    if (!QTest::qWaitForWindowExposed(&view))
        return 1;
    widgets::GraphContentPtr content;
    figures["open_folded_ms"] = medianOf(5, [&] {
        view.clear();
        content = widgets::makeGraphContent(*model.graph, opened->inspection, view.font());
        view.setContent(content, QStringList());
        view.setColours(widgets::familyColours(*content->tree));
        waitFor(view);
        view.repaint();
    });
    const auto& tree = *content->tree;
    std::vector<double> unfold, fold;
    for (int i = 0; i < 9; ++i) {
        const int block = tree.find("blocks." + std::to_string(i * blocks / 9));
        for (auto [times, open] : {std::pair(&unfold, true), {&fold, false}})
            times->push_back(milliseconds([&, open = open] {
                view.setOpen(block, open);
                waitFor(view);
                view.repaint();
            }));
    }
    figures["unfold_block_ms"] = median(unfold);
    figures["fold_block_ms"] = median(fold);
    figures["unfold_slowest_ms"] = *std::max_element(unfold.begin(), unfold.end());

    figures["open_everything_ms"] = milliseconds([&] {
        view.openAll();
        waitFor(view);
    });
    std::vector<double> far, near;
    view.showAll();
    view.repaint();
    for (int i = 0; i < 15; ++i)
        far.push_back(milliseconds([&] {
            view.zoomBy(1.0001, {400, 300});
            view.repaint();
        }));
    figures["frame_all_seen_ms"] = median(far);
    figures["pan_all_seen_ms"] = dragged(view);
    view.setCurrent(tree.find("blocks." + std::to_string(blocks / 2) + ".attn.softmax"));
    while (view.zoom() < 0.7)
        view.zoomBy(1.2, {400, 300});
    for (int i = 0; i < 15; ++i)
        near.push_back(milliseconds([&] {
            view.zoomBy(1.0001, {400, 300});
            view.repaint();
        }));
    figures["frame_readable_ms"] = median(near);
    figures["pan_readable_ms"] = dragged(view);
    figures["search_ms"] = medianOf(5, [&] { view.search("softmax"); });
    std::cout << figures.dump(2) << "\n";
    return 0;
}
