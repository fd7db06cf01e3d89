#include "token_view.h"

#include <QAction>
#include <QClipboard>
#include <QContextMenuEvent>
#include <QFontDatabase>
#include <QGuiApplication>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QScrollBar>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include <core/base/text.h>

#include "export.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kTokenMargin = 6, kTokenGap = 1, kPadding = 1.5, kLeading = 4;

/// A token that ends its line, as those of source code do: what stands before the break, how many breaks, and the blanks behind them, which indent the next line.
struct LineEnd {
    QString before, indent;
    int breaks = 0;
};

std::optional<LineEnd> lineEnd(const QString& token)
{
    LineEnd end{token, {}, 0};
    const auto take = [&end](QLatin1String what, const QString& as = {}) {
        if (!end.before.endsWith(what))
            return false;
        end.before.chop(what.size());
        end.indent.prepend(as);
        return true;
    };
    while (take(QLatin1String(" "), QStringLiteral(" ")) || take(QLatin1String("\t"), QStringLiteral("\t")) ||
           take(QLatin1String("\\t"), QStringLiteral("\t")))
        continue;
    while (take(QLatin1String("\n")) || take(QLatin1String("\\n"))) {
        ++end.breaks;
        take(QLatin1String("\r")) || take(QLatin1String("\\r"));
    }
    return end.breaks > 0 ? std::optional(end) : std::nullopt;
}

/// What stands in the picture for a token: control characters as signs, so that every token has a width.
QString shownText(const QString& token)
{
    const auto end = lineEnd(token);
    QString shown = end ? end->before : token;
    shown.replace(QLatin1Char('\n'), QStringLiteral("↵")).replace(QLatin1Char('\t'), QStringLiteral("⇥")).remove(QLatin1Char('\r'));
    if (end)
        shown += QStringLiteral("↵").repeated(end->breaks);
    return shown.isEmpty() ? QStringLiteral("∅") : shown;
}

/// "[CLS]", "<s>": what a tokenizer puts around a text. Its letters are no part of the text and do not say how that runs.
bool isBracketed(const QString& token)
{
    const auto within = [&](char16_t open, char16_t close) { return token.size() > 2 && token.front() == open && token.back() == close; };
    return within(u'[', u']') || within(u'<', u'>');
}

/// 1: right to left, -1: left to right, 0: neither, by the first character that has a direction.
int directionOf(const QString& token)
{
    if (isBracketed(token))
        return 0;
    for (const uint point : token.toUcs4()) {
        const auto direction = QChar::direction(point);
        if (direction == QChar::DirR || direction == QChar::DirAL)
            return 1;
        if (direction == QChar::DirL)
            return -1;
    }
    return 0;
}

/// Embedding levels of a paragraph's tokens, as the bidirectional algorithm (UAX 9) gives them to text without explicit controls: even ones from left to right.
/// Tokens without a direction go with their neighbours where these agree, else with the paragraph.
struct Levels {
    int base = 0;
    std::vector<int> tokens;
};

Levels levelsOf(const QStringList& tokens)
{
    std::vector<int> directions;
    int base = 0;
    for (const auto& token : tokens) {
        directions.push_back(directionOf(token));
        base = base != 0 ? base : directions.back();
    }
    Levels levels{base > 0 ? 1 : 0, {}};
    const int own = base > 0 ? 1 : -1;
    for (std::size_t i = 0; i < directions.size(); ++i) {
        int direction = directions[i];
        if (direction == 0) {
            const auto before = std::find_if(directions.rend() - std::ptrdiff_t(i), directions.rend(), [](int other) { return other != 0; });
            const auto after = std::find_if(directions.begin() + std::ptrdiff_t(i), directions.end(), [](int other) { return other != 0; });
            const int left = before == directions.rend() ? own : *before, right = after == directions.end() ? own : *after;
            direction = left == right ? left : own;
        }
        levels.tokens.push_back(direction > 0 ? 1 : levels.base > 0 ? 2 : 0);
    }
    return levels;
}

bool startsWord(const QString& before, const QString& token)
{
    return before.isEmpty() || before.back().isSpace() || token.isEmpty() || token.front().isSpace();
}

}  // namespace

struct TokenView::Private {
    explicit Private(TokenView& view) : q(view) {}

    std::vector<QRectF> layout(double width) const;
    void reorder(std::vector<QRectF>& at, double right) const;
    void relayout();
    double height(const std::vector<QRectF>& at) const { return at.empty() ? 0 : at.back().bottom() + kTokenMargin; }
    double lineHeight() const { return QFontMetricsF(q.font()).height() + kLeading; }
    double largest() const;
    QColor colorOf(int token) const;
    void paintToken(QPainter& painter, const QRectF& rect, int token, const QPalette& palette) const;
    int vertical(int token, int direction) const;
    void moveTo(int token);
    void scrollTo(int token);

    TokenView& q;
    QString blanksBefore(int token) const { return blanks.value(token); }
    bool startsLine(int token) const;
    double widthOf(const QFontMetricsF& metrics, const QString& blank) const;

    QStringList tokens, tooltips, blanks;
    std::vector<double> values;
    std::optional<double> magnitude;
    MapKind kind = MapKind::Diverging;
    QSet<int> marked;
    bool showsNumbers = true;
    std::optional<QString> text;
    int current = -1;
    std::vector<QRectF> rects;  ///< in the coordinates of the whole text
    QList<QAction*> exports;
    QAction* copyText = nullptr;
};

bool TokenView::Private::startsLine(int token) const
{
    return token > 0 && (lineEnd(tokens[token - 1]) || blanksBefore(token).contains(QLatin1Char('\n')));
}

double TokenView::Private::widthOf(const QFontMetricsF& metrics, const QString& blank) const
{
    constexpr int kTabLetters = 4;
    return metrics.horizontalAdvance(QLatin1Char(' ')) * double(blank.count(QLatin1Char(' ')) + kTabLetters * blank.count(QLatin1Char('\t')));
}

/// Greedy lines: a word (tokens up to the next space) moves to the next line as a whole if it fits there.
std::vector<QRectF> TokenView::Private::layout(double width) const
{
    const QFontMetricsF metrics(q.font());
    const double line = metrics.height() + 2, right = std::max(width - kTokenMargin, 2 * kTokenMargin);
    std::vector<QRectF> at;
    at.reserve(std::size_t(tokens.size()));
    double x = kTokenMargin, y = kTokenMargin;
    int wordStart = 0;
    for (int i = 0; i < tokens.size(); ++i) {
        const QString before = blanksBefore(i);
        const auto end = i > 0 ? lineEnd(tokens[i - 1]) : std::nullopt;
        if (startsLine(i)) {
            const auto breaks = (end ? end->breaks : 0) + before.count(QLatin1Char('\n'));
            const QString indent = (end ? end->indent : QString()) + before;
            x = std::min(kTokenMargin + widthOf(metrics, indent.mid(indent.lastIndexOf(QLatin1Char('\n')) + 1)), std::max(kTokenMargin, right / 2));
            y += double(breaks) * lineHeight();
            wordStart = i;
        } else if (i == 0 || startsWord(tokens[i - 1], tokens[i]) || !before.isEmpty()) {
            x += widthOf(metrics, before);
            wordStart = i;
        }
        const double wide = metrics.horizontalAdvance(shownText(tokens[i])) + 2 * kPadding;
        if (x + wide > right && x > kTokenMargin) {
            const double back = at.empty() || wordStart == i ? 0 : x - at[std::size_t(wordStart)].left();
            const bool takeWord = wordStart < i && at[std::size_t(wordStart)].left() > kTokenMargin && kTokenMargin + back + wide <= right;
            y += lineHeight();
            if (takeWord) {
                const double shift = at[std::size_t(wordStart)].left() - kTokenMargin;
                for (int j = wordStart; j < i; ++j)
                    at[std::size_t(j)].translate(-shift, lineHeight());
                x -= shift;
            } else {
                x = kTokenMargin;
                wordStart = i;
            }
        }
        at.emplace_back(x, y, wide, line);
        x += wide + kTokenGap;
    }
    reorder(at, right);
    return at;
}

/// Right-to-left tokens run from right to left, and the lines of a paragraph that begins with one are set from the right margin.
void TokenView::Private::reorder(std::vector<QRectF>& at, double right) const
{
    if (std::none_of(tokens.begin(), tokens.end(), [](const QString& token) { return directionOf(token) > 0; }))
        return;
    for (int paragraph = 0; paragraph < tokens.size();) {
        int last = paragraph;
        while (last + 1 < tokens.size() && !startsLine(last + 1))
            ++last;
        const auto levels = levelsOf(tokens.mid(paragraph, last + 1 - paragraph));
        const bool fromRight = levels.base > 0;
        for (int first = paragraph; first <= last;) {
            int end = first;
            while (end <= last && at[std::size_t(end)].top() == at[std::size_t(first)].top())
                ++end;
            std::vector<int> order;
            for (int i = first; i < end; ++i)
                order.push_back(i);
            // From the deepest level down to the first, each run of that level or deeper is turned round (UAX 9, rule L2).
            for (int level = 2; level >= 1; --level)
                for (auto run = order.begin(); run != order.end();) {
                    const auto isDeep = [&](int i) { return levels.tokens[std::size_t(i - paragraph)] >= level; };
                    run = std::find_if(run, order.end(), isDeep);
                    const auto stop = std::find_if_not(run, order.end(), isDeep);
                    std::reverse(run, stop);
                    run = stop;
                }
            const double wide = at[std::size_t(end - 1)].right() - at[std::size_t(first)].left();
            double x = fromRight ? std::max(kTokenMargin, right - wide) : at[std::size_t(first)].left();
            for (const int i : order) {
                at[std::size_t(i)].moveLeft(x);
                x += at[std::size_t(i)].width() + kTokenGap;
            }
            first = end;
        }
        paragraph = last + 1;
    }
}

void TokenView::Private::relayout()
{
    rects = layout(q.viewport()->width());
    const int room = q.viewport()->height();
    q.verticalScrollBar()->setRange(0, std::max(0, int(std::ceil(height(rects))) - room));
    q.verticalScrollBar()->setPageStep(room);
    q.verticalScrollBar()->setSingleStep(int(lineHeight()));
    q.viewport()->update();
}

double TokenView::Private::largest() const
{
    if (magnitude)
        return *magnitude;
    double most = 0;
    for (const double value : values)
        if (std::isfinite(value))
            most = std::max(most, std::abs(value));
    return most;
}

QColor TokenView::Private::colorOf(int token) const
{
    if (token < 0 || std::size_t(token) >= values.size() || token >= tokens.size() || std::isnan(values[std::size_t(token)]))
        return {};
    const double value = values[std::size_t(token)];
    return toQColor(kind == MapKind::Diverging ? report::coolwarm().atSymmetric(value, largest()) : report::viridis().atScaled(value, 0, largest()));
}

void TokenView::Private::paintToken(QPainter& painter, const QRectF& rect, int token, const QPalette& palette) const
{
    const QColor color = colorOf(token);
    const QColor ink = color.isValid() ? textColorOn(color) : palette.color(QPalette::Text);
    if (color.isValid())
        painter.fillRect(rect, color);
    painter.setPen(ink);
    painter.drawText(rect.adjusted(kPadding, 0, kPadding, 0), Qt::AlignLeft | Qt::AlignVCenter | Qt::TextSingleLine, shownText(tokens[token]));
    if (marked.contains(token)) {
        painter.fillRect(rect, QBrush(ink, Qt::BDiagPattern));
        painter.setPen(QPen(ink, 2));
        painter.drawLine(QPointF(rect.left(), rect.center().y()), QPointF(rect.right(), rect.center().y()));
    }
}

/// The token of the line above or below whose middle is nearest; the same one at the edge.
int TokenView::Private::vertical(int token, int direction) const
{
    const QRectF from = rects[std::size_t(token)];
    double wantedLine = NAN;
    int best = token;
    for (int i = token; i >= 0 && i < int(rects.size()); i += direction) {
        const QRectF& rect = rects[std::size_t(i)];
        if (rect.top() == from.top())
            continue;
        if (std::isnan(wantedLine))
            wantedLine = rect.top(), best = i;
        if (rect.top() != wantedLine)
            break;
        if (std::abs(rect.center().x() - from.center().x()) < std::abs(rects[std::size_t(best)].center().x() - from.center().x()))
            best = i;
    }
    return best;
}

void TokenView::Private::moveTo(int token)
{
    if (tokens.isEmpty())
        return;
    q.setCurrent(std::clamp(token, 0, int(tokens.size()) - 1));
    scrollTo(current);  // also where it was current already and the text was scrolled away
}

void TokenView::Private::scrollTo(int token)
{
    const QRectF rect = rects[std::size_t(token)];
    auto* bar = q.verticalScrollBar();
    if (rect.top() < bar->value())
        bar->setValue(int(rect.top() - kTokenMargin));
    else if (rect.bottom() > bar->value() + q.viewport()->height())
        bar->setValue(int(std::ceil(rect.bottom() + kTokenMargin)) - q.viewport()->height());
}

TokenView::TokenView(QWidget* parent) : QAbstractScrollArea(parent), d(std::make_unique<Private>(*this))
{
    setFocusPolicy(Qt::StrongFocus);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    viewport()->setCursor(Qt::ArrowCursor);
    d->exports = makeExportActions(
        this, [this](const QString& file) { exportTo(file); }, [this] { return toCsv(); });
    d->copyText = new QAction(tr("Copy te&xt"), this);
    d->copyText->setShortcut(QKeySequence::Copy);  // for the menu; the key itself comes to keyPressEvent
    connect(d->copyText, &QAction::triggered, this, [this] { QGuiApplication::clipboard()->setText(text()); });
    connect(verticalScrollBar(), &QScrollBar::valueChanged, viewport(), qOverload<>(&QWidget::update));
}

TokenView::~TokenView() = default;

void TokenView::setTokens(const QStringList& tokens)
{
    const int before = d->current;
    d->tokens = tokens;
    d->tooltips.clear();
    if (!d->blanks.isEmpty()) {
        d->blanks.clear();
        setFont(QFont());
    }
    d->values.clear();
    d->magnitude.reset();
    d->text.reset();
    d->marked.clear();
    d->current = -1;
    d->relayout();
    updateGeometry();
    if (before >= 0)
        Q_EMIT currentChanged(-1);
}

void TokenView::setBlanks(const QStringList& before)
{
    d->blanks = before;
    setFont(before.isEmpty() ? QFont() : QFontDatabase::systemFont(QFontDatabase::FixedFont));
    d->relayout();
    updateGeometry();
}

int TokenView::count() const
{
    return int(d->tokens.size());
}

void TokenView::setValues(std::vector<double> values, std::optional<double> magnitude)
{
    d->values = std::move(values);
    d->magnitude = magnitude;
    viewport()->update();
}

void TokenView::setNumbersShown(bool shown)
{
    d->showsNumbers = shown;
}

void TokenView::setText(const QString& text)
{
    d->text = text;
}

QString TokenView::text() const
{
    return d->text.value_or(d->tokens.join(QString()));
}

void TokenView::setMapKind(MapKind kind)
{
    d->kind = kind;
    viewport()->update();
}

void TokenView::setTooltips(const QStringList& tooltips)
{
    d->tooltips = tooltips;
}

void TokenView::setMarked(const QSet<int>& tokens)
{
    d->marked = tokens;
    viewport()->update();
}

const QSet<int>& TokenView::marked() const
{
    return d->marked;
}

int TokenView::current() const
{
    return d->current;
}

void TokenView::setCurrent(int token)
{
    const int wanted = token >= 0 && token < count() ? token : -1;
    if (wanted == d->current)
        return;
    d->current = wanted;
    if (wanted >= 0)
        d->scrollTo(wanted);
    setAccessibleDescription(tooltip(wanted));
    viewport()->update();
    Q_EMIT currentChanged(wanted);
}

QRectF TokenView::tokenRect(int token) const
{
    if (token < 0 || token >= count())
        return {};
    return d->rects[std::size_t(token)].translated(0, -verticalScrollBar()->value());
}

int TokenView::tokenAt(QPointF position) const
{
    const QPointF at = position + QPointF(0, verticalScrollBar()->value());
    const auto found =
        std::find_if(d->rects.begin(), d->rects.end(), [&](const QRectF& rect) { return rect.adjusted(0, -1, kTokenGap, 1).contains(at); });
    return found == d->rects.end() ? -1 : int(found - d->rects.begin());
}

QColor TokenView::tokenColor(int token) const
{
    return d->colorOf(token);
}

QString TokenView::tooltip(int token) const
{
    if (token < 0 || token >= count())
        return {};
    QString text = tr("%1: \"%2\"").arg(token).arg(d->tokens[token]);
    if (d->showsNumbers && std::size_t(token) < d->values.size())
        text += QStringLiteral("\n%1").arg(QString::number(d->values[std::size_t(token)], 'g', 6));
    if (token < d->tooltips.size())
        text += QLatin1Char('\n') + d->tooltips[token];
    return d->marked.contains(token) ? text + QLatin1Char('\n') + tr("left out") : text;
}

void TokenView::exportTo(const QString& file, QSize size) const
{
    const double width = size.isEmpty() ? viewport()->width() : size.width();
    const auto at = d->layout(width);
    const QSize wanted = size.isEmpty() ? QSize(int(width), int(std::ceil(d->height(at)))) : size;
    const auto paint = [&](QPainter& painter, QSize room, const QPalette& palette) {
        painter.fillRect(QRect(QPoint(0, 0), room), palette.color(QPalette::Base));
        painter.setFont(font());
        for (int i = 0; i < count(); ++i)
            d->paintToken(painter, at[std::size_t(i)], i, palette);
    };
    exportPainted(file, wanted, paint, [this] { return toCsv(); });
}

QString TokenView::toCsv() const
{
    QString csv = QStringLiteral("position,token,value\n");
    for (int i = 0; i < count(); ++i) {
        const QString value =
            d->showsNumbers && std::size_t(i) < d->values.size() ? QString::fromStdString(core::formatNumber(d->values[std::size_t(i)])) : QString();
        csv += QStringLiteral("%1,\"%2\",%3\n").arg(i).arg(QString(d->tokens[i]).replace(QLatin1Char('"'), QStringLiteral("\"\"")), value);
    }
    return csv;
}

QList<QAction*> TokenView::exportActions() const
{
    return d->exports;
}

QSize TokenView::sizeHint() const
{
    const double frame = 2 * frameWidth(), line = d->lineHeight(), width = std::max(viewport()->width(), 200);
    const double needed = d->height(d->layout(width));
    return {320, int(std::ceil(std::clamp(needed, 2 * line + 2 * kTokenMargin, 8 * line + 2 * kTokenMargin) + frame))};
}

QSize TokenView::minimumSizeHint() const
{
    return {80, int(std::ceil(d->lineHeight() + 2 * kTokenMargin + 2 * frameWidth()))};
}

void TokenView::paintEvent(QPaintEvent* event)
{
    QPainter painter(viewport());
    painter.setFont(font());
    painter.fillRect(event->rect(), palette().color(QPalette::Base));
    for (int i = 0; i < count(); ++i)
        if (const QRectF rect = tokenRect(i); rect.bottom() >= event->rect().top() && rect.top() <= event->rect().bottom())
            d->paintToken(painter, rect, i, palette());
    if (d->current < 0)
        return;
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(palette().color(QPalette::Text), hasFocus() ? 2 : 1));
    painter.drawRect(tokenRect(d->current).adjusted(-0.5, -0.5, 0.5, 0.5));
}

void TokenView::resizeEvent(QResizeEvent*)
{
    d->relayout();
}

void TokenView::mousePressEvent(QMouseEvent* event)
{
    const int token = tokenAt(event->position());
    if (event->button() != Qt::LeftButton || token < 0)
        return QAbstractScrollArea::mousePressEvent(event);
    setCurrent(token);
    Q_EMIT tokenActivated(token);
}

void TokenView::keyPressEvent(QKeyEvent* event)
{
    if (count() == 0)
        return QAbstractScrollArea::keyPressEvent(event);
    if (event->matches(QKeySequence::Copy))
        return d->copyText->trigger();
    const int from = std::max(d->current, 0);
    switch (event->key()) {
    case Qt::Key_Left: return d->moveTo(from - 1);
    case Qt::Key_Right: return d->moveTo(d->current + 1);
    case Qt::Key_Up: return d->moveTo(d->vertical(from, -1));
    case Qt::Key_Down: return d->moveTo(d->vertical(from, 1));
    case Qt::Key_Home: return d->moveTo(0);
    case Qt::Key_End: return d->moveTo(count() - 1);
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
        if (d->current >= 0)
            Q_EMIT tokenActivated(d->current);
        return;
    default: QAbstractScrollArea::keyPressEvent(event);
    }
}

void TokenView::focusInEvent(QFocusEvent* event)
{
    QAbstractScrollArea::focusInEvent(event);
    viewport()->update();
}

void TokenView::changeEvent(QEvent* event)
{
    QAbstractScrollArea::changeEvent(event);
    if (event->type() == QEvent::FontChange || event->type() == QEvent::StyleChange)
        d->relayout();
}

bool TokenView::viewportEvent(QEvent* event)
{
    if (event->type() == QEvent::ToolTip) {
        auto* help = static_cast<QHelpEvent*>(event);
        // Each line runs from left to right, whatever the script of the token in it: a mark of direction (U+200E) leads it.
        const QString text = tooltip(tokenAt(help->pos()));
        QToolTip::showText(help->globalPos(), text.isEmpty() ? text : QChar(0x200e) + QString(text).replace('\n', QString("\n%1").arg(QChar(0x200e))),
                           this);
        return true;
    }
    return QAbstractScrollArea::viewportEvent(event);
}

void TokenView::contextMenuEvent(QContextMenuEvent* event)
{
    QMenu menu(this);
    menu.addAction(d->copyText);
    menu.addActions(d->exports);
    menu.exec(event->globalPos());
}

}  // namespace orrery::widgets
