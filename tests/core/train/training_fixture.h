#pragma once
// What the training tests share: a sink in memory and short experiments on the shipped data.
#include <QString>

#include <functional>
#include <map>
#include <set>
#include <vector>

#include <core/base/error.h>
#include <core/train/trainer.h>

namespace orrery::test {

/// Keeps everything; can break off a training at a chosen moment as a kill would: by an exception that nobody expects.
struct MemorySink : train::RunSink {
    struct Killed {};
    struct Point {
        std::int64_t step;
        double value;
        bool operator==(const Point&) const = default;
    };
    std::map<std::string, std::vector<Point>> metrics;
    std::map<std::string, std::string> artifacts;
    std::int64_t killAtCall = -1, calls = 0;

    void metric(const std::string& name, std::int64_t step, double value) override
    {
        count();
        metrics[name].push_back({step, value});
    }
    void artifact(const std::string& name, const std::string&, std::optional<std::int64_t>, const std::string& content) override
    {
        count();
        artifacts[name] = content;
    }
    void removeArtifact(const std::string& name) override
    {
        count();
        artifacts.erase(name);
    }
    void count()
    {
        if (++calls == killAtCall)
            throw Killed();
    }
    /// The last checkpoint, if there is one.
    std::optional<train::Checkpoint> checkpoint() const
    {
        std::optional<train::Checkpoint> best;
        for (const auto& [name, content] : artifacts)
            if (name.starts_with("checkpoint@")) {
                train::Checkpoint found = train::readCheckpoint(content, name);
                if (!best || found.step > best->step)
                    best = std::move(found);
            }
        return best;
    }
    /// What the store does when a run is resumed.
    void dropAfter(std::int64_t step)
    {
        for (auto& [name, points] : metrics)
            std::erase_if(points, [&](const Point& point) { return point.step > step; });
    }
};

inline core::Json smallDigits()
{
    return core::Json::parse(R"({
        "name": "small", "seed": 7,
        "model": {"id": "lenet", "maps": [4, 8], "kernel": 3, "padding": 1, "pooling": "max", "hidden": [16], "activation": "relu", "batch_norm": true, "dropout": 0.2},
        "data": {"id": "digits", "limit": 300, "augment": [{"id": "shift", "pixels": 1}]},
        "train": {"epochs": 3, "batch_size": 32, "optimizer": {"id": "adamw", "lr": 0.01}, "schedule": "one_cycle", "clip_norm": 1, "ema_decay": 0.9,
                  "evaluate_every": 5, "checkpoint": {"every": 4}}})");
}

inline bool sameWeights(const graph::Weights& a, const graph::Weights& b)
{
    if (a.tensors().size() != b.tensors().size())
        return false;
    for (const auto& [name, tensor] : a.tensors())
        if (!b.find(name) || !at::equal(tensor.detach(), b.at(name).detach()))
            return false;
    return true;
}

inline QString errorOf(const std::function<void()>& call)
{
    try {
        call();
    } catch (const core::Error& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace orrery::test
