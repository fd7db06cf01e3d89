#include "catalogue.h"

#include <mutex>

#include <core/base/devices.h>
#include <core/base/registry.h>
#include <core/data/augmentation.h>
#include <core/data/dataset.h>
#include <core/explain/attribution.h>
#include <core/explain/metrics/metric.h>
#include <core/intervene/kinds.h>
#include <core/intervene/lens_methods.h>
#include <core/intervene/output_metric.h>
#include <core/intervene/projection.h>
#include <core/intervene/similarity.h>
#include <core/jobs/kinds.h>
#include <core/models/exporter.h>
#include <core/models/importer.h>
#include <core/scaling/law.h>
#include <core/scene/cloud/filters.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/distill/distill.h>
#include <core/search/sampler.h>
#include <core/search/trial_job.h>
#include <core/train/catalogue.h>
#include <core/train/process_kind.h>
#include <core/zoo/zoo.h>

namespace orrery::core {

// The one list of all families, and of the kinds of jobs that can run in another process.
void registerAll()
{
    static std::once_flag once;
    std::call_once(once, [] {
        keepFullPrecision();
        addFamily(zoo::zooRegistry());
        addFamily(data::dataRegistry());
        addFamily(data::augmentationRegistry());
        addFamily(train::optimizers());
        addFamily(train::schedules());
        addFamily(train::losses());
        addFamily(train::metrics());
        addFamily(explain::attributionRegistry());
        addFamily(explain::attributionMetricRegistry());
        addFamily(intervene::interventionRegistry());
        addFamily(intervene::lensRegistry());
        addFamily(intervene::outputMetrics());
        addFamily(intervene::similarityRegistry());
        addFamily(intervene::projectionRegistry());
        addFamily(models::importerRegistry());
        addFamily(models::exporterRegistry());
        addFamily(scene::cloudFormats());
        addFamily(scene::cloudFilters());
        addFamily(scene::distillers());
        addFamily(scaling::lawRegistry());
        addFamily(search::samplers());
        jobs::addKind("train", train::trainKind());
        jobs::addKind("trial", search::trialKind());
    });
}

}  // namespace orrery::core
