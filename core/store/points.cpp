#include "points.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <core/base/error.h>

namespace orrery::store {
namespace {

static_assert(std::endian::native == std::endian::little, "blobs are little-endian");
constexpr char kVersion = 1;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void writeVarint(std::string& out, std::uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        out.push_back(char(value | 0x80));
    out.push_back(char(value));
}

/// Differences wrap around, so that every 64-bit step can be stored.
void writeDifferences(std::string& out, std::span<const std::int64_t> values)
{
    std::uint64_t previous = 0;
    for (const std::int64_t value : values) {
        const std::int64_t difference = std::int64_t(std::uint64_t(value) - previous);
        writeVarint(out, std::uint64_t(difference) << 1 ^ std::uint64_t(difference >> 63));
        previous = std::uint64_t(value);
    }
}

/// Takes bytes from the front, and refuses to go beyond the end.
class Reader {
public:
    explicit Reader(std::string_view bytes) : m_bytes(bytes) {}

    std::uint64_t varint()
    {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const auto byte = std::uint8_t(*take(1));
            value |= std::uint64_t(byte & 0x7f) << shift;
            if (byte < 0x80)
                return value;
        }
        fail();
    }
    void differences(std::vector<std::int64_t>& out, std::size_t count)
    {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint64_t coded = varint();
            value += coded >> 1 ^ -(coded & 1);
            out.push_back(std::int64_t(value));
        }
    }
    const char* take(std::size_t bytes)
    {
        if (bytes > m_bytes.size())
            fail();
        const char* start = m_bytes.data();
        m_bytes.remove_prefix(bytes);
        return start;
    }
    std::size_t left() const { return m_bytes.size(); }
    [[noreturn]] static void fail() { throw core::StorageError("orrery.db: a block of metrics is damaged"); }

private:
    std::string_view m_bytes;
};

/// A bucket as it lies in the file.
struct StoredBucket {
    std::int64_t firstStep, lastStep, points, nans, minimumStep, maximumStep;
    double minimum, maximum, mean, firstTime, lastTime;
};

double weightedMean(const MetricBucket& a, const MetricBucket& b)
{
    const double countA = double(a.points - a.nans), countB = double(b.points - b.nans);
    if (countA == 0 || countB == 0)
        return countA == 0 ? b.mean : a.mean;
    return (a.mean * countA + b.mean * countB) / (countA + countB);
}

}  // namespace

void Points::add(std::int64_t step, double value, std::int64_t time)
{
    steps.push_back(step);
    values.push_back(value);
    times.push_back(time);
}

void Points::add(const Points& other, std::size_t from, std::size_t to)
{
    const auto append = [&](auto& target, const auto& source) { target.insert(target.end(), source.begin() + from, source.begin() + to); };
    append(steps, other.steps);
    append(values, other.values);
    append(times, other.times);
}

void Points::dropFront(std::size_t count)
{
    steps.erase(steps.begin(), steps.begin() + count);
    values.erase(values.begin(), values.begin() + count);
    times.erase(times.begin(), times.begin() + count);
}

std::string encode(const Points& points, std::size_t from, std::size_t to)
{
    const std::size_t count = to - from;
    std::string out(1, kVersion);
    out.reserve(count * 11 + 32);
    writeVarint(out, count);
    writeDifferences(out, std::span(points.steps).subspan(from, count));
    writeDifferences(out, std::span(points.times).subspan(from, count));
    out.append(reinterpret_cast<const char*>(points.values.data() + from), count * sizeof(double));
    return out;
}

void decode(std::string_view bytes, Points& points)
{
    Reader reader(bytes);
    if (*reader.take(1) != kVersion)
        Reader::fail();
    const std::uint64_t count = reader.varint();
    if (count > reader.left() / sizeof(double))
        Reader::fail();
    reader.differences(points.steps, count);
    reader.differences(points.times, count);
    const std::size_t before = points.values.size();
    points.values.resize(before + count);
    if (count > 0)
        std::memcpy(points.values.data() + before, reader.take(count * sizeof(double)), count * sizeof(double));
}

std::string encode(std::span<const MetricBucket> buckets)
{
    std::string out(1, kVersion);
    for (const MetricBucket& b : buckets) {
        const StoredBucket stored{b.firstStep, b.lastStep, b.points, b.nans,      b.minimumStep, b.maximumStep,
                                  b.minimum,   b.maximum,  b.mean,   b.firstTime, b.lastTime};
        out.append(reinterpret_cast<const char*>(&stored), sizeof stored);
    }
    return out;
}

std::vector<MetricBucket> decodeBuckets(std::string_view bytes)
{
    if (bytes.empty() || bytes[0] != kVersion || (bytes.size() - 1) % sizeof(StoredBucket) != 0)
        Reader::fail();
    std::vector<MetricBucket> buckets;
    buckets.reserve(bytes.size() / sizeof(StoredBucket));
    for (std::size_t at = 1; at < bytes.size(); at += sizeof(StoredBucket)) {
        StoredBucket s;
        std::memcpy(&s, bytes.data() + at, sizeof s);
        buckets.push_back(
            {s.firstStep, s.lastStep, s.points, s.nans, s.minimum, s.maximum, s.minimumStep, s.maximumStep, s.mean, s.firstTime, s.lastTime});
    }
    return buckets;
}

MetricBucket bucketOf(const Points& points, std::size_t from, std::size_t to)
{
    MetricBucket bucket{points.steps[from],
                        points.steps[from],
                        std::int64_t(to - from),
                        0,
                        kNaN,
                        kNaN,
                        points.steps[from],
                        points.steps[from],
                        kNaN,
                        points.times[from] / 1000.0,
                        points.times[to - 1] / 1000.0};
    double sum = 0;
    for (std::size_t i = from; i < to; ++i) {
        const std::int64_t step = points.steps[i];
        const double value = points.values[i];
        bucket.firstStep = std::min(bucket.firstStep, step);
        bucket.lastStep = std::max(bucket.lastStep, step);
        if (std::isnan(value)) {
            ++bucket.nans;
            continue;
        }
        sum += value;
        if (!(value >= bucket.minimum)) {
            bucket.minimum = value;
            bucket.minimumStep = step;
        }
        if (!(value <= bucket.maximum)) {
            bucket.maximum = value;
            bucket.maximumStep = step;
        }
    }
    if (bucket.points > bucket.nans)
        bucket.mean = sum / double(bucket.points - bucket.nans);
    return bucket;
}

void merge(MetricBucket& bucket, const MetricBucket& other)
{
    bucket.mean = weightedMean(bucket, other);
    bucket.firstStep = std::min(bucket.firstStep, other.firstStep);
    bucket.lastStep = std::max(bucket.lastStep, other.lastStep);
    bucket.points += other.points;
    bucket.nans += other.nans;
    bucket.lastTime = other.lastTime;
    if (!std::isnan(other.minimum) && !(other.minimum >= bucket.minimum)) {
        bucket.minimum = other.minimum;
        bucket.minimumStep = other.minimumStep;
    }
    if (!std::isnan(other.maximum) && !(other.maximum <= bucket.maximum)) {
        bucket.maximum = other.maximum;
        bucket.maximumStep = other.maximumStep;
    }
}

}  // namespace orrery::store
