#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "types.h"

namespace orrery::store {

/// Points in a chunk, and in a bucket of level 1. Level 2 is one bucket for each chunk.
inline constexpr std::size_t kChunkPoints = 4096, kBucketPoints = 64;

/// Recorded points as columns of equal length.
struct Points {
    std::vector<std::int64_t> steps;
    std::vector<double> values;
    std::vector<std::int64_t> times;  ///< ms since 1970

    std::size_t size() const { return steps.size(); }
    bool empty() const { return steps.empty(); }
    void add(std::int64_t step, double value, std::int64_t time);
    void add(const Points& other, std::size_t from, std::size_t to);
    void dropFront(std::size_t count);
};

/// Points as bytes: version, count, differences of steps and of times as variable-length integers, values as they are (little-endian): about
/// 10 bytes a point. NaN keeps its bits.
std::string encode(const Points& points, std::size_t from, std::size_t to);
/// Appends to `points`. @throws StorageError if the bytes are damaged.
void decode(std::string_view bytes, Points& points);

std::string encode(std::span<const MetricBucket> buckets);
/// @throws StorageError if the bytes are damaged.
std::vector<MetricBucket> decodeBuckets(std::string_view bytes);

/// Points [from, to) as one bucket; to > from.
MetricBucket bucketOf(const Points& points, std::size_t from, std::size_t to);
/// Adds the points of `other`, which were recorded later.
void merge(MetricBucket& bucket, const MetricBucket& other);

}  // namespace orrery::store
