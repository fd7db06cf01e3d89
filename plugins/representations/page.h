#pragma once
#include <optional>

#include <core/intervene/activations.h>
#include <widgets/controls.h>
#include <widgets/job_page.h>

#include "representations_model.h"

namespace orrery::plugins {

/// A tab of the panel: works on the subject that all tabs share. UI thread.
class Page : public widgets::JobPage {
    Q_OBJECT
public:
    using widgets::JobPage::JobPage;

    /// Null: nothing is open, the button is off.
    void setSubject(const OpenedPtr& subject, const RowChoice& choice);
    /// A complete result is on show, perhaps of an earlier subject.
    bool hasResult() const { return m_hasResult; }
    /// Where it is stored, if it is.
    std::optional<std::int64_t> analysis() const { return m_analysis; }

protected:
    QString whyNot() const override { return m_subject ? QString() : tr("Choose a model and data first"); }
    /// The subject or the rows changed: what is on show stays until the next result.
    virtual void subjectChanged() {}
    void setResult(std::optional<std::int64_t> analysis)
    {
        m_hasResult = true;
        m_analysis = analysis;
    }
    const OpenedPtr& subject() const { return m_subject; }
    const RowChoice& choice() const { return m_choice; }
    /// Stop token and progress of a job, for core.
    static intervene::Control controlOf(widgets::BackgroundContext& context);

private:
    OpenedPtr m_subject;
    RowChoice m_choice;
    bool m_hasResult = false;
    std::optional<std::int64_t> m_analysis;
};

}  // namespace orrery::plugins
