#pragma once
#include <core/data/dataset.h>

namespace orrery::train {

/// What a document's "auto" means for data of some task: the loss, and what is measured.
core::Json defaultLoss(const data::DataInfo& info);
core::Json defaultMetrics(const data::DataInfo& info);

}  // namespace orrery::train
