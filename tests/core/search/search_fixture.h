#pragma once
#include <core/base/json.h>

/// What the tests of sweeps share.
namespace orrery::test {

/// A LeNet-like network on 120 digits, 8 steps long, with a sweep of four trials.
inline core::Json smallSweep()
{
    return core::Json::parse(R"({"name": "small", "seed": 3,
        "model": {"id": "lenet", "maps": [2, 4], "kernel": 3, "padding": 1, "hidden": [8]},
        "data": {"id": "digits", "limit": 120},
        "train": {"steps": 8, "batch_size": 16, "threads": 1, "evaluate_every": 2, "optimizer": {"id": "sgd", "lr": 0.1}, "checkpoint": {"every": 2}},
        "tags": ["test"],
        "sweep": {"sampler": "random", "parameters": {"train.optimizer.lr": {"range": [1e-3, 0.5], "log": true}, "train.batch_size": {"choices": [8, 16]}},
                  "metric": "val/loss", "trials": 4}})");
}

}  // namespace orrery::test
