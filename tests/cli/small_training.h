#pragma once
// A training of a second or two for the tests of the command line.
#include <string>

namespace orrery::test {

/// LeNet-like network on 300 digits with everything that has a state: dropout, batch norm, augmentation, momentum, schedule, average; a checkpoint every few steps.
inline const char* kSmallTraining = R"(name: small
seed: 7
model: {id: lenet, maps: [4, 8], kernel: 3, padding: 1, pooling: max, hidden: [16], activation: relu, batch_norm: true, dropout: 0.2}
data: {id: digits, limit: 300, augment: [{id: shift, pixels: 1}]}
train:
  epochs: 4
  batch_size: 32
  threads: 1
  optimizer: {id: adamw, lr: 0.01}
  schedule: one_cycle
  ema_decay: 0.9
  evaluate_every: 7
  checkpoint: {every: 5}
tags: [small]
)";

/// So many epochs that nothing finishes by itself before it is ended.
inline const char* kEndless = "train.epochs=20000";

}  // namespace orrery::test
