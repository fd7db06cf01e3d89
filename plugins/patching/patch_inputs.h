#pragma once
#include <QStringList>
#include <QTableWidget>
#include <QWidget>
#include <vector>

class QCheckBox;

namespace orrery::plugins {

/// The tokens of both inputs below each other; those that differ are marked. Hidden while there are none.
class TokenPairTable : public QTableWidget {
    Q_OBJECT
public:
    explicit TokenPairTable(QWidget* parent = nullptr);
    void setTokens(const QStringList& clean, const QStringList& corrupted);
    /// Makes a position current; emits nothing.
    void showPosition(int position);

Q_SIGNALS:
    void positionChosen(int position);

private:
    void fill(int row, int column, const QString& token, bool differs);
};

/// One box a component of the model, several of which may be on, in as many lines as they need. What was chosen for another model is remembered.
class ComponentChoice : public QWidget {
    Q_OBJECT
public:
    explicit ComponentChoice(QWidget* parent = nullptr);
    /// The components this model has. Hidden without any.
    void setAvailable(const std::vector<std::string>& components);
    /// Chosen and available, in the order of a block.
    QStringList chosen() const;
    /// All that were chosen, available here or not.
    const QStringList& remembered() const { return m_remembered; }
    void setRemembered(const QStringList& components);
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void changed();

protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    QCheckBox* makeButton(const QString& component);
    void arrange();
    QStringList m_remembered = {QStringLiteral("resid_pre")};
    std::vector<QCheckBox*> m_buttons;
};

}  // namespace orrery::plugins
