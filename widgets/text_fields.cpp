#include "text_fields.h"

#include <QBoxLayout>
#include <QResizeEvent>
#include <QSignalBlocker>
#include <QToolButton>
#include <algorithm>
#include <utility>

#include "lines_edit.h"

namespace orrery::widgets {
namespace {

/// Narrower rows have the second text below the first.
constexpr int kBesideWidth = 360;

}  // namespace

TextFields::TextFields(Several several, QWidget* parent) : QWidget(parent), m_several(several), m_layout(new QVBoxLayout(this))
{
    m_layout->setContentsMargins(0, 0, 0, 0);
    m_layout->setSpacing(4);
    addRow();
    setFocusProxy(m_rows[0].text);
}

LinesEdit* TextFields::first() const
{
    return m_rows[0].text;
}

LinesEdit* TextFields::makeEdit(const QString& name, const QString& accessible)
{
    auto* edit = new LinesEdit;
    edit->setToolTip(tr("Enter reads it, Shift+Enter begins a new line"));
    if (name.startsWith(QLatin1String("pair"))) {
        edit->setPlaceholderText(tr("second text of a pair, if any"));
        edit->setToolTip(tr("For models that read two texts: question and passage, premise and hypothesis"));
    }
    edit->setObjectName(name);
    edit->setAccessibleName(accessible);
    connect(edit, &LinesEdit::textChanged, this, [this] {
        m_changed = true;
        Q_EMIT edited();
    });
    connect(edit, &LinesEdit::editingFinished, this, [this] {
        if (std::exchange(m_changed, false))
            Q_EMIT finished();
    });
    return edit;
}

void TextFields::addRow()
{
    const auto number = m_rows.size() + 1;
    const QString suffix = number == 1 ? QString() : QString::number(number);
    Row row;
    row.box = new QWidget;
    row.text = makeEdit(QStringLiteral("text") + suffix, number == 1 ? tr("Text") : tr("Text %1").arg(number));
    row.pair = makeEdit(QStringLiteral("pair") + suffix, number == 1 ? tr("Second text of a pair") : tr("Second text of pair %1").arg(number));
    row.button = new QToolButton;
    row.button->setText(number == 1 ? QStringLiteral("+") : QStringLiteral("−"));
    row.button->setObjectName(number == 1 ? QStringLiteral("add_text") : QStringLiteral("remove_text") + suffix);
    row.button->setToolTip(number == 1 ? tr("Another text: all are read as one batch, the shorter ones filled up") : tr("Leave this text out"));
    row.button->setAccessibleName(number == 1 ? tr("Another text") : tr("Leave text %1 out").arg(number));
    if (number == 1)
        connect(row.button, &QToolButton::clicked, this, [this] {
            setRows(int(m_rows.size()) + 1);
            m_rows.back().text->setFocus();
            Q_EMIT edited();
        });
    else
        connect(row.button, &QToolButton::clicked, this, [this, box = row.box] { removeRow(box); });
    auto* texts = new QBoxLayout(QBoxLayout::LeftToRight);
    texts->setSpacing(4);
    texts->addWidget(row.text, 1, Qt::AlignTop);
    texts->addWidget(row.pair, 1, Qt::AlignTop);
    auto* line = new QHBoxLayout(row.box);
    line->setContentsMargins(0, 0, 0, 0);
    line->addLayout(texts, 1);
    line->addWidget(row.button, 0, Qt::AlignTop);
    m_layout->addWidget(row.box);
    m_rows.push_back(row);
    arrange();
}

void TextFields::setRows(int count)
{
    count = std::clamp(count, 1, m_several == Several::Yes ? kMostRows : 1);
    while (int(m_rows.size()) < count)
        addRow();
    while (int(m_rows.size()) > count) {
        m_rows.back().box->hide();
        m_rows.back().box->deleteLater();
        m_rows.pop_back();
    }
    arrange();
}

/// What stands below moves up, so that names and numbers stay those of the order.
void TextFields::removeRow(QWidget* box)
{
    auto row = std::find_if(m_rows.begin(), m_rows.end(), [box](const Row& each) { return each.box == box; });
    for (; std::next(row) != m_rows.end(); ++row) {
        const QSignalBlocker text(row->text), pair(row->pair);
        row->text->setText(std::next(row)->text->text());
        row->pair->setText(std::next(row)->pair->text());
    }
    setRows(int(m_rows.size()) - 1);
    m_changed = false;
    Q_EMIT edited();
    Q_EMIT finished();
}

void TextFields::arrange()
{
    for (const Row& row : m_rows) {
        row.pair->setVisible(m_pairs);
        row.button->setVisible(m_several == Several::Yes);
        row.button->setEnabled(row.box != m_rows[0].box || int(m_rows.size()) < kMostRows);
        auto* texts = static_cast<QBoxLayout*>(row.box->layout()->itemAt(0)->layout());
        texts->setDirection(width() < kBesideWidth ? QBoxLayout::TopToBottom : QBoxLayout::LeftToRight);
    }
}

void TextFields::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    arrange();
}

void TextFields::setPairs(bool pairs)
{
    m_pairs = pairs;
    arrange();
}

void TextFields::setPlaceholder(const QString& text)
{
    first()->setPlaceholderText(text);
}

std::vector<train::GivenText> TextFields::texts() const
{
    std::vector<train::GivenText> out;
    for (const Row& row : m_rows)
        if (!row.text->text().isEmpty())
            out.push_back({row.text->text().toStdString(),
                           m_pairs && !row.pair->text().isEmpty() ? std::optional(row.pair->text().toStdString()) : std::nullopt});
    return out;
}

void TextFields::setTexts(const std::vector<train::GivenText>& texts)
{
    setRows(int(texts.size()));
    for (std::size_t i = 0; i < m_rows.size(); ++i) {
        const QSignalBlocker text(m_rows[i].text), pair(m_rows[i].pair);
        const bool isGiven = i < texts.size();
        m_rows[i].text->setText(isGiven ? QString::fromStdString(texts[i].text) : QString());
        m_rows[i].pair->setText(isGiven ? QString::fromStdString(texts[i].pair.value_or("")) : QString());
    }
    m_changed = false;
}

core::Json TextFields::toJson() const
{
    auto list = core::Json::array();
    for (const Row& row : m_rows)
        list.push_back({row.text->text().toStdString(), row.pair->text().toStdString()});
    return list;
}

void TextFields::fromJson(const core::Json& json)
{
    std::vector<train::GivenText> texts;
    const auto word = [](const core::Json& each) { return each.is_string() ? each.get<std::string>() : std::string(); };
    if (json.is_array())
        for (const auto& row : json)
            if (row.is_array() && row.size() == 2)
                texts.push_back({word(row[0]), word(row[1])});
    setTexts(texts);
}

QStringList textArguments(const std::vector<train::GivenText>& texts)
{
    QStringList words;
    // A pair stands for all texts if it is given once, else each text has its own.
    const bool pairs = std::any_of(texts.begin(), texts.end(), [](const auto& each) { return each.pair.has_value(); });
    for (const auto& each : texts)
        words << QStringLiteral("--text") << QString::fromStdString(each.text);
    for (const auto& each : texts)
        if (pairs)
            words << QStringLiteral("--pair") << QString::fromStdString(each.pair.value_or(""));
    return words;
}

QString describeTexts(const std::vector<train::GivenText>& texts)
{
    const auto shortened = [](const std::string& text) {
        constexpr int kMost = 40;
        const QString whole = QString::fromStdString(text).simplified();
        return whole.size() > kMost ? whole.left(kMost - 1) + QStringLiteral("…") : whole;
    };
    if (texts.size() != 1)
        return TextFields::tr("%n texts", nullptr, int(texts.size()));
    const QString first = QStringLiteral("“%1”").arg(shortened(texts[0].text));
    return texts[0].pair ? TextFields::tr("%1 with “%2”").arg(first, shortened(*texts[0].pair)) : first;
}

}  // namespace orrery::widgets
