#include "explain_work.h"

#include <chrono>

#include <core/explain/stored.h>

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

/// Keeps them with the result's analysis; what goes wrong does not take the numbers from the screen.
QString whyNotStored(const Explanation& made, const std::shared_ptr<store::Workspace>& workspace,
                     const std::vector<explain::MeasuredMetric>& measured)
{
    try {
        if (made.analysis && workspace && !workspace->isReadOnly())
            explain::storeMetrics(*workspace, *made.analysis, measured);
    } catch (const core::Error& error) {
        return QString::fromUtf8(error.what());
    }
    return {};
}

CardMetric measureOne(const Explanation& made, const explain::AttributionResult& raw, const explain::MetricRequest& metric,
                      const std::shared_ptr<store::Workspace>& workspace, const explain::Control& control)
{
    try {
        const auto& subject = *made.subject;
        const auto measured = explain::measure(*subject.executor, subject.model->weights, made.settings.method,
                                               requestOf(subject, made.settings, made.question), raw, {metric}, control);
        CardMetric metric = metricOf(explain::toJson(measured.at(0)));
        metric.whyNotStored = whyNotStored(made, workspace, measured);
        return metric;
    } catch (const core::Cancelled&) {
        throw;
    } catch (const std::exception& error) {
        CardMetric none;
        none.error = QString::fromUtf8(error.what());
        return none;
    }
}

/// The attribution as core gives it: what is still there, else computed anew.
std::shared_ptr<const explain::AttributionResult> rawOf(const Explanation& made, const explain::Control& control)
{
    if (made.raw)
        return made.raw;
    const auto& subject = *made.subject;
    explain::Control quiet;
    quiet.stop = control.stop;
    return std::make_shared<const explain::AttributionResult>(
        explain::attribute(*subject.executor, subject.model->weights, made.settings.method, requestOf(subject, made.settings, made.question), quiet));
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

std::function<void(widgets::BackgroundContext&)> measureWork(std::vector<MeasureOrder> orders, std::vector<explain::MetricRequest> metrics,
                                                             std::shared_ptr<store::Workspace> workspace, Measured measured)
{
    return [=](widgets::BackgroundContext& context) {
        explain::Control control;
        control.stop = context.stopToken();
        const double total = double(orders.size() * metrics.size());
        double before = 0;
        control.progress = [&](double done, double of, const char*) { context.progress(before + (of > 0 ? done / of : 0), total, "metrics"); };
        for (const MeasureOrder& order : orders) {
            const auto raw = rawOf(*order.result, control);
            for (const auto& metric : metrics) {
                context.throwIfStopped();
                context.progress(before, total, "metrics");
                const CardMetric value = measureOne(*order.result, *raw, metric, workspace, control);
                context.post([measured, order, id = metric.id, value] { measured(order.card, order.result, id, value); });
                ++before;
            }
        }
    };
}

}  // namespace orrery::plugins
