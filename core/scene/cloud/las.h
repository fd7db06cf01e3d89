#pragma once
#include <stop_token>
#include <string_view>

#include "cloud_file.h"

/// LAS, the exchange format of laser scans.
/// Source: ASPRS, "LAS Specification 1.4 - R15" (2019), tables 3 and 7 to 17, and its forerunners.
namespace orrery::scene {

bool isLas(std::string_view bytes);
/// A field that `writeLas` has a place for.
bool isLasField(std::string_view name);
/// Versions 1.0 to 1.4, point formats 0 to 10. Fields: intensity, return_number, number_of_returns, classification, scan_angle (degrees), user_data,
/// point_source_id, gps_time, near_infrared; one that is 0 everywhere is left out. Colours of 16 bits become 8. Any thread.
/// @throws core::FormatError; also for LAZ (compressed), which is another format.
CloudFile parseLas(std::string_view bytes, std::string_view name, std::stop_token stop = {});
/// LAS 1.4, point format 6, or 7 with colours. Coordinates are rounded to a power of ten that keeps seven digits of the largest; so are the other fields to
/// what their integers hold. Normals, other fields, triangles and edges have no place. What we read of these bytes, written again, gives the same bytes.
void writeLas(const TriangleMesh& mesh, const Append& append);

}  // namespace orrery::scene
