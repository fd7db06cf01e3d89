#pragma once
#include <QString>

namespace orrery::app {

/// Knows whether the last session ended well. While the program runs a marker file names its process and workspace; a crash leaves the marker and a report with
/// the stack.
class CrashGuard {
public:
    /// Installs the signal handlers and writes the marker.
    CrashGuard();
    ~CrashGuard();
    /// What to tell the user about the last session; empty if it ended well.
    const QString& lastCrash() const { return m_lastCrash; }
    /// The workspace that was open then; empty if none.
    const QString& lastWorkspace() const { return m_lastWorkspace; }
    /// Notes the workspace that is open now; empty: none.
    void setWorkspace(const QString& folder);

private:
    QString m_marker, m_lastCrash, m_lastWorkspace;
};

}  // namespace orrery::app
