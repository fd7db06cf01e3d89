#include "lease.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>

#include <core/base/text.h>

namespace orrery::store {
namespace {

std::string firstLine(const std::string& file)
{
    std::ifstream stream(file);
    std::string line;
    std::getline(stream, line);
    return line;
}

/// Machine since its last start, and process name space: within it, process numbers can be compared.
std::string machine()
{
    std::error_code none;
    const std::string space = std::filesystem::read_symlink("/proc/self/ns/pid", none).string();
    return firstLine("/proc/sys/kernel/random/boot_id") + "/" + space;
}

/// Clock ticks between the machine's start and the process's; empty if there is no such process, or only what is left of one.
std::string startTicks(std::int64_t process)
{
    const std::string line = firstLine(fmt::format("/proc/{}/stat", process));
    // The second field is a name in parentheses that may hold blanks and parentheses itself.
    const std::size_t nameEnd = line.rfind(')');
    if (nameEnd == std::string::npos || nameEnd + 2 > line.size())
        return {};
    const std::vector<std::string> fields = core::split(std::string_view(line).substr(nameEnd + 2), ' ');
    const bool isDead = fields[0] == "Z" || fields[0] == "X";
    return isDead || fields.size() < 20 ? std::string() : fields[19];
}

std::string hostName()
{
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::string newToken()
{
    std::random_device device;
    return fmt::format("{:08x}{:08x}", device(), device());
}

}  // namespace

Lease Lease::ofThisProcess()
{
    const std::int64_t process = ::getpid();
    return {newToken(), hostName(), process, machine() + "/" + startTicks(process), secondsNow()};
}

bool Lease::isAlive(std::chrono::milliseconds expiry) const
{
    const std::string here = machine() + "/";
    if (processStart.starts_with(here))
        return processStart == here + startTicks(process);
    return secondsNow() - heartbeat < std::chrono::duration<double>(expiry).count();
}

std::string Lease::owner() const
{
    return fmt::format("process {} on host \"{}\"", process, host);
}

double secondsNow()
{
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace orrery::store
