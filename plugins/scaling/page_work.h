#pragma once
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QTableWidget>
#include <QWidget>

#include <widgets/background.h>
#include <widgets/job_bar.h>
#include <widgets/session.h>

#include "scaling_model.h"

namespace orrery::plugins {

/// What the tabs of the panel share: a button that starts their work as a job, with progress and cancel; errors go up to the panel. UI thread.
class ScalingPage : public QWidget {
    Q_OBJECT
public:
    ScalingPage(widgets::Session& session, const QString& buttonText, const QString& progressName);

    /// The `orrery-cli` line of what is on show; empty if there is none.
    virtual QString command() const = 0;
    virtual core::Json saveState() const = 0;
    /// Unknown and ill-typed keys are ignored.
    virtual void restoreState(const core::Json& state) = 0;
    bool isRunning() const { return m_bar->isRunning(); }
    /// Of all pages, those behind included: the dock may be narrow.
    QSize minimumSizeHint() const override { return {380, 400}; }
    /// The page takes the room there is: wrapped lines of text ask for no more, so that what stands below the plots is seen without scrolling.
    bool hasHeightForWidth() const override { return false; }

Q_SIGNALS:
    void failed(const QString& text);
    void busyChanged(int change);
    void message(const QString& text);

protected:
    /// Starts the work of the tab; called by the button.
    virtual void run() = 0;
    /// Why the button is off, for its tooltip; empty: it is on.
    virtual QString whyNot() const = 0;
    void updateButton();
    QHBoxLayout* buttonRow() const { return m_row; }
    widgets::Session& session() const { return m_session; }

    template <class Work, class Done>
    void start(Work work, Done done, const QString& title, const char* kind, core::Json document, int threads = 1)
    {
        Q_EMIT failed({});
        widgets::BackgroundOptions options;
        options.title = title;
        options.lane = widgets::Lane::Queue;
        options.kind = QString::fromLatin1(kind);
        options.document = std::move(document);
        options.threads = threads;
        m_bar->follow(m_session.runInBackground(
            this, std::move(work), std::move(done), [this](const QString& text) { Q_EMIT failed(text); }, options));
        Q_EMIT busyChanged(1);
        updateButton();
    }

private:
    widgets::Session& m_session;
    QPushButton* m_run;
    widgets::JobBar* m_bar;
    QHBoxLayout* m_row;
};

/// A combo box that may be narrow, with a name for people who cannot see it.
QComboBox* narrowBox(const QString& name, const QString& tooltip);
/// A table for reading: rows of texts, the first column to the left, numbers to the right.
QTableWidget* readingTable(const QString& name, const QStringList& columns);
void fillTable(QTableWidget& table, const QList<QStringList>& rows);
/// A line of text that may be copied and wraps.
QLabel* textLine(const QString& name);
QString stateText(const core::Json& state, const char* key, const QString& standard = {});
double stateNumber(const core::Json& state, const char* key, double standard);

}  // namespace orrery::plugins
