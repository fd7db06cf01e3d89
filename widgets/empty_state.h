#pragma once
#include <QFrame>
#include <QList>
#include <QString>
#include <QWidget>

class QAction;
class QLabel;
class QVBoxLayout;

namespace orrery::widgets {

/// What an empty panel shows: a title, what to do next, and buttons that do it.
class EmptyState : public QWidget {
    Q_OBJECT
public:
    explicit EmptyState(QWidget* parent = nullptr);
    void setMessage(const QString& title, const QString& whatToDo, const QList<QAction*>& actions);
    QString title() const;
    QString text() const;

private:
    QLabel* m_title;
    QLabel* m_text;
    QVBoxLayout* m_buttons;
};

/// A band with an error text and a close button, hidden while empty. The text can be selected and copied.
class MessageBand : public QFrame {
    Q_OBJECT
public:
    explicit MessageBand(QWidget* parent = nullptr);
    void setText(const QString& text);
    QString text() const { return m_whole; }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    QString m_whole;  ///< as it was set, without places to break
    QLabel* m_text;
};

}  // namespace orrery::widgets
