#include <unistd.h>

#include <ATen/Parallel.h>

#include <csignal>
#include <iostream>
#include <thread>

#include <core/base/devices.h>
#include <core/base/text.h>

#include "cli.h"
#include "interrupt.h"

namespace orrery::cli {
namespace {

std::filesystem::path environmentFolder()
{
    const char* folder = std::getenv("ORRERY_WORKSPACE");
    return folder ? folder : "";
}

// A workspace that is not there is bad input; one that is there and cannot be opened is a failure, told by the store.
std::shared_ptr<store::Workspace> opened(const std::filesystem::path& folder, store::OpenMode mode)
{
    std::error_code error;
    if (mode != store::OpenMode::OpenOrCreate && !std::filesystem::exists(folder, error) && !error)
        throw core::InputError(
            fmt::format("{}: expected a workspace folder, there is none; name one with --workspace or $ORRERY_WORKSPACE", folder.string()));
    if (mode != store::OpenMode::OpenOrCreate && std::filesystem::is_directory(folder, error) &&
        !std::filesystem::exists(folder / "orrery.db", error) && !error)
        throw core::InputError(fmt::format("{}: expected a workspace, found no orrery.db in it", folder.string()));
    return store::Workspace::open(folder, mode);
}

}  // namespace

std::stop_token Session::stopToken() const
{
    return interruptToken();
}

void Session::print(const core::Json& document) const
{
    std::cout << document.dump(2, ' ', false, core::Json::error_handler_t::replace) << std::endl;
}

void Session::showProgress(double done, double total, const std::string& unit, const std::string& phase) const
{
    static auto lastTime = std::chrono::steady_clock::time_point();
    static auto startTime = std::chrono::steady_clock::now();
    static std::string lastPhase;
    const auto now = std::chrono::steady_clock::now();
    if (quiet || !isatty(STDERR_FILENO) || now - lastTime < std::chrono::milliseconds(100))
        return;
    if (phase != lastPhase || done <= 0)
        startTime = now;
    lastPhase = phase;
    lastTime = now;
    const double elapsed = std::chrono::duration<double>(now - startTime).count();
    std::string text = fmt::format("{}{:.0f}/{:.0f} {}", phase.empty() ? "" : phase + " ", done, total, unit);
    if (done > 0 && total > done && elapsed > 1)
        text += ", " + core::formatDuration(elapsed * (total - done) / done) + " left";
    std::cerr << "\r\033[K" << text << std::flush;
}

void Session::endProgress() const
{
    if (!quiet && isatty(STDERR_FILENO))
        std::cerr << "\r\033[K" << std::flush;
}

std::shared_ptr<store::Workspace> Session::namedWorkspace(store::OpenMode mode) const
{
    const auto folder = workspaceFolder.empty() ? environmentFolder() : std::filesystem::path(workspaceFolder);
    if (folder.empty())
        return nullptr;
    return opened(folder, mode);
}

std::shared_ptr<store::Workspace> Session::workspace(store::OpenMode mode) const
{
    if (auto named = namedWorkspace(mode))
        return named;
    return opened("orrery-workspace", mode);
}

void Session::applyThreads() const
{
    at::set_num_threads(threads > 0 ? threads : int(std::max(1u, std::thread::hardware_concurrency())));
}

c10::Device Session::chosenDevice() const
{
    try {
        return core::parseDevice(device);
    } catch (const core::InputError& error) {
        throw core::InputError(std::string("--") + error.what());  // "--device: ..."
    }
}

}  // namespace orrery::cli
