#pragma once
#include <string>

#include <core/base/schema.h>

namespace orrery::search {

/// The parameter that a dotted path leads to in an experiment document: `train.optimizer.lr` is what the optimizer named in `document` calls `lr`;
/// `train.optimizer.id` is a choice among all optimizers; `data.augment.0.pixels` leads through a list.
/// @param document  Resolved.
/// @throws core::InputError: `unknown parameter "lrr" of train.optimizer; did you mean "lr"?`
core::Parameter parameterAt(const core::Json& document, const std::string& path);

}  // namespace orrery::search
