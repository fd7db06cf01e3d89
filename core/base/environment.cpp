#include "environment.h"

#include <ATen/Parallel.h>
#include <sys/utsname.h>
#include <torch/version.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fstream>

#include "devices.h"
#include "process.h"
#include "text.h"

namespace orrery::core {
namespace {

std::string compilerText()
{
#if defined(__clang__)
    return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::string distribution()
{
    std::ifstream release("/etc/os-release");
    constexpr std::string_view kKey = "PRETTY_NAME=";
    for (std::string line; std::getline(release, line);)
        if (line.starts_with(kKey)) {
            std::string_view value = trim(std::string_view(line).substr(kKey.size()));
            if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
                value = value.substr(1, value.size() - 2);
            return std::string(value);
        }
    return "unknown distribution";
}

std::string systemText()
{
    utsname name{};
    if (::uname(&name) != 0)
        return distribution();
    return fmt::format("{} ({} {} {})", distribution(), name.sysname, name.release, name.machine);
}

std::string hostName()
{
    char name[256] = "";
    return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

Json deviceJson(const DeviceInfo& device)
{
    return {{"id", device.id}, {"name", device.name}, {"cores", device.cores}, {"memory", device.memory}, {"level", device.level}};
}

/// Git must look at the folder and at nothing else: a hook that started us may have set these, and looking must not take locks.
std::optional<ProcessResult> git(const std::filesystem::path& folder, std::vector<std::string> arguments)
{
    std::vector<std::string> command{"git", "-C", folder.string()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return runProcess(command, std::chrono::milliseconds(1000), {"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"});
}

}  // namespace

std::string_view version()
{
    return ORRERY_VERSION;
}

Json gitState(const std::filesystem::path& folder)
{
    if (folder.empty())
        return nullptr;
    // One call gives all: header lines `# branch.oid` and `# branch.head`, then one line for each file that differs.
    const auto status = git(folder, {"status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=dirty"});
    if (!status || status->exitStatus != 0)
        return nullptr;
    Json out = {{"commit", nullptr}, {"branch", nullptr}, {"dirty", false}};
    for (const std::string& line : split(status->output, '\n')) {
        if (line.starts_with("# branch.oid ") && !line.ends_with("(initial)"))
            out["commit"] = line.substr(13);
        else if (line.starts_with("# branch.head ") && !line.ends_with("(detached)"))
            out["branch"] = line.substr(14);
        else if (!line.empty() && line[0] != '#')
            out["dirty"] = true;
    }
    return out;
}

Json environmentSnapshot(const std::filesystem::path& folder)
{
    const GemmInfo gemm = gemmInUse();
    Json out = {{"orrery", version()},
                {"libtorch", TORCH_VERSION},
                {"compiler", compilerText()},
                {"system", systemText()},
                {"host", hostName()},
                {"devices", Json::array()},
                {"gemm", {{"name", gemm.name}, {"library", gemm.library}}},
                {"threads", at::get_num_threads()}};
    for (const DeviceInfo& device : listDevices())
        out["devices"].push_back(deviceJson(device));
    if (Json state = gitState(folder); !state.is_null())
        out["git"] = std::move(state);
    return out;
}

}  // namespace orrery::core
