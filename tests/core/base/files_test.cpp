#include <QtTest>

#include <QTemporaryDir>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/mapped_files.h>

#include "../deflated.h"

using namespace orrery::core;
using orrery::gzip;

namespace {

namespace fs = std::filesystem;

QString errorOf(const std::function<void()>& call)
{
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

std::vector<std::string> namesIn(const fs::path& folder)
{
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder))
        out.push_back(entry.path().filename());
    return out;
}

}  // namespace

class FilesTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void writtenFileReadsBack();
    void failureInMidWriteKeepsTheOldContent();
    void fullDiskKeepsTheOldContent();
    void linkAndPermissionsStay();
    void unwritablePlacesAreStorageErrors();
    void readingRefusesWhatIsTooLargeOrNoFile();
    void aPipeThatNobodyWritesToIsEmpty();
    void mappingIsPrivate();
    void aFileReplacedWhileItIsMappedStaysWhole();
    void aFileCutWhileItIsMappedReadsAsZerosAndIsNamed();
    void aFileWrittenToWhileItIsMappedIsNamed();
    void aBusErrorElsewhereStillEndsTheProgram();
    void gzipInflates();
    void damagedGzipIsAFormatError();
    void pathsResolve();
    void resourcesFollowTheEnvironment();

private:
    fs::path path(const char* name) const { return fs::path(m_folder.path().toStdString()) / name; }
    QTemporaryDir m_folder;
};

void FilesTest::writtenFileReadsBack()
{
    for (const std::size_t size : {0, 1, 65536, 3000001}) {
        const std::string content(size, 'q');
        writeFileAtomically(path("a"), content);
        QCOMPARE(readFile(path("a")), content);
    }
    writeFileAtomically(path("pieces"), [](const auto& append) {
        for (int i = 0; i < 1000; ++i)
            append(std::string(1999, char('a' + i % 26)));
    });
    const std::string pieces = readFile(path("pieces"));
    QCOMPARE(pieces.size(), std::size_t(1999000));
    QCOMPARE(pieces[1999], 'b');
    QVERIFY(readFile("/proc/self/status").starts_with("Name:"));  // A file whose size is said to be 0.
}

void FilesTest::failureInMidWriteKeepsTheOldContent()
{
    writeFileAtomically(path("kept"), "old");
    const auto before = namesIn(m_folder.path().toStdString()).size();
    const QString error = errorOf([&] {
        writeFileAtomically(path("kept"), [](const auto& append) {
            append(std::string(5 << 20, 'n'));
            throw StorageError("stopped half-way");
        });
    });
    QCOMPARE(error, "stopped half-way");
    QCOMPARE(readFile(path("kept")), std::string("old"));
    QCOMPARE(namesIn(m_folder.path().toStdString()).size(), before);
}

void FilesTest::fullDiskKeepsTheOldContent()
{
    writeFileAtomically(path("limited"), "old");
    // A limit on file sizes stands for a full disk; it is set in a child, which tells by its status what it saw.
    const pid_t child = fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1 << 20, 1 << 20};
        setrlimit(RLIMIT_FSIZE, &limit);
        const QString error = errorOf([&] { writeFileAtomically(path("limited"), std::string(3 << 20, 'n')); });
        _exit(error.endsWith("limited: cannot be written: File too large") ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    QCOMPARE(status, 0);
    QCOMPARE(readFile(path("limited")), std::string("old"));
    for (const std::string& name : namesIn(m_folder.path().toStdString()))
        QVERIFY2(!name.ends_with(".tmp"), name.c_str());
}

void FilesTest::linkAndPermissionsStay()
{
    writeFileAtomically(path("real"), "1");
    ::chmod(path("real").c_str(), 0640);
    fs::create_symlink("real", path("link"));
    writeFileAtomically(path("link"), "2");
    QVERIFY(fs::is_symlink(path("link")));
    QCOMPARE(readFile(path("real")), std::string("2"));
    QCOMPARE(int(fs::status(path("real")).permissions()), 0640);
}

void FilesTest::unwritablePlacesAreStorageErrors()
{
    QCOMPARE(errorOf([] { writeFileAtomically("/nowhere/x", "1"); }), "/nowhere/x: cannot be written: No such file or directory");
    const fs::path folder = path("folder");
    fs::create_directory(folder);
    QVERIFY(errorOf([&] { writeFileAtomically(folder, "1"); }).endsWith("folder: cannot be written: Is a directory"));
    // Root may write anywhere: the child drops to nobody where it is root.
    const fs::path closed = path("closed");
    fs::create_directory(closed);
    writeFileAtomically(closed / "x", "old");
    ::chmod(closed.c_str(), 0555);
    ::chmod(m_folder.path().toUtf8().constData(), 0755);
    const pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        _exit(errorOf([&] { writeFileAtomically(closed / "x", "new"); }).endsWith("x: cannot be written: Permission denied") ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    ::chmod(closed.c_str(), 0755);
    QCOMPARE(status, 0);
    QCOMPARE(readFile(closed / "x"), std::string("old"));
}

void FilesTest::readingRefusesWhatIsTooLargeOrNoFile()
{
    writeFileAtomically(path("ten"), "0123456789");
    QCOMPARE(readFile(path("ten"), 10).size(), std::size_t(10));
    QVERIFY(errorOf([&] { readFile(path("ten"), 9); }).endsWith("ten: expected at most 9 bytes, got 10 or more"));
    QVERIFY(errorOf([&] { readFile("/dev/zero", 1000); }).startsWith("/dev/zero: expected at most 1000 bytes"));
    QVERIFY(errorOf([&] { readFile(path("missing")); }).endsWith("missing: cannot be opened: No such file or directory"));
    QVERIFY_EXCEPTION_THROWN(readFile("/"), StorageError);
    QVERIFY_EXCEPTION_THROWN(MappedFile("/"), StorageError);
}

void FilesTest::aPipeThatNobodyWritesToIsEmpty()
{
    QCOMPARE(::mkfifo(path("pipe").c_str(), 0600), 0);
    QCOMPARE(readFile(path("pipe")), std::string());
    QVERIFY(errorOf([&] { MappedFile mapped(path("pipe")); }).endsWith("pipe: expected a file, found a pipe"));
    QVERIFY(errorOf([] { MappedFile mapped("/dev/zero"); }).endsWith("/dev/zero: expected a file, found a device"));
    // One that somebody writes to is read to its end, however slowly it comes.
    int ends[2];
    QCOMPARE(::pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        ::usleep(50'000);
        _exit(::write(ends[1], "late", 4) == 4 ? 0 : 1);
    }
    ::close(ends[1]);
    QCOMPARE(readFile("/dev/fd/" + std::to_string(ends[0])), std::string("late"));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
}

void FilesTest::mappingIsPrivate()
{
    writeFileAtomically(path("mapped"), "abc");
    const MappedFile mapped(path("mapped"));
    QCOMPARE(std::string(mapped.text()), std::string("abc"));
    mapped.bytes()[0] = std::byte('X');
    QCOMPARE(std::string(mapped.text()), std::string("Xbc"));
    QCOMPARE(readFile(path("mapped")), std::string("abc"));
    writeFileAtomically(path("nothing"), "");
    QVERIFY(MappedFile(path("nothing")).bytes().empty());
}

// As programs do it that write beside and rename: what is mapped is the old file still.
void FilesTest::aFileReplacedWhileItIsMappedStaysWhole()
{
    writeFileAtomically(path("replaced"), std::string(9'000, 'a'));
    const MappedFile mapped(path("replaced"));
    writeFileAtomically(path("replaced"), "b");
    QCOMPARE(errorOf([&] { requireAsOpened(mapped.text().data()); }), "no error");
    fs::remove(path("replaced"));
    QCOMPARE(errorOf([&] { requireAsOpened(mapped.text().data()); }), "no error");
    QCOMPARE(std::string(mapped.text()), std::string(9'000, 'a'));
    QCOMPARE(mappedFileChange(), std::string());
}

void FilesTest::aFileCutWhileItIsMappedReadsAsZerosAndIsNamed()
{
    writeFileAtomically(path("cut"), std::string(1 << 20, 'a'));
    writeFileAtomically(path("other"), "b");
    const MappedFile other(path("other"));
    const QString wanted = "cut: the file was cut short while it was open here, so its content is no longer what was opened: open it again";
    {
        const MappedFile mapped(path("cut"));
        QVERIFY(mappedFilesAreAsOpened());
        fs::resize_file(path("cut"), 10'000);
        QCOMPARE(mapped.text()[9'999], 'a');
        QCOMPARE(mapped.text()[600'000], '\0');
        QCOMPARE(mapped.text()[(1 << 20) - 1], '\0');
        mapped.bytes()[700'000] = std::byte('x');
        QVERIFY(!mappedFilesAreAsOpened());
        QVERIFY(errorOf([&] { requireAsOpened(mapped.text().data() + 5); }).endsWith(wanted));
        QCOMPARE(errorOf([&] { requireAsOpened(other.text().data()); }), "no error");
    }
    QVERIFY(mappedFilesAreAsOpened());
    QVERIFY(QString::fromStdString(mappedFileChange()).endsWith(wanted));
}

void FilesTest::aFileWrittenToWhileItIsMappedIsNamed()
{
    writeFileAtomically(path("written"), std::string(9'000, 'a'));
    const MappedFile mapped(path("written"));
    fs::last_write_time(path("written"), fs::last_write_time(path("written")) - std::chrono::seconds(9));
    QVERIFY(errorOf([&] { requireAsOpened(mapped.text().data()); }).contains("written: the file was written to while it was open here"));
    QTRY_VERIFY(!mappedFilesAreAsOpened());
}

void FilesTest::aBusErrorElsewhereStillEndsTheProgram()
{
    writeFileAtomically(path("mapped"), "abc");
    const MappedFile mapped(path("mapped"));
    const auto endOf = [](const std::function<void()>& work) {
        const pid_t child = fork();
        if (child == 0) {
            const rlimit none{0, 0};
            setrlimit(RLIMIT_CORE, &none);
            ::setenv("QTEST_DISABLE_STACK_DUMP", "1", 1);
            work();
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    };
    QCOMPARE(endOf([] { ::raise(SIGBUS); }), SIGBUS);
    writeFileAtomically(path("unwatched"), "abc");
    QCOMPARE(endOf([&] {
                 const int fd = ::open(path("unwatched").c_str(), O_RDONLY);
                 const auto* bytes = static_cast<const volatile char*>(::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
                 fs::resize_file(path("unwatched"), 0);
                 (void)bytes[0];
             }),
             SIGBUS);
}

void FilesTest::gzipInflates()
{
    const std::string text(1000000, 'z');
    QCOMPARE(inflateIfGzip(gzip(text), "x.gz"), text);
    QCOMPARE(inflateIfGzip("plain", "x"), std::string("plain"));
    QCOMPARE(inflateIfGzip("", "x"), std::string());
    QCOMPARE(inflateIfGzip(gzip(""), "x.gz"), std::string());
    QCOMPARE(inflateIfGzip(gzip("one ") + gzip("two"), "x.gz"), std::string("one two"));
    QCOMPARE(inflateIfGzip(gzip("padded") + std::string(20, '\0'), "x.gz"), std::string("padded"));
}

void FilesTest::damagedGzipIsAFormatError()
{
    const std::string good = gzip("the quick brown fox jumps over the lazy dog, many times over and over again");
    for (const std::size_t size : {2, 9, 12, 30})
        QVERIFY_EXCEPTION_THROWN(inflateIfGzip(good.substr(0, size), "x.gz"), FormatError);
    std::string flipped = good;
    flipped[flipped.size() - 6] ^= 1;  // The checksum.
    QVERIFY(errorOf([&] { inflateIfGzip(flipped, "x.gz"); }).contains("incorrect data check"));
    QVERIFY(errorOf([&] { inflateIfGzip(good.substr(0, 30), "x.gz"); }).contains("the data end too early"));
    QCOMPARE(errorOf([&] { inflateIfGzip(gzip(std::string(1 << 20, 'a')), "bomb.gz", 1000); }),
             "bomb.gz: expected at most 1000 bytes when inflated, got more");
}

void FilesTest::pathsResolve()
{
    QCOMPARE(resolvePath("a/b", "/base"), fs::path("/base/a/b"));
    QCOMPARE(resolvePath("/a", "/base"), fs::path("/a"));
    QCOMPARE(resolvePath("a"), fs::path("a"));
    QVERIFY(fs::exists(executableFolder() / "files_test"));
}

void FilesTest::resourcesFollowTheEnvironment()
{
    ::setenv("ORRERY_RESOURCES", m_folder.path().toUtf8().constData(), 1);
    QCOMPARE(resolvePath("resource:digits.csv.gz", "/base"), path("data") / "digits.csv.gz");
    ::setenv("ORRERY_RESOURCES", "/nowhere", 1);
    QCOMPARE(errorOf([] { resourceFolder(); }), "$ORRERY_RESOURCES: expected a folder, got \"/nowhere\"");
    ::unsetenv("ORRERY_RESOURCES");
}

QTEST_APPLESS_MAIN(FilesTest)
#include "files_test.moc"
