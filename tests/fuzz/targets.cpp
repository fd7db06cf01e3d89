// One fuzz target a parser: a function below and its name in the list of CMakeLists.txt. The environment variable ORRERY_FUZZ_TARGET says which one runs; `list` prints all.
// A parser may only return or throw one of our own errors; everything else (crash, leak, other exception, time, memory) is a finding.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <core/base/error.h>
#include <core/io/cifar.h>
#include <core/io/csv.h>
#include <core/io/exported_program.h>
#include <core/io/gguf.h>
#include <core/io/grey_image.h>
#include <core/io/idx.h>
#include <core/io/image.h>
#include <core/io/json_lines.h>
#include <core/io/npy.h>
#include <core/io/onnx_file.h>
#include <core/io/pickle.h>
#include <core/io/safetensors.h>
#include <core/io/tensorboard.h>
#include <core/io/torch_checkpoint.h>
#include <core/io/utf8.h>
#include <core/jobs/frames.h>
#include <core/models/weights/gguf_tokenizer.h>
#include <core/report/blocks_json.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/cloud/las.h>
#include <core/scene/cloud/obj.h>
#include <core/scene/cloud/pcd.h>
#include <core/scene/cloud/ply.h>
#include <core/scene/cloud/points.h>
#include <core/scene/cloud/xyz.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/splat_trainer.h>
#include <core/store/run_filter.h>
#include <core/text/sentencepiece.h>
#include <core/text/tokenizer.h>
#include <core/text/unicode.h>

namespace {

using std::string_view;

void csv(string_view bytes)
{
    const auto table = orrery::io::parseCsv(bytes, "fuzz");
    for (const auto& column : table.columns)
        if (column.missing.size() != table.rows)
            std::abort();
}

void npy(string_view bytes)
{
    // What was read can be written, and read again to the same.
    const orrery::io::Array array = orrery::io::parseNpy(bytes, "fuzz");
    const std::string again = orrery::io::npyBytes(array);
    if (orrery::io::npyBytes(orrery::io::parseNpy(again, "again")) != again)
        std::abort();
}

void npz(string_view bytes)
{
    orrery::io::parseNpz(bytes, "fuzz", std::uint64_t(64) << 20);
}

void idx(string_view bytes)
{
    // A few kilobytes of gzip can stand for gigabytes; that limit is not what is looked for here.
    if (!bytes.starts_with("\x1f\x8b"))
        orrery::io::parseIdx(bytes, "fuzz");
}

void cifar(string_view bytes)
{
    orrery::io::parseCifar(bytes, bytes.size() % 3073 == 0 ? 10 : 100, "fuzz");
}

void image(string_view bytes)
{
    const orrery::io::Image decoded = orrery::io::decodeImage(bytes, "fuzz", {2048, 1 << 20});
    if (decoded.pixels.size() != std::size_t(decoded.width) * std::size_t(decoded.height) * std::size_t(decoded.channels))
        std::abort();
    const orrery::io::GreyImage grey = orrery::io::decodeGrey(bytes, "fuzz", {2048, 1 << 20});
    if (grey.width != decoded.width || grey.height != decoded.height || grey.values.size() != std::size_t(grey.width) * std::size_t(grey.height))
        std::abort();
    for (const auto value : grey.values)
        if (value > grey.maximum)
            std::abort();
}

void runFilter(string_view bytes)
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

void blocks(string_view bytes)
{
    const auto json = orrery::core::Json::parse(bytes, nullptr, false);
    const auto written = orrery::report::toJson(orrery::report::blocksFromJson(json, "fuzz"));
    // What was read is written in one form, which reads as the same.
    if (orrery::report::toJson(orrery::report::blocksFromJson(written, "again")) != written)
        std::abort();
}

void tensorboard(string_view bytes)
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

void jsonLines(string_view bytes)
{
    orrery::io::parseJsonLines(bytes, "fuzz");
}

void safetensors(string_view bytes)
{
    for (const auto& entry : orrery::io::parseSafetensors(bytes, "fuzz").entries)
        if (entry.begin > entry.end || entry.end > bytes.size())
            std::abort();
}

void onnx(string_view bytes)
{
    orrery::io::looksLikeOnnx(bytes);
    // What was read is written in one form, which reads as the same.
    const auto model = orrery::io::parseOnnx(bytes, "fuzz");
    for (const auto& tensor : model.graph.initialisers)
        if (tensor.raw.data() && (tensor.raw.data() < bytes.data() || tensor.raw.data() + tensor.raw.size() > bytes.data() + bytes.size()))
            std::abort();
    const std::string again = orrery::io::onnxBytes(model);
    if (orrery::io::onnxBytes(orrery::io::parseOnnx(again, "again")) != again)
        std::abort();
}

// What the unpickler promises of its indices.
void checkPickle(const orrery::io::Pickle& pickle)
{
    bool holds = pickle.root < pickle.nodes.size();
    for (const auto& node : pickle.nodes) {
        for (const auto item : node.items)
            holds &= item < pickle.nodes.size();
        holds &= node.kind != orrery::io::PickleKind::Tensor || std::size_t(node.integer) < pickle.tensors.size();
        holds &= node.kind != orrery::io::PickleKind::Storage || std::size_t(node.integer) < pickle.storages.size();
        holds &= node.kind != orrery::io::PickleKind::Dict || node.items.size() % 2 == 0;
    }
    for (const auto& tensor : pickle.tensors)
        holds &= tensor.storage < pickle.storages.size() && tensor.sizes.size() == tensor.strides.size();
    if (!holds)
        std::abort();
}

void pickle(string_view bytes)
{
    checkPickle(orrery::io::parsePickle(bytes, "fuzz"));
}

void torchFile(string_view bytes)
{
    const auto file = orrery::io::parseTorchFile(bytes, "fuzz");
    checkPickle(file.pickle);
    // Every element of every tensor lies inside its storage, which lies inside the file.
    for (const auto& tensor : file.tensors) {
        const auto& storage = file.storages[tensor.storage];
        const auto size = orrery::io::elementSize(tensor.type);
        long double last = static_cast<long double>(tensor.offset);
        bool isEmpty = false;
        for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
            isEmpty |= tensor.sizes[i] == 0;
            last += static_cast<long double>(tensor.sizes[i] - 1) * static_cast<long double>(tensor.strides[i]);
        }
        const auto end = static_cast<long double>(storage.begin) + (last + 1) * static_cast<long double>(size);
        if (storage.begin > storage.end || storage.end > bytes.size() || (!isEmpty && end > static_cast<long double>(storage.end)))
            std::abort();
    }
    for (const auto& entry : orrery::io::findCheckpoint(file, "fuzz").tensors)
        if (entry.tensor >= file.tensors.size() || entry.name.empty())
            std::abort();
}

void gguf(string_view bytes)
{
    const auto file = orrery::io::parseGguf(bytes, "fuzz");
    for (const auto& [key, value] : file.metadata)
        orrery::io::toJson(value);
    for (const auto& tensor : file.tensors) {
        if (tensor.begin > tensor.end || tensor.end > bytes.size())
            std::abort();
        if (!orrery::io::isQuantised(tensor.type))
            continue;
        std::size_t count = 1;
        for (const auto size : tensor.shape)
            count *= std::size_t(size);
        std::vector<float> values(count);
        orrery::io::dequantise(tensor.type, bytes.substr(tensor.begin, tensor.end - tensor.begin), values);
    }
}

void transforms(string_view bytes)
{
    const orrery::scene::PosedSet set = orrery::scene::parseTransforms(bytes, "fuzz");
    for (const auto& view : set.views)
        if (view.camera.focalX > 0 && view.camera.width > 0)
            orrery::scene::rayThrough(view.camera, 0.5, 0.5);
}

void colmap(string_view bytes)
{
    orrery::scene::sceneBox(orrery::scene::parseColmapBytes(bytes));
}

void splatPly(string_view bytes)
{
    // What was read is written again to the same values.
    const orrery::scene::SplatFile file = orrery::scene::parseSplatPly(bytes, "fuzz");
    const std::string again = orrery::scene::splatPlyBytes(file);
    if (orrery::scene::splatPlyBytes(orrery::scene::parseSplatPly(again, "again")) != again)
        std::abort();
}

void splatTraining(string_view bytes)
{
    // What was restored is saved as the same, and is whole.
    orrery::scene::Splats one;
    one.resize(1, 0);
    one.rotations[0] = 1;
    orrery::scene::SplatTrainer trainer(one, {});
    trainer.restore(bytes);
    if (trainer.save() != bytes || trainer.steps() < 0 || trainer.splats().means.size() != 3 * trainer.splats().size())
        std::abort();
}

// What every reader of points promises.
void checkCloud(const orrery::scene::CloudFile& file)
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

void ply(string_view bytes)
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

void pcd(string_view bytes)
{
    checkCloud(orrery::scene::parsePcd(bytes, "fuzz"));
}

void las(string_view bytes)
{
    checkCloud(orrery::scene::parseLas(bytes, "fuzz"));
}

void xyz(string_view bytes)
{
    checkCloud(orrery::scene::parseXyz(bytes, "fuzz"));
}

void obj(string_view bytes)
{
    checkCloud(orrery::scene::parseObj(bytes, "fuzz"));
}

void utf8(string_view bytes)
{
    // Decoding and encoding again gives the same bytes, a byte order mark apart.
    std::string again;
    for (const char32_t point : orrery::io::decodeUtf8(bytes, "fuzz"))
        orrery::io::appendUtf8(again, point);
    if (!bytes.ends_with(again) || bytes.size() - again.size() > 3)
        std::abort();
}

// What every tokenizer promises of any text.
void checkEncoding(const orrery::text::Tokenizer& tokenizer, string_view text, bool bytesComeBack)
{
    const auto encoding = tokenizer.encode(text, {});
    for (std::size_t i = 0; i < encoding.size(); ++i)
        if (encoding.offsets[i].begin > encoding.offsets[i].end || encoding.offsets[i].end > text.size() || encoding.ids[i] < 0 ||
            (tokenizer.pieceOf(encoding.ids[i]) && encoding.ids[i] >= tokenizer.size()))
            std::abort();
    const auto ids = tokenizer.ids(text, false);
    for (const auto id : ids)
        if (id >= tokenizer.size())
            std::abort();
    const auto back = tokenizer.decode(ids, true);
    if (bytesComeBack && back != text)
        std::abort();
}

void tokenizer(string_view bytes)
{
    // A document, and behind a zero byte a text for it.
    const auto end = std::min(bytes.find('\0'), bytes.size());
    const auto made = orrery::text::tokenizerFromJson(bytes.substr(0, end), "fuzz");
    checkEncoding(*made, bytes.substr(std::min(end + 1, bytes.size())).substr(0, 2000), false);
}

void sentencePiece(string_view bytes)
{
    // A model, and behind four zero bytes a text for it.
    const auto end = std::min(bytes.find(string_view("\0\0\0\0", 4)), bytes.size());
    const auto vocabulary = orrery::text::parseSentencePiece(bytes.substr(0, end), "fuzz");
    const auto tree = orrery::text::tokenizerTree(vocabulary, {}, "fuzz");
    const auto made = orrery::text::tokenizerFromJson(tree.dump(), "fuzz");
    checkEncoding(*made, bytes.substr(std::min(end + 4, bytes.size())).substr(0, 2000), false);
}

void ggufTokenizer(string_view bytes)
{
    const auto file = orrery::io::parseGguf(bytes, "fuzz");
    orrery::models::ggufSpecialTokens(file, "fuzz");
    if (const auto card = orrery::models::ggufTokenizerCard(file, "fuzz"); !card.is_null())
        checkEncoding(*orrery::text::tokenizerFromJson(card["json"].get<std::string>(), "fuzz"), "the light <s> \xf0\x9f\x99\x82", false);
}

void tokenizedText(string_view bytes)
{
    using orrery::text::TokenizerPtr;
    static const TokenizerPtr kBytes = [] {
        orrery::core::Json vocabulary = orrery::core::Json::object();
        for (unsigned byte = 0; byte < 256; ++byte)
            vocabulary[orrery::text::utf8Of(orrery::text::byteCharacter(static_cast<unsigned char>(byte)))] = byte;
        vocabulary["th"] = 256;
        vocabulary["the"] = 257;
        const orrery::core::Json document = {{"normalizer", nullptr},
                                             {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                                             {"decoder", {{"type", "ByteLevel"}}},
                                             {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"t h", "th e"}}}}};
        return orrery::text::tokenizerFromJson(document.dump(), "bytes");
    }();
    static const TokenizerPtr kWords = orrery::text::tokenizerFromJson(
        R"({"added_tokens": [{"id": 7, "content": "<m>", "lstrip": true, "rstrip": true, "normalized": true, "special": false}],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "BertNormalizer"}, {"type": "NFKC"}]}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2]}, "decoder": {"type": "WordPiece"},
            "model": {"type": "WordPiece", "unk_token": "u", "vocab": {"u": 0, "<s>": 1, "</s>": 2, "a": 3, "##b": 4, "th": 5, "##e": 6}}})",
        "words");
    static const TokenizerPtr kPieces = orrery::text::tokenizerFromJson(
        R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "UnicodeScripts"}, {"type": "Metaspace", "prepend_scheme": "first"}]},
            "normalizer": {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, "decoder": {"type": "Metaspace"},
            "post_processor": {"type": "ByteLevel"}, "model": {"type": "Unigram", "unk_id": 0, "vocab": [["u", 0], ["\u2581", -2], ["ab", -3], ["a", -1.5]]}})",
        "pieces");
    checkEncoding(*kBytes, bytes, true);
    checkEncoding(*kWords, bytes, false);
    checkEncoding(*kPieces, bytes, false);
}

void exportedProgram(string_view bytes)
{
    // The first byte chooses what it is read as.
    if (bytes.empty())
        return;
    const string_view rest = bytes.substr(1);
    if (bytes[0] == 'c') {
        for (const auto& [name, payload] : orrery::io::parseExportedPayloads(rest, "fuzz"))
            if (payload.tensor.symbols.size() != payload.tensor.sizes.size())
                std::abort();
    } else if (bytes[0] == 't') {
        orrery::io::treeLeafNames(rest, "root");
    } else {
        const auto program = orrery::io::parseExportedProgram(rest, "fuzz");
        if (program.inputs.size() != program.graph.inputs.size() || program.outputs.size() != program.graph.outputs.size())
            std::abort();
    }
}

void frames(string_view bytes)
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

struct Target {
    string_view name;
    void (*run)(string_view bytes);
};

constexpr Target kTargets[] = {
#define ORRERY_FUZZ_TARGET(name) {#name, name},
#include "fuzz_targets.inc"
#undef ORRERY_FUZZ_TARGET
};

Target chosenTarget{};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***)
{
    const char* const wanted = std::getenv("ORRERY_FUZZ_TARGET");
    for (const Target& target : kTargets)
        if (wanted && target.name == wanted)
            chosenTarget = target;
    if (chosenTarget.run)
        return 0;
    for (const Target& target : kTargets)
        std::printf("%.*s\n", int(target.name.size()), target.name.data());
    std::exit(wanted && string_view(wanted) == "list" ? 0 : 2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    try {
        chosenTarget.run({reinterpret_cast<const char*>(data), size});
    } catch (const orrery::core::Error&) {
    }
    return 0;
}
