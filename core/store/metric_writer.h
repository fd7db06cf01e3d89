#pragma once
#include <map>
#include <string>
#include <utility>

#include "connection.h"
#include "points.h"

namespace orrery::store {

/// Appends points to the series of runs, keeps chunks, pyramid and last values in step. Used inside a write transaction of its connection; after one that
/// was rolled back, `forget` must be called. One thread.
class MetricWriter {
public:
    explicit MetricWriter(Connection& connection) : m_connection(connection) {}

    /// Adds points behind those the series has; the run must exist.
    void append(RunId run, const std::string& name, const Points& points);
    /// Drops the points of all series of a run with step > keepUpTo. Cost O(points dropped).
    void truncate(RunId run, std::int64_t keepUpTo);
    /// Drops what is remembered of the last transactions (another process may have written, or a transaction was rolled back).
    void forget() { m_series.clear(); }
    void forget(RunId run);

private:
    /// A series as it is in the database, with the points that do not fill a chunk yet.
    struct Series {
        std::int64_t id = 0;
        MetricInfo info;
        std::int64_t chunks = 0, tailRows = 0;
        Points tail;
    };

    Series& load(RunId run, const std::string& name);
    void loadTail(Series& series);
    void writeChunks(Series& series);
    void writeChunk(const Series& series, std::size_t from);
    void replaceTail(Series& series);
    void writeTailRow(Series& series, std::size_t from);
    void update(const Series& series);
    void truncateSeries(RunId run, const std::string& name, std::int64_t keepUpTo);
    /// Takes chunks off the end until one holds nothing to be dropped; its points go to the front of `rest`.
    void dropChunks(Series& series, std::int64_t keepUpTo, Points& rest);
    void recount(Series& series);

    Connection& m_connection;
    std::map<std::pair<RunId, std::string>, Series> m_series;
};

}  // namespace orrery::store
