#include "widths_page.h"

#include <QCheckBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QLineEdit>
#include <QSpinBox>
#include <QSplitter>
#include <QVBoxLayout>
#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/scaling/width/coordinate_plot.h>
#include <core/train/catalogue.h>
#include <core/zoo/parametrisation.h>
#include <core/zoo/zoo.h>
#include <widgets/commands.h>

namespace orrery::plugins {
namespace {

QLineEdit* lineField(const char* name, const QString& accessible, const QString& tooltip, const QString& text)
{
    auto* edit = new QLineEdit(text);
    edit->setObjectName(QString::fromLatin1(name));
    edit->setAccessibleName(accessible);
    edit->setToolTip(tooltip);
    return edit;
}

QSpinBox* countField(const char* name, const QString& accessible, int low, int high, int value)
{
    auto* box = new QSpinBox;
    box->setObjectName(QString::fromLatin1(name));
    box->setAccessibleName(accessible);
    box->setToolTip(accessible);
    box->setRange(low, high);
    box->setValue(value);
    box->setMinimumWidth(60);
    return box;
}

QString exponent(double value)
{
    return std::isfinite(value) ? QStringLiteral("%1%2").arg(QLatin1String(value < 0 ? "" : "+")).arg(value, 0, 'f', 3) : QStringLiteral("–");
}

/// A curve of core's plot as the view draws it.
widgets::PlotSeries seriesOf(const report::Series& from, const QString& title, bool dashed)
{
    widgets::PlotSeries series;
    series.title = title;
    series.style = dashed ? widgets::LineStyle::Dashed : widgets::LineStyle::LineAndPoints;
    series.data = {from.x, from.y, from.low, from.high};
    series.smoothed = false;
    return series;
}

}  // namespace

WidthsPage::WidthsPage(widgets::Session& session)
    : ScalingPage(session, tr("&Check widths"), tr("Progress of the coordinate check")),
      m_model(lineField("model", tr("Model"), tr("zoo:mlp, zoo:gpt or zoo:vit with parameters: zoo:mlp?hidden=64,64"),
                        QStringLiteral("zoo:mlp?hidden=64,64"))),
      m_widths(lineField("widths", tr("Widths"), tr("Widths to compare, parted by commas"), QStringLiteral("64,128,256,512,1024"))),
      m_rates(lineField("rates", tr("Learning rates to sweep"),
                        tr("Learning rates parted by commas: the loss at each width and rate instead of the check"), {})),
      m_steps(countField("steps", tr("Training steps"), 1, 100000, 5)), m_seeds(countField("seeds", tr("Models at each width"), 1, 100, 3)),
      m_step(countField("step", tr("Step whose changes are shown"), 0, 5, 5)), m_optimizer(widgets::narrowBox(tr("Optimizer"), tr("Optimizer"))),
      m_rate(new QDoubleSpinBox), m_plot(new widgets::PlotView),
      m_table(
          readingTable(tr("Exponents by layer"), {tr("Layer"), tr("Parametrisation"), tr("Smallest width"), tr("Largest width"), tr("Exponent")})),
      m_status(textLine(QStringLiteral("widthsStatus"))), m_use(new QPushButton(tr("&Use best")))
{
    m_use->setObjectName(QStringLiteral("useBest"));
    m_use->setEnabled(false);
    m_use->setToolTip(tr("Write the largest width with the rate that is best at the smallest into New run; first sweep rates"));
    m_use->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    connect(m_use, &QPushButton::clicked, this, &WidthsPage::useBest);
    m_plot->setObjectName(QStringLiteral("widthsPlot"));
    m_plot->setLog(widgets::PlotAxis::X, true);
    m_plot->setLog(widgets::PlotAxis::Y, true);
    m_table->setObjectName(QStringLiteral("widthsTable"));
    m_status->setText(
        tr("Press Check widths: the model is trained for a few steps at each width. Where the parametrisation is right, the size of every "
           "layer's change does not depend on the width: exponents near 0."));
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_plot);
    splitter->addWidget(m_table);
    splitter->setChildrenCollapsible(false);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(makeFields());
    layout->addLayout(buttonRow());
    layout->addWidget(splitter, 1);
    layout->addWidget(m_status);
    connect(m_step, &QSpinBox::valueChanged, this, &WidthsPage::showStep);
    updateButton();
}

QLayout* WidthsPage::makeFields()
{
    m_optimizer->setObjectName(QStringLiteral("optimizer"));
    for (const char* id : {"adam", "adamw", "sgd", "rmsprop"})
        m_optimizer->addItem(QString::fromLatin1(id), QString::fromLatin1(id));
    m_rate->setObjectName(QStringLiteral("rate"));
    m_rate->setAccessibleName(tr("Learning rate"));
    m_rate->setToolTip(tr("Learning rate"));
    m_rate->setDecimals(6);
    m_rate->setMinimumWidth(60);
    m_rate->setRange(1e-6, 1000);
    m_rate->setStepType(QAbstractSpinBox::AdaptiveDecimalStepType);
    m_rate->setValue(0.002);
    auto* kinds = new QHBoxLayout;
    for (const std::string& name : zoo::parametrisationNames()) {
        auto* box = new QCheckBox(QString::fromStdString(name));
        box->setObjectName(QString::fromStdString(name));
        box->setChecked(name == "standard" || name == "mup");
        connect(box, &QCheckBox::toggled, this, &WidthsPage::updateButton);
        kinds->addWidget(box);
        m_kinds << box;
    }
    kinds->addStretch(1);
    auto* numbers = new QHBoxLayout;
    numbers->addWidget(m_optimizer, 1);
    numbers->addWidget(m_rate, 1);
    m_steps->setSuffix(tr(" steps"));
    m_seeds->setSuffix(tr(" seeds"));
    numbers->addWidget(m_steps, 1);
    numbers->addWidget(m_seeds, 1);
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(4);
    form->addRow(tr("&Model"), m_model);
    form->addRow(tr("Wi&dths"), m_widths);
    form->addRow(tr("Compare"), kinds);
    auto* optimizerLabel = new QLabel(tr("&Optimizer"));
    optimizerLabel->setBuddy(m_optimizer);
    form->addRow(optimizerLabel, numbers);
    m_rates->setPlaceholderText(tr("none: coordinate check; 0.0005,0.001,0.002,0.004: which rate is best at each width"));
    form->addRow(tr("&Rates"), m_rates);
    m_step->setPrefix(tr("step "));
    buttonRow()->addWidget(m_step);
    buttonRow()->addWidget(m_use);
    for (QLineEdit* edit : {m_model, m_widths, m_rates})
        connect(edit, &QLineEdit::textChanged, this, &WidthsPage::updateButton);
    return form;
}

QStringList WidthsPage::parametrisations() const
{
    QStringList out;
    for (const QCheckBox* box : m_kinds)
        if (box->isChecked())
            out << box->objectName();
    return out;
}

QString WidthsPage::whyNot() const
{
    try {
        request();
        numbersIn(m_rates->text(), "rates");
    } catch (const core::Error& error) {
        return QString::fromUtf8(error.what());
    }
    return parametrisations().isEmpty() ? tr("Choose at least one parametrisation") : QString();
}

scaling::CoordinateRequest WidthsPage::request() const
{
    scaling::CoordinateRequest out;
    out.document = scaling::coordinateDocument(m_model->text().trimmed().toStdString());
    out.document["train"]["optimizer"] = {{"id", m_optimizer->currentData().toString().toStdString()}, {"lr", m_rate->value()}};
    out.widths.clear();
    for (const double width : numbersIn(m_widths->text(), "widths")) {
        if (!(width >= 1 && width <= scaling::kWidestModel))
            throw core::InputError(fmt::format("widths: expected numbers from 1 to {}, got {}", scaling::kWidestModel, core::formatNumber(width)));
        out.widths.push_back(std::llround(width));
    }
    out.steps = m_steps->value();
    out.seeds = m_seeds->value();
    if (!m_rates->text().trimmed().isEmpty())
        out.samples = 512;
    return out;
}

QString WidthsPage::command() const
{
    const QStringList kinds = parametrisations();
    if (kinds.isEmpty())
        return {};
    QStringList words{QStringLiteral("scaling"),
                      QStringLiteral("coord-check"),
                      m_model->text().trimmed(),
                      QStringLiteral("--widths"),
                      m_widths->text().remove(QLatin1Char(' ')),
                      QStringLiteral("--parametrisation"),
                      kinds.last(),
                      QStringLiteral("--optimizer"),
                      m_optimizer->currentData().toString(),
                      QStringLiteral("--lr"),
                      QString::number(m_rate->value()),
                      QStringLiteral("--steps"),
                      QString::number(m_steps->value()),
                      QStringLiteral("--seeds"),
                      QString::number(m_seeds->value())};
    if (const QString rates = m_rates->text().remove(QLatin1Char(' ')); !rates.isEmpty())
        words << QStringLiteral("--rates") << rates;
    return widgets::cliCommand(words);
}

void WidthsPage::run()
{
    if (isRunning() || !whyNot().isEmpty())
        return;
    const scaling::CoordinateRequest asked = request();
    const std::vector<double> rates = numbersIn(m_rates->text(), "rates");
    const QStringList kinds = parametrisations();
    m_asked = asked.document;
    auto work = [asked, rates, kinds](widgets::BackgroundContext& context) {
        Outcome out;
        for (qsizetype i = 0; i < kinds.size(); ++i) {
            scaling::CoordinateRequest one = asked;
            one.parametrisation = kinds[i].toStdString();
            const auto progress = [&](int done, int total) {
                context.progress(double(i) * total + done, double(kinds.size()) * total, "steps");
                context.job().pausePoint();
            };
            // One that does not suit the model or the optimizer costs nothing of what the others find.
            try {
                if (rates.empty())
                    out.checks.push_back(scaling::checkCoordinates(one, progress, context.stopToken()));
                else
                    out.sweeps.push_back(scaling::sweepRates(one, rates, progress, context.stopToken()));
                out.names << kinds[i];
            } catch (const core::InputError& error) {
                out.faults << QStringLiteral("%1: %2").arg(kinds[i], QString::fromUtf8(error.what()));
            }
        }
        if (out.names.isEmpty())
            throw core::InputError(out.faults.join(QStringLiteral("; ")).toStdString());
        return out;
    };
    start(
        std::move(work), [this](const Outcome& outcome) { take(outcome); }, tr("Coordinate check of %1").arg(m_model->text().trimmed()),
        "coord-check", asked.document, 0);
}

void WidthsPage::take(const Outcome& outcome)
{
    m_outcome = outcome;
    if (!outcome.faults.isEmpty())
        Q_EMIT failed(outcome.faults.join(QStringLiteral("; ")));
    const int steps = outcome.checks.empty() ? 0 : outcome.checks.front().steps;
    const QSignalBlocker blocker(m_step);
    m_step->setRange(0, std::max(1, steps));
    m_step->setValue(steps);
    m_step->setEnabled(!outcome.checks.empty());
    m_use->setEnabled(!outcome.sweeps.empty() && outcome.sweeps.back().best(0) >= 0);
    showStep();
}

/// muTransfer: what was found at a small width is taken to a large one.
void WidthsPage::useBest()
{
    const scaling::RateSweep& sweep = m_outcome.sweeps.back();
    const auto [small, large] = std::minmax_element(sweep.widths.begin(), sweep.widths.end());
    const int best = sweep.best(std::size_t(small - sweep.widths.begin()));
    if (best < 0)
        return Q_EMIT failed(tr("No learning rate is good at the smallest width"));
    core::Json document = m_asked;
    const zoo::ZooReference reference = zoo::parseZooReference(document["model"].get<std::string>());
    core::Json model = zoo::atWidth(reference.id, reference.parameters, *large);
    model["parametrisation"] = m_outcome.names.last().toStdString();
    if (model["parametrisation"] != "standard")
        model["base_width"] = *small;
    document["model"] = zoo::zooReference(reference.id, model);
    document["name"] = "width " + std::to_string(*large) + " with the settings of width " + std::to_string(*small);
    document["train"]["optimizer"]["lr"] = sweep.rates[std::size_t(best)];
    session().setDraft(document);
    session().requestPanel(QStringLiteral("new_run"));
}

void WidthsPage::showStep()
{
    m_plot->clear();
    QList<QStringList> rows;
    m_plot->setAxisTitle(widgets::PlotAxis::X, m_outcome.sweeps.empty() ? tr("Width") : tr("Learning rate"));
    m_plot->setAxisTitle(widgets::PlotAxis::Y, !m_outcome.sweeps.empty() ? tr("Loss")
                                               : m_step->value() == 0    ? tr("Mean |activation| at the start")
                                                                         : tr("Mean |change| after %1 steps").arg(m_step->value()));
    m_table->setHorizontalHeaderLabels(
        m_outcome.sweeps.empty() ? QStringList{tr("Layer"), tr("Parametrisation"), tr("Smallest width"), tr("Largest width"), tr("Exponent")}
                                 : QStringList{tr("Width"), tr("Parametrisation"), tr("Best rate"), tr("Its loss"), tr("Best is number")});
    for (std::size_t i = 0; i < m_outcome.checks.size(); ++i)
        showCheck(m_outcome.checks[i], m_outcome.names[qsizetype(i)], rows);
    for (std::size_t i = 0; i < m_outcome.sweeps.size(); ++i)
        showSweep(m_outcome.sweeps[i], m_outcome.names[qsizetype(i)], rows);
    fillTable(*m_table, rows);
    if (!m_outcome.checks.empty())
        m_status->setText(
            tr("Exponent 0: the layer's change does not depend on the width. Solid lines: the last parametrisation; dashed: the others."));
    else if (!m_outcome.sweeps.empty())
        m_status->setText(tr("Where the parametrisation is right, the best rate is the same at all widths. Solid lines: the last parametrisation; "
                             "dashed: the others."));
}

void WidthsPage::showCheck(const scaling::CoordinateCheck& check, const QString& name, QList<QStringList>& rows)
{
    const int step = std::min(m_step->value(), check.steps);
    const bool change = step > 0, last = name == m_outcome.names.last();
    const report::CurvePlot plot = scaling::coordinatePlot(check, step, change);
    for (const report::Series& series : plot.series) {
        const QString layer = QString::fromStdString(series.name), title = QStringLiteral("%1, %2").arg(layer, name);
        widgets::PlotSeries curve = seriesOf(series, title, !last);
        // A layer has one colour, whatever the parametrisation.
        if (const QString twin = QStringLiteral("%1, %2").arg(layer, m_outcome.names.first()); m_plot->seriesIds().contains(twin))
            curve.color = m_plot->seriesColor(twin);
        m_plot->setSeries(title, curve);
        const scaling::CoordinateSlope& slope = check.slope(series.name, step);
        rows << QStringList{layer, name, shortText(series.y.front()), shortText(series.y.back()), exponent(change ? slope.change : slope.activation)};
    }
}

void WidthsPage::showSweep(const scaling::RateSweep& sweep, const QString& name, QList<QStringList>& rows)
{
    const bool last = name == m_outcome.names.last();
    const report::CurvePlot plot = scaling::ratePlot(sweep);
    for (std::size_t i = 0; i < sweep.widths.size(); ++i) {
        const QString width = QString::number(sweep.widths[i]),
                      title = QStringLiteral("%1, %2").arg(QString::fromStdString(plot.series[i].name), name);
        widgets::PlotSeries curve = seriesOf(plot.series[i], title, !last);
        if (const QString twin = QStringLiteral("%1, %2").arg(QString::fromStdString(plot.series[i].name), m_outcome.names.first());
            m_plot->seriesIds().contains(twin))
            curve.color = m_plot->seriesColor(twin);
        m_plot->setSeries(title, curve);
        const int best = sweep.best(i);
        rows << (best < 0 ? QStringList{width, name, tr("none"), {}, {}}
                          : QStringList{width, name, shortText(sweep.rates[std::size_t(best)]), shortText(sweep.loss[i][std::size_t(best)]),
                                        QString::number(best + 1)});
    }
}

core::Json WidthsPage::saveState() const
{
    core::Json kinds = core::Json::array();
    for (const QString& kind : parametrisations())
        kinds.push_back(kind.toStdString());
    return {{"model", m_model->text().toStdString()},
            {"widths", m_widths->text().toStdString()},
            {"rates", m_rates->text().toStdString()},
            {"optimizer", m_optimizer->currentData().toString().toStdString()},
            {"rate", m_rate->value()},
            {"steps", m_steps->value()},
            {"seeds", m_seeds->value()},
            {"parametrisations", kinds}};
}

void WidthsPage::restoreState(const core::Json& state)
{
    m_model->setText(widgets::stateText(state, "model", m_model->text()));
    m_widths->setText(widgets::stateText(state, "widths", m_widths->text()));
    m_rates->setText(widgets::stateText(state, "rates"));
    if (const int row = m_optimizer->findData(widgets::stateText(state, "optimizer")); row >= 0)
        m_optimizer->setCurrentIndex(row);
    m_rate->setValue(widgets::stateNumber(state, "rate", m_rate->value()));
    m_steps->setValue(int(widgets::stateNumber(state, "steps", m_steps->value())));
    m_seeds->setValue(int(widgets::stateNumber(state, "seeds", m_seeds->value())));
    if (state.is_object() && state.contains("parametrisations") && state["parametrisations"].is_array())
        for (QCheckBox* box : m_kinds)
            box->setChecked(std::find(state["parametrisations"].begin(), state["parametrisations"].end(),
                                      core::Json(box->objectName().toStdString())) != state["parametrisations"].end());
    updateButton();
}

}  // namespace orrery::plugins
