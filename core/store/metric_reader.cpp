#include "metric_reader.h"

#include <algorithm>
#include <cmath>

#include "points.h"

namespace orrery::store {
namespace {

/// A level is fine enough if it has at least so many buckets for each one asked for: then few of the merged buckets come out much wider than the others.
constexpr std::int64_t kOversampling = 2;

struct Chunk {
    std::int64_t position;
    MetricBucket bucket;
};

class SeriesReader {
public:
    SeriesReader(Connection& connection, std::int64_t series, std::int64_t stepFrom, std::int64_t stepTo)
        : m_connection(connection), m_series(series), m_from(stepFrom), m_to(stepTo)
    {
        loadChunks();
        loadTail();
    }

    std::int64_t pointsAtMost() const { return m_pointsAtMost; }

    /// All points in the range as buckets of level 0 (single points), 1 or 2. Buckets that reach over an end of the range are replaced by what they are made of.
    std::vector<MetricBucket> collect(int level)
    {
        std::vector<MetricBucket> out;
        for (const Chunk& chunk : m_chunks) {
            if (level == 2 && isInside(chunk.bucket))
                out.push_back(chunk.bucket);
            else if (level == 0)
                addPoints(out, pointsOf(chunk), 0, kChunkPoints);
            else
                addBuckets(out, chunk);
        }
        addPoints(out, m_tail, 0, m_tail.size());
        return out;
    }

private:
    bool isInside(const MetricBucket& b) const { return b.firstStep >= m_from && b.lastStep <= m_to; }
    bool isOutside(const MetricBucket& b) const { return b.lastStep < m_from || b.firstStep > m_to; }

    void loadChunks()
    {
        const auto rows = m_connection.query("SELECT position, bucket FROM chunks WHERE series = ? ORDER BY position", m_series);
        while (rows->next()) {
            const MetricBucket bucket = decodeBuckets(rows->blob(1)).at(0);
            if (isOutside(bucket))
                continue;
            m_chunks.push_back({rows->integer(0), bucket});
            m_pointsAtMost += bucket.points;
        }
    }

    void loadTail()
    {
        const auto rows = m_connection.query("SELECT data FROM tails WHERE series = ? ORDER BY position", m_series);
        while (rows->next())
            decode(rows->blob(0), m_tail);
        m_pointsAtMost += std::int64_t(m_tail.size());
    }

    std::string dataOf(const Chunk& chunk, int level)
    {
        const auto row =
            m_connection.query("SELECT data FROM chunk_data WHERE series = ? AND position = ? AND level = ?", m_series, chunk.position, level);
        if (!row->next())
            throw core::StorageError("orrery.db: a block of metrics is missing");
        return std::string(row->blob(0));
    }

    Points pointsOf(const Chunk& chunk)
    {
        Points points;
        decode(dataOf(chunk, 0), points);
        return points;
    }

    void addPoints(std::vector<MetricBucket>& out, const Points& points, std::size_t from, std::size_t to) const
    {
        for (std::size_t i = from; i < std::min(to, points.size()); ++i)
            if (points.steps[i] >= m_from && points.steps[i] <= m_to)
                out.push_back(bucketOf(points, i, i + 1));
    }

    void addBuckets(std::vector<MetricBucket>& out, const Chunk& chunk)
    {
        const std::vector<MetricBucket> buckets = decodeBuckets(dataOf(chunk, 1));
        Points points;
        for (std::size_t i = 0; i < buckets.size(); ++i) {
            if (isOutside(buckets[i]))
                continue;
            if (isInside(buckets[i])) {
                out.push_back(buckets[i]);
                continue;
            }
            if (points.empty())
                points = pointsOf(chunk);
            addPoints(out, points, i * kBucketPoints, (i + 1) * kBucketPoints);
        }
    }

    Connection& m_connection;
    const std::int64_t m_series, m_from, m_to;
    std::vector<Chunk> m_chunks;
    Points m_tail;
    std::int64_t m_pointsAtMost = 0;
};

int levelFor(std::int64_t points, std::int64_t maxPoints)
{
    const std::int64_t wanted = kOversampling * maxPoints;
    if (points / std::int64_t(kChunkPoints) >= wanted)
        return 2;
    return points / std::int64_t(kBucketPoints) >= wanted ? 1 : 0;
}

/// Neighbours whose first steps lie in the same of `count` columns of equal width become one bucket.
std::vector<MetricBucket> mergeToColumns(const std::vector<MetricBucket>& buckets, std::size_t count)
{
    std::int64_t low = buckets[0].firstStep, high = buckets[0].lastStep;
    for (const MetricBucket& bucket : buckets) {
        low = std::min(low, bucket.firstStep);
        high = std::max(high, bucket.lastStep);
    }
    // In floating point: the difference of two steps may not fit into 64 bits.
    const double width = (double(high) - double(low) + 1) / double(count);
    std::vector<MetricBucket> merged;
    double column = -1;
    for (const MetricBucket& bucket : buckets) {
        const double next = std::min(double(count - 1), std::floor((double(bucket.firstStep) - double(low)) / width));
        if (merged.empty() || next != column)
            merged.push_back(bucket);
        else
            merge(merged.back(), bucket);
        column = next;
    }
    return merged;
}

}  // namespace

MetricSeries readSeries(Connection& connection, RunId run, const std::string& name, std::int64_t stepFrom, std::int64_t stepTo, std::size_t maxPoints)
{
    Transaction transaction(connection, Transaction::Kind::Read);
    MetricSeries result;
    result.name = name;
    std::optional<std::int64_t> series;
    if (const auto row = connection.query("SELECT id FROM series WHERE run = ? AND name = ?", run, name); row->next())
        series = row->integer(0);
    if (!series)
        return result;
    maxPoints = std::clamp<std::size_t>(maxPoints, 1, std::size_t(1) << 30);
    SeriesReader reader(connection, *series, stepFrom, stepTo);
    result.buckets = reader.collect(levelFor(reader.pointsAtMost(), std::int64_t(maxPoints)));
    for (const MetricBucket& bucket : result.buckets)
        result.points += bucket.points;
    result.exact = result.points <= std::int64_t(2 * maxPoints);
    if (!result.exact)
        result.buckets = mergeToColumns(result.buckets, maxPoints);
    else if (result.points > std::int64_t(result.buckets.size()))
        result.buckets = reader.collect(0);
    return result;
}

double readFirstValue(Connection& connection, std::int64_t series)
{
    for (const char* sql : {"SELECT data FROM chunk_data WHERE series = ? AND level = 0 ORDER BY position LIMIT 1",
                            "SELECT data FROM tails WHERE series = ? ORDER BY position LIMIT 1"}) {
        const auto row = connection.query(sql, series);
        Points points;
        if (row->next())
            decode(row->blob(0), points);
        if (!points.empty())
            return points.values.front();
    }
    return std::nan("");
}

}  // namespace orrery::store
