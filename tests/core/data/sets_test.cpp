#include <core/data/dataset.h>
#include <core/data/vocabulary.h>
#include <core/io/image.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <set>

#include "../io/support.h"

using namespace orrery;
using namespace orrery::data;
using core::Json;
using io::messageOf;

namespace {

Batch fetchAll(const DataSet& set, Split part)
{
    return set.fetch(set.split(part));
}

Batch fetchOne(const DataSet& set, std::int64_t index)
{
    return set.fetch({&index, 1});
}

}  // namespace

class SetsTest : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;
    std::filesystem::path base() const { return m_folder.path().toStdString(); }
    void write(const std::string& name, std::string_view content) const
    {
        std::filesystem::create_directories((base() / name).parent_path());
        core::writeFileAtomically(base() / name, content);
    }

private Q_SLOTS:
    void digitsHaveTheDocumentedSplit()
    {
        const DataSetPtr digits = openData("digits");
        QCOMPARE(digits->size(), std::int64_t(1797));
        QCOMPARE(digits->split(Split::Train).size(), std::size_t(1258));
        QCOMPARE(digits->split(Split::Val).size(), std::size_t(180));
        QCOMPARE(digits->split(Split::Test).size(), std::size_t(359));
        std::set<std::int64_t> all;
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            all.insert(digits->split(part).begin(), digits->split(part).end());
        QCOMPARE(all.size(), std::size_t(1797));
        const Batch first = fetchOne(*digits, 0);
        QCOMPARE(first.inputs[0].sizes().vec(), (std::vector<std::int64_t>{1, 1, 8, 8}));
        QCOMPARE(first.inputs[0][0][0][0][2].item<float>(), 5.0f / 16);
        QCOMPARE(first.targets.item<std::int64_t>(), std::int64_t(0));
        QCOMPARE(digits->info().outputSize, std::int64_t(10));
        QCOMPARE(digits->targetText(3), std::string("3"));
        // Stratified: each class is in the test part as often as its share, within one.
        const at::Tensor counts = at::bincount(fetchAll(*digits, Split::Test).targets, {}, 10);
        QVERIFY(counts.min().item<std::int64_t>() >= 34 && counts.max().item<std::int64_t>() <= 38);
    }

    void splitsDependOnTheirSeedAlone()
    {
        const DataSetPtr a = openData("digits"), b = openData("digits"), c = openData({{"id", "digits"}, {"split", {{"seed", 1}}}});
        QCOMPARE(a->split(Split::Test), b->split(Split::Test));
        QVERIFY(a->split(Split::Test) != c->split(Split::Test));
        QCOMPARE(a->contentHash(), b->contentHash());
        QVERIFY(a->contentHash() != c->contentHash());
        QCOMPARE(a->contentHash().size(), std::size_t(32));
    }

    void bundledTablesAreNamed_data()
    {
        QTest::addColumn<QString>("id");
        QTest::addColumn<int>("rows");
        QTest::addColumn<int>("features");
        QTest::addColumn<int>("classes");
        QTest::addColumn<QString>("lastFeature");
        QTest::newRow("iris") << "iris" << 150 << 4 << 3 << "petal width (cm)";
        QTest::newRow("wine") << "wine" << 178 << 13 << 3 << "proline";
        QTest::newRow("breast cancer") << "breast_cancer" << 569 << 30 << 2 << "worst fractal dimension";
    }
    void bundledTablesAreNamed()
    {
        QFETCH(QString, id);
        QFETCH(int, rows);
        QFETCH(int, features);
        QFETCH(int, classes);
        QFETCH(QString, lastFeature);
        const DataSetPtr set = openData(id.toStdString());
        QCOMPARE(int(set->size()), rows);
        QCOMPARE(int(set->info().featureNames.size()), features);
        QCOMPARE(int(set->info().classNames.size()), classes);
        QCOMPARE(QString::fromStdString(set->info().featureNames.back()), lastFeature);
        QCOMPARE(fetchOne(*set, 5).inputs[0].sizes().vec(), (std::vector<std::int64_t>{1, features}));
    }

    void standardisationSeesTheTrainingPartAlone()
    {
        const DataSetPtr plain = openData({{"id", "wine"}, {"standardize", false}}), scaled = openData({{"id", "wine"}, {"standardize", true}});
        const at::Tensor train = fetchAll(*plain, Split::Train).inputs[0].to(at::kDouble);
        const at::Tensor mean = train.mean(0), std = train.std(0, false);
        for (std::int64_t f = 0; f < 13; ++f) {
            // The plain values were rounded to float32 once.
            QVERIFY(std::abs(scaled->info().mean[std::size_t(f)] - mean[f].item<double>()) < 1e-6 * std::abs(mean[f].item<double>()));
            QVERIFY(std::abs(scaled->info().std[std::size_t(f)] - std[f].item<double>()) < 1e-6 * std[f].item<double>());
        }
        const at::Tensor expected = ((fetchAll(*plain, Split::Test).inputs[0].to(at::kDouble) - mean) / std).to(at::kFloat);
        QVERIFY(at::allclose(fetchAll(*scaled, Split::Test).inputs[0], expected, 1e-5, 1e-6));
        // The leak itself: other values in the test rows change nothing in the training rows.
        write("leak.csv", "x,y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n7,0\n8,1\n9,0\n10,1\n");
        const Json document{{"id", "csv"}, {"path", "leak.csv"}, {"split", {{"stratified", false}, {"val", 0}}}};
        const DataSetPtr before = openData(document, base());
        std::string text = "x,y\n";
        for (int i = 0; i < 10; ++i)
            text +=
                std::to_string(std::find(before->split(Split::Test).begin(), before->split(Split::Test).end(), i) != before->split(Split::Test).end()
                                   ? 1000000
                                   : i + 1) +
                "," + std::to_string(i % 2) + "\n";
        write("leak.csv", text);
        const DataSetPtr after = openData(document, base());
        QVERIFY(at::equal(fetchAll(*before, Split::Train).inputs[0], fetchAll(*after, Split::Train).inputs[0]));
        QVERIFY(!at::equal(fetchAll(*before, Split::Test).inputs[0], fetchAll(*after, Split::Test).inputs[0]));
    }

    void csvMakesCategoriesOneHot()
    {
        write("t.csv", "size,colour,name,price\n1,red,a,2.5\n2,blue,b,3.5\n3,red,c,4.25\n4,blue,d,5\n");
        const DataSetPtr set = openData({{"id", "csv"}, {"path", "t.csv"}, {"ignore", {"name"}}, {"standardize", false}}, base());
        QCOMPARE(set->info().featureNames, (std::vector<std::string>{"size", "colour=blue", "colour=red"}));
        QCOMPARE(set->info().task, Task::Regression);
        QVERIFY(at::equal(fetchOne(*set, 1).inputs[0], at::tensor({2.0f, 1.0f, 0.0f}).unsqueeze(0)));
        QCOMPARE(fetchOne(*set, 2).targets.item<float>(), 4.25f);
        const DataSetPtr classes =
            openData({{"id", "csv"}, {"path", "t.csv"}, {"ignore", {"name"}}, {"target", "colour"}, {"split", {{"test", 0.5}, {"val", 0}}}}, base());
        QCOMPARE(classes->info().classNames, (std::vector<std::string>{"blue", "red"}));
        QCOMPARE(fetchOne(*classes, 0).targets.item<std::int64_t>(), std::int64_t(1));
    }

    void missingValuesAreRefusedUnlessSaidOtherwise()
    {
        write("m.csv", "a,b,y\n1,5,0\n,6,1\n3,7,0\nNaN,8,1\n5,9,0\n7,10,1\n");
        const Json document{{"id", "csv"}, {"path", "m.csv"}, {"standardize", false}, {"split", {{"test", 0}, {"val", 0}}}};
        QCOMPARE(messageOf([&] { openData(document, base()); }),
                 QString("m.csv: line 3, column \"a\": expected a number, got a missing value or NaN (set `missing` to mean or drop)"));
        Json mean = document, drop = document;
        mean["missing"] = "mean";
        drop["missing"] = "drop";
        QCOMPARE(fetchOne(*openData(mean, base()), 1).inputs[0][0][0].item<float>(), 4.0f);
        QCOMPARE(openData(drop, base())->size(), std::int64_t(4));
        write("m.csv", "a,y\n1,0\n2,\n3,0\n4,1\n");
        QCOMPARE(
            messageOf([&] { openData(mean, base()); }),
            QString("m.csv: line 3, column \"y\": expected a number, got a missing value or NaN (set `missing` to drop to leave such rows out)"));
        QCOMPARE(openData(drop, base())->size(), std::int64_t(3));
        write("m.csv", "a,y\n1,0\n1e999,1\n3,0\n");
        QCOMPARE(messageOf([&] { openData(drop, base()); }), QString("m.csv: line 3, column \"a\": expected a finite number, got inf"));
    }

    void tablesThatDoNotFitAreRefused()
    {
        write("t.csv", "size,colour,price\n1,red,2.5\n2,blue,3.5\n");
        write("ragged.csv", "a,b\n1,2\n3\n");
        const auto open = [&](const Json& document) { return messageOf<core::Error>([&] { openData(document, base()); }); };
        QCOMPARE(open({{"id", "csv"}, {"path", "t.csv"}, {"target", "colur"}}),
                 QString("t.csv: no column \"colur\"; did you mean \"colour\"? (columns: size, colour, price)"));
        QCOMPARE(open({{"id", "csv"}, {"path", "ragged.csv"}}), QString("ragged.csv: line 3: expected 2 fields, got 1"));
        QVERIFY(open({{"id", "csv"}, {"path", "none.csv"}}).startsWith("csv: expected a file at "));
        QCOMPARE(open({{"id", "csv"}, {"path", "t.csv"}, {"target", "colour"}, {"task", "regression"}}),
                 QString("t.csv: target \"colour\": expected numbers for a regression, got categories"));
        QCOMPARE(open({{"id", "csv"}, {"path", "t.csv"}, {"task", "classification"}}),
                 QString("t.csv: target \"price\": expected categories or integers for a classification, got real numbers"));
        QCOMPARE(open({{"id", "iris"}, {"split", {{"test", 0.6}, {"val", 0.5}}}}), QString("data.split: expected test + val below 1, got 0.6 + 0.5"));
        QVERIFY(open({{"id", "iriss"}}).contains("did you mean \"iris\"?"));
        QVERIFY(open({{"id", "iris"}, {"split", {{"tset", 0.6}}}}).startsWith("data.split.tset: "));
        QVERIFY(open({{"id", "csv"}}).startsWith("data.path: "));
        QVERIFY(open({{"id", "cifar10"}}).contains("https://www.cs.toronto.edu/~kriz/cifar.html"));
        QVERIFY(open({{"id", "idx"}}).contains("train-images-idx3-ubyte"));
    }

    void jsonLinesAreATable()
    {
        write("t.jsonl", "{\"x\": [1, 2.5], \"ok\": true, \"label\": \"a\"}\n{\"x\": [3, 4], \"ok\": false, \"label\": \"b\"}\n{\"x\": [5, 6], "
                         "\"ok\": true, \"label\": \"a\"}\n");
        const DataSetPtr set =
            openData({{"id", "json_lines"}, {"path", "t.jsonl"}, {"standardize", false}, {"split", {{"test", 0}, {"val", 0}}}}, base());
        QCOMPARE(set->info().featureNames, (std::vector<std::string>{"x[0]", "x[1]", "ok"}));
        QVERIFY(at::equal(fetchOne(*set, 0).inputs[0], at::tensor({1.0f, 2.5f, 1.0f}).unsqueeze(0)));
        QCOMPARE(set->info().classNames, (std::vector<std::string>{"a", "b"}));
    }

    void arraysFromNpyAndNpz()
    {
        const at::Tensor x = at::arange(40, at::kFloat).view({10, 4}), y = at::tensor({0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, at::kLong);
        io::writeNpy(base() / "x.npy", io::toArray(x));
        io::writeNpy(base() / "y.npy", io::toArray(y));
        write("xy.npz", io::npzBytes({{"x", io::toArray(x)}, {"y", io::toArray(y.to(at::kFloat))}}));
        const DataSetPtr set = openData({{"id", "npy"}, {"inputs", "x.npy"}, {"targets", "y.npy"}}, base());
        QVERIFY(at::equal(fetchOne(*set, 7).inputs[0][0], x[7]));
        QCOMPARE(set->info().task, Task::Classification);
        QCOMPARE(openData({{"id", "npy"}, {"inputs", "xy.npz"}}, base())->info().task, Task::Regression);
        QCOMPARE(openData({{"id", "npy"}, {"inputs", "x.npy"}}, base())->info().task, Task::None);
        x[3][2] = std::nan("");
        io::writeNpy(base() / "x.npy", io::toArray(x));
        QCOMPARE(messageOf([&] {
                     openData({{"id", "npy"}, {"inputs", "x.npy"}}, base());
                 }),
                 QString("x.npy: sample 3, value 2: expected a number, got a missing value or NaN (set `missing` to mean or drop)"));
        io::writeNpy(base() / "x.npy", io::toArray(at::empty({0, 4})));
        QCOMPARE(messageOf([&] {
                     openData({{"id", "npy"}, {"inputs", "x.npy"}}, base());
                 }),
                 QString("x.npy: expected samples, got the shape [0, 4]"));
        const at::Tensor images = at::arange(2 * 6, at::kByte).view({2, 2, 3});
        io::writeNpy(base() / "images.npy", io::toArray(images));
        const DataSetPtr pictures = openData({{"id", "npy"}, {"inputs", "images.npy"}, {"split", {{"test", 0}, {"val", 0}}}}, base());
        QCOMPARE(pictures->info().inputShape, (std::vector<std::int64_t>{1, 2, 3}));
        QVERIFY(at::allclose(fetchOne(*pictures, 1).inputs[0][0], images[1].unsqueeze(0).to(at::kFloat) / 255));
    }

    void idxFolderBringsItsTestPart()
    {
        const auto images = [](int count) {
            std::string bytes("\0\0\x08\x03\0\0\0", 7);
            bytes += char(count);
            bytes += std::string("\0\0\0\x02\0\0\0\x02", 8);
            for (int i = 0; i < count * 4; ++i)
                bytes += char(i * 3);
            return bytes;
        };
        const auto labels = [](int count) {
            std::string bytes("\0\0\x08\x01\0\0\0", 7);
            bytes += char(count);
            for (int i = 0; i < count; ++i)
                bytes += char(i % 2);
            return bytes;
        };
        write("mnist/train-images-idx3-ubyte", images(10));
        write("mnist/train-labels-idx1-ubyte", labels(10));
        write("mnist/t10k-images-idx3-ubyte", images(4));
        write("mnist/t10k-labels-idx1-ubyte", labels(4));
        const DataSetPtr set = openData({{"id", "idx"}, {"standardize", true}}, base());
        QCOMPARE(set->split(Split::Test), (std::vector<std::int64_t>{10, 11, 12, 13}));
        QCOMPARE(set->split(Split::Val).size(), std::size_t(1));
        const at::Tensor train = fetchAll(*set, Split::Train).inputs[0];
        QVERIFY(std::abs(train.mean().item<double>()) < 1e-6 && std::abs(train.std(false).item<double>() - 1) < 1e-5);
        QVERIFY(at::equal(toDisplay(set->info(), fetchOne(*set, 0).inputs[0][0]).flatten(), at::tensor({0, 3, 6, 9}, at::kByte)));
        write("mnist/train-labels-idx1-ubyte", labels(9));
        QVERIFY(messageOf<core::ShapeError>([&] { openData("idx", base()); }).contains("expected as many labels as images, got [9] and [10, 2, 2]"));
    }

    void cifarFoldersAreRead()
    {
        for (const char* const name :
             {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
            std::string records;
            for (int i = 0; i < 4; ++i)
                records += char(i) + std::string(3072, char(name[11] + i));
            write(std::string("cifar-10-batches-bin/") + name, records);
        }
        const DataSetPtr set = openData({{"id", "cifar10"}, {"standardize", false}}, base());
        QCOMPARE(set->size(), std::int64_t(24));
        QCOMPARE(set->split(Split::Test).front(), std::int64_t(20));
        QCOMPARE(set->info().classNames[3], std::string("cat"));
        QCOMPARE(fetchOne(*set, 5).inputs[0].max().item<float>(), float('2' + 1) / 255);
        QCOMPARE(dataDocument("cifar-10-batches-bin", base()).at("id").get<std::string>(), std::string("cifar10"));
    }

    void imageFoldersAreDecodedLazily()
    {
        for (int i = 0; i < 6; ++i) {
            io::Image image{4, 4, 3, std::vector<std::uint8_t>(48, std::uint8_t(i * 40))};
            write(std::string("pictures/") + (i % 2 ? "odd/" : "even/") + std::to_string(i) + ".png", io::encodePng(image));
        }
        write("pictures/odd/readme.txt", "no picture");
        const Json document{{"id", "image_folder"}, {"path", "pictures"}, {"size", 2}, {"split", {{"test", 0}, {"val", 0}}}};
        const DataSetPtr set = openData(document, base());
        QCOMPARE(set->info().classNames, (std::vector<std::string>{"even", "odd"}));
        QCOMPARE(set->size(), std::int64_t(6));
        const Batch batch = fetchAll(*set, Split::Train);
        QCOMPARE(batch.inputs[0].sizes().vec(), (std::vector<std::int64_t>{6, 3, 2, 2}));
        QVERIFY(std::abs(batch.inputs[0][1][0][0][0].item<float>() - 80.0f / 255) < 1e-6);
        QVERIFY(at::equal(batch.targets, at::tensor({0, 0, 0, 1, 1, 1}, at::kLong)));
        const std::string broken = io::encodePng({4, 4, 3, std::vector<std::uint8_t>(48, 7)});
        write("pictures/odd/5.png", broken.substr(0, 60));
        const DataSetPtr damaged = openData(document, base());
        QVERIFY(fetchOne(*damaged, 0).inputs[0].defined());
        const QString message = messageOf([&] { fetchOne(*damaged, 5); });
        QVERIFY2(message.contains("odd/5.png: broken PNG picture"), message.toUtf8().constData());
    }

    void textIsCutIntoBlocks()
    {
        write("t.txt", "abcdefghijklmnopqrstuvwxyz");
        const DataSetPtr set = openData(
            {{"id", "text_file"}, {"path", "t.txt"}, {"vocabulary", "characters"}, {"block_length", 3}, {"split", {{"test", 0.2}, {"val", 0.2}}}},
            base());
        QCOMPARE(set->info().vocabularySize, std::int64_t(26));
        // 16 characters for training: blocks at 0, 3, 6, 9, 12; then five each.
        QCOMPARE(set->split(Split::Train).size(), std::size_t(5));
        QCOMPARE(set->split(Split::Val).size(), std::size_t(1));
        const Batch batch = fetchOne(*set, 1);
        QVERIFY(at::equal(batch.inputs[0], at::tensor({3, 4, 5}, at::kLong).unsqueeze(0)));
        QVERIFY(at::equal(batch.targets, at::tensor({4, 5, 6}, at::kLong).unsqueeze(0)));
        QCOMPARE(set->targetText(1), std::string("def"));
        QCOMPARE(messageOf<core::InputError>([&] {
                     openData({{"id", "text_file"}, {"path", "t.txt"}, {"block_length", 16}}, base());
                 }),
                 QString("t.txt: expected at least block_length + 1 = 17 tokens in the val part, got 1"));
        QCOMPARE(set->vocabulary()->decode(set->vocabulary()->encode("hello")), std::string("hello"));
        QCOMPARE(messageOf<core::InputError>([&] { set->vocabulary()->encode("a!"); }),
                 QString("expected characters of the vocabulary, got U+0021 at position 1"));
        QCOMPARE(Vocabulary::fromJson(set->vocabulary()->toJson()).size(), std::int64_t(26));
    }

    void kjvComesWithoutReferences()
    {
        const DataSetPtr set = openData("kjv");
        QCOMPARE(set->info().vocabularySize, std::int64_t(256));
        const Batch batch = fetchOne(*set, 0);
        const std::string start = "In the beginning God created";
        std::vector<std::int64_t> tokens(batch.inputs[0].data_ptr<std::int64_t>(),
                                         batch.inputs[0].data_ptr<std::int64_t>() + std::int64_t(start.size()));
        QCOMPARE(set->vocabulary()->decode(tokens), start);
        QVERIFY(at::equal(batch.inputs[0].slice(1, 1), batch.targets.slice(1, 0, 127)));
        QVERIFY(set->split(Split::Train).size() > 25000);
    }

    void limitKeepsEveryPartInProportion()
    {
        const DataSetPtr set = openData({{"id", "digits"}, {"limit", 100}});
        QCOMPARE(set->split(Split::Train).size(), std::size_t(70));
        QCOMPARE(set->split(Split::Test).size(), std::size_t(19));
    }

    void argumentsNameSets()
    {
        write("t.csv", "a,b\n1,2\n");
        QCOMPARE(dataDocument("digits").at("id").get<std::string>(), std::string("digits"));
        QCOMPARE(dataDocument("t.csv", base()).dump(), std::string(R"({"id":"csv","path":"t.csv"})"));
        QCOMPARE(dataDocument("{\"id\": \"iris\", \"limit\": 3}").at("limit").get<int>(), 3);
        QVERIFY(messageOf<core::InputError>([] { dataDocument("digit"); }).contains("did you mean \"digits\"?"));
    }

    void sampleNumbersAreChecked()
    {
        QCOMPARE(messageOf<core::InputError>([] { fetchOne(*openData("iris"), 150); }),
                 QString("iris: expected a sample number from 0 to 149, got 150"));
    }
};

QTEST_APPLESS_MAIN(SetsTest)
#include "sets_test.moc"
