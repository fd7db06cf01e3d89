#pragma once
#include <QTest>

#include <filesystem>

namespace orrery::test {

/// One row a document of an experiment under projects/: column "file".
inline void addExperimentDocuments()
{
    QTest::addColumn<QString>("file");
    const std::filesystem::path projects(ORRERY_SOURCE_DIR "/projects");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(projects)) {
        const auto& path = entry.path();
        // Sweeps are many experiments: cli_sweep_test and cli_scaling_test run them. A tokenizer is none.
        if (path.filename() == "sweep.yaml" || path.filename() == "tokenizer.json" || (path.extension() != ".yaml" && path.extension() != ".json"))
            continue;
        QTest::newRow(std::filesystem::relative(path, projects).c_str()) << QString::fromStdString(path.string());
    }
}

}  // namespace orrery::test
