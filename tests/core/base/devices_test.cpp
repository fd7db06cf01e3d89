#include <QtTest>

#include <ATen/Parallel.h>
#include <QTemporaryDir>

#include <core/base/devices.h>
#include <core/base/environment.h>
#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/process.h>

using namespace orrery::core;

namespace {

QString errorOf(const std::function<void()>& call)
{
    try {
        call();
    } catch (const DeviceError& error) {
        return QString("DeviceError: ") + error.what();
    } catch (const InputError& error) {
        return QString("InputError: ") + error.what();
    }
    return "no error";
}

bool hasCuda()
{
    return listDevices().size() > 1;
}

}  // namespace

class DevicesTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void cpuComesFirst();
    void deviceTextIsParsed();
    void wrongDeviceTextIsRefused_data();
    void wrongDeviceTextIsRefused();
    void missingDeviceNamesWhatExists();
    void gemmIsNamedAndMeasured();
    void snapshotHoldsWhatResultsDependOn();
    void gitStateFollowsTheWorkTree();
    void gitStateIsNullWhereThereIsNone();
    void processesAreRunAndLimited();
};

void DevicesTest::cpuComesFirst()
{
    const auto devices = listDevices();
    QVERIFY(!devices.empty());
    QCOMPARE(devices[0].id, std::string("cpu"));
    QVERIFY(!devices[0].name.empty());
    QVERIFY(devices[0].cores >= 1 && devices[0].cores <= 4096);
    QVERIFY(devices[0].memory > (std::uint64_t(128) << 20));
    QVERIFY2(devices[0].level != "unknown" && !devices[0].level.empty(), devices[0].level.c_str());
    for (std::size_t i = 1; i < devices.size(); ++i) {
        QCOMPARE(devices[i].id, "cuda:" + std::to_string(i - 1));
        QVERIFY(devices[i].memory > 0 && devices[i].cores > 0);
    }
}

void DevicesTest::deviceTextIsParsed()
{
    QVERIFY(parseDevice("cpu").is_cpu());
    QCOMPARE(parseDevice("auto").is_cuda(), hasCuda());
    if (!hasCuda())
        return;
    QCOMPARE(int(parseDevice("cuda").index()), 0);
    QCOMPARE(int(parseDevice("cuda:0").index()), 0);
}

void DevicesTest::wrongDeviceTextIsRefused_data()
{
    QTest::addColumn<QByteArray>("text");
    for (const char* const text : {"", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:99999999999", "cuda:128", "cpu:0", "cuda0"})
        QTest::newRow(text) << QByteArray(text);
}

void DevicesTest::wrongDeviceTextIsRefused()
{
    QFETCH(QByteArray, text);
    QCOMPARE(errorOf([&] { parseDevice(text.toStdString()); }),
             "InputError: device: expected auto, cpu, cuda or cuda:N, got \"" + QString(text) + "\"");
}

void DevicesTest::missingDeviceNamesWhatExists()
{
    const QString message = errorOf([] { parseDevice("cuda:100"); });
    if (hasCuda())
        QVERIFY2(message.startsWith("InputError: device: there is no \"cuda:100\" here that can be used; there are cpu, cuda:0"),
                 qPrintable(message));
    else
        QCOMPARE(message, "InputError: device: there is no \"cuda:100\" here that can be used; there is only cpu");
}

void DevicesTest::gemmIsNamedAndMeasured()
{
    const GemmInfo gemm = gemmInUse();
    QVERIFY(!gemm.name.empty());
    QCOMPARE(gemm.shim, bool(ORRERY_GEMM_SHIM));
    if (gemm.shim)
        QVERIFY2(gemm.name.starts_with("oneDNN ") && gemm.library.find("orrery_gemm") != std::string::npos, gemm.name.c_str());
    const double speed = measureGemm(256);
    qInfo("%s: %.1f GFLOP/s at 256, %.1f at 1024", gemm.name.c_str(), speed, measureGemm());
    QVERIFY(speed > 0.05 && speed < 1e6);
}

void DevicesTest::snapshotHoldsWhatResultsDependOn()
{
    at::set_num_threads(1);
    const Json snapshot = environmentSnapshot();
    for (const char* const key : {"orrery", "libtorch", "compiler", "system", "host"})
        QVERIFY2(snapshot.at(key).is_string() && !snapshot.at(key).get<std::string>().empty(), key);
    QCOMPARE(snapshot["orrery"].get<std::string>(), std::string(version()));
    QVERIFY(QRegularExpression("^\\d+\\.\\d+\\.\\d+$").match(QString::fromStdString(std::string(version()))).hasMatch());
    QCOMPARE(snapshot["devices"][0]["id"].get<std::string>(), std::string("cpu"));
    QCOMPARE(snapshot["gemm"]["name"].get<std::string>(), gemmInUse().name);
    QCOMPARE(snapshot["threads"].get<int>(), 1);
    QVERIFY(!snapshot.contains("git"));
}

void DevicesTest::gitStateFollowsTheWorkTree()
{
    const QTemporaryDir folder;
    const std::filesystem::path path = folder.path().toStdString();
    const auto git = [&](std::vector<std::string> arguments) {
        std::vector<std::string> command{"git", "-C", path.string(), "-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"};
        command.insert(command.end(), arguments.begin(), arguments.end());
        const auto result = runProcess(command, std::chrono::seconds(20), {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"});
        return result && result->exitStatus == 0;
    };
    if (!git({"init", "-q", "-b", "work"}))
        QSKIP("no git here");
    QCOMPARE(gitState(path).dump(), std::string(R"({"commit":null,"branch":"work","dirty":false})"));
    writeFileAtomically(path / "a.txt", "1");
    QVERIFY(git({"add", "a.txt"}) && git({"commit", "-q", "-m", "first"}));
    const Json clean = gitState(path);
    QVERIFY(QRegularExpression("^[0-9a-f]{40}$").match(QString::fromStdString(clean["commit"].get<std::string>())).hasMatch());
    QCOMPARE(clean["dirty"].get<bool>(), false);
    writeFileAtomically(path / "untracked.txt", "1");
    QCOMPARE(gitState(path).dump(), clean.dump());
    writeFileAtomically(path / "a.txt", "2");
    QCOMPARE(gitState(path)["dirty"].get<bool>(), true);
    std::filesystem::create_directory(path / "sub");
    QCOMPARE(environmentSnapshot(path / "sub")["git"].dump(), gitState(path).dump());
    QVERIFY(git({"checkout", "-q", "--detach"}));
    QVERIFY(gitState(path)["branch"].is_null());
}

void DevicesTest::gitStateIsNullWhereThereIsNone()
{
    const QTemporaryDir folder;
    QVERIFY(gitState(folder.path().toStdString()).is_null());
    QVERIFY(gitState("/nowhere").is_null());
    QVERIFY(gitState({}).is_null());
    const QByteArray path = qgetenv("PATH");
    qputenv("PATH", "/nowhere");
    const Json without = gitState(ORRERY_SOURCE_DIR);
    qputenv("PATH", path);
    QVERIFY(without.is_null());
}

void DevicesTest::processesAreRunAndLimited()
{
    using namespace std::chrono_literals;
    const auto echo = runProcess({"sh", "-c", "echo $ORRERY_A$ORRERY_B; exit 3"}, 5s, {"ORRERY_A=one", "ORRERY_B"});
    QVERIFY(echo.has_value());
    QCOMPARE(echo->output, std::string("one\n"));
    QCOMPARE(echo->exitStatus, 3);
    QCOMPARE(runProcess({"sh", "-c", "kill -9 $$"}, 5s)->exitStatus, 137);
    QCOMPARE(runProcess({"sh", "-c", "head -c 300000 /dev/zero"}, 5s)->output.size(), std::size_t(300000));
    QVERIFY(!runProcess({"no-such-program-anywhere"}, 5s));
    QVERIFY(!runProcess({}, 5s));
    QElapsedTimer timer;
    timer.start();
    QVERIFY(!runProcess({"sleep", "30"}, 100ms));
    QVERIFY(!runProcess({"sh", "-c", "exec >&-; sleep 30"}, 100ms));
    QVERIFY2(timer.elapsed() < 5000, qPrintable(QString::number(timer.elapsed())));
}

QTEST_APPLESS_MAIN(DevicesTest)
#include "devices_test.moc"
