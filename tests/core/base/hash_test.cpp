#include <QtTest>

#include <QTemporaryDir>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/hash.h>

using namespace orrery::core;

class HashTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void emptyInputHasThePublishedHash();
    void piecesHashLikeTheWhole();
    void fileHashesLikeItsContent();
    void missingFileIsAStorageError();
    void sixtyFourBitsDependOnTextAndSeed();
};

void HashTest::emptyInputHasThePublishedHash()
{
    // XXH3 of nothing with seed 0, as the reference implementation's `xxhsum -H2` and `-H3` print it.
    QCOMPARE(hashHex(""), std::string("99aa06d3014798d86001c324468d497f"));
    QCOMPARE(hash64(""), std::uint64_t(0x2d06800538d394c2));
}

void HashTest::piecesHashLikeTheWhole()
{
    std::string text(5000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i)
        text[i] = char(i * 7 + i / 256);
    for (const std::size_t piece : {1, 17, 240, 4096}) {
        Hasher hasher;
        for (std::size_t at = 0; at < text.size(); at += piece)
            hasher.add(std::string_view(text).substr(at, piece));
        hasher.add("");
        QCOMPARE(hasher.hex(), hashHex(text));
        QCOMPARE(hasher.hex(), hashHex(text));  // Asking twice changes nothing.
    }
    QCOMPARE(hashHex(text).size(), std::size_t(32));
    QVERIFY(hashHex(text) != hashHex(text.substr(1)));
}

void HashTest::fileHashesLikeItsContent()
{
    const QTemporaryDir folder;
    const std::filesystem::path file = folder.filePath("x").toStdString();
    const std::string content(3 << 20, 'x');
    writeFileAtomically(file, content);
    QCOMPARE(hashFileHex(file), hashHex(content));
}

void HashTest::missingFileIsAStorageError()
{
    try {
        hashFileHex("/nowhere/x");
        QFAIL("no error");
    } catch (const StorageError& error) {
        QCOMPARE(QString(error.what()), QString("/nowhere/x: cannot be opened: No such file or directory"));
    }
    QVERIFY_EXCEPTION_THROWN(hashFileHex("/"), StorageError);
}

void HashTest::sixtyFourBitsDependOnTextAndSeed()
{
    QVERIFY(hash64("a") != hash64("b"));
    QVERIFY(hash64("a", 1) != hash64("a", 2));
    QCOMPARE(hash64("a", 1), hash64("a", 1));
}

QTEST_APPLESS_MAIN(HashTest)
#include "hash_test.moc"
