#include <core/io/image.h>
#include <core/io/resample.h>

#include <QTemporaryDir>
#include <cstdlib>

#include "support.h"

using namespace orrery;
using namespace orrery::io;

namespace {

/// The picture behind all files of tests/data/io, which ImageMagick wrote.
std::uint8_t expected(int x, int y, int channel)
{
    return std::uint8_t(channel == 0 ? x * 60 : channel == 1 ? y * 120 : 255 - x * 20 - y * 30);
}

int largestDifference(const Image& image)
{
    int worst = 0;
    for (int y = 0; y < 3; ++y)
        for (int x = 0; x < 5; ++x)
            for (int c = 0; c < 3; ++c)
                worst = std::max(
                    worst, std::abs(int(image.pixels[std::size_t(y * 5 + x) * std::size_t(image.channels) + std::size_t(c)]) - expected(x, y, c)));
    return worst;
}

Image picture(int width, int height, int channels)
{
    Image image{width, height, channels, {}};
    for (int i = 0; i < width * height * channels; ++i)
        image.pixels.push_back(std::uint8_t(i * 37 + i / 7));
    return image;
}

}  // namespace

class ImageTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void decodesPictures_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<int>("channels");
        QTest::addColumn<int>("tolerance");
        QTest::newRow("PNG") << "rgb.png" << 3 << 0;
        QTest::newRow("PNG, 16 bits, interlaced") << "rgb16_interlaced.png" << 3 << 0;
        QTest::newRow("PNG with alpha") << "rgba.png" << 4 << 0;
        QTest::newRow("JPEG") << "rgb.jpg" << 3 << 3;
        QTest::newRow("JPEG, CMYK") << "cmyk.jpg" << 3 << 6;
        QTest::newRow("WebP") << "rgb.webp" << 3 << 0;
        QTest::newRow("WebP with alpha") << "rgba.webp" << 4 << 0;
    }
    void decodesPictures()
    {
        QFETCH(QString, file);
        QFETCH(int, channels);
        QFETCH(int, tolerance);
        const Image image = decodeImage(fixture(file.toStdString()), "x");
        QCOMPARE(image.width, 5);
        QCOMPARE(image.height, 3);
        QCOMPARE(image.channels, channels);
        QVERIFY2(largestDifference(image) <= tolerance, std::to_string(largestDifference(image)).c_str());
        if (channels == 4)
            QVERIFY(std::abs(int(image.pixels[3]) - 128) <= 1);
    }

    void decodesGreyAndPalettes()
    {
        const Image grey = decodeImage(fixture("grey.png"), "x");
        QCOMPARE(grey.channels, 1);
        QCOMPARE(int(grey.pixels[0]), 18);
        QCOMPARE(int(grey.pixels[1]), 29);
        QCOMPARE(decodeImage(fixture("grey.jpg"), "x").channels, 1);
        QCOMPARE(decodeImage(fixture("palette.png"), "x").channels, 3);
        const Image alpha = decodeImage(fixture("grey_alpha.png"), "x");
        QCOMPARE(alpha.channels, 4);
        QCOMPARE(alpha.pixels[0], alpha.pixels[2]);
        const Image bits = decodeImage(fixture("bits.png"), "x");
        for (const std::uint8_t value : bits.pixels)
            QVERIFY(value == 0 || value == 255);
        QCOMPARE(decodeImage(fixture("progressive.jpg"), "x").width, 5);
    }

    void pngsComeBack_data()
    {
        QTest::addColumn<int>("width");
        QTest::addColumn<int>("channels");
        QTest::newRow("grey") << 7 << 1;
        QTest::newRow("RGB") << 31 << 3;
        QTest::newRow("RGBA") << 16 << 4;
        QTest::newRow("one column") << 1 << 3;
    }
    void pngsComeBack()
    {
        QFETCH(int, width);
        QFETCH(int, channels);
        const Image image = picture(width, 9, channels);
        const std::string bytes = encodePng(image);
        QCOMPARE(bytes, encodePng(image));
        const Image back = decodeImage(bytes, "x");
        QCOMPARE(back.width, width);
        QCOMPARE(back.channels, channels);
        QCOMPARE(back.pixels, image.pixels);
        // What an independent decoder checks as well: the length and checksum of each chunk.
        QCOMPARE(bytes.substr(bytes.size() - 12), std::string("\0\0\0\0IEND\xae\x42\x60\x82", 12));
    }

    void refusesEveryTruncation_data()
    {
        QTest::addColumn<QString>("file");
        for (const char* const file : {"rgb.png", "rgb16_interlaced.png", "rgb.jpg", "progressive.jpg", "rgb.webp", "rgba.webp"})
            QTest::newRow(file) << QString(file);
    }
    void refusesEveryTruncation()
    {
        QFETCH(QString, file);
        const std::string bytes = fixture(file.toStdString());
        // A JPEG without its last two bytes (the end marker) is still whole, and WebP files may be padded by a byte.
        for (std::size_t length = 0; length + 2 < bytes.size(); ++length) {
            const QString message = messageOf([&] { decodeImage(bytes.substr(0, length), "x"); });
            QVERIFY2(message.startsWith("x: "),
                     (std::to_string(length) + " of " + std::to_string(bytes.size()) + ": " + message.toStdString()).c_str());
        }
    }

    void refusesOtherFilesAndLargePictures()
    {
        QCOMPARE(messageOf([] { decodeImage("GIF89a", "a.gif"); }), QString("a.gif: expected a PNG, JPEG or WebP picture, got something else"));
        for (const char* const file : {"rgb.jpg", "rgb.webp", "rgb.png"})
            QCOMPARE(messageOf([&] {
                         decodeImage(fixture(file), "x", {4, 100});
                     }),
                     QString("x: expected a picture of at most 4 pixels a side and 100 in all, got 5 x 3"));
        QCOMPARE(messageOf([&] {
                     decodeImage(fixture("rgb.jpg"), "x", {100, 14});
                 }),
                 QString("x: expected a picture of at most 100 pixels a side and 14 in all, got 5 x 3"));
        // A PNG that claims 100,000 x 100,000 pixels in a few bytes.
        std::string bytes = fixture("rgb.png");
        bytes.replace(16, 8, std::string("\x00\x01\x86\xa0\x00\x01\x86\xa0", 8));
        QCOMPARE(messageOf([&] { decodeImage(bytes, "x"); }),
                 QString("x: expected a picture of at most 16384 pixels a side and 134217728 in all, got 100000 x 100000"));
        // A chunk of EXIF data that claims a gigabyte: libpng would take its memory first.
        bytes = fixture("rgb.png");
        const std::size_t size = bytes.size();
        bytes.insert(33, std::string("\x3f\xff\xff\xff"
                                     "eXIfMM\0*",
                                     12));
        QCOMPARE(messageOf([&] { decodeImage(bytes, "x"); }),
                 QString("x: broken PNG picture: the chunk at byte 33 says 1073741823 bytes, %1 are left").arg(size - 33));
    }

    void resizesByArea()
    {
        const Image checker{2, 2, 1, {0, 100, 200, 100}};
        QCOMPARE(resize(checker, 1, 1).pixels, (std::vector<std::uint8_t>{100}));
        QCOMPARE(resize(checker, 2, 2).pixels, checker.pixels);
        const Image wide{4, 1, 1, {0, 10, 20, 30}};
        QCOMPARE(resize(wide, 2, 1).pixels, (std::vector<std::uint8_t>{5, 25}));
        // Three from four: weights 1 and 1/3 of 4/3.
        QCOMPARE(resize(wide, 3, 1).pixels, (std::vector<std::uint8_t>{3, 15, 28}));
        const Image two{2, 1, 1, {0, 100}};
        QCOMPARE(resize(two, 4, 1).pixels, (std::vector<std::uint8_t>{0, 25, 75, 100}));
        QCOMPARE(messageOf<core::InputError>([&] { resize(two, 0, 1); }), QString("expected a size of at least 1 x 1, got 0 x 1"));
    }

    // The numbers are those of Pillow 9.4.
    void resamplesAsPillowDoes_data()
    {
        using Bytes = std::vector<std::uint8_t>;
        QTest::addColumn<Bytes>("smaller");
        QTest::addColumn<Bytes>("larger");
        QTest::newRow("nearest") << Bytes{41, 115, 189, 49, 123, 197} << Bytes{0, 0, 37, 74, 74};
        QTest::newRow("lanczos") << Bytes{27, 114, 201, 37, 124, 211} << Bytes{0, 8, 37, 66, 77};
        QTest::newRow("bilinear") << Bytes{36, 115, 194, 44, 123, 202} << Bytes{0, 15, 37, 59, 74};
        QTest::newRow("bicubic") << Bytes{30, 114, 198, 40, 124, 208} << Bytes{0, 11, 37, 63, 77};
        QTest::newRow("box") << Bytes{23, 115, 208, 33, 125, 218} << Bytes{0, 0, 37, 74, 74};
        QTest::newRow("hamming") << Bytes{31, 114, 197, 41, 124, 207} << Bytes{0, 10, 37, 64, 74};
    }
    void resamplesAsPillowDoes()
    {
        QFETCH(std::vector<std::uint8_t>, smaller);
        QFETCH(std::vector<std::uint8_t>, larger);
        const auto filter = *filterFromName(QTest::currentDataTag());
        QCOMPARE(resample(picture(7, 5, 1), 3, 2, filter).pixels, smaller);
        auto twice = larger;
        twice.insert(twice.end(), larger.begin(), larger.end());
        QCOMPARE(resample({3, 1, 1, {0, 37, 74}}, 5, 2, filter).pixels, twice);
    }

    void channelsAreResampledApart()
    {
        QCOMPARE(resample(picture(4, 3, 3), 2, 2, Filter::Bicubic).pixels,
                 (std::vector<std::uint8_t>{91, 113, 104, 121, 83, 129, 155, 117, 115, 125, 147, 112}));
        QVERIFY(messageOf<core::InputError>([] {
                    resample(picture(4, 3, 1), 1 << 20, 1 << 10, Filter::Box);
                }).startsWith("expected a size of at least 1 x 1 and at most"));
    }

    void theMiddleIsCutOut()
    {
        const Image image{4, 3, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}};
        QCOMPARE(centreCrop(image, 2, 1).pixels, (std::vector<std::uint8_t>{5, 6}));
        QCOMPARE(centreCrop(image, 1, 2).pixels, (std::vector<std::uint8_t>{1, 5}));
        // What is smaller lies in the middle of black, the larger margin before it.
        QCOMPARE(centreCrop(image, 2, 4).pixels, (std::vector<std::uint8_t>{0, 0, 1, 2, 5, 6, 9, 10}));
        QCOMPARE(centreCrop({1, 1, 1, {7}}, 2, 3).pixels, (std::vector<std::uint8_t>{0, 0, 0, 7, 0, 0}));
    }

    void convertsChannels()
    {
        const Image rgb{1, 1, 3, {255, 0, 0}};
        QCOMPARE(toChannels(rgb, 1).pixels, (std::vector<std::uint8_t>{76}));
        QCOMPARE(toChannels(rgb, 4).pixels, (std::vector<std::uint8_t>{255, 0, 0, 255}));
        const Image grey{1, 1, 1, {9}};
        QCOMPARE(toChannels(grey, 3).pixels, (std::vector<std::uint8_t>{9, 9, 9}));
        QVERIFY(messageOf<core::InputError>([&] { toChannels(Image{2, 1, 1, {9}}, 3); }).contains("got 2 x 1 x 1 with 1 bytes"));
    }
};

QTEST_APPLESS_MAIN(ImageTest)
#include "image_test.moc"
