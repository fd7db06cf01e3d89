#include <iostream>

#include <ATen/Parallel.h>

#include <core/base/devices.h>
#include <core/base/text.h>
#include <core/base/version.h>
#include <torch/version.h>

#include "cli.h"

namespace orrery::cli {

std::function<Exit(Session&)> declareDevices(CLI::App& app)
{
    auto fast = std::make_shared<bool>(false);
    app.add_flag("--no-measure", *fast, "Do not measure the matrix product.");
    return [fast](Session& session) {
        session.applyThreads();
        const auto gemm = core::gemmInUse();
        core::Json document = {{"orrery", core::kVersion},
                               {"libtorch", TORCH_VERSION},
                               {"threads", at::get_num_threads()},
                               {"devices", core::Json::array()},
                               {"gemm", {{"name", gemm.name}, {"library", gemm.library}, {"shim", gemm.shim}, {"gflops", nullptr}}}};
        for (const auto& device : core::listDevices())
            document["devices"].push_back(
                {{"id", device.id}, {"name", device.name}, {"cores", device.cores}, {"memory", device.memory}, {"level", device.level}});
        if (!*fast)
            document["gemm"]["gflops"] = core::measureGemm();
        if (session.json) {
            session.print(document);
            return Exit::Done;
        }
        std::cout << "Orrery " << core::kVersion << ", libtorch " << TORCH_VERSION << ", " << at::get_num_threads() << " threads\n";
        for (const auto& device : core::listDevices())
            std::cout << fmt::format("{:<8} {}, {} cores, {}, {}\n", device.id, device.name, device.cores, core::formatBytes(device.memory),
                                     device.level);
        std::cout << "GEMM     " << gemm.name;
        if (!*fast)
            std::cout << fmt::format(", {:.0f} GFLOP/s on 1024 x 1024 x 1024 float", document["gemm"]["gflops"].get<double>());
        std::cout << "\n";
        return Exit::Done;
    };
}

}  // namespace orrery::cli
