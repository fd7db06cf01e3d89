#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTableWidget>

#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/debug/prompt_text.h>
#include <widgets/graph_view.h>
#include <widgets/plot_view.h>

#include "expression_panel.h"

/// What ExpressionPanel does with a result.
namespace orrery::plugins {
namespace {

constexpr int kLongestValue = 400;

QString plain(const std::string& text)
{
    return QString::fromStdString(text);
}

void addRow(QTableWidget& table, const QStringList& texts)
{
    const int row = table.rowCount();
    table.insertRow(row);
    for (int column = 0; column < texts.size(); ++column) {
        auto* item = new QTableWidgetItem(texts[column]);
        item->setToolTip(texts[column]);
        table.setItem(row, column, item);
    }
}

QString difference(double value)
{
    return value == 0 ? QStringLiteral("0") : QString::number(value, 'e', 1);
}

void addValue(QTableWidget& table, const QString& name, const symbolic::StudiedFormula& part, const QString& check)
{
    const QString value = plain(debug::tensorText(part.value)).simplified().left(kLongestValue);
    const QString gained = part.gained == 0   ? QString()
                           : part.gained == 1 ? ExpressionPanel::tr(" (1 element is a number only then)")
                                              : ExpressionPanel::tr(" (%1 elements are numbers only then)").arg(part.gained);
    addRow(table, {name, plain(core::formatShape(part.value.sizes())), value, difference(part.difference) + gained, check});
}

void addRules(QTableWidget& table, const QString& name, const symbolic::Rewritten& rewritten)
{
    for (const auto& rule : rewritten.rules)
        addRow(table, {name, QString::number(rule.count), plain(rule.rule), plain(rule.explanation)});
}

void addLines(QString& text, const QString& title, const symbolic::Formula& formula)
{
    text += title + QLatin1Char('\n');
    for (const auto& line : symbolic::toLines(formula))
        text += QStringLiteral("    ") + plain(line) + QLatin1Char('\n');
    text += QLatin1Char('\n');
}

QString operations(std::int64_t count)
{
    return plain(core::counted(count, "operation"));
}

}  // namespace

void ExpressionPanel::present(std::shared_ptr<ExpressionResult> result)
{
    m_result = std::move(result);
    m_open->setEnabled(true);
    showGraphs();
    showValues();
    showRules();
    showText();
    showCurve();
}

void ExpressionPanel::showGraphs()
{
    const auto& rewritten = m_result->study.original.rewritten;
    const widgets::GraphContentPtr contents[] = {m_result->original, m_result->rewritten, m_result->derivative};
    for (std::size_t i = 0; i < m_views.size(); ++i) {
        contents[i] ? m_views[i]->setContent(contents[i]) : m_views[i]->clear();
        if (contents[i])
            m_views[i]->setColours(widgets::familyColours(*contents[i]->tree));
    }
    m_titles[0]->setText(tr("As typed: %1").arg(operations(rewritten.before)));
    m_titles[1]->setText(tr("Rewritten: %1").arg(operations(rewritten.after)));
    const QString by = plain(core::join(m_result->request.by, ", "));
    m_titles[2]->setText(by.isEmpty() ? tr("Derivative: no variable is chosen")
                                      : tr("By %1: %2").arg(by, operations(m_result->derivativeOperations)));
    for (auto* title : m_titles)
        title->setToolTip(title->text());
}

void ExpressionPanel::showValues()
{
    m_values->setRowCount(0);
    const auto& study = m_result->study;
    addValue(*m_values, QStringLiteral("value"), study.original, {});
    for (const auto& each : study.derivatives)
        addValue(*m_values, plain(each.name), each.part,
                 tr("%1 (%2)").arg(difference(each.centralDifference), plain(core::counted(std::int64_t(each.checked), "element"))));
}

void ExpressionPanel::showRules()
{
    m_rules->setRowCount(0);
    addRules(*m_rules, QStringLiteral("value"), m_result->study.original.rewritten);
    for (const auto& each : m_result->study.derivatives)
        addRules(*m_rules, plain(each.name), each.part.rewritten);
}

void ExpressionPanel::showText()
{
    QString text;
    const auto& study = m_result->study;
    addLines(text, tr("As typed"), study.original.formula);
    addLines(text, tr("Rewritten"), study.original.rewritten.formula);
    for (const auto& each : study.derivatives)
        addLines(text, tr("%1, rewritten").arg(plain(each.name)), each.part.rewritten.formula);
    text += tr("Steps") + QLatin1Char('\n');
    for (const auto& step : study.original.rewritten.steps)
        text += QStringLiteral("    %1: %2  ->  %3\n").arg(plain(step.rule), plain(step.before), plain(step.after));
    m_text->setPlainText(text);
}

void ExpressionPanel::showCurve()
{
    m_plot->clear();
    const auto& curves = m_result->curves;
    if (!m_result->curveError.empty())
        showError(plain(m_result->curveError));
    m_plot->setAxisTitle(widgets::PlotAxis::X, plain(m_result->request.curveVariable));
    for (const auto& curve : curves.curves) {
        widgets::PlotSeries series;
        series.title = plain(curve.name);
        series.data.x = curves.x;
        series.data.y = curve.y;
        m_plot->setSeries(plain(curve.name), std::move(series));
    }
    m_plot->setLegendVisible(curves.curves.size() > 1);
    m_plot->showAll();
}

}  // namespace orrery::plugins
