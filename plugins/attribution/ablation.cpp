#include "ablation.h"

#include <QUndoCommand>
#include <QUndoStack>

#include <widgets/session.h>

namespace orrery::plugins {
namespace {

class LeaveOutCommand : public QUndoCommand {
public:
    LeaveOutCommand(Ablation* ablation, LeftOut before, LeftOut after, const QString& text)
        : QUndoCommand(text), m_ablation(ablation), m_subject(ablation->subject()), m_before(std::move(before)), m_after(std::move(after))
    {
    }
    void undo() override { apply(m_before); }
    void redo() override { apply(m_after); }

private:
    void apply(const LeftOut& leftOut)
    {
        const auto subject = m_subject.lock();
        if (m_ablation && subject)
            m_ablation->apply(subject, leftOut);
    }
    QPointer<Ablation> m_ablation;
    std::weak_ptr<const PreparedSubject> m_subject;  ///< the stack does not keep old models alive
    LeftOut m_before, m_after;
};

}  // namespace

Ablation::Ablation(widgets::Session& session, QObject* parent) : QObject(parent), m_session(session)
{
}

Ablation::~Ablation()
{
    m_task.cancel();
}

void Ablation::setSubject(const PreparedPtr& subject)
{
    m_task.cancel();
    m_computing = m_again = false;
    m_subject = subject;
    m_leftOut.elements.clear();
    m_committed = m_leftOut;
    m_answer = subject ? subject->answer : Answer();
    Q_EMIT leftOutChanged();
    Q_EMIT answerChanged();
}

void Ablation::preview(const LeftOut& leftOut)
{
    if (!m_subject || leftOut == m_leftOut)
        return;
    m_leftOut = leftOut;
    Q_EMIT leftOutChanged();
    compute();
}

void Ablation::commit(const QString& text)
{
    if (m_subject && !(m_leftOut == m_committed))
        m_session.undoStack().push(new LeaveOutCommand(this, m_committed, m_leftOut, text));
}

void Ablation::change(const LeftOut& leftOut, const QString& text)
{
    preview(leftOut);
    commit(text);
}

void Ablation::apply(const PreparedPtr& subject, const LeftOut& leftOut)
{
    if (subject != m_subject)
        return;
    m_committed = leftOut;
    preview(leftOut);
}

/// One run at a time: what changes meanwhile is computed after it, so that a slow model is never behind by more than one run.
void Ablation::compute()
{
    m_again = m_computing;
    if (m_computing)
        return;
    if (m_leftOut.elements.empty()) {
        m_answer = m_subject->answer;
        Q_EMIT answerChanged();
        return;
    }
    m_computing = true;
    const std::vector<std::int64_t> elements(m_leftOut.elements.begin(), m_leftOut.elements.end());
    m_task = m_session.runInBackground(
        this,
        [subject = m_subject, elements, baseline = m_leftOut.baseline](widgets::BackgroundContext& context) {
            return answerWithout(*subject, elements, baseline, context.stopToken());
        },
        [this](Answer answer) {
            m_answer = std::move(answer);
            finished();
        },
        [this](const QString& text) {
            Q_EMIT failed(text);
            finished();
        });
    Q_EMIT answerChanged();
}

void Ablation::finished()
{
    m_computing = false;
    if (m_again)
        compute();
    Q_EMIT answerChanged();
}

}  // namespace orrery::plugins
