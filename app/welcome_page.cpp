#include "welcome_page.h"

#include <QDir>
#include <QEvent>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>

#include <widgets/theme.h>

#include "main_window.h"

namespace orrery::app {
namespace {

QLabel* heading(const QString& text, double scale, QWidget* parent)
{
    auto* label = new QLabel(text, parent);
    auto font = label->font();
    font.setPointSizeF(font.pointSizeF() * scale);
    font.setBold(true);
    label->setFont(font);
    return label;
}

// A flat button of two lines: what it opens, and a sentence about it.
class LinkButton : public QPushButton {
public:
    LinkButton(const QString& title, const QString& description, QWidget* parent) : QPushButton(parent)
    {
        setFlat(true);
        setAccessibleName(title);
        setAccessibleDescription(description);
        setCursor(Qt::PointingHandCursor);
        auto* layout = new QVBoxLayout(this);
        layout->setContentsMargins(10, 6, 10, 6);
        layout->setSpacing(1);
        layout->addWidget(heading(title, 1.0, this));
        m_text = new QLabel(description, this);
        m_text->setWordWrap(true);
        layout->addWidget(m_text);
        mute();
        for (auto* label : findChildren<QLabel*>())
            label->setAttribute(Qt::WA_TransparentForMouseEvents);
        auto policy = QSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
        policy.setHeightForWidth(true);
        setSizePolicy(policy);
    }
    QSize sizeHint() const override { return {320, heightForWidth(std::max(width(), 320))}; }
    bool hasHeightForWidth() const override { return true; }
    int heightForWidth(int width) const override { return layout()->totalHeightForWidth(width); }

protected:
    void changeEvent(QEvent* event) override
    {
        QPushButton::changeEvent(event);
        if (event->type() == QEvent::PaletteChange)
            mute();
    }

private:
    void mute()
    {
        auto muted = palette();
        muted.setColor(QPalette::WindowText, widgets::themeColors(palette()).mutedText);
        m_text->setPalette(muted);
    }

    QLabel* m_text = nullptr;
};

QPushButton* link(const QString& title, const QString& description, QWidget* parent)
{
    return new LinkButton(title, description, parent);
}

void clear(QLayout* layout)
{
    while (auto* item = layout->takeAt(0)) {
        if (item->widget())
            item->widget()->deleteLater();
        delete item;
    }
}

}  // namespace

WelcomePage::WelcomePage(QWidget* parent) : QWidget(parent)
{
    auto* outer = new QVBoxLayout(this);
    auto* scroll = new QScrollArea(this);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    outer->addWidget(scroll);
    auto* content = new QWidget(scroll);
    scroll->setWidget(content);
    auto* centred = new QHBoxLayout(content);
    auto* column = new QWidget(content);
    column->setMaximumWidth(980);
    centred->addStretch(1);
    centred->addWidget(column, 10);
    centred->addStretch(1);
    auto* layout = new QVBoxLayout(column);
    layout->setContentsMargins(24, 32, 24, 24);
    layout->setSpacing(12);
    layout->addWidget(heading(tr("Orrery"), 2.0, column));
    auto* intro = new QLabel(
        tr("Train models, look inside them, ask why they answer as they do. Everything is kept in a workspace: one folder you choose."), column);
    intro->setWordWrap(true);
    layout->addWidget(intro);
    auto* columns = new QHBoxLayout;
    columns->setSpacing(32);
    layout->addLayout(columns);

    constexpr int kBetweenLinks = 6;  // else the columns' own distance would be taken over
    auto* left = new QVBoxLayout;
    left->setSpacing(kBetweenLinks);
    columns->addLayout(left, 1);
    left->addWidget(heading(tr("Open"), 1.2, column));
    auto* workspace = link(tr("Workspace…"), tr("A folder with runs; an empty folder becomes a new one."), column);
    auto* file = link(tr("File…"), tr("A model, an experiment document or a table. Dropping it on the window does the same."), column);
    left->addWidget(workspace);
    left->addWidget(file);
    left->addSpacing(3 * kBetweenLinks);
    left->addWidget(heading(tr("Recent"), 1.2, column));
    m_recent = new QVBoxLayout;
    left->addLayout(m_recent);
    left->addStretch(1);

    auto* right = new QVBoxLayout;
    right->setSpacing(kBetweenLinks);
    columns->addLayout(right, 1);
    right->addWidget(heading(tr("Examples"), 1.2, column));
    for (const auto& example : examples()) {
        auto* button = link(example.title, example.summary, column);
        connect(button, &QAbstractButton::clicked, this, [this, document = example.file] { Q_EMIT exampleChosen(document); });
        right->addWidget(button);
    }
    right->addStretch(1);
    layout->addStretch(1);
    connect(workspace, &QAbstractButton::clicked, this, &WelcomePage::openWorkspaceRequested);
    connect(file, &QAbstractButton::clicked, this, &WelcomePage::openFileRequested);
    refresh();
}

void WelcomePage::refresh()
{
    clear(m_recent);
    const auto items = recentItems();
    for (const auto& item : items.mid(0, 6)) {
        auto* button = link(QFileInfo(item).fileName(), QDir::toNativeSeparators(item), this);
        connect(button, &QAbstractButton::clicked, this, [this, item] { Q_EMIT recentChosen(item); });
        m_recent->addWidget(button);
    }
    if (items.isEmpty())
        m_recent->addWidget(new QLabel(tr("Nothing yet."), this));
}

}  // namespace orrery::app
