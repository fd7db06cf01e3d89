#pragma once
#include <stop_token>

#include <core/base/registry.h>

#include "cloud_file.h"

namespace orrery::scene {

/// One format of point clouds and meshes.
struct CloudFormat {
    std::vector<std::string> extensions;  ///< lower case, with the dot; the first one is the usual one
    /// True if the bytes can be of no other format; absent where only the extension tells.
    std::function<bool(std::string_view bytes)> recognises;
    std::function<CloudFile(std::string_view bytes, std::string_view name, std::stop_token stop)> parse;
    /// Parameters as the component's schema resolves them.
    std::function<void(const TriangleMesh& mesh, const core::Json& parameters, const Append& append)> write;
    bool keepsNormals = false, keepsColours = false, keepsFields = false, keepsTriangles = false, keepsEdges = false;
};

/// All formats: family "cloud_format". One line each in formats.cpp. The schema holds the parameters of writing.
const core::Registry<CloudFormat>& cloudFormats();

/// Recognised by content, else by extension; `synthetic:shapes` is the built-in scene, 200,000 points of it. Any thread.
/// @throws core::StorageError if it cannot be read; core::InputError for an unknown format; core::FormatError for a damaged file; core::Cancelled.
CloudFile readCloud(const std::filesystem::path& file, std::stop_token stop = {});
/// The id of the format a file of that name is written in. @throws core::InputError that lists the extensions.
std::string formatForWriting(const std::filesystem::path& file);
/// Written to a temporary name and renamed. @param parameters  Of the format, unresolved. @throws core::StorageError, core::DocumentError, core::InputError.
void writeCloud(const std::filesystem::path& file, const TriangleMesh& mesh, const core::Json& parameters = nullptr);
/// What the format has no place for, in words: "normals", "field curvature", "8 triangles".
std::vector<std::string> lostWhenWritten(const TriangleMesh& mesh, std::string_view format);

}  // namespace orrery::scene
