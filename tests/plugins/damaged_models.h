#pragma once
// Models that cannot be used, as files: for the tests of what panels say about them.
#include <ATen/ATen.h>
#include <QFile>
#include <QString>

#include <core/models/model_file.h>

#include "../core/intervene/hand_built.h"

namespace orrery::test {

/// The copying model without the last bytes of its file.
inline QString cutModel(const QString& folder)
{
    const QString whole = folder + QStringLiteral("/whole.safetensors"), cut = folder + QStringLiteral("/cut.safetensors");
    models::saveModel(whole.toStdString(), intervene::copyingModel());
    QFile from(whole), to(cut);
    if (from.open(QIODevice::ReadOnly) && to.open(QIODevice::WriteOnly))
        to.write(from.readAll().chopped(100));
    return cut;
}

/// The copying model after a training that diverged.
inline QString nanModel(const QString& folder)
{
    auto model = intervene::copyingModel();
    model.weights.set("wte.weight", at::full({6, 17}, std::nanf("")));
    const QString file = folder + QStringLiteral("/nan.safetensors");
    models::saveModel(file.toStdString(), model);
    return file;
}

}  // namespace orrery::test
