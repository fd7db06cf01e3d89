#include "metric_writer.h"

#include <algorithm>
#include <cmath>

namespace orrery::store {
namespace {

/// So many tail rows are packed into one: few enough to be read fast, many enough that a point is written about twice.
constexpr std::int64_t kMostTailRows = 128;
/// Series remembered between transactions.
constexpr std::size_t kMostSeries = 4096;

void addToInfo(MetricInfo& info, const MetricBucket& bucket)
{
    const bool first = info.points == 0;
    info.firstStep = first ? bucket.firstStep : std::min(info.firstStep, bucket.firstStep);
    info.lastStep = first ? bucket.lastStep : std::max(info.lastStep, bucket.lastStep);
    info.minimum = first ? bucket.minimum : std::fmin(info.minimum, bucket.minimum);
    info.maximum = first ? bucket.maximum : std::fmax(info.maximum, bucket.maximum);
    info.points += bucket.points;
}

Points withoutLaterSteps(const Points& points, std::int64_t keepUpTo)
{
    Points kept;
    for (std::size_t i = 0; i < points.size(); ++i)
        if (points.steps[i] <= keepUpTo)
            kept.add(points.steps[i], points.values[i], points.times[i]);
    return kept;
}

}  // namespace

void MetricWriter::append(RunId run, const std::string& name, const Points& points)
{
    if (points.empty())
        return;
    Series& series = load(run, name);
    const std::size_t before = series.tail.size();
    addToInfo(series.info, bucketOf(points, 0, points.size()));
    series.info.lastValue = points.values.back();
    series.tail.add(points, 0, points.size());
    if (series.tail.size() >= kChunkPoints)
        writeChunks(series);
    else if (series.tailRows >= kMostTailRows)
        replaceTail(series);
    else
        writeTailRow(series, before);
    update(series);
}

MetricWriter::Series& MetricWriter::load(RunId run, const std::string& name)
{
    if (m_series.size() > kMostSeries)
        m_series.clear();
    Series& series = m_series[{run, name}];
    const auto row = m_connection.query(
        "SELECT id, points, chunks, first_step, last_step, last_value, minimum, maximum FROM series WHERE run = ? AND name = ?", run, name);
    if (!row->next()) {
        series = {};
        m_connection.execute("INSERT INTO series(run, name, points, chunks, first_step, last_step) VALUES(?, ?, 0, 0, 0, 0)", run, name);
        series.id = m_connection.lastId();
        return series;
    }
    // What is remembered holds as long as nobody else has added points.
    if (series.id == row->integer(0) && series.info.points == row->integer(1))
        return series;
    series = {
        row->integer(0), {name, row->integer(1), row->integer(3), row->integer(4), row->real(5), row->real(6), row->real(7)}, row->integer(2), 0, {}};
    loadTail(series);
    return series;
}

void MetricWriter::loadTail(Series& series)
{
    const auto rows = m_connection.query("SELECT data FROM tails WHERE series = ? ORDER BY position", series.id);
    for (; rows->next(); ++series.tailRows)
        decode(rows->blob(0), series.tail);
}

void MetricWriter::writeChunks(Series& series)
{
    std::size_t from = 0;
    for (; from + kChunkPoints <= series.tail.size(); from += kChunkPoints, ++series.chunks)
        writeChunk(series, from);
    series.tail.dropFront(from);
    replaceTail(series);
}

void MetricWriter::writeChunk(const Series& series, std::size_t from)
{
    std::vector<MetricBucket> buckets;
    for (std::size_t i = 0; i < kChunkPoints; i += kBucketPoints)
        buckets.push_back(bucketOf(series.tail, from + i, from + i + kBucketPoints));
    MetricBucket whole = buckets[0];
    for (std::size_t i = 1; i < buckets.size(); ++i)
        merge(whole, buckets[i]);
    m_connection.execute("INSERT INTO chunks(series, position, bucket) VALUES(?, ?, ?)", series.id, series.chunks, Blob{encode({&whole, 1})});
    const std::string insert = "INSERT INTO chunk_data(series, position, level, data) VALUES(?, ?, ?, ?)";
    m_connection.execute(insert, series.id, series.chunks, 0, Blob{encode(series.tail, from, from + kChunkPoints)});
    m_connection.execute(insert, series.id, series.chunks, 1, Blob{encode(buckets)});
}

void MetricWriter::replaceTail(Series& series)
{
    m_connection.execute("DELETE FROM tails WHERE series = ?", series.id);
    series.tailRows = 0;
    if (!series.tail.empty())
        writeTailRow(series, 0);
}

void MetricWriter::writeTailRow(Series& series, std::size_t from)
{
    m_connection.execute("INSERT INTO tails(series, position, data) VALUES(?, ?, ?)", series.id, series.tailRows,
                         Blob{encode(series.tail, from, series.tail.size())});
    ++series.tailRows;
}

void MetricWriter::update(const Series& series)
{
    const MetricInfo& info = series.info;
    m_connection.execute(
        "UPDATE series SET points = ?, chunks = ?, first_step = ?, last_step = ?, last_value = ?, minimum = ?, maximum = ? WHERE id = ?", info.points,
        series.chunks, info.firstStep, info.lastStep, info.lastValue, info.minimum, info.maximum, series.id);
}

void MetricWriter::truncate(RunId run, std::int64_t keepUpTo)
{
    std::vector<std::string> names;
    {
        const auto rows = m_connection.query("SELECT name FROM series WHERE run = ? AND last_step > ?", run, keepUpTo);
        while (rows->next())
            names.push_back(rows->text(0));
    }
    for (const std::string& name : names)
        truncateSeries(run, name, keepUpTo);
}

void MetricWriter::truncateSeries(RunId run, const std::string& name, std::int64_t keepUpTo)
{
    Series& series = load(run, name);
    Points rest;
    dropChunks(series, keepUpTo, rest);
    rest.add(series.tail, 0, series.tail.size());
    series.tail = withoutLaterSteps(rest, keepUpTo);
    writeChunks(series);
    recount(series);
    if (series.info.points > 0) {
        update(series);
        return;
    }
    m_connection.execute("DELETE FROM series WHERE id = ?", series.id);
    m_series.erase({run, name});
}

void MetricWriter::dropChunks(Series& series, std::int64_t keepUpTo, Points& rest)
{
    std::int64_t first = series.chunks;
    {
        // The first chunk with a step to be dropped: everything from there on is packed again.
        const auto rows = m_connection.query("SELECT position, bucket FROM chunks WHERE series = ? ORDER BY position", series.id);
        while (first == series.chunks && rows->next())
            if (decodeBuckets(rows->blob(1)).at(0).lastStep > keepUpTo)
                first = rows->integer(0);
    }
    {
        const auto rows =
            m_connection.query("SELECT data FROM chunk_data WHERE series = ? AND level = 0 AND position >= ? ORDER BY position", series.id, first);
        while (rows->next())
            decode(rows->blob(0), rest);
    }
    m_connection.execute("DELETE FROM chunk_data WHERE series = ? AND position >= ?", series.id, first);
    m_connection.execute("DELETE FROM chunks WHERE series = ? AND position >= ?", series.id, first);
    series.chunks = first;
}

void MetricWriter::recount(Series& series)
{
    const std::string name = series.info.name;
    series.info = {name};
    double last = series.tail.empty() ? std::nan("") : series.tail.values.back();
    const auto rows = m_connection.query("SELECT bucket FROM chunks WHERE series = ? ORDER BY position", series.id);
    while (rows->next())
        addToInfo(series.info, decodeBuckets(rows->blob(0)).at(0));
    if (!series.tail.empty()) {
        addToInfo(series.info, bucketOf(series.tail, 0, series.tail.size()));
    } else if (series.chunks > 0) {
        const auto data =
            m_connection.query("SELECT data FROM chunk_data WHERE series = ? AND position = ? AND level = 0", series.id, series.chunks - 1);
        Points points;
        if (data->next())
            decode(data->blob(0), points);
        last = points.empty() ? last : points.values.back();
    }
    series.info.lastValue = last;
}

void MetricWriter::forget(RunId run)
{
    std::erase_if(m_series, [run](const auto& entry) { return entry.first.first == run; });
}

}  // namespace orrery::store
