#include <QCheckBox>
#include <QGridLayout>
#include <QHeaderView>
#include <QScrollArea>
#include <QSplitter>
#include <QStackedWidget>
#include <QTabWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include <core/scaling/law.h>
#include <widgets/empty_state.h>
#include <widgets/schema_form.h>
#include <widgets/table_view.h>

#include "cutoff_line.h"
#include "fit_page.h"

namespace orrery::plugins {
namespace {

constexpr int kWide = 720, kTall = 480;  // px

/// The settings without what has controls of its own here.
core::Schema formSchema()
{
    core::addFamily(scaling::lawRegistry());
    core::Schema out;
    for (const core::Parameter& parameter : scaling::fitSchema().parameters())
        if (parameter.name != "columns" && parameter.name != "scale" && parameter.name != "hold_out" && parameter.name != "below")
            out.add(parameter);
    return out;
}

widgets::PlotSeries pointSeries(const QString& title, const std::vector<double>& x, const std::vector<double>& y)
{
    widgets::PlotSeries series;
    series.title = title;
    series.style = widgets::LineStyle::Points;
    series.smoothed = false;
    series.data.x = x;
    series.data.y = y;
    return series;
}

}  // namespace

FitPage::FitPage(widgets::Session& session)
    : ScalingPage(session, tr("&Fit"), tr("Progress of the fit")), m_preview([this](int change) { Q_EMIT busyChanged(change); }),
      m_form(new widgets::SchemaForm), m_axis(widgets::narrowBox(tr("Along"), tr("Input of the law along which the points are drawn"))),
      m_holdOut(new QCheckBox(tr("&Hold out"))), m_plot(new widgets::PlotView), m_residuals(new widgets::PlotView),
      m_cutoff(new CutoffLine(*m_plot, this)), m_splitter(new QSplitter(Qt::Horizontal)), m_views(new QSplitter(Qt::Vertical)),
      m_tables(new QSplitter(Qt::Horizontal)), m_plots(new QTabWidget), m_rows(new widgets::RowModel(this)), m_points(new widgets::TableView),
      m_parameters(makeParameterTable()), m_status(textLine(QStringLiteral("fitStatus"))), m_heldOut(textLine(QStringLiteral("heldOut")))
{
    m_splitter->addWidget(makeSettings());
    m_splitter->addWidget(makeViews());
    m_splitter->setChildrenCollapsible(false);
    m_splitter->setStretchFactor(0, 1);
    m_splitter->setStretchFactor(1, 3);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    buttonRow()->addWidget(new QLabel(tr("Along")));
    buttonRow()->addWidget(m_axis);
    buttonRow()->addWidget(m_holdOut);
    layout->addLayout(buttonRow());
    layout->addWidget(m_splitter, 1);
    layout->addWidget(m_heldOut);
    layout->addWidget(m_status);
    connect(m_form, &widgets::SchemaForm::edited, this, &FitPage::formChanged);
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &FitPage::updateButton);
    connect(m_axis, &QComboBox::activated, this, [this] { m_holdOut->isChecked() ? fitSoon() : showOutcome(); });
    connect(m_cutoff, &CutoffLine::moved, this, &FitPage::cutoffMoved);
    connect(m_holdOut, &QCheckBox::toggled, this, [this](bool on) {
        // A first cut-off: two thirds of the points, in logarithms, are fitted.
        const auto [low, high] = m_plot->range(widgets::PlotAxis::X);
        m_cutoff->setPosition(on && low > 0 ? std::optional(std::exp(std::log(low) + 0.6 * (std::log(high) - std::log(low)))) : std::nullopt);
        fitSoon();
    });
    fillColumns();
    updateButton();
}

void FitPage::resizeEvent(QResizeEvent* event)
{
    ScalingPage::resizeEvent(event);
    const bool wide = width() >= kWide;
    m_plot->setLegendVisible(wide);
    placeTables(height() >= kTall);
    const Qt::Orientation wanted = wide ? Qt::Horizontal : Qt::Vertical;
    if (m_splitter->orientation() == wanted)
        return;
    m_splitter->setOrientation(wanted);
    m_splitter->setSizes(wide ? QList<int>{width() / 4, 3 * width() / 4} : QList<int>{height() / 4, 3 * height() / 4});
}

/// Below the plots where there is height for both, else behind them.
void FitPage::placeTables(bool below)
{
    const bool isBelow = m_views->indexOf(m_tables) >= 0;
    if (isBelow == below)
        return;
    if (below) {
        m_plots->removeTab(m_plots->indexOf(m_tables));
        m_views->addWidget(m_tables);
        m_tables->show();
    } else
        m_plots->addTab(m_tables, tr("&Numbers"));
}

QWidget* FitPage::makeSettings()
{
    m_form->setSchema(formSchema());
    m_form->setAccessibleName(tr("Law and objective"));
    m_holdOut->setObjectName(QStringLiteral("holdOut"));
    m_holdOut->setToolTip(tr("Fit the points left of a line and predict the others; drag the line, or move it by Ctrl+Left and Ctrl+Right"));
    auto* columns = new QWidget;
    m_columnGrid = new QGridLayout(columns);
    m_columnGrid->setContentsMargins(0, 0, 0, 0);
    m_axis->setObjectName(QStringLiteral("along"));
    auto* inside = new QWidget;
    auto* layout = new QVBoxLayout(inside);
    layout->setContentsMargins(0, 0, 4, 0);
    layout->addWidget(new QLabel(tr("<b>Columns</b>")));
    layout->addWidget(columns);
    layout->addWidget(m_form, 1);
    auto* area = new QScrollArea;
    area->setWidgetResizable(true);
    area->setFrameShape(QFrame::NoFrame);
    area->setWidget(inside);
    area->setMinimumSize(230, 90);
    return area;
}

QTableWidget* FitPage::makeParameterTable()
{
    QTableWidget* table = readingTable(tr("Parameters of the fit"), {tr("Parameter"), tr("Value"), tr("Low"), tr("High")});
    table->setObjectName(QStringLiteral("parameters"));
    table->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
    table->horizontalHeader()->setStretchLastSection(true);
    return table;
}

QWidget* FitPage::makeViews()
{
    for (widgets::PlotView* plot : {m_plot, m_residuals})
        plot->setLog(widgets::PlotAxis::X, true);
    m_plot->setLog(widgets::PlotAxis::Y, true);
    m_plot->setObjectName(QStringLiteral("fitPlot"));
    m_residuals->setObjectName(QStringLiteral("residualPlot"));
    m_residuals->setGuide(widgets::PlotAxis::Y, 0);
    m_points->setModel(m_rows);
    m_points->setObjectName(QStringLiteral("points"));
    const auto choose = [this](const QString&, double x, double y) {
        if (const auto row = rowAt(m_picture, x, y))
            chooseRow(*row);
    };
    connect(m_plot, &widgets::PlotView::pointClicked, this, choose);
    connect(m_points, &widgets::TableView::selectionChanged, this, [this](const QList<qint64>& ids) {
        if (m_table && !m_table->runs.empty() && !ids.isEmpty()) {
            QList<qint64> runs;
            for (const qint64 id : ids)
                runs << m_table->runs[std::size_t(id)];
            m_sending = true;
            session().chooseRuns(runs);
            m_sending = false;
        }
    });
    m_plots->setObjectName(QStringLiteral("fitPlots"));
    m_plots->setDocumentMode(true);
    m_plots->addTab(m_plot, tr("F&it"));
    m_plots->addTab(m_residuals, tr("R&esiduals"));
    m_tables->addWidget(m_points);
    m_tables->addWidget(m_parameters);
    m_tables->setChildrenCollapsible(false);
    m_points->setMinimumSize(150, 60);
    m_views->addWidget(m_plots);
    m_views->addWidget(m_tables);
    m_views->setChildrenCollapsible(false);
    m_views->setStretchFactor(0, 3);
    m_views->setStretchFactor(1, 1);
    m_empty = new widgets::EmptyState;
    m_stack = new QStackedWidget;
    m_stack->addWidget(m_empty);
    m_stack->addWidget(m_views);
    return m_stack;
}

void FitPage::setEmptyActions(const QList<QAction*>& actions)
{
    m_empty->setMessage(
        tr("No points yet"),
        tr("Read a table with columns such as N, D and loss, or take runs of the workspace: a law is fitted to their points while you change "
           "the settings."),
        actions);
}

void FitPage::showOutcome()
{
    m_stack->setCurrentIndex(m_table ? 1 : 0);
    m_picture = m_outcome ? pictureOf(*m_outcome, std::min(axis(), m_outcome->points.inputs.size() - 1)) : FitPicture();
    showCurves(m_picture);
    showNumbers();
}

void FitPage::showCurves(const FitPicture& picture)
{
    m_plot->clear();
    m_residuals->clear();
    if (!m_outcome)
        return;
    const QString along = QString::fromStdString(m_outcome->points.inputNames[std::min(axis(), m_outcome->points.inputs.size() - 1)]);
    for (widgets::PlotView* plot : {m_plot, m_residuals})
        plot->setAxisTitle(widgets::PlotAxis::X, along);
    m_plot->setAxisTitle(widgets::PlotAxis::Y, tr("Loss"));
    m_residuals->setAxisTitle(widgets::PlotAxis::Y,
                              m_outcome->request.objective.space == scaling::Space::Log ? tr("ln(predicted / loss)") : tr("Predicted − loss"));
    for (const FitPicture::Curve& curve : picture.curves) {
        widgets::PlotSeries series;
        series.title = curve.title;
        series.smoothed = false;
        series.data = curve.data;
        m_plot->setSeries(curve.title, series);
    }
    m_plot->setSeries(QStringLiteral("points"), pointSeries(tr("points"), picture.x, picture.y));
    m_residuals->setSeries(QStringLiteral("residuals"), pointSeries(tr("residuals"), picture.x, picture.residuals));
    if (!picture.heldX.empty()) {
        m_plot->setSeries(QStringLiteral("held out"), pointSeries(tr("held out"), picture.heldX, picture.heldY));
        m_residuals->setSeries(QStringLiteral("held out"), pointSeries(tr("held out"), picture.heldX, picture.heldResiduals));
    }
}

void FitPage::showNumbers()
{
    QList<QStringList> rows;
    if (m_outcome)
        for (std::size_t i = 0; i < m_outcome->fit.parameters.size(); ++i) {
            QStringList row{QString::fromStdString(m_outcome->law->parameters()[i].name), shortText(m_outcome->fit.parameters[i])};
            if (m_outcome->bootstrap)
                row << shortText(m_outcome->bootstrap->intervals[i].low) << shortText(m_outcome->bootstrap->intervals[i].high);
            rows << row;
        }
    fillTable(*m_parameters, rows);
    for (const int interval : {2, 3})
        m_parameters->setColumnHidden(interval, !m_outcome || !m_outcome->bootstrap);
    m_heldOut->setVisible(m_outcome && m_outcome->heldOut);
    if (!m_outcome) {
        m_status->setText(m_table ? QString()
                                  : tr("Read a table or take runs of the workspace: a law is fitted to their points as you change the settings."));
        return;
    }
    if (m_outcome->heldOut)
        m_heldOut->setText(heldOutText(*m_outcome->heldOut));
    m_status->setText(tr("%1. Objective %2, R² %3. %4.")
                          .arg(QString::fromStdString(m_outcome->law->formula()), shortText(m_outcome->fit.objective), shortText(m_outcome->fit.r2),
                               certificateText(m_outcome->fit.certificate)));
}

}  // namespace orrery::plugins
