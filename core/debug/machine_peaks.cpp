#include "machine_peaks.h"

#include <chrono>
#include <optional>
#include <vector>

#include <core/base/devices.h>
#include <core/base/files.h>
#include <core/base/log.h>
#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/kernels/parallel.h>

#include "cost_model.h"

namespace orrery::debug {
namespace {

constexpr int kPeaksVersion = 1;
constexpr std::uint64_t kMostPeaksBytes = std::uint64_t(1) << 20;

MachinePeaks measureOnce()
{
    return {std::max(core::measureGemm(1024), core::measureGemm(512)), measureTriad(), {}, 1};
}

/// The list of the file; empty where there is none, or another kind of file.
core::Json readPeaks(const std::filesystem::path& file)
{
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error))
        return core::Json::array();
    try {
        const core::Json json = core::Json::parse(core::readFile(file, kMostPeaksBytes), nullptr, false);
        if (json.is_object() && json.value("version", core::Json()) == kPeaksVersion && json.contains("peaks") && json["peaks"].is_array())
            return json["peaks"];
    } catch (const core::Error&) {
        // As good as none: it is measured anew.
    }
    return core::Json::array();
}

bool isOfThisMachine(const core::Json& entry, const core::Json& machine)
{
    return entry.is_object() && entry.contains("machine") && entry["machine"] == machine;
}

/// Days since 1 January 1970 of "2026-11-27T..."; nothing for another text.
std::optional<long> dayOf(const std::string& date)
{
    const auto number = [&](std::size_t from, std::size_t count) {
        const std::string part = date.size() >= from + count ? date.substr(from, count) : std::string();
        return !part.empty() && part.find_first_not_of("0123456789") == std::string::npos ? std::stoi(part) : -1;
    };
    const std::chrono::year_month_day day{std::chrono::year(number(0, 4)), std::chrono::month(unsigned(number(5, 2))),
                                          std::chrono::day(unsigned(number(8, 2)))};
    if (number(0, 4) < 0 || !day.ok())
        return std::nullopt;
    return long(std::chrono::sys_days(day).time_since_epoch().count());
}

}  // namespace

double measureTriad()
{
    using Clock = std::chrono::steady_clock;
    constexpr std::int64_t kCount = std::int64_t(8) << 20;  // 32 MiB an array
    std::vector<float> a(std::size_t(kCount), 0.f), b(std::size_t(kCount), 1.f), c(std::size_t(kCount), 2.f);
    float *out = a.data(), *left = b.data(), *right = c.data();
    double best = 1e30;
    const auto start = Clock::now();
    for (int i = 0; i < 30 && (i < 3 || Clock::now() - start < std::chrono::milliseconds(300)); ++i) {
        const auto before = Clock::now();
        kernels::parallelFor(0, kCount, 1 << 16, [=](std::int64_t from, std::int64_t to) {
            for (std::int64_t k = from; k < to; ++k)
                out[k] = left[k] + 3.f * right[k];
        });
        if (i > 0)  // The first touches the pages.
            best = std::min(best, std::chrono::duration<double>(Clock::now() - before).count());
    }
    return out[kCount / 2] == 7.f ? 3.0 * 4.0 * double(kCount) / best * 1e-9 : 0;
}

MachinePeaks measurePeaks(const PeaksOptions& options, std::stop_token stop)
{
    if (options.rounds < 1)
        throw core::InputError(fmt::format("peaks: expected at least one round, got {}", options.rounds));
    MachinePeaks best;
    for (int round = 0; round < options.rounds; ++round) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const MachinePeaks made = options.once ? options.once() : measureOnce();
        best.gigaflops = std::max(best.gigaflops, made.gigaflops);
        best.bandwidth = std::max(best.bandwidth, made.bandwidth);
        if (options.progress)
            options.progress(round + 1, options.rounds);
    }
    best.date = core::isoTimeNow();
    best.rounds = options.rounds;
    return best;
}

std::filesystem::path machinePeaksFile()
{
    return costModelFile().replace_filename("machine-peaks.json");
}

std::optional<MachinePeaks> keptPeaks(const std::filesystem::path& file)
{
    const core::Json machine = machineSignature();
    for (const auto& entry : readPeaks(file)) {
        if (!isOfThisMachine(entry, machine))
            continue;
        const auto number = [&](const char* key) { return entry.contains(key) && entry[key].is_number() ? entry[key].get<double>() : 0; };
        const MachinePeaks peaks{number("gflops"), number("gbytes_per_second"),
                                 entry.contains("date") && entry["date"].is_string() ? entry["date"].get<std::string>() : std::string(),
                                 int(std::clamp(number("rounds"), 0.0, double(kEnoughRounds)))};
        if (peaks.gigaflops > 0 && peaks.bandwidth > 0)
            return peaks;
    }
    return std::nullopt;
}

void keepPeaks(const MachinePeaks& peaks, const std::filesystem::path& file)
{
    const core::Json machine = machineSignature();
    core::Json list = core::Json::array();
    for (const auto& entry : readPeaks(file))
        if (!isOfThisMachine(entry, machine))
            list.push_back(entry);
    list.push_back(
        {{"machine", machine}, {"gflops", peaks.gigaflops}, {"gbytes_per_second", peaks.bandwidth}, {"date", peaks.date}, {"rounds", peaks.rounds}});
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    if (error)
        throw core::StorageError(file.parent_path().string() + ": cannot be made: " + error.message());
    core::writeFileAtomically(file, core::Json{{"version", kPeaksVersion}, {"peaks", list}}.dump(1));
}

MachinePeaks machinePeaks(bool again, const PeaksOptions& options, std::stop_token stop)
{
    std::optional<std::filesystem::path> file;
    try {
        file = machinePeaksFile();
    } catch (const core::StorageError&) {
        // No home: nothing is kept.
    }
    const auto kept = file && !again ? keptPeaks(*file) : std::nullopt;
    if (kept && kept->rounds >= kEnoughRounds)
        return *kept;
    PeaksOptions wanted = options;
    if (kept)
        wanted.rounds = 1;
    MachinePeaks made = measurePeaks(wanted, stop);
    if (kept)
        made = {std::max(made.gigaflops, kept->gigaflops), std::max(made.bandwidth, kept->bandwidth),
                made.gigaflops > kept->gigaflops || made.bandwidth > kept->bandwidth ? made.date : kept->date, kept->rounds + made.rounds};
    try {
        if (file)
            keepPeaks(made, *file);
    } catch (const core::StorageError& error) {
        core::log().warn("{}; the machine's peaks are measured again next time", error.what());
    }
    return made;
}

std::string peaksAge(const MachinePeaks& peaks, const std::string& now)
{
    const auto then = dayOf(peaks.date), today = dayOf(now);
    if (!then || !today)
        return "at an unknown time";
    const long days = *today - *then;
    return days < 1 ? "today" : days == 1 ? "yesterday" : core::counted(days, "day") + " ago";
}

}  // namespace orrery::debug
