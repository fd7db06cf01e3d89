#include "query_edit.h"

#include <QAbstractItemView>
#include <QCompleter>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QScrollBar>
#include <QStandardItemModel>
#include <QVBoxLayout>
#include <algorithm>

#include <core/base/error.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr int kSettleTime = 200;  ///< ms without a key until the query is asked
constexpr int kHelpRole = Qt::UserRole + 1;

QString parseProblem(const QString& text)
{
    try {
        store::parseRunFilter(text.toStdString());
        return {};
    } catch (const core::Error& error) {
        return QString::fromUtf8(error.what());
    }
}

}  // namespace

QueryEdit::QueryEdit(QWidget* parent) : QWidget(parent)
{
    m_edit = new QLineEdit(this);
    m_edit->setObjectName("query");
    m_edit->setClearButtonEnabled(true);
    m_edit->setPlaceholderText(tr("Query: test/accuracy > 0.97 and optimizer.lr < 1e-2"));
    m_edit->setToolTip(tr("Words, or FIELD = != < <= > >= ~ VALUE, FIELD in (A, B), joined by and, or, not and parentheses. Ctrl+Space completes."));
    m_edit->setAccessibleName(tr("Query over runs"));
    m_edit->installEventFilter(this);
    m_error = new QLabel(this);
    m_error->setObjectName("query_error");
    m_error->setWordWrap(true);
    m_error->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_error->hide();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(2);
    column->addWidget(m_edit);
    column->addWidget(m_error);
    m_offers = new QStandardItemModel(0, 1, this);
    m_completer = new QCompleter(m_offers, this);
    m_completer->setWidget(m_edit);
    m_completer->setCompletionMode(QCompleter::UnfilteredPopupCompletion);
    m_completer->setMaxVisibleItems(12);
    connect(m_completer, qOverload<const QString&>(&QCompleter::activated), this, &QueryEdit::insert);
    m_timer.setSingleShot(true);
    m_timer.setInterval(kSettleTime);
    connect(&m_timer, &QTimer::timeout, this, &QueryEdit::settle);
    connect(m_edit, &QLineEdit::textChanged, this, &QueryEdit::edited);
    connect(m_edit, &QLineEdit::textEdited, this, [this] { offer(false); });
    setFocusProxy(m_edit);
}

QString QueryEdit::text() const
{
    return m_edit->text();
}

void QueryEdit::setText(const QString& text)
{
    m_edit->setText(text);
}

void QueryEdit::setFields(std::vector<store::RunField> fields)
{
    m_fields = std::move(fields);
}

QString QueryEdit::errorText() const
{
    return m_error->isHidden() ? QString() : m_error->text();
}

void QueryEdit::setError(const QString& text)
{
    m_error->setText(text);
    m_error->setVisible(!text.isEmpty());
    QPalette colors = palette();
    if (!text.isEmpty())
        colors.setColor(QPalette::WindowText, widgets::themeColors(palette()).error);
    m_error->setPalette(colors);
}

void QueryEdit::edited()
{
    m_timer.start();
    if (!errorText().isEmpty() && parseProblem(text()).isEmpty())
        setError({});
}

void QueryEdit::settle()
{
    const QString problem = parseProblem(text());
    setError(problem);
    if (!problem.isEmpty() || m_told == text())
        return;
    m_told = text();
    Q_EMIT queryChanged(m_told);
}

void QueryEdit::offer(bool always)
{
    const std::string before = text().left(m_edit->cursorPosition()).toStdString();
    const store::Completions found = store::completions(text().toStdString(), before.size(), m_fields);
    m_from = found.from;
    m_to = found.to;
    m_offers->clear();
    for (const auto& item : found.items) {
        auto* row = new QStandardItem(QString::fromStdString(item.text));
        row->setToolTip(QString::fromStdString(item.help));
        row->setData(QString::fromStdString(item.help), kHelpRole);
        m_offers->appendRow(row);
    }
    const bool isSomethingTyped = m_from < m_to;
    if (m_offers->rowCount() == 0 || (!always && !isSomethingTyped)) {
        m_completer->popup()->hide();
        return;
    }
    QRect place = m_edit->rect();
    auto* popup = m_completer->popup();
    place.setWidth(std::max(popup->sizeHintForColumn(0) + popup->verticalScrollBar()->sizeHint().width() + 12, 160));
    place.translate(m_edit->inputMethodQuery(Qt::ImCursorRectangle).toRect().left(), 0);
    m_completer->complete(place);
}

void QueryEdit::insert(const QString& completion)
{
    const std::string whole = text().toStdString();
    const QString before = QString::fromStdString(whole.substr(0, m_from)) + completion, after = QString::fromStdString(whole.substr(m_to));
    const bool needsBlank = !after.startsWith(' ');
    m_edit->setText(before + (needsBlank ? " " : "") + after);
    m_edit->setCursorPosition(int(before.size()) + 1);
}

bool QueryEdit::eventFilter(QObject* watched, QEvent* event)
{
    if (watched == m_edit && event->type() == QEvent::KeyPress) {
        auto* key = static_cast<QKeyEvent*>(event);
        if (key->key() == Qt::Key_Space && key->modifiers() == Qt::ControlModifier) {
            offer(true);
            return true;
        }
        if (key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter) {
            m_timer.stop();
            settle();
            return true;
        }
    }
    return QWidget::eventFilter(watched, event);
}

}  // namespace orrery::plugins
