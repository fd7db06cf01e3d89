// One fuzz target a parser: the build compiles this file once for each, with ORRERY_FUZZ_TARGET naming the function below.
// A parser may only return or throw one of our own errors; everything else (crash, leak, other exception, time, memory) is a finding.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <core/base/error.h>
#include <core/io/cifar.h>
#include <core/io/csv.h>
#include <core/io/idx.h>
#include <core/io/image.h>
#include <core/io/json_lines.h>
#include <core/io/npy.h>
#include <core/io/safetensors.h>
#include <core/io/tensorboard.h>
#include <core/io/utf8.h>
#include <core/jobs/frames.h>
#include <core/report/blocks_json.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/cloud/las.h>
#include <core/scene/cloud/obj.h>
#include <core/scene/cloud/pcd.h>
#include <core/scene/cloud/ply.h>
#include <core/scene/cloud/points.h>
#include <core/scene/cloud/xyz.h>
#include <core/scene/splat/splat_ply.h>
#include <core/store/run_filter.h>

namespace {

using std::string_view;

[[maybe_unused]] void csv(string_view bytes)
{
    const auto table = orrery::io::parseCsv(bytes, "fuzz");
    for (const auto& column : table.columns)
        if (column.missing.size() != table.rows)
            std::abort();
}

[[maybe_unused]] void npy(string_view bytes)
{
    // What was read can be written, and read again to the same.
    const orrery::io::Array array = orrery::io::parseNpy(bytes, "fuzz");
    const std::string again = orrery::io::npyBytes(array);
    if (orrery::io::npyBytes(orrery::io::parseNpy(again, "again")) != again)
        std::abort();
}

[[maybe_unused]] void npz(string_view bytes)
{
    orrery::io::parseNpz(bytes, "fuzz", std::uint64_t(64) << 20);
}

[[maybe_unused]] void idx(string_view bytes)
{
    // A few kilobytes of gzip can stand for gigabytes; that limit is not what is looked for here.
    if (!bytes.starts_with("\x1f\x8b"))
        orrery::io::parseIdx(bytes, "fuzz");
}

[[maybe_unused]] void cifar(string_view bytes)
{
    orrery::io::parseCifar(bytes, bytes.size() % 3073 == 0 ? 10 : 100, "fuzz");
}

[[maybe_unused]] void image(string_view bytes)
{
    const orrery::io::Image decoded = orrery::io::decodeImage(bytes, "fuzz", {2048, 1 << 20});
    if (decoded.pixels.size() != std::size_t(decoded.width) * std::size_t(decoded.height) * std::size_t(decoded.channels))
        std::abort();
}

[[maybe_unused]] void runFilter(string_view bytes)
{
    const auto fields = orrery::store::runProperties();
    for (const std::size_t cursor : {bytes.size() / 2, bytes.size()})
        if (const auto found = orrery::store::completions(bytes, cursor, fields); found.from > found.to || found.to > bytes.size())
            std::abort();
    const auto filter = orrery::store::parseRunFilter(bytes);
    for (std::size_t i = 0; i < filter.nodes.size(); ++i)
        for (const auto argument : filter.nodes[i].arguments)
            if (argument >= i)
                std::abort();
    // A value written as a value reads back.
    const auto again = orrery::store::parseRunFilter("name = " + orrery::store::quotedForFilter(bytes.substr(0, 4000)));
    if (again.nodes.size() != 1 || again.nodes[0].values[0].text != bytes.substr(0, 4000))
        std::abort();
}

[[maybe_unused]] void blocks(string_view bytes)
{
    const auto json = orrery::core::Json::parse(bytes, nullptr, false);
    const auto written = orrery::report::toJson(orrery::report::blocksFromJson(json, "fuzz"));
    // What was read is written in one form, which reads as the same.
    if (orrery::report::toJson(orrery::report::blocksFromJson(written, "again")) != written)
        std::abort();
}

[[maybe_unused]] void tensorboard(string_view bytes)
{
    // Once as a file, where checksums keep most changes out, and once as the message of a record whose checksums are right.
    const auto little = [](std::uint64_t value, int count) {
        std::string out;
        for (int i = 0; i < count; ++i)
            out += char(value >> (8 * i));
        return out;
    };
    const bool isFile = bytes.size() > 12 &&
                        orrery::io::maskedCrc32c(bytes.substr(0, 8)) ==
                            (std::uint32_t(static_cast<unsigned char>(bytes[8])) | std::uint32_t(static_cast<unsigned char>(bytes[9])) << 8 |
                             std::uint32_t(static_cast<unsigned char>(bytes[10])) << 16 | std::uint32_t(static_cast<unsigned char>(bytes[11])) << 24);
    const std::string length = little(bytes.size(), 8);
    const std::string framed = length + little(orrery::io::maskedCrc32c(length), 4) + std::string(bytes) + little(orrery::io::maskedCrc32c(bytes), 4);
    // What was read and is written again reads as the same; values in single precision.
    const auto file = orrery::io::parseEventFile(isFile ? bytes : string_view(framed), "fuzz");
    const std::string again = orrery::io::eventFileBytes(file.scalars, 0);
    if (orrery::io::eventFileBytes(orrery::io::parseEventFile(again, "again").scalars, 0) != again)
        std::abort();
}

[[maybe_unused]] void jsonLines(string_view bytes)
{
    orrery::io::parseJsonLines(bytes, "fuzz");
}

[[maybe_unused]] void safetensors(string_view bytes)
{
    for (const auto& entry : orrery::io::parseSafetensors(bytes, "fuzz").entries)
        if (entry.begin > entry.end || entry.end > bytes.size())
            std::abort();
}

[[maybe_unused]] void transforms(string_view bytes)
{
    const orrery::scene::PosedSet set = orrery::scene::parseTransforms(bytes, "fuzz");
    for (const auto& view : set.views)
        if (view.camera.focalX > 0 && view.camera.width > 0)
            orrery::scene::rayThrough(view.camera, 0.5, 0.5);
}

[[maybe_unused]] void colmap(string_view bytes)
{
    orrery::scene::sceneBox(orrery::scene::parseColmapBytes(bytes));
}

[[maybe_unused]] void splatPly(string_view bytes)
{
    // What was read is written again to the same values.
    const orrery::scene::SplatFile file = orrery::scene::parseSplatPly(bytes, "fuzz");
    const std::string again = orrery::scene::splatPlyBytes(file);
    if (orrery::scene::splatPlyBytes(orrery::scene::parseSplatPly(again, "again")) != again)
        std::abort();
}

// What every reader of points promises.
[[maybe_unused]] void checkCloud(const orrery::scene::CloudFile& file)
{
    const auto& cloud = file.mesh.points;
    const auto fits = [&](std::size_t size, std::size_t width) { return size == 0 || size == width * cloud.size(); };
    bool holds = cloud.size() > 0 && fits(cloud.normals.size(), 3) && fits(cloud.colours.size(), 3);
    for (const auto& field : cloud.fields)
        holds &= field.values.size() == cloud.size();
    for (const auto index : file.mesh.triangles)
        holds &= index < cloud.size();
    for (const auto index : file.mesh.edges)
        holds &= index < cloud.size();
    if (!holds)
        std::abort();
}

[[maybe_unused]] void ply(string_view bytes)
{
    // What we write of it can be read again.
    const auto file = orrery::scene::parsePly(bytes, "fuzz");
    checkCloud(file);
    const auto written = [](const orrery::scene::TriangleMesh& mesh) {
        std::string out;
        orrery::scene::writePly(mesh, orrery::scene::PlyEncoding::BinaryLittleEndian, [&](string_view piece) { out += piece; });
        return out;
    };
    const std::string again = written(file.mesh);
    checkCloud(orrery::scene::parsePly(again, "again"));
}

[[maybe_unused]] void pcd(string_view bytes)
{
    checkCloud(orrery::scene::parsePcd(bytes, "fuzz"));
}

[[maybe_unused]] void las(string_view bytes)
{
    checkCloud(orrery::scene::parseLas(bytes, "fuzz"));
}

[[maybe_unused]] void xyz(string_view bytes)
{
    checkCloud(orrery::scene::parseXyz(bytes, "fuzz"));
}

[[maybe_unused]] void obj(string_view bytes)
{
    checkCloud(orrery::scene::parseObj(bytes, "fuzz"));
}

[[maybe_unused]] void utf8(string_view bytes)
{
    // Decoding and encoding again gives the same bytes, a byte order mark apart.
    std::string again;
    for (const char32_t point : orrery::io::decodeUtf8(bytes, "fuzz"))
        orrery::io::appendUtf8(again, point);
    if (!bytes.ends_with(again) || bytes.size() - again.size() > 3)
        std::abort();
}

[[maybe_unused]] void frames(string_view bytes)
{
    using namespace orrery::jobs;
    // Cut in two at a place that the first byte chooses, it gives the same frames as in one piece; each is read as its type says.
    FrameReader whole, halves;
    const std::size_t cut = bytes.empty() ? 0 : std::min(bytes.size(), std::size_t(std::uint8_t(bytes[0])));
    whole.append(bytes);
    halves.append(bytes.substr(0, cut));
    bool isRest = false;
    while (const auto frame = whole.next()) {
        auto same = halves.next();
        if (!same && !std::exchange(isRest, true)) {
            halves.append(bytes.substr(cut));
            same = halves.next();
        }
        if (!same || same->content != frame->content || frame->content.size() > frameLimit(frame->type))
            std::abort();
        switch (frame->type) {
        case FrameType::Progress: readProgress(frame->content); break;
        case FrameType::Metric: readMetric(frame->content); break;
        case FrameType::Log: readLog(frame->content); break;
        case FrameType::Ended: readEnded(frame->content); break;
        default: break;
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    try {
        ORRERY_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
    } catch (const orrery::core::Error&) {
    }
    return 0;
}
