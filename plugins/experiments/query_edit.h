#pragma once
#include <QTimer>
#include <QWidget>
#include <vector>

#include <core/store/run_filter.h>

class QCompleter;
class QLabel;
class QLineEdit;
class QStandardItemModel;

namespace orrery::plugins {

/// One line for a query over runs, with completion (Ctrl+Space, or while typing) and what is wrong with it below. UI thread.
class QueryEdit : public QWidget {
    Q_OBJECT
public:
    explicit QueryEdit(QWidget* parent = nullptr);

    QString text() const;
    void setText(const QString& text);
    /// What may be named: Workspace::runFields().
    void setFields(std::vector<store::RunField> fields);
    /// What the workspace says of the query (a field that no run has); empty: all is well.
    void setError(const QString& text);
    QString errorText() const;
    QLineEdit* edit() const { return m_edit; }
    QCompleter* completer() const { return m_completer; }
    /// True while the text has changed and has not been told yet.
    bool isWaiting() const { return m_timer.isActive(); }

Q_SIGNALS:
    /// The text has changed to one that can be read, a moment ago. Not for each letter.
    void queryChanged(const QString& text);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void edited();
    void settle();
    void offer(bool always);
    void insert(const QString& completion);

    QLineEdit* m_edit = nullptr;
    QLabel* m_error = nullptr;
    QCompleter* m_completer = nullptr;
    QStandardItemModel* m_offers = nullptr;
    std::vector<store::RunField> m_fields;
    QTimer m_timer;
    QString m_told;
    std::size_t m_from = 0, m_to = 0;  ///< bytes of the text that a completion replaces
};

}  // namespace orrery::plugins
