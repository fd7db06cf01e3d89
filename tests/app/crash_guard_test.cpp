// What the next start knows of a session that ended badly.
#include <QDir>
#include <QFile>
#include <QStandardPaths>

#include <app/crash_guard.h>

#include "app_test.h"

using namespace orrery;

namespace {

QString sessions()
{
    return QStandardPaths::writableLocation(QStandardPaths::AppDataLocation) + "/sessions";
}

void leaveMarker(const QString& process, const QByteArray& workspace)
{
    QDir().mkpath(sessions());
    QFile marker(sessions() + "/" + process + ".running");
    QVERIFY(marker.open(QIODevice::WriteOnly));
    marker.write(workspace);
}

}  // namespace

class CrashGuardTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void goodEndLeavesNothing()
    {
        {
            app::CrashGuard guard;
            guard.setWorkspace("/some/where");
        }
        app::CrashGuard guard;
        QCOMPARE(guard.lastCrash(), QString());
        QCOMPARE(guard.lastWorkspace(), QString());
    }
    void badEndIsToldOnceWithItsWorkspace()
    {
        leaveMarker("2000000000", "/some/where");  // larger than any process number
        {
            app::CrashGuard guard;
            QVERIFY(guard.lastCrash().startsWith("The last session ended unexpectedly."));
            QCOMPARE(guard.lastWorkspace(), QStringLiteral("/some/where"));
        }
        app::CrashGuard again;
        QCOMPARE(again.lastCrash(), QString());
    }
    void anotherWindowThatRunsIsNoCrash()
    {
        leaveMarker("1", "/some/where");
        app::CrashGuard guard;
        QCOMPARE(guard.lastCrash(), QString());
        QVERIFY(QFile::remove(sessions() + "/1.running"));
    }
};

int main(int argc, char** argv)
{
    return test::runAppTest<CrashGuardTest>(argc, argv);
}

#include "crash_guard_test.moc"
