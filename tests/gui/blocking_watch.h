#pragma once
#include <QElapsedTimer>
#include <QString>
#include <QTimer>
#include <algorithm>
#include <cstdio>
#include <map>

namespace orrery::test {

/// Measures how long the event loop of the UI thread did not turn: a timer of 5 ms notes the gaps between its own calls, by chapter.
class BlockingWatch {
public:
    BlockingWatch()
    {
        m_timer.setTimerType(Qt::PreciseTimer);
        QObject::connect(&m_timer, &QTimer::timeout, [this] { note(); });
        m_timer.start(kInterval);
        m_clock.start();
    }
    /// What happens from now on. The gap before counts for the chapter before.
    void chapter(const QString& name)
    {
        note();
        m_chapter = name;
    }
    double longest() const
    {
        double most = 0;
        for (const auto& [name, gap] : m_longest)
            most = std::max(most, gap);
        return most;
    }
    void print() const
    {
        for (const auto& [name, gap] : m_longest)
            std::printf("event loop blocked at most %6.1f ms: %s\n", gap, qPrintable(name));
        std::printf("event loop blocked at most %6.1f ms in all\n", longest());
        std::fflush(stdout);
    }

private:
    static constexpr int kInterval = 5;  ///< ms
    void note()
    {
        const double gap = double(m_clock.nsecsElapsed()) / 1e6 - kInterval;
        m_clock.start();
        auto& most = m_longest[m_chapter];
        most = std::max(most, gap);
    }

    QTimer m_timer;
    QElapsedTimer m_clock;
    QString m_chapter = "start";
    std::map<QString, double> m_longest;
};

}  // namespace orrery::test
