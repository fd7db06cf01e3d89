#include <QtTest>

#include <core/generate/decoder.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/intervene/direct_logit_attribution.h>
#include <core/io/gguf.h>
#include <core/models/exporter.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/models/weights/gguf_tokenizer.h>
#include <core/models/weights/packed_weights.h>
#include <core/models/weights/weight_file.h>

#include <core/text/sentencepiece.h>

#include "../../message_of.h"
#include "../../text/cases.h"

using namespace orrery;

namespace {

template <class T>
std::string bytesOf(T value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string sizedText(const std::string& content)
{
    return bytesOf<std::uint64_t>(content.size()) + content;
}

/// The metadata of a file without tensors.
class GgufHeader {
public:
    void text(const std::string& key, const std::string& value) { add(key, 8, sizedText(value)); }
    void flag(const std::string& key, bool value) { add(key, 7, bytesOf<std::uint8_t>(value)); }
    void number(const std::string& key, std::uint32_t value) { add(key, 4, bytesOf(value)); }
    void texts(const std::string& key, const std::vector<std::string>& values)
    {
        std::string bytes;
        for (const auto& value : values)
            bytes += sizedText(value);
        add(key, 9, bytesOf(8u) + bytesOf<std::uint64_t>(values.size()) + bytes);
    }
    template <class T>
    void numbers(const std::string& key, std::uint32_t type, const std::vector<T>& values)
    {
        std::string bytes;
        for (const auto& value : values)
            bytes += bytesOf(value);
        add(key, 9, bytesOf(type) + bytesOf<std::uint64_t>(values.size()) + bytes);
    }
    std::string bytes() const
    {
        std::string out = "GGUF" + bytesOf(3u) + bytesOf<std::uint64_t>(0) + bytesOf(m_pairs) + m_bytes;
        out.resize((out.size() + 31) / 32 * 32);
        return out;
    }

private:
    void add(const std::string& key, std::uint32_t type, const std::string& value)
    {
        m_bytes += sizedText("tokenizer.ggml." + key) + bytesOf(type) + value;
        ++m_pairs;
    }
    std::string m_bytes;
    std::uint64_t m_pairs = 0;
};

text::TokenizerPtr tokenizerOfHeader(const GgufHeader& header)
{
    const std::string bytes = header.bytes();
    return text::tokenizerFromCard(models::ggufTokenizerCard(io::parseGguf(bytes, "g"), "g"));
}

/// What llama.cpp's converter writes of a SentencePiece model.
GgufHeader scoredHeader()
{
    const auto folder = std::filesystem::path(ORRERY_TEST_DATA) / "text" / "sentencepiece";
    const auto vocabulary = text::parseSentencePiece(text::dataFile(folder / "bpe-bytes.model.gz"), "model");
    std::vector<std::string> tokens;
    std::vector<float> scores;
    std::vector<std::int32_t> types;
    for (const auto& entry : vocabulary.entries) {
        tokens.push_back(entry.piece);
        scores.push_back(entry.score);
        types.push_back(std::int32_t(entry.type));
    }
    GgufHeader header;
    header.text("model", "llama");
    header.texts("tokens", tokens);
    header.numbers("scores", 6, scores);
    header.numbers("token_type", 5, types);
    header.number("bos_token_id", 1);
    header.number("eos_token_id", 2);
    return header;
}

/// What it writes of a `tokenizer.json` with byte-level pieces.
GgufHeader byteLevelHeader(const std::string& name, const char* words)
{
    const auto document = nlohmann::json::parse(text::dataFile(std::filesystem::path(ORRERY_TEST_DATA) / "text" / name / "tokenizer.json.gz"));
    const auto& vocabulary = document["model"]["vocab"];
    std::vector<std::string> tokens(vocabulary.size()), merges;
    std::vector<std::int32_t> types(vocabulary.size(), 1);
    for (const auto& [piece, id] : vocabulary.items())
        tokens[id.get<std::size_t>()] = piece;
    for (const auto& added : document["added_tokens"])
        types[added["id"].get<std::size_t>()] = 3;
    for (const auto& merge : document["model"]["merges"])
        merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
    GgufHeader header;
    header.text("model", "gpt2");
    header.text("pre", words);
    header.texts("tokens", tokens);
    header.numbers("token_type", 5, types);
    header.texts("merges", merges);
    return header;
}

}  // namespace

class GgufModelTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    // The GGUF files were written from the checkpoints that the library behind ../hf computed these logits with.
    void logitsAreThoseOfTheCheckpoint_data()
    {
        QTest::addColumn<QString>("checkpoint");
        QTest::addColumn<double>("tolerance");
        QTest::newRow("llama") << "llama" << 2e-6;
        QTest::newRow("qwen2") << "qwen2" << 2e-6;
        QTest::newRow("gpt2") << "gpt2" << 2e-6;
        // Weights of 8 bits are off by up to 1/254 of the largest of their block.
        QTest::newRow("llama_q8") << "llama" << 2e-2;
    }
    void logitsAreThoseOfTheCheckpoint()
    {
        QFETCH(QString, checkpoint);
        QFETCH(double, tolerance);
        const auto wanted = models::loadTensors(std::string(ORRERY_TEST_DATA "/hf/") + checkpoint.toStdString() + "/expect.safetensors");
        const auto model = models::openModel(std::string(ORRERY_TEST_DATA "/weights/") + QTest::currentDataTag() + ".gguf");
        const auto logits = graph::Executor(model.graph).forward(model.weights, {wanted.at("input_ids")});
        const double scale = wanted.at("logits").abs().max().item<double>(), error = (logits - wanted.at("logits")).abs().max().item<double>();
        qInfo("largest error %g of logits up to %g", error, scale);
        QVERIFY(error <= tolerance * scale);
        // Another vocabulary row, or two rows in the wrong order, would be far away from that.
        QVERIFY(scale > 0.1);
    }

    /// Matrices that stay packed give the same numbers to the last bit and take little more room than in the file.
    void packedWeightsGiveTheSame()
    {
        const std::string file = ORRERY_TEST_DATA "/weights/llama_q8.gguf";
        models::OpenOptions keep;
        keep.quantised = models::OpenOptions::Quantised::Keep;
        const auto unpacked = models::openModel(file), packed = models::openModel(file, keep);
        const auto tokens = models::loadTensors(ORRERY_TEST_DATA "/hf/llama/expect.safetensors").at("input_ids");
        const auto logits = graph::Executor(packed.graph).forward(packed.weights, {tokens});
        QVERIFY(at::equal(logits, graph::Executor(unpacked.graph).forward(unpacked.weights, {tokens})));
        const auto* query = packed.graph->findParameter("model.layers.0.self_attn.q_proj.weight_q8_0");
        QVERIFY(query && query->dtype == at::kByte);
        QVERIFY(packed.graph->findValue("model.layers.0.self_attn.q_proj.weight"));
        QVERIFY(packed.weights.bytes() * 2 < unpacked.weights.bytes());
        const QTemporaryDir folder;
        const std::filesystem::path copy = folder.filePath("packed.safetensors").toStdString();
        models::saveModel(copy, packed);
        const auto again = models::openModel(copy.string());
        QVERIFY(at::equal(logits, graph::Executor(again.graph).forward(again.weights, {tokens})));
        const std::filesystem::path exported = folder.filePath("packed.onnx").toStdString();
        models::exportModel(exported, packed, "onnx");
        const auto onnx = models::openModel(exported.string());
        QVERIFY(at::allclose(logits, graph::Executor(onnx.graph).forward(onnx.weights, {tokens}), 1e-5, 1e-5));
        QVERIFY(!onnx.graph->findParameter("model.layers.0.self_attn.q_proj.weight_q8_0"));  // nobody would read it there
    }

    /// Writing token by token keeps nothing unpacked from step to step, and gives the same.
    void packedWeightsStayPackedWhileWriting()
    {
        const std::string file = ORRERY_TEST_DATA "/weights/llama_q8.gguf";
        models::OpenOptions keep;
        keep.quantised = models::OpenOptions::Quantised::Keep;
        const auto unpacked = models::openModel(file), packed = models::openModel(file, keep);
        const auto parts = generation::cachedGraph(packed);
        QVERIFY2(parts.step, parts.reason.c_str());
        for (const auto* names : {&parts.constants, &parts.tables})
            for (const auto& name : *names)
                QVERIFY2(name.find(".weight") == std::string::npos, name.c_str());
        generation::Decoder a(packed), b(unpacked);
        QVERIFY(a.isCached() && b.isCached());
        for (const std::vector<std::int64_t>& tokens : {std::vector<std::int64_t>{5, 17, 3}, {44}, {8, 21}})
            QVERIFY(at::equal(a.next(tokens), b.next(tokens)));
    }

    /// The head and the norm in front of it are read from packed weights, too.
    void packedLogitsAreTakenApart()
    {
        const std::string file = ORRERY_TEST_DATA "/weights/llama_q8.gguf";
        models::OpenOptions keep;
        keep.quantised = models::OpenOptions::Quantised::Keep;
        const auto unpacked = models::openModel(file), packed = models::openModel(file, keep);
        const graph::Executor a(packed.graph), b(unpacked.graph);
        const auto tokens = at::tensor({5, 17, 3, 44}, at::kLong).unsqueeze(0);
        const auto found = intervene::directLogitAttribution({a, packed}, tokens, {}),
                   expected = intervene::directLogitAttribution({b, unpacked}, tokens, {});
        QCOMPARE(found.logit, expected.logit);
        QVERIFY(at::equal(found.heads, expected.heads));
        QVERIFY(std::abs(found.error) < 1e-4);
    }

    /// Blocks of both types against the numbers that another program unpacked (types_gguf.npz).
    void blocksAreUnpackedAsWritten_data()
    {
        QTest::addColumn<bool>("transposed");
        QTest::newRow("as they lie") << false;
        QTest::newRow("transposed") << true;
    }
    void blocksAreUnpackedAsWritten()
    {
        QFETCH(bool, transposed);
        const std::filesystem::path file = ORRERY_TEST_DATA "/weights/types.gguf";
        const auto bytes = core::readFile(file);
        const auto expected = models::loadTensors(ORRERY_TEST_DATA "/weights/types_gguf.npz");
        std::set<std::string> types;
        for (const auto& tensor : io::parseGguf(bytes, "types").tensors) {
            if (!io::isQuantised(tensor.type) || tensor.shape.size() != 2)
                continue;
            const std::int64_t length = std::int64_t(tensor.end - tensor.begin), rows = tensor.shape[0];
            const auto blocks = at::from_blob(const_cast<char*>(bytes.data()) + tensor.begin, {rows, length / rows}, at::kByte).clone();
            graph::Builder builder("one");
            const auto x = builder.input("x", "float32", {"1"});
            const auto shape = transposed ? std::vector<std::int64_t>{tensor.shape[1], rows} : tensor.shape;
            auto model = builder.finish({{"y", builder.op("aten::mul.Tensor", {builder.parameter("w", shape, {{"kind", "zeros"}}), x})}});
            const std::string type(io::ggufTypeName(tensor.type));
            model = models::withPackedWeights(std::move(model), {{"w", {blocks, type, transposed}}});
            const auto found = graph::Executor(model.graph).forward(model.weights, {at::ones({1})});
            const auto wanted = expected.at(std::string(tensor.name));
            QVERIFY2(at::equal(found, transposed ? wanted.t() : wanted), std::string(tensor.name).c_str());
            types.insert(type);
        }
        QCOMPARE(types.size(), std::size_t(2));
    }

    void scoredPiecesAreSentencePieces()
    {
        const auto tokenizer = tokenizerOfHeader(scoredHeader());
        const auto folder = std::filesystem::path(ORRERY_TEST_DATA) / "text" / "sentencepiece";
        for (const auto cases = core::Json::parse(text::dataFile(folder / "bpe-bytes.json.gz")); const auto& each : cases.at("cases")) {
            const auto given = each.at("text").get<std::string>();
            const auto wanted = each.at("ids").get<std::vector<std::int64_t>>();
            QVERIFY2(tokenizer->ids(given) == wanted, given.c_str());
            auto whole = wanted;
            whole.insert(whole.begin(), 1);  // begins by itself, does not end
            QVERIFY2(tokenizer->ids(given, true) == whole, given.c_str());
        }
        auto header = scoredHeader();
        header.flag("add_bos_token", false);
        header.flag("add_eos_token", true);
        QCOMPARE(tokenizerOfHeader(header)->ids("light", true).back(), std::int64_t(2));
        QVERIFY(tokenizerOfHeader(header)->ids("light", true).front() != 1);
    }

    void byteLevelPiecesAreTheLibrarys_data()
    {
        QTest::addColumn<QString>("words");
        QTest::newRow("gpt2") << "gpt-2";
        QTest::newRow("gpt4-like") << "llama-bpe";
    }
    void byteLevelPiecesAreTheLibrarys()
    {
        QFETCH(QString, words);
        const std::string name = QTest::currentDataTag();
        const auto tokenizer = tokenizerOfHeader(byteLevelHeader(name, words.toUtf8().constData()));
        int compared = 0;
        const auto stored = core::Json::parse(text::dataFile(std::filesystem::path(ORRERY_TEST_DATA) / "text" / name / "cases.json.gz"));
        for (const auto& each : stored.at("cases")) {
            const auto given = each.at("text").get<std::string>();
            // That fixture composes characters first, Llama 3 does not.
            const bool composed = name != "gpt2" && std::any_of(given.begin(), given.end(), [](char c) { return c & 0x80; });
            if (each.at("add_special").get<bool>() || composed || (each.contains("pair") && !each.at("pair").is_null()))
                continue;
            QVERIFY2(tokenizer->ids(given) == each.at("ids").get<std::vector<std::int64_t>>(), given.c_str());
            ++compared;
        }
        QVERIFY(compared > 10);
    }

    /// llama.cpp, src/llama-vocab.cpp: its rule llama-bpe sets add_bos, which the file's own add_bos_token overrides.
    void textsOfLlama3BeginWithTheirToken()
    {
        const auto beginning = [](const char* words, std::optional<bool> flag) {
            auto header = byteLevelHeader("gpt4-like", words);
            header.number("bos_token_id", 7);
            if (flag)
                header.flag("add_bos_token", *flag);
            const auto tokenizer = tokenizerOfHeader(header);
            return tokenizer->ids("light", true).size() - tokenizer->ids("light").size();
        };
        QCOMPARE(beginning("llama-bpe", {}), std::size_t(1));
        QCOMPARE(beginning("llama-bpe", false), std::size_t(0));
        QCOMPARE(beginning("qwen2", {}), std::size_t(0));
        QCOMPARE(beginning("qwen2", true), std::size_t(1));
    }

    void entriesOfMetadataBeyondWhatAnybodyReadsAreCounted()
    {
        GgufHeader header;
        const std::size_t count = models::kMaxAbout + 5;
        for (std::size_t i = 0; i < count; ++i)
            header.number("x" + std::to_string(i), 1);
        const QTemporaryDir folder;
        const std::filesystem::path file = folder.filePath("many.gguf").toStdString();
        core::writeFileAtomically(file, header.bytes());
        const auto read = models::readWeightFile(file);
        QCOMPARE(read.about.size(), models::kMaxAbout);
        const auto counted = fmt::format("{} of {} entries of metadata are shown", models::kMaxAbout, count);
        QVERIFY(std::find(read.notes.begin(), read.notes.end(), counted) != read.notes.end());
    }

    void brokenTokenizersAreNamed()
    {
        const auto reason = [](const GgufHeader& header) { return saidBy([&] { tokenizerOfHeader(header); }); };
        GgufHeader other;
        other.text("model", "t5");
        other.texts("tokens", {"a"});
        QCOMPARE(reason(other), "g: tokenizer.ggml.model: expected llama or gpt2, found \"t5\"");
        GgufHeader none;
        none.text("model", "llama");
        QCOMPARE(reason(none), "g: tokenizer.ggml.tokens: expected a list of texts");
        GgufHeader few;
        few.text("model", "llama");
        few.texts("tokens", {"a", "b"});
        few.numbers<float>("scores", 6, {1});
        QCOMPARE(reason(few), "g: tokenizer.ggml.scores: expected 2 numbers, as many as tokens, found 1");
        GgufHeader type;
        type.text("model", "llama");
        type.texts("tokens", {"a"});
        type.numbers<std::int32_t>("token_type", 5, {9});
        QCOMPARE(reason(type), "g: tokenizer.ggml.token_type: expected numbers from 1 to 6, found 9 at 0");
        QCOMPARE(reason(byteLevelHeader("gpt2", "klingon")), "g: tokenizer.ggml.pre: expected gpt-2, llama-bpe or qwen2, found \"klingon\"");
        GgufHeader empty;
        const std::string bytes = empty.bytes();
        QVERIFY(models::ggufTokenizerCard(io::parseGguf(bytes, "g"), "g").is_null());
    }
};

QTEST_APPLESS_MAIN(GgufModelTest)
#include "gguf_model_test.moc"
