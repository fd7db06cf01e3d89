#include "empty_state.h"

#include <QAction>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QPushButton>
#include <QToolButton>
#include <QVBoxLayout>

#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr int kButtonAir = 12;    ///< px beside a button's text
constexpr int kNarrowText = 360;  ///< px

QLabel* centredLabel(QWidget* parent)
{
    auto* label = new QLabel(parent);
    label->setAlignment(Qt::AlignCenter);
    label->setWordWrap(true);
    label->setTextFormat(Qt::PlainText);
    return label;
}

QPushButton* buttonFor(QAction* action, QWidget* parent)
{
    auto* button = new QPushButton(action->icon(), action->text(), parent);
    button->setToolTip(action->toolTip());
    button->setMinimumWidth(button->sizeHint().width() + 2 * kButtonAir);
    button->setEnabled(action->isEnabled());
    QObject::connect(button, &QPushButton::clicked, action, &QAction::trigger);
    QObject::connect(action, &QAction::changed, button, [button, action] { button->setEnabled(action->isEnabled()); });
    return button;
}

}  // namespace

EmptyState::EmptyState(QWidget* parent) : QWidget(parent), m_title(centredLabel(this)), m_text(centredLabel(this)), m_buttons(new QVBoxLayout)
{
    QFont font = m_title->font();
    font.setPointSizeF(font.pointSizeF() * 1.25);
    font.setBold(true);
    m_title->setFont(font);
    m_text->setMaximumWidth(420);
    m_text->setMinimumWidth(120);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(24, 12, 24, 12);
    layout->addStretch(2);
    layout->addWidget(m_title);
    layout->addSpacing(4);
    auto* middle = new QHBoxLayout;
    middle->addStretch(1);
    middle->addWidget(m_text, 100);
    middle->addStretch(1);
    layout->addLayout(middle);
    layout->addSpacing(8);
    layout->addLayout(m_buttons);
    layout->addStretch(3);
}

void EmptyState::setMessage(const QString& title, const QString& whatToDo, const QList<QAction*>& actions)
{
    m_title->setText(title);
    m_text->setText(whatToDo);
    // Layouts inside layouts lose the height that wrapped text needs: room for a narrow dock, so that no line is cut.
    m_text->setMinimumHeight(m_text->heightForWidth(kNarrowText));
    while (QLayoutItem* item = m_buttons->takeAt(0)) {
        delete item->widget();
        delete item;
    }
    for (QAction* action : actions)
        m_buttons->addWidget(buttonFor(action, this), 0, Qt::AlignHCenter);
}

QString EmptyState::title() const
{
    return m_title->text();
}
QString EmptyState::text() const
{
    return m_text->text();
}

namespace {

/// Letters of a word after which a line may break.
constexpr int kLongestWord = 24;

/// The same text with places for a line to break (U+200B) in words that are long: paths, names of tensors, formulas.
QString breakable(const QString& text)
{
    QString out;
    int length = 0;
    for (const QChar letter : text) {
        length = letter.isSpace() ? 0 : length + 1;
        out += letter;
        const bool isJoint = QStringLiteral("/._,:(){}[]?&=").contains(letter);
        if (length >= kLongestWord || (isJoint && length > kLongestWord / 2)) {
            if (!letter.isHighSurrogate())
                out += QChar(0x200b), length = 0;
        }
    }
    return out;
}

}  // namespace

MessageBand::MessageBand(QWidget* parent) : QFrame(parent), m_text(new QLabel(this))
{
    m_text->setWordWrap(true);
    m_text->setTextFormat(Qt::PlainText);
    // A notice takes the panel's width; it never asks for more.
    m_text->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_text->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    auto* close = new QToolButton(this);
    close->setText(QStringLiteral("✕"));
    close->setAutoRaise(true);
    close->setToolTip(tr("Close this message"));
    close->setAccessibleName(close->toolTip());
    connect(close, &QToolButton::clicked, this, [this] { setText({}); });
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(10, 6, 6, 6);
    layout->addWidget(m_text, 1);
    layout->addWidget(close, 0, Qt::AlignTop);
    hide();
}

void MessageBand::setText(const QString& text)
{
    m_whole = text;
    m_text->setText(breakable(text));
    setVisible(!text.isEmpty());
}

void MessageBand::paintEvent(QPaintEvent* event)
{
    QPainter(this).fillRect(rect(), themeColors(palette()).errorBackground);
    QFrame::paintEvent(event);
}

}  // namespace orrery::widgets
