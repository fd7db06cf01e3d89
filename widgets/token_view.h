#pragma once
#include <QAbstractScrollArea>
#include <QList>
#include <QSet>
#include <QString>
#include <QStringList>
#include <memory>
#include <optional>
#include <vector>

#include <core/report/colour_map.h>

class QAction;

namespace orrery::widgets {

using MapKind = report::MapKind;

/// The tokens of a text in reading order, each on a background coloured by its number: attributions, probabilities, patching results. Lines wrap between
/// words where they can; a token that ends with a line break ("\n" or its escape) shows it as ↵ and ends the line, blanks behind it indent the next one, leading spaces keep their width. The text colour is
/// black or white by the background, so it can be read on every colour. One token is current (click, arrow keys, Home, End); several may be marked
/// (struck out and hatched: left out, patched). Tooltip and accessible description give number, text and value; Ctrl+C copies the text. UI thread.
class TokenView : public QAbstractScrollArea {
    Q_OBJECT
public:
    explicit TokenView(QWidget* parent = nullptr);
    ~TokenView() override;

    /// New tokens; values, tooltips, marks and the current token are dropped.
    void setTokens(const QStringList& tokens);
    /// The blanks and line breaks in front of each token (see text::blanksOfLines): the tokens of source code then stand as it was written, in letters of one width. Dropped by
    /// `setTokens`.
    void setBlanks(const QStringList& before);
    int count() const;
    /// One number a token; NaN or missing: not coloured. Empty: no colours.
    /// @param magnitude  The number that gets the end of the colour map; nothing: the largest absolute value.
    void setValues(std::vector<double> values, std::optional<double> magnitude = {});
    /// False: the values only tell neighbours apart by colour; tooltips, descriptions and CSV leave them out. Default: true.
    void setNumbersShown(bool shown);
    /// What the tokens read as, for "Copy text" and Ctrl+C; dropped by `setTokens`, then it is the tokens as they are shown, joined.
    void setText(const QString& text);
    QString text() const;
    /// Diverging (default): symmetric around zero. Sequential: 0 to the magnitude.
    void setMapKind(MapKind kind);
    /// Extra lines of the tooltips, one a token; empty: none.
    void setTooltips(const QStringList& tooltips);
    void setMarked(const QSet<int>& tokens);
    const QSet<int>& marked() const;
    int current() const;  ///< -1: none
    /// Scrolls to it; emits `currentChanged` if it differs. Out of range: none is current.
    void setCurrent(int token);

    /// Where a token is drawn, in the viewport's coordinates.
    QRectF tokenRect(int token) const;
    int tokenAt(QPointF position) const;  ///< -1: none
    /// Background of a token; invalid if it is not coloured.
    QColor tokenColor(int token) const;
    QString tooltip(int token) const;

    /// png, svg, pdf (the whole text); csv: number, token, value. @throws as `PlotView::exportTo`.
    void exportTo(const QString& file, QSize size = {}) const;
    QString toCsv() const;
    QList<QAction*> exportActions() const;
    bool hasHeightForWidth() const override { return false; }
    /// Room for the whole text at the present width, two to eight lines.
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void currentChanged(int token);
    /// Clicked, or Enter or Space on the current token.
    void tokenActivated(int token);

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void changeEvent(QEvent* event) override;
    bool viewportEvent(QEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
