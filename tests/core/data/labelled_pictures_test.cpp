// Row b58: grey levels onto a range, tables of several sources, what is missing. Oracles are counts and values by hand.
#include <core/data/dataset.h>
#include <core/data/grey_scaler.h>
#include <core/data/label_tables.h>
#include <core/io/grey_image.h>
#include <core/io/image.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/train/experiment.h>

#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <cmath>
#include <png.h>

#include "../io/support.h"

using namespace orrery;
using namespace orrery::data;
using core::Json;
using io::messageOf;

namespace {

const float kNone = std::nanf("");

/// Equal, with what is missing at the same places.
bool same(const at::Tensor& a, const at::Tensor& b)
{
    return a.sizes() == b.sizes() && at::equal(a.isnan(), b.isnan()) && at::equal(at::nan_to_num(a, 7), at::nan_to_num(b, 7));
}

/// libpng as the writer: ours writes 8 bits only.
std::string png16(int width, int height, const std::vector<std::uint16_t>& values, bool interlaced)
{
    std::string out;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(
        png, &out,
        [](png_structp p, png_bytep data, png_size_t size) {
            static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), size);
        },
        [](png_structp) {});
    png_set_IHDR(png, info, png_uint_32(width), png_uint_32(height), 16, PNG_COLOR_TYPE_GRAY, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    png_set_swap(png);
    std::vector<png_bytep> rows;
    for (int y = 0; y < height; ++y)
        rows.push_back(reinterpret_cast<png_bytep>(const_cast<std::uint16_t*>(values.data() + y * width)));
    png_write_image(png, rows.data());
    png_write_end(png, nullptr);
    png_destroy_write_struct(&png, &info);
    return out;
}

}  // namespace

class LabelledPicturesTest : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;
    std::filesystem::path base() const { return m_folder.path().toStdString(); }
    void write(const std::string& name, std::string_view content) const
    {
        std::filesystem::create_directories((base() / name).parent_path());
        core::writeFileAtomically(base() / name, content);
    }
    void writeGrey(const std::string& name, int width, int height, std::uint8_t value) const
    {
        write(name, io::encodePng({width, height, 1, std::vector<std::uint8_t>(std::size_t(width * height), value)}));
    }
    QString errorOf(const Json& document) const
    {
        try {
            openData(document, base());
        } catch (const core::Error& error) {
            return error.what();
        }
        return "no error";
    }
    /// Two sources that share one label: the second calls it by another name.
    Json twoSources() const
    {
        return {{"id", "labelled_pictures"},
                {"size", 4},
                {"split", {{"test", 0}, {"val", 0}}},
                {"sources",
                 {{{"table", "a.csv"}, {"pictures", "a"}},
                  {{"table", "b.csv"}, {"pictures", "b.npy"}, {"maximum", 4095}, {"rename", {{"Pleural Effusion", "Effusion"}}}}}}};
    }

private Q_SLOTS:
    void initTestCase()
    {
        write("a.csv", "image,Effusion,Mass\nblack.png,1,0\nsub/white.png,0,\nwide.png,-1,1\n");
        writeGrey("a/black.png", 4, 4, 0);
        writeGrey("a/sub/white.png", 4, 4, 255);
        // A bright square in the middle of a wide dark picture.
        io::Image wide{12, 4, 1, std::vector<std::uint8_t>(48, 0)};
        for (int y = 0; y < 4; ++y)
            for (int x = 4; x < 8; ++x)
                wide.pixels[std::size_t(y * 12 + x)] = 255;
        write("a/wide.png", io::encodePng(wide));
        write("b.csv", "Pleural Effusion,Hernia\n1,0\n0,1\n");
        at::Tensor array = at::zeros({2, 4, 4}, at::kInt);
        array[1].fill_(4095);
        io::writeNpy(base() / "b.npy", io::toArray(array));
    }

    void bothEndsOfTheScaleAreExact_data()
    {
        QTest::addColumn<double>("maximum");
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::newRow("8 bits, TorchXRayVision") << 255.0 << -1024.0 << 1024.0;
        QTest::newRow("12 bits") << 4095.0 << -1024.0 << 1024.0;
        QTest::newRow("16 bits") << 65535.0 << -1024.0 << 1024.0;
        QTest::newRow("a third") << 3.0 << -0.1 << 0.7;
        QTest::newRow("one") << 255.0 << 0.0 << 1.0;
    }
    void bothEndsOfTheScaleAreExact()
    {
        QFETCH(double, maximum);
        QFETCH(double, low);
        QFETCH(double, high);
        const GreyScaler scaler{maximum, low, high};
        QCOMPARE(scaler(0), float(low));
        QCOMPARE(scaler(maximum), float(high));
        float before = scaler(0);
        for (int level = 1; level <= int(maximum); ++level) {
            const float value = scaler(level);
            QVERIFY(value > before);
            QVERIFY(std::abs(double(value) - ((2 * level / maximum - 1) * (high - low) / 2 + (low + high) / 2)) <= 1e-6 * (high - low));
            before = value;
        }
    }

    void levelsAboveTheMaximumAreRefused()
    {
        const GreyScaler scaler{255, -1024, 1024};
        QCOMPARE(messageOf<core::FormatError>([&] {
                     scaler(at::tensor({0.0, 300.0}), "x.npy");
                 }),
                 QString("x.npy: expected grey levels from 0 to 255, got 300; give the source's own `maximum`"));
        QVERIFY(messageOf<core::FormatError>([&] { scaler(at::tensor({-1.0}), "x.npy"); }).contains("got -1"));
        QVERIFY(messageOf<core::FormatError>([&] { scaler(at::tensor({std::nan("")}), "x.npy"); }).contains("got nan"));
    }

    void sixteenBitsAreKept()
    {
        const std::vector<std::uint16_t> values{0, 1, 256, 4095, 65535, 513};
        for (const bool interlaced : {false, true}) {
            const io::GreyImage image = io::decodeGrey(png16(3, 2, values, interlaced), "x.png");
            QCOMPARE(image.width, 3);
            QCOMPARE(image.height, 2);
            QCOMPARE(image.maximum, std::uint32_t(65535));
            QCOMPARE(image.values, values);
        }
        const io::GreyImage bytes = io::decodeGrey(io::encodePng({2, 1, 1, {7, 255}}), "x.png");
        QCOMPARE(bytes.maximum, std::uint32_t(255));
        QCOMPARE(bytes.values, (std::vector<std::uint16_t>{7, 255}));
        std::string cut = png16(3, 2, values, false);
        cut.resize(cut.size() - 30);
        QVERIFY(messageOf<core::FormatError>([&] { io::decodeGrey(cut, "x.png"); }).contains("x.png: broken PNG picture"));
    }

    /// The row's own check: two toy sets with different labels, absences marked.
    void mergedSourcesMarkWhatTheyDoNotKnow()
    {
        const DataSetPtr set = openData(twoSources(), base());
        QCOMPARE(set->size(), std::int64_t(5));
        QCOMPARE(set->info().targetNames, (std::vector<std::string>{"Effusion", "Mass", "Hernia"}));
        QCOMPARE(set->info().outputSize, std::int64_t(3));
        QVERIFY(holdsLabels(set->info()));
        const Batch all = set->fetch(set->split(Split::Train));
        const at::Tensor expected =
            at::tensor({1.f, 0.f, kNone, 0.f, kNone, kNone, kNone, 1.f, kNone, 1.f, kNone, 0.f, 0.f, kNone, 1.f}).view({5, 3});
        QVERIFY(same(all.targets, expected));
        QCOMPARE(set->targetText(0), std::string("Effusion (1 of 3 not known)"));
        QCOMPARE(set->targetText(1), std::string("none (2 of 3 not known)"));
        QCOMPARE(set->targetText(4), std::string("Hernia (1 of 3 not known)"));
    }

    void picturesAreScaledAndCut()
    {
        const Batch all = openData(twoSources(), base())->fetch(std::vector<std::int64_t>{0, 1, 2, 3, 4});
        QCOMPARE(all.inputs[0].sizes().vec(), (std::vector<std::int64_t>{5, 1, 4, 4}));
        for (const auto& [sample, value] : {std::pair{0, -1024.0}, {1, 1024.0}, {2, 1024.0}, {3, -1024.0}, {4, 1024.0}})
            QVERIFY(at::equal(all.inputs[0][sample], at::full({1, 4, 4}, value)));
        Json stretched = twoSources();
        stretched["fit"] = "stretch";
        const at::Tensor wide = openData(stretched, base())->fetch(std::vector<std::int64_t>{2}).inputs[0];
        QCOMPARE(wide.sizes().vec(), (std::vector<std::int64_t>{1, 1, 4, 4}));
        QVERIFY(wide.min().item<float>() >= -1024 && wide.min().item<float>() < -900 && wide.max().item<float>() > 0);
        QVERIFY(std::abs(wide.mean().item<float>() + 1024.0f / 3) < 60);  // a third of it is white
    }

    void labelsComeInTheAskedForOrder()
    {
        Json document = twoSources();
        document["labels"] = {"Hernia", "Cardiomegaly", "Effusion"};
        const DataSetPtr set = openData(document, base());
        const at::Tensor targets = set->fetch(std::vector<std::int64_t>{0, 3}).targets;
        QVERIFY(same(targets, at::tensor({kNone, kNone, 1.f, 0.f, kNone, 1.f}).view({2, 3})));
        document["labels"] = {"Hernja"};
        QCOMPARE(errorOf(document), QString("data.labels: no source has the label \"Hernja\"; did you mean \"Hernia\"?"));
        document["labels"] = {"Mass", "Mass"};
        QCOMPARE(errorOf(document), QString("data.labels: expected each label once, got \"Mass\" twice"));
    }

    void uncertainLabelsAreWhatTheDocumentSays()
    {
        Json document = twoSources();
        for (const auto& [policy, value] : {std::pair{"missing", kNone}, {"positive", 1.f}, {"negative", 0.f}}) {
            document["uncertain"] = policy;
            QVERIFY(same(openData(document, base())->fetch(std::vector<std::int64_t>{2}).targets, at::tensor({value, 1.f, kNone}).view({1, 3})));
        }
    }

    void listsOfFindingsBecomeLabels()
    {
        LabelColumns columns;
        columns.image = "Image Index";
        columns.findings = "Finding Labels";
        const LabelTable table =
            parseLabelTable("Image Index,Finding Labels\n1.png,Mass|Nodule\n2.png,No Finding\n3.png,\n4.png, Hernia \n", "nih.csv", columns);
        QCOMPARE(table.labels, (std::vector<std::string>{"Hernia", "Mass", "Nodule"}));
        QCOMPARE(table.rows[0].values, (std::vector<float>{0, 1, 1}));
        QCOMPARE(table.rows[1].values, (std::vector<float>{0, 0, 0}));
        QVERIFY(std::isnan(table.rows[2].values[0]));
        QCOMPARE(table.rows[3].values, (std::vector<float>{1, 0, 0}));
        QCOMPARE(table.rows[3].image, std::string("4.png"));
    }

    void picturesOfAPatientStayTogether()
    {
        std::string table = "image,patient,Mass\n";
        for (int i = 0; i < 60; ++i)
            table += "black.png," + std::to_string(i / 4) + "," + std::to_string(i % 2) + "\n";
        write("p.csv", table);
        const Json source{{"table", "p.csv"}, {"pictures", "a"}, {"patient", "patient"}};
        const DataSetPtr set =
            openData({{"id", "labelled_pictures"}, {"size", 4}, {"sources", {source, source}}, {"split", {{"test", 0.3}, {"val", 0.2}}}}, base());
        std::map<std::int64_t, int> partOf;
        for (const Split part : {Split::Train, Split::Val, Split::Test}) {
            QVERIFY(!set->split(part).empty());
            for (const std::int64_t sample : set->split(part)) {
                const auto [found, isNew] = partOf.emplace(sample / 4, int(part));  // the second source's patients are others
                QCOMPARE(found->second, int(part));
            }
        }
        QCOMPARE(partOf.size(), std::size_t(30));
        QCOMPARE(set->split(Split::Test).size(), std::size_t(36));
    }

    void standardisationIsThatOfTheTrainingPart()
    {
        Json document = twoSources();
        document["standardize"] = true;
        const DataSetPtr set = openData(document, base());
        // Two fifths black, three fifths white: mean 204.8, deviation 2048 sqrt(6) / 5.
        QVERIFY(std::abs(set->info().mean[0] - 204.8) < 1e-9);
        QVERIFY(std::abs(set->info().std[0] - 2048 * std::sqrt(6.0) / 5) < 1e-9);
        const at::Tensor all = set->fetch(set->split(Split::Train)).inputs[0];
        QVERIFY(std::abs(all.mean().item<double>()) < 1e-6);
        const at::Tensor shown = toDisplay(set->info(), all[1]);
        QCOMPARE(int(shown.min().item<std::uint8_t>()), 255);
    }

    void theHashFollowsLabelsAndRange()
    {
        const std::string hash = openData(twoSources(), base())->contentHash();
        QCOMPARE(openData(twoSources(), base())->contentHash(), hash);
        for (const auto& [key, value] : {std::pair<std::string, Json>{"low", -1.0}, {"labels", {"Mass"}}, {"size", 5}}) {
            Json other = twoSources();
            other[key] = value;
            QVERIFY(openData(other, base())->contentHash() != hash);
        }
    }

    void experimentsTakeTheirLossAndMetricsFromTheLabels()
    {
        write("e.yaml", "");
        const Json document{{"model", {{"id", "densenet"}, {"blocks", {1}}, {"growth", 2}, {"width", 4}, {"stem", "small"}}}, {"data", twoSources()}};
        const Json resolved = train::resolveExperiment(document, base()).document;
        QVERIFY(resolved["train"]["loss"]["id"] == Json("masked_binary_cross_entropy"));
        QVERIFY(resolved["train"]["metrics"][1] == (Json{{"id", "label_auc"}, {"labels", {"Effusion", "Mass", "Hernia"}}}));
        QVERIFY(resolved["model"]["classes"] == Json(3));
        QVERIFY(resolved["model"]["channels"] == Json(1));
        Json plain = document;
        plain["train"] = {{"loss", "mse"}};
        QVERIFY(messageOf<core::DocumentError>([&] {
                    train::resolveExperiment(plain, base());
                }).contains("\"labels\" gives labels, but \"target\" takes float"));
    }

    void faultsAreNamed_data()
    {
        QTest::addColumn<QString>("table");
        QTest::addColumn<QString>("change");  // JSON laid over the source
        QTest::addColumn<QString>("message");
        QTest::newRow("no picture") << "image,Mass\nnone.png,1\n"
                                    << "{}"
                                    << "t.csv: line 2: expected a picture at ";
        QTest::newRow("outside the folder") << "image,Mass\n../a.csv,1\n"
                                            << "{}"
                                            << "t.csv: line 2: expected the name of a picture below ";
        QTest::newRow("absolute") << "image,Mass\n/etc/passwd,1\n"
                                  << "{}"
                                  << "got \"/etc/passwd\"";
        QTest::newRow("no name") << "image,Mass\n,1\n"
                                 << "{}"
                                 << "got \"\"";
        QTest::newRow("other column") << "file,Mass\nblack.png,1\n"
                                      << "{}"
                                      << "t.csv: no column \"image\" (columns: file, Mass)";
        QTest::newRow("a value that is no label")
            << "image,Mass,Age\nblack.png,1,57\n"
            << "{}"
            << "t.csv: line 2, label \"Age\": expected 1, 0, -1 (uncertain) or nothing, got 57; name the label columns with `labels`";
        QTest::newRow("a word") << "image,Mass\nblack.png,yes\n"
                                << "{}"
                                << "got \"yes\"";
        QTest::newRow("no label") << "image\nblack.png\n"
                                  << "{}"
                                  << "t.csv: expected at least one label, got none";
        QTest::newRow("a name for nothing") << "image,Mass\nblack.png,1\n"
                                            << R"({"rename": {"mas": "Mass"}})"
                                            << "t.csv: rename: no label \"mas\"; did you mean \"Mass\"? (labels: Mass)";
        QTest::newRow("two of one name") << "image,Mass,Lump\nblack.png,1,0\n"
                                         << R"({"rename": {"Lump": "Mass"}})"
                                         << "t.csv: expected each label once, got \"Mass\" twice";
        QTest::newRow("a list of names") << "image,Mass\nblack.png,1\n"
                                         << R"({"rename": ["Mass"]})"
                                         << "data.sources: rename: expected an object";
        QTest::newRow("rows and pictures") << "Mass\n1\n"
                                           << R"({"pictures": "b.npy", "maximum": 4095})"
                                           << "b.npy: expected 1 pictures, one a row of t.csv, got 2";
        QTest::newRow("no maximum") << "Mass\n1\n0\n"
                                    << R"({"pictures": "b.npy"})"
                                    << "data.sources: expected `maximum`, the grey level that is white, for b.npy of Int";
        QTest::newRow("no table") << ""
                                  << R"({"table": "none.csv"})"
                                  << "labelled_pictures: expected a file at ";
    }
    void faultsAreNamed()
    {
        QFETCH(QString, table);
        QFETCH(QString, change);
        QFETCH(QString, message);
        write("t.csv", table.toStdString());
        Json source{{"table", "t.csv"}, {"pictures", "a"}};
        source.update(Json::parse(change.toStdString()));
        const QString error = errorOf({{"id", "labelled_pictures"}, {"sources", {source}}});
        QVERIFY2(error.contains(message), qPrintable(error));
    }

    void aRangeUpsideDownIsRefused()
    {
        Json document = twoSources();
        document["low"] = 5;
        document["high"] = 5;
        QCOMPARE(errorOf(document), QString("data.low: expected a number below high, 5, got 5"));
        document["sources"] = Json::array();
        document.erase("low");
        document.erase("high");
        QCOMPARE(errorOf(document), QString("data.sources: expected at least one table of labels with its pictures, got none"));
    }
};

QTEST_APPLESS_MAIN(LabelledPicturesTest)
#include "labelled_pictures_test.moc"
