// Files of many megabytes that are made to cost: what a parser takes for them stays in proportion to the file. Each is read in a process of its own, whose peak is looked at.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <functional>

#include <QtTest>

#include <core/base/error.h>
#include <core/io/exported_program.h>
#include <core/io/gguf.h>
#include <core/io/image.h>
#include <core/io/json_lines.h>
#include <core/io/json_memory.h>
#include <core/io/npy.h>
#include <core/io/onnx_file.h>
#include <core/io/safetensors.h>
#include <core/io/tensorboard.h>
#include <core/io/torch_checkpoint.h>
#include <core/io/zip.h>
#include <core/scene/cloud/las.h>
#include <core/scene/cloud/obj.h>
#include <core/scene/cloud/pcd.h>
#include <core/scene/cloud/ply.h>
#include <core/scene/cloud/xyz.h>
#include <core/text/aligned_text.h>
#include <core/text/charsmap.h>
#include <core/text/tokenizer.h>
#include <core/train/document_file.h>

#include "../deflated.h"

using namespace orrery;
using namespace std::string_literals;

namespace {

constexpr std::size_t kSize = 6'000'000, kLarge = 12'000'000;
constexpr double kMebi = 1 << 20;

std::string times(std::string_view part, std::size_t size = kSize)
{
    std::string out;
    out.reserve(size + part.size());
    while (out.size() < size)
        out += part;
    return out;
}

/// A part for each number, until the size is reached.
std::string counted(const std::function<void(std::string&, std::size_t)>& add, std::size_t size = kSize)
{
    std::string out;
    out.reserve(size + 1000);
    for (std::size_t i = 0; out.size() < size; ++i)
        add(out, i);
    return out;
}

template <class T>
std::string little(T value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string pickleText(const std::string& text)
{
    return "X" + little(std::uint32_t(text.size())) + text;
}

/// One float storage and the arguments of a tensor on it as memo 1 and 2 (the function, the tuple), the list that is filled on the stack.
std::string tensorPickle()
{
    const std::string storage = "(" + pickleText("storage") + "ctorch\nFloatStorage\n" + pickleText("0") + pickleText("cpu") + "K\x01tQ";
    return "\x80\x02](ctorch._utils\n_rebuild_tensor_v2\nq\x01" + ("0("s + storage + "K\x00"s + "K\x01\x85K\x01\x85\x89}tq\x02"s + "0") +
           times("h\x01h\x02R") + "e.";
}

/// The older format of torch.save around a content.
std::string legacyFile(const std::string& content)
{
    return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s + "\x80\x02M\xe9\x03."s + "\x80\x02}."s + content + "\x80\x02](" +
           pickleText("0") + "e." + little(std::int64_t(1)) + "\0\0\x80?"s;
}

/// Directory entries of one byte's name that all stand for one stored member.
std::string manyMembers()
{
    const std::string local = "PK\x03\x04"s + std::string(22, '\0') + little(std::uint16_t(1)) + little(std::uint16_t(0)) + "a";
    std::uint64_t count = 0;
    const std::string directory = counted([&](std::string& out, std::size_t) {
        out += "PK\x01\x02"s + std::string(24, '\0') + little(std::uint16_t(1)) + std::string(16, '\0') + "a";
        ++count;
    });
    const std::string end64 = "PK\x06\x06"s + little(std::uint64_t(44)) + std::string(12, '\0') + little(count) + little(count) +
                              little(std::uint64_t(directory.size())) + little(std::uint64_t(local.size()));
    const std::string locator =
        "PK\x06\x07"s + std::string(4, '\0') + little(std::uint64_t(local.size() + directory.size())) + little(std::uint32_t(1));
    return local + directory + end64 + locator + "PK\x05\x06"s + std::string(4, '\0') + "\xff\xff\xff\xff"s + "\xff\xff\xff\xff\xff\xff\xff\xff"s +
           "\0\0"s;
}

/// An archive of one array of 200 MB of zeros that take 200 kB. Its header says so, or another shape.
std::string zeros(const std::string& shape)
{
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
    header.resize(117, ' ');
    std::string content = "\x93NUMPY\x01\x00"s + little(std::uint16_t(header.size() + 1)) + header + "\n";
    content.append(200'000'000, '\0');
    const std::string packed = deflated(content, -15);
    const std::string common = little(std::uint16_t(20)) + little(std::uint16_t(0)) + little(std::uint16_t(8)) + std::string(4, '\0') +
                               little(std::uint32_t(0)) + little(std::uint32_t(packed.size())) + little(std::uint32_t(content.size())) +
                               little(std::uint16_t(5)) + little(std::uint16_t(0));
    const std::string local = "PK\x03\x04" + common + "a.npy" + packed;
    const std::string directory = "PK\x01\x02" + little(std::uint16_t(20)) + common + std::string(10, '\0') + little(std::uint32_t(0)) + "a.npy";
    return local + directory + "PK\x05\x06" + std::string(4, '\0') + little(std::uint16_t(1)) + little(std::uint16_t(1)) +
           little(std::uint32_t(directory.size())) + little(std::uint32_t(local.size())) + little(std::uint16_t(0));
}

std::string safetensors(const std::string& header)
{
    return little(std::uint64_t(header.size())) + header;
}

std::string varint(std::uint64_t value)
{
    std::string out;
    for (; value > 127; value >>= 7)
        out += char(value | 128);
    return out + char(value);
}

std::string field(int number, const std::string& content)
{
    return varint(std::uint64_t(number) << 3 | 2) + varint(content.size()) + content;
}

std::string onnx(const std::string& graph)
{
    return "\x08\x08"s + field(7, graph) + field(8, "\x10\x0d");
}

std::string record(const std::string& data)
{
    const std::string length = little(std::uint64_t(data.size()));
    return length + little(io::maskedCrc32c(length)) + data + little(io::maskedCrc32c(data));
}

std::string gguf(std::uint64_t tensors, std::uint64_t keys, const std::string& rest)
{
    return "GGUF" + little(std::uint32_t(3)) + little(tensors) + little(keys) + rest;
}

std::string ggufText(const std::string& text)
{
    return little(std::uint64_t(text.size())) + text;
}

std::string big(std::uint32_t value)
{
    std::string out = little(value);
    std::reverse(out.begin(), out.end());
    return out;
}

std::string pngChunk(const std::string& type, const std::string& content)
{
    const std::string checked = type + content;
    return big(std::uint32_t(content.size())) + checked +
           big(std::uint32_t(crc32(0, reinterpret_cast<const Bytef*>(checked.data()), uInt(checked.size()))));
}

/// A grey picture with other chunks before its pixels.
std::string png(std::uint32_t side, const std::string& chunks, const std::string& pixels)
{
    return "\x89PNG\r\n\x1a\n" + pngChunk("IHDR", big(side) + big(side) + "\x08\0\0\0\0"s) + chunks + pngChunk("IDAT", pixels) + pngChunk("IEND", "");
}

/// A hundred chunks that unpack to 7 MiB each.
std::string pngOf(const std::string& type, const std::string& start)
{
    const std::string chunk = pngChunk(type, start + deflated(std::string(7 << 20, 'a'), 15));
    std::string chunks;
    for (int i = 0; i < (type == "iCCP" ? 1 : 100); ++i)
        chunks += chunk;
    return png(1, chunks, deflated("\0\0"s, 15));
}

/// The header of a grey picture of 8192 x 8192, with tables, and nothing behind it.
std::string jpegOfNothing()
{
    const std::string size = "\x20\0\x20\0"s;
    return "\xff\xd8\xff\xdb\0\x43\0"s + std::string(64, '\x01') + "\xff\xc0\0\x0b\x08"s + size + "\x01\x01\x11\0"s +
           "\xff\xda\0\x08\x01\x01\0\0\x3f\0"s;
}

/// SentencePiece's table of characters with one entry: "a" becomes 30 MB.
std::string longReplacement()
{
    std::vector<std::uint32_t> units(512, 0);
    units['a'] = 'a' | 1 << 8 | 0x100 << 10;
    std::string table = little(std::uint32_t(units.size() * 4));
    for (const auto unit : units)
        table += little(unit);
    return table.append(30'000'000, 'y');
}

/// A program of one node with these inputs and this stack of modules.
std::string pt2Graph(const std::string& inputs, const std::string& modules)
{
    return R"({"schema_version":{"major":8,"minor":1},"graph_module":{"graph":{"inputs":[],"outputs":[],"nodes":[{"target":"t","inputs":[)" + inputs +
           R"(],"outputs":[],"metadata":{"nn_module_stack":")" + modules + R"("}}]},"signature":{"input_specs":[],"output_specs":[]}}})";
}

/// Outputs that lie below one key of a megabyte: the names of a thousand would take a gigabyte.
std::string pt2Leaves()
{
    const std::string leaf = R"({\"type\":null})";
    const std::string leaves = times(leaf + ",", 16'000) + leaf;
    return R"({"schema_version":{"major":8,"minor":1},"graph_module":{"graph":{"inputs":[],"outputs":[],"nodes":[]},"signature":{"input_specs":[],"output_specs":[]},)"
           R"("module_call_graph":[{"fqn":"","signature":{"out_spec":"[1,{\"type\":\"builtins.dict\",\"context\":\"[\\\")" +
           std::string(1 << 20, 'k') + R"(\\\"]\",\"children_spec\":[{\"type\":\"builtins.list\",\"context\":\"null\",\"children_spec\":[)" + leaves +
           R"(]}]}]"}}]}})";
}

void parse(const std::string& reader, const std::string& bytes)
{
    if (reader == "pickle")
        io::parsePickle(bytes, "f");
    else if (reader == "torch")
        io::findCheckpoint(io::parseTorchFile(bytes, "f"), "f");
    else if (reader == "npz")
        io::parseNpz(bytes, "f");
    else if (reader == "npy")
        io::parseNpy(bytes, "f");
    else if (reader == "safetensors")
        io::parseSafetensors(bytes, "f");
    else if (reader == "gguf")
        io::parseGguf(bytes, "f");
    else if (reader == "onnx")
        io::parseOnnx(bytes, "f");
    else if (reader == "events")
        io::parseEventFile(bytes, "f");
    else if (reader == "pt2")
        io::parseExportedProgram(bytes, "f");
    else if (reader == "tokenizer")
        text::tokenizerFromJson(bytes, "f");
    else if (reader == "json")
        io::parseJson(bytes, "f");
    else if (reader == "charsmap") {
        auto text = text::AlignedText::ofBytes("a", text::AlignedText::Invalid::Replace);
        text::Charsmap(bytes, "f").apply(text);
    } else if (reader == "image")
        io::decodeImage(bytes, "f");
    else if (reader == "yaml")
        train::parseYamlDocument(bytes, "f");
    else if (reader == "document")
        train::parseJsonDocument(bytes, "f", {std::size_t(64) << 20, 10'000'000, 64});
    else if (reader == "ply")
        scene::parsePly(bytes, "f");
    else if (reader == "pcd")
        scene::parsePcd(bytes, "f");
    else if (reader == "las")
        scene::parseLas(bytes, "f");
    else if (reader == "xyz")
        scene::parseXyz(bytes, "f");
    else if (reader == "obj")
        scene::parseObj(bytes, "f");
    else
        std::abort();
}

struct Taken {
    double mebibytes = -1;
    std::string said;  ///< empty: the file was read
};

long peakKibibytes()
{
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/// What a process of its own takes above what it began with. @throws nothing: a death by signal is said.
Taken takenBy(const std::string& reader, const std::string& bytes)
{
    int ends[2];
    if (pipe(ends) != 0)
        return {};
    malloc_trim(0);
    const pid_t child = fork();
    if (child == 0) {
        std::string said;
        const long before = peakKibibytes();
        try {
            parse(reader, bytes);
        } catch (const core::Error& error) {
            said = error.what();
        }
        const long grown = peakKibibytes() - before;
        const std::string message = little(grown) + said.substr(0, 500);
        [[maybe_unused]] const auto written = write(ends[1], message.data(), message.size());
        _exit(0);
    }
    close(ends[1]);
    std::string message(sizeof(long) + 600, '\0');
    const auto got = read(ends[0], message.data(), message.size());
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || got < ssize_t(sizeof(long)))
        return {-1, "died by signal " + std::to_string(WTERMSIG(status))};
    long grown = 0;
    std::memcpy(&grown, message.data(), sizeof grown);
    return {double(grown) / 1024, message.substr(sizeof grown, std::size_t(got) - sizeof grown)};
}

/// One hostile file. Made when it is its turn: all of them together would take half a gigabyte.
struct HostileCase {
    const char *name, *reader;
    std::function<std::string()> bytes;
    double times;  ///< how many times the file it may take, beside 70 MiB
};

const std::vector<HostileCase>& hostileCases()
{
    static const std::string kStart = "\x80\x02";
    static const std::vector<HostileCase> cases{
        {"pickle, lists thrown away", "pickle", [] { return kStart + times("]0") + "N."; }, 2},
        {"pickle, lists in a list", "pickle", [] { return kStart + "](" + times("]") + "e."; }, 2},
        {"pickle, lists in lists", "pickle", [] { return kStart + times("](", 100000) + times("N", 100000) + times("e", 50000) + "."; }, 2},
        {"pickle, integers", "pickle", [] { return kStart + "](" + times("J\x01\x02\x03\x04") + "e."; }, 2},
        {"pickle, numbers", "pickle", [] { return kStart + "](" + times("G\x3f\xf0\x01\x01\x01\x01\x01\x01") + "e."; }, 2},
        {"pickle, one by one", "pickle", [] { return kStart + "]" + times("Na") + "."; }, 2},
        {"pickle, a deep stack", "pickle", [] { return kStart + times("N") + "."; }, 2},
        {"pickle, marks", "pickle", [] { return kStart + times("(") + "."; }, 2},
        {"pickle, names", "pickle", [] { return kStart + times("ca\nb\n0") + "N."; }, 2},
        {"pickle, memo", "pickle",
         [] { return kStart + counted([](std::string& out, std::size_t i) { out += "]r" + little(std::uint32_t(i * 977 + 5)) + "0"; }) + "N."; }, 2},
        {"pickle, far memo", "pickle",
         [] { return kStart + counted([](std::string& out, std::size_t i) { out += "]r" + little(std::uint32_t(0xffffffff - i)) + "0"; }) + "N."; },
         2},
        {"pickle, tensors", "pickle", [] { return tensorPickle(); }, 2},
        {"torch.save, tensors", "torch", [] { return legacyFile(tensorPickle()); }, 2},
        {"torch.save, a dictionary", "torch",
         [] {
             return legacyFile(kStart + "}(" +
                               counted([](std::string& out, std::size_t i) { out += "C\x03" + little(std::uint32_t(i)).substr(0, 3) + "N"; }) + "u.");
         },
         2},
        {"zip, members", "npz", [] { return manyMembers(); }, 2},
        {"zip, members for torch", "torch", [] { return manyMembers(); }, 2},
        {"npz, a member longer than its header says", "npz", [] { return zeros("(2, 3)"); }, 2},
        {"npz, zeros", "npz", [] { return zeros("(50000000,)"); }, 2},
        {"npy, a long header", "npy", [] { return "\x93NUMPY\x02\x00"s + little(std::uint32_t(kSize)) + times("("); }, 2},
        {"safetensors, tensors", "safetensors",
         [] {
             return safetensors("{" + counted([](std::string& out, std::size_t i) {
                                    out += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
                                }) +
                                "}");
         },
         2},
        {"safetensors, metadata", "safetensors",
         [] {
             return safetensors("{\"__metadata__\":{" +
                                counted([](std::string& out, std::size_t i) { out += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"\""; }) + "}}");
         },
         2},
        {"safetensors, a list", "safetensors", [] { return safetensors("[" + times("0,") + "0]"); }, 2},
        {"gguf, keys", "gguf",
         [] {
             return gguf(0, kSize / 21, counted([](std::string& out, std::size_t i) {
                             out += ggufText(std::to_string(10'000'000 + i)) + little(std::uint32_t(7)) + "\x01";
                         }));
         },
         2},
        {"gguf, texts", "gguf",
         [] {
             return gguf(0, 1,
                         ggufText("a") + little(std::uint32_t(9)) + little(std::uint32_t(8)) + little(std::uint64_t(kSize / 8)) +
                             times(std::string(8, '\0')));
         },
         2},
        {"gguf, tensors", "gguf",
         [] {
             return gguf(kSize / 40, 0, counted([](std::string& out, std::size_t i) {
                             out += ggufText(std::to_string(10'000'000 + i)) + little(std::uint32_t(1)) + little(std::uint64_t(0)) +
                                    little(std::uint32_t(0)) + little(std::uint64_t(0));
                         }));
         },
         2},
        {"onnx, nodes", "onnx", [] { return onnx(times("\x0a\x00"s)); }, 2},
        {"onnx, names", "onnx", [] { return onnx(field(1, times("\x0a\x00"s))); }, 2},
        {"onnx, attributes", "onnx", [] { return onnx(field(1, times("\x2a\x00"s))); }, 2},
        {"onnx, initialisers", "onnx", [] { return onnx(times("\x2a\x00"s)); }, 2},
        {"onnx, inputs", "onnx", [] { return onnx(times("\x5a\x00"s)); }, 2},
        {"onnx, numbers", "onnx", [] { return onnx(field(1, field(5, field(8, times("\x01"))))); }, 2},
        {"onnx, functions", "onnx", [] { return onnx("") + times("\xca\x01\x00"s); }, 2},
        {"onnx, metadata", "onnx", [] { return onnx("") + times("\x72\x00"s); }, 2},
        {"event file, values", "events",
         [] {
             return record("\x1a\x0d"
                           "brain.Event:2") +
                    record(field(5, times("\x0a\x07\x0a\x00\x15\x00\x00\x80\x3f"s)));
         },
         2},
        {"event file, records", "events",
         [] {
             return record("\x1a\x0d"
                           "brain.Event:2") +
                    times(record(field(5, "\x0a\x07\x0a\x00\x15\x00\x00\x80\x3f"s)));
         },
         2},
        {"ply, points", "ply",
         [] {
             return "ply\nformat ascii 1.0\nelement vertex " + std::to_string(kSize / 6) +
                    "\nproperty float x\nproperty float y\nproperty float z\nend_header\n" + times("0 0 0\n");
         },
         2},
        {"ply, faces", "ply",
         [] {
             return "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\nproperty list "
                    "int int "
                    "vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n" +
                    std::to_string(kSize / 2) + " " + times("0 ") + "\n";
         },
         2},
        {"ply, properties", "ply", [] { return "ply\nformat ascii 1.0\nelement vertex 1\n" + times("property uchar a\n") + "end_header\n"; }, 2},
        {"ply, elements", "ply", [] { return "ply\nformat ascii 1.0\n" + times("element a 0\n") + "end_header\n"; }, 2},
        {"pcd, points", "pcd",
         [] {
             return "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH " + std::to_string(kSize / 6) + "\nHEIGHT 1\nPOINTS " +
                    std::to_string(kSize / 6) + "\nDATA ascii\n" + times("0 0 0\n");
         },
         2},
        {"pcd, fields", "pcd", [] { return "VERSION .7\nFIELDS " + times("x ") + "\n"; }, 2},
        // Honest text of one digit a number: eight bytes a number while it is read, and as much again while the list grows.
        {"xyz, points", "xyz", [] { return times("0 0 0\n"); }, 12},
        {"obj, points", "obj", [] { return times("v 0 0 0\n"); }, 12},
        {"obj, faces", "obj", [] { return "v 0 0 0\nv 1 0 0\nv 0 1 0\nf " + times("1 ") + "\n"; }, 2},
        {"obj, normals", "obj", [] { return "v 0 0 0\n" + times("vn 0 0 1\n"); }, 2},
        {"las, records", "las", [] { return "LASF" + times(std::string(54, '\x01')); }, 2},
        {"pt2, a list", "pt2", [] { return "[" + times("0,", kLarge) + "0]"; }, 2},
        {"pt2, arguments", "pt2", [] { return pt2Graph(R"({"name":"a","arg":{"as_ints":[)" + times("1000000000,") + "1]}}", ""); }, 2},
        {"pt2, inputs of a node", "pt2",
         [] { return pt2Graph(times(R"({"name":"a","arg":{"as_none":1}},)") + R"({"name":"a","arg":{"as_none":1}})", ""); }, 2},
        {"pt2, modules of a node", "pt2", [] { return pt2Graph("", times(";,,")); }, 2},
        {"pt2, names of leaves", "pt2", [] { return pt2Leaves(); }, 2},
        {"tokenizer.json, numbers", "tokenizer", [] { return "[" + times("0,", kLarge) + "0]"; }, 2},
        {"tokenizer.json, objects", "tokenizer", [] { return "[" + times("{},", kLarge) + "0]"; }, 2},
        {"tokenizer.json, texts", "tokenizer", [] { return "[" + times("\"\",", kLarge) + "0]"; }, 2},
        {"tokenizer.json, keys", "tokenizer",
         [] { return "{" + counted([](std::string& out, std::size_t i) { out += "\"" + std::to_string(i) + "\":0,"; }) + R"("model":0})"; }, 2},
        {"tokenizer.json, merges", "tokenizer",
         [] { return R"({"model":{"type":"BPE","vocab":{"a":0,"aa":1},"merges":[)" + times("\"a a\",", kLarge) + R"("a a"]}})"; }, 2},
        {"tokenizer.json, far numbers", "tokenizer",
         [] {
             return R"({"model":{"type":"WordLevel","vocab":{)" +
                    counted([](std::string& out, std::size_t i) { out += "\"" + std::to_string(i) + "\":" + std::to_string(i) + ","; }, 1'000'000) +
                    R"("":16000000}}})";
         },
         2},
        {"tokenizer.json, long pieces", "tokenizer",
         [] {
             return R"({"model":{"type":"Unigram","vocab":[)" + counted([](std::string& out, std::size_t i) {
                        out += "[\"" + std::to_string(1'000'000 + i) + std::string(4000, 'x') + "\",-1],";
                    }) +
                    R"(["u",-1]]}})";
         },
         2},
        // A vocabulary of the shortest entries: 100 bytes a piece of what a file of 15 bytes a piece says.
        {"tokenizer.json, pieces", "tokenizer",
         [] {
             return R"({"model":{"type":"WordLevel","vocab":{)" +
                    counted([](std::string& out, std::size_t i) { out += "\"" + std::to_string(i) + "\":" + std::to_string(i) + ","; }) +
                    R"("":1}}})";
         },
         12},
        {"charsmap, a long replacement", "charsmap", [] { return longReplacement(); }, 2},
        {"json, a list", "json", [] { return "[" + times("0,", kLarge) + "0]"; }, 2},
        {"json, objects", "json", [] { return "[" + times("{},", kLarge) + "0]"; }, 2},
        {"json, texts", "json", [] { return "[" + times("\"\",", kLarge) + "0]"; }, 2},
        {"json, objects in objects", "json", [] { return "[" + times(R"({"a":{"b":0}},)", kLarge) + "0]"; }, 2},
        {"json, keys", "json",
         [] { return "{" + counted([](std::string& out, std::size_t i) { out += "\"" + std::to_string(i) + "\":0,"; }) + R"("a":0})"; }, 2},
        {"png, texts", "image", [] { return pngOf("zTXt", "a\0\0"s); }, 2},
        {"png, texts of any language", "image", [] { return pngOf("iTXt", "a\0\1\0\0\0"s); }, 2},
        {"png, a profile", "image", [] { return pngOf("iCCP", "a\0\0"s); }, 2},
        {"png, pixels that are not there", "image", [] { return png(11000, "", ""); }, 2},
        {"jpeg, pixels that are not there", "image", [] { return jpegOfNothing(); }, 2},
        {"yaml, aliases of a long text", "yaml", [] { return "- &a " + std::string(1'000'000, 'y') + "\n" + times("- *a\n", 100'000); }, 2},
        {"yaml, anchors around anchors", "yaml",
         [] {
             return counted([](std::string& out, std::size_t i) { out += "&" + std::to_string(i) + " ["; }, 300) + std::string(3'000'000, 'y') +
                    std::string(62, ']');
         },
         2},
        {"document, a list", "document", [] { return "[" + times("0,", 4'000'000) + "0]"; }, 2},
        {"document, keys", "document",
         [] { return "{" + counted([](std::string& out, std::size_t i) { out += "\"" + std::to_string(i) + "\":0,"; }, 4'000'000) + R"("a":0})"; },
         2},
    };
    return cases;
}

}  // namespace

class HostileMemoryTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void memoryStaysInProportion_data()
    {
        QTest::addColumn<int>("index");
        for (std::size_t i = 0; i < hostileCases().size(); ++i)
            QTest::newRow(hostileCases()[i].name) << int(i);
    }
    void memoryStaysInProportion()
    {
        QFETCH(int, index);
        const HostileCase& hostile = hostileCases()[std::size_t(index)];
        const std::string content = hostile.bytes();
        const Taken taken = takenBy(hostile.reader, content);
        const double limit = 70 + hostile.times * double(content.size()) / kMebi;
        if (qEnvironmentVariableIsSet("ORRERY_SHOW_MEMORY"))
            std::printf("%-28s %6.1f MiB of %6.1f  %s\n", QTest::currentDataTag(), taken.mebibytes, limit, taken.said.substr(0, 150).c_str());
        QVERIFY2(
            taken.mebibytes >= 0 && taken.mebibytes <= limit,
            qPrintable(QString("%1 MiB for a file of %2 MiB: %3").arg(taken.mebibytes).arg(double(content.size()) / kMebi).arg(taken.said.c_str())));
    }
};

QTEST_APPLESS_MAIN(HostileMemoryTest)
#include "hostile_memory_test.moc"
