#include "explain_work.h"

#include <chrono>

#include <core/explain/metrics/metric.h>

namespace orrery::plugins {
namespace {

/// True at most ten times a second: a method may report thousands of steps a second, and posted one by one they would keep the window from answering.
class Throttle {
public:
    bool pass()
    {
        const auto now = std::chrono::steady_clock::now();
        if (now - m_last < std::chrono::milliseconds(100))
            return false;
        m_last = now;
        return true;
    }

private:
    std::chrono::steady_clock::time_point m_last;
};

CardMetric measureOne(const Explanation& made, const std::string& metric, const explain::Control& control)
{
    try {
        const auto& subject = *made.subject;
        const auto measured = explain::measure(*subject.executor, subject.model->weights, made.settings.method,
                                               requestOf(subject, made.settings, made.question), *made.raw, {{metric}}, control);
        return {measured.at(0).result.value.reshape(-1)[0].item<double>(), {}};
    } catch (const std::exception& error) {
        return {0, QString::fromUtf8(error.what())};
    }
}

}  // namespace

std::function<void(widgets::BackgroundContext&)> explainWork(PreparedPtr subject, Question question, std::vector<ExplainOrder> orders,
                                                             std::shared_ptr<store::Workspace> workspace, ExplainEvents events)
{
    return [=](widgets::BackgroundContext& context) {
        for (std::size_t i = 0; i < orders.size(); ++i) {
            const ExplainOrder& order = orders[i];
            Throttle throttle;
            explain::Control control;
            control.stop = context.stopToken();
            control.progress = [&](double done, double total, const char* unit) {
                if (orders.size() == 1)
                    context.progress(done, total, unit);
                else
                    context.progress(double(i) + (total > 0 ? done / total : 0), double(orders.size()), "methods");
            };
            control.partial = [&](const at::Tensor& attribution) {
                if (!throttle.pass())
                    return;
                const auto made = std::make_shared<const Explanation>(partialExplanation(subject, order.settings, question, attribution));
                context.post([result = events.result, card = order.card, made] { result(card, made); });
            };
            context.throwIfStopped();
            context.post([started = events.started, card = order.card] { started(card); });
            try {
                const auto made = std::make_shared<const Explanation>(explainSubject(subject, order.settings, question, workspace, control));
                context.post([result = events.result, card = order.card, made] { result(card, made); });
            } catch (const std::exception& error) {
                context.post([failed = events.failed, card = order.card, text = QString::fromUtf8(error.what())] { failed(card, text); });
            }
        }
    };
}

std::vector<std::string> measurableMetrics()
{
    std::vector<std::string> ids;
    for (const auto& metric : explain::attributionMetricRegistry().components()) {
        std::vector<core::Issue> issues;
        metric.schema.check(core::Json::object(), "", issues);
        if (issues.empty())
            ids.push_back(metric.id);
    }
    return ids;
}

std::function<void(widgets::BackgroundContext&)> measureWork(std::vector<MeasureOrder> orders, Measured measured)
{
    return [=](widgets::BackgroundContext& context) {
        const auto metrics = measurableMetrics();
        explain::Control control;
        control.stop = context.stopToken();
        const double total = double(orders.size() * metrics.size());
        double before = 0;
        control.progress = [&](double done, double of, const char*) { context.progress(before + (of > 0 ? done / of : 0), total, "metrics"); };
        for (const MeasureOrder& order : orders)
            for (const std::string& metric : metrics) {
                context.throwIfStopped();
                context.progress(before, total, "metrics");
                const CardMetric value = measureOne(*order.result, metric, control);
                context.post([measured, order, metric, value] { measured(order.card, order.result, metric, value); });
                ++before;
            }
    };
}

}  // namespace orrery::plugins
