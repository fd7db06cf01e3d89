#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

namespace orrery::debug {

/// What this machine does at best, with the calling thread's thread count.
struct MachinePeaks {
    double gigaflops = 0;  ///< float32 matrix product, GFLOP/s
    double bandwidth = 0;  ///< main memory, GB/s (10^9 bytes)
    std::string date;      ///< when they were reached: ISO 8601, UTC; empty: unknown
    int rounds = 0;        ///< the best of so many
    /// FLOPs a byte from which the arithmetic limits, not the memory.
    double ridge() const { return bandwidth > 0 ? gigaflops / bandwidth : 0; }
    bool operator==(const MachinePeaks&) const = default;
};

/// GB/s of a[i] = b[i] + s c[i] over arrays far larger than the caches; two reads and one write are counted, as in STREAM: the best of several, about 0.3 s.
/// Source: McCalpin (1995), "Memory Bandwidth and Machine Balance in Current High Performance Computers".
double measureTriad();

struct PeaksOptions {
    int rounds = 5;                                           ///< products and sweeps over memory in turn, half a second each
    std::function<void(double done, double total)> progress;  ///< in rounds; may be empty
    std::function<MachinePeaks()> once;                       ///< one round; empty: measures this machine
};
/// The best product and the best bandwidth of several rounds: what disturbs a round makes it slower, never faster. Products of several sizes, as a small one has a better chance to
/// run undisturbed where others work beside. @throws core::Cancelled between two rounds; core::InputError for fewer than one round.
MachinePeaks measurePeaks(const PeaksOptions& options = {}, std::stop_token stop = {});

/// `machine-peaks.json` beside the cost model (see cost_model.h). @throws core::StorageError without a home.
std::filesystem::path machinePeaksFile();
/// The peaks that were kept for this machine, its libraries and this thread count; nothing where there are none, and of a file that is no such list.
std::optional<MachinePeaks> keptPeaks(const std::filesystem::path& file);
/// Puts the peaks of this machine into the file; those of others stay. @throws core::StorageError.
void keepPeaks(const MachinePeaks& peaks, const std::filesystem::path& file);
/// As many rounds as the kept peaks are the best of in the end.
inline constexpr int kEnoughRounds = 20;
/// The kept peaks. Where there are none, or if `again`, they are measured; until they are the best of `kEnoughRounds`, another round is added at each call, as one that was measured on
/// a busy machine must not stay. Where nothing can be kept they are measured each time. @throws as measurePeaks.
MachinePeaks machinePeaks(bool again = false, const PeaksOptions& options = {}, std::stop_token stop = {});
/// How long ago peaks were measured: "today", "yesterday", "3 days ago"; "at an unknown time".
std::string peaksAge(const MachinePeaks& peaks, const std::string& now);

}  // namespace orrery::debug
