#include "divergence_page.h"

#include <QCheckBox>
#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QSpinBox>
#include <QSplitter>
#include <QTableView>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include <core/base/text.h>
#include <core/train/text_batch.h>
#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/model_source.h>
#include <widgets/plot_view.h>
#include <widgets/table_view.h>

namespace orrery::plugins {
namespace {

using widgets::RowModel;

QLineEdit* numberLine(const char* name, const QString& accessible, const QString& standard, const QString& tooltip)
{
    auto* line = new QLineEdit;
    line->setObjectName(QString::fromLatin1(name));
    line->setAccessibleName(accessible);
    line->setPlaceholderText(standard);
    line->setToolTip(tooltip);
    line->setMaximumWidth(110);
    return line;
}

/// The same inputs for the other side, in the dtype that its model computes in.
debug::RunSide otherSide(const DebugModel& model, const QString& argument, const std::shared_ptr<store::Workspace>& workspace,
                         const QString& dtypeName)
{
    graph::Model other =
        argument.isEmpty() ? *model.model : widgets::openModelArgument(argument, workspace, train::neededInputs(model.subject.texts));
    debug::RunSide side;
    side.inputs = model.inputs;
    if (!dtypeName.isEmpty()) {
        const auto dtype = graph::dtypeFromName(dtypeName.toStdString());
        other.graph = graph::moved(other.graph, at::kCPU, dtype);
        other.weights = other.weights.to(at::kCPU, dtype);
        for (auto& input : side.inputs)
            if (input.isTensor() && at::isFloatingType(input.toTensor().scalar_type()))
                input = input.toTensor().to(dtype);
    }
    side.executor = std::make_shared<graph::Executor>(other.graph);
    side.weights = other.weights;
    return side;
}

/// "aten::conv2d", or with what stands for it in the second run: "aten::batch_norm; conv1.Conv, aten::conv2d, in the second".
QString operatorsText(const debug::ValueDifference& value)
{
    const QString op = QString::fromStdString(value.op);
    return value.a == value.b ? op
                              : DivergencePage::tr("%1; %2, %3, in the second, matched by %4")
                                    .arg(op, QString::fromStdString(value.b).toHtmlEscaped(), QString::fromStdString(value.opB),
                                         QString::fromLatin1(debug::matchedByName(value.by)));
}

QString firstText(const debug::Divergence& result)
{
    QString text;
    if (result.comparedNothing()) {
        text = DivergencePage::tr("Nothing was compared: no value of one run has a counterpart in the other.");
    } else if (!result.first) {
        text = DivergencePage::tr("No difference beyond the tolerance in %1 values.").arg(result.values.size());
    } else {
        const auto& value = result.values[*result.first];
        const QString name = QString::fromStdString(value.a).toHtmlEscaped();
        if (!value.problem.empty())
            text = DivergencePage::tr("First difference at <b>%1</b>: %2.").arg(name, QString::fromStdString(value.problem));
        else
            text = DivergencePage::tr("First difference at <b>%1</b> (%2): %3 of %4 elements beyond %5 + %6 |b|; worst at %7: %8 against %9.")
                       .arg(name, operatorsText(value))
                       .arg(value.beyond)
                       .arg(value.elements)
                       .arg(value.absolute)
                       .arg(value.relative)
                       .arg(QString::fromStdString(core::formatShape(value.worst)))
                       .arg(value.valueA, 0, 'g', 8)
                       .arg(value.valueB, 0, 'g', 8);
    }
    for (const auto& [which, failure] :
         {std::pair{DivergencePage::tr("The first run"), result.failureA}, {DivergencePage::tr("The second run"), result.failureB}})
        if (!failure.empty())
            text += QStringLiteral("<br>") + DivergencePage::tr("%1 failed: %2").arg(which, QString::fromStdString(failure).toHtmlEscaped());
    for (const auto& [which, names] : {std::pair{DivergencePage::tr("Without a counterpart in the first: %1."), result.onlyA},
                                       {DivergencePage::tr("Without a counterpart in the second: %1."), result.onlyB}})
        if (!names.empty()) {
            const std::size_t shown = std::min<std::size_t>(names.size(), 6);
            const std::string list = core::join(std::vector<std::string>(names.begin(), names.begin() + std::ptrdiff_t(shown)), ", ");
            text += QStringLiteral(" ") +
                    which.arg(QString::fromStdString(list).toHtmlEscaped() + (shown < names.size() ? QStringLiteral(", …") : QString()));
        }
    return text + QStringLiteral(" ") +
           DivergencePage::tr("%1; %2 nodes matched by name, %3 by structure, %4 only in the first, %5 only in the second.")
               .arg(result.sameGraph ? DivergencePage::tr("Same graph") : DivergencePage::tr("Different graphs"))
               .arg(result.byName)
               .arg(result.byStructure)
               .arg(result.onlyA.size())
               .arg(result.onlyB.size());
}

}  // namespace

DivergencePage::DivergencePage(widgets::Session& session)
    : JobPage(session, tr("Com&pare"), tr("Progress of the comparison")), m_other(new QLineEdit),
      m_relative(
          numberLine("rtol", tr("Relative tolerance"), tr("relative"), tr("|a - b| <= absolute + relative |b|; empty: as the coarser dtype asks"))),
      m_absolute(
          numberLine("atol", tr("Absolute tolerance"), tr("absolute"), tr("|a - b| <= absolute + relative |b|; empty: as the coarser dtype asks"))),
      m_dtype(widgets::narrowBox(tr("Compute type of the second run"), tr("Compute type of the second run"))), m_threads(new QSpinBox),
      m_all(new QCheckBox(tr("&all values"))), m_equalNan(new QCheckBox(tr("&NaN equal"))), m_first(new QLabel), m_rows(new RowModel(this)),
      m_table(new widgets::TableView), m_plot(new widgets::PlotView), m_splitter(new QSplitter(Qt::Vertical))
{
    m_other->setObjectName(QStringLiteral("other"));
    m_other->setAccessibleName(tr("The other model"));
    m_other->setPlaceholderText(tr("the same model; or a file, run:ID[@STEP], zoo:NAME"));
    m_other->setClearButtonEnabled(true);
    m_dtype->addItem(tr("same dtype"), QString());
    for (const char* name : {"float64", "float32", "bfloat16", "float16"})
        m_dtype->addItem(QString::fromLatin1(name), QString::fromLatin1(name));
    m_dtype->setObjectName(QStringLiteral("dtypeB"));
    m_threads->setRange(0, 256);
    m_threads->setSpecialValueText(tr("same"));
    m_threads->setObjectName(QStringLiteral("threadsB"));
    m_threads->setAccessibleName(tr("Threads of the second run"));
    m_threads->setToolTip(tr("Threads of the second run"));
    m_all->setObjectName(QStringLiteral("all"));
    m_equalNan->setObjectName(QStringLiteral("equalNan"));
    m_all->setToolTip(tr("Go on behind the first difference"));
    m_first->setObjectName(QStringLiteral("first"));
    m_first->setWordWrap(true);
    m_first->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_rows->setColumns({{"value", tr("value"), {}},
                        {"within", tr("within"), tr("All elements within the tolerance")},
                        {"shape", tr("shape"), {}},
                        {"abs", tr("max abs"), tr("Largest distance of two elements"), true, 4},
                        {"rel", tr("max rel"), tr("Largest distance relative to the second run"), true, 4},
                        {"rms", tr("rms rel"), tr("Root mean square of the distance over that of the second run"), true, 4},
                        {"beyond", tr("beyond"), tr("Elements beyond the tolerance"), true, 6},
                        {"op", tr("operator"), {}}});
    m_table->setModel(m_rows);
    m_table->setObjectName(QStringLiteral("differences"));
    m_table->table()->setColumnWidth(0, 240);
    m_table->table()->horizontalHeader()->setStretchLastSection(true);
    for (int column = 1; column <= 6; ++column)
        m_table->table()->setColumnWidth(column, column == 2 ? 100 : 76);
    m_plot->setObjectName(QStringLiteral("growth"));
    m_plot->setAxisTitle(widgets::PlotAxis::X, tr("line"));
    m_plot->setWhole(widgets::PlotAxis::X);
    m_plot->setAxisTitle(widgets::PlotAxis::Y, tr("relative error (rms)"));
    m_plot->setLog(widgets::PlotAxis::Y, true);
    m_plot->setLegendVisible(false);
    connect(m_table, &widgets::TableView::selectionChanged, this, [this](const QList<qint64>& ids) {
        if (m_result && !ids.isEmpty())
            Q_EMIT valueChosen(QString::fromStdString(m_result->values.at(std::size_t(ids.front())).a));
    });
    connect(m_other, &QLineEdit::textChanged, this, &DivergencePage::updateButton);
    connect(m_other, &QLineEdit::returnPressed, this, [this] {
        if (!isRunning() && whyNot().isEmpty())
            run();
    });
    for (auto* line : {m_relative, m_absolute})
        connect(line, &QLineEdit::textChanged, this, &DivergencePage::updateButton);
    auto* second = new QHBoxLayout;
    second->addWidget(m_dtype);
    second->addWidget(m_threads);
    second->addWidget(m_relative);
    second->addWidget(m_absolute);
    second->addStretch(1);
    auto* third = new QHBoxLayout;
    third->addLayout(buttonRow(), 1);
    third->addWidget(m_all);
    third->addWidget(m_equalNan);
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->addRow(tr("aga&inst"), m_other);
    form->addRow(tr("as"), second);
    m_splitter->addWidget(m_table);
    m_splitter->addWidget(m_plot);
    m_splitter->setStretchFactor(0, 2);
    m_splitter->setStretchFactor(1, 1);
    m_splitter->setMinimumHeight(160);
    m_table->setMinimumHeight(80);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(form);
    layout->addLayout(third);
    layout->addWidget(m_first);
    layout->addWidget(m_splitter, 1);
    updateButton();
}

std::optional<double> DivergencePage::tolerance(const QLineEdit* line) const
{
    if (line->text().trimmed().isEmpty())
        return std::nullopt;
    bool isNumber = false;
    const double value = line->text().trimmed().toDouble(&isNumber);
    return isNumber && value >= 0 ? value : std::nan("");
}

QString DivergencePage::whyNot() const
{
    if (!m_model)
        return tr("Choose a model first");
    for (const auto* line : {m_relative, m_absolute})
        if (const auto value = tolerance(line); value && std::isnan(*value))
            return tr("%1: expected a number that is not negative, got \"%2\"").arg(line->accessibleName(), line->text());
    return {};
}

void DivergencePage::setModel(const DebugModelPtr& model)
{
    findChild<widgets::JobBar*>()->cancel();  // its result would be shown as the new model's
    m_model = model;
    m_result.reset();
    m_rows->setRows({});
    m_plot->clear();
    m_plot->setVisible(false);
    m_first->setText(tr("Two runs are compared value by value; the first one beyond the tolerance is named."));
    updateButton();
}

void DivergencePage::run()
{
    debug::DivergenceOptions options;
    options.tolerance = {tolerance(m_relative), tolerance(m_absolute), m_equalNan->isChecked()};
    options.all = m_all->isChecked();
    const QString other = m_other->text().trimmed(), dtype = m_dtype->currentData().toString();
    const int threads = m_threads->value();
    const core::Json document{{"a", m_model->subject.model.toStdString()}, {"b", other.toStdString()}};
    start(
        [model = m_model, workspace = session().workspace(), other, dtype, threads, options](widgets::BackgroundContext& context) mutable {
            const debug::RunSide a{model->executor, model->model->weights, model->inputs, 0, 0};
            debug::RunSide b = otherSide(*model, other, workspace, dtype);
            b.threads = threads;
            options.progress = [&](double done, double total) { context.progress(done, total, "nodes"); };
            return debug::compareRuns(a, b, options, context.stopToken());
        },
        [this](const debug::Divergence& result) { take(result); }, tr("Comparison of two runs of %1").arg(shortName(m_model->subject.model)),
        "diff-run", document, 0);
}

void DivergencePage::take(const debug::Divergence& result)
{
    m_result = result;
    m_first->setText(firstText(result));
    std::vector<RowModel::Row> rows;
    widgets::PlotSeries growth;
    growth.title = tr("relative error");
    growth.style = result.values.size() <= 200 ? widgets::LineStyle::LineAndPoints : widgets::LineStyle::Line;
    for (const auto& value : result.values) {
        const double rms = value.relativeRms();
        const bool numbers = value.problem.empty() && value.elements > 0;
        rows.push_back(
            {qint64(rows.size()),
             {QString::fromStdString(value.a), value.isWithin() ? tr("yes") : tr("no"), QString::fromStdString(core::formatShape(value.shape)),
              numbers ? QVariant(value.maxAbsolute) : QVariant(), numbers ? QVariant(value.maxRelative) : QVariant(),
              numbers ? QVariant(rms) : QVariant(), numbers ? QVariant(qint64(value.beyond)) : QVariant(), QString::fromStdString(value.op)},
             value.problem.empty() ? QString::fromStdString(value.b) : QString::fromStdString(value.problem)});
        if (numbers && rms > 0 && std::isfinite(rms)) {
            growth.data.x.push_back(value.lineA + 1);
            growth.data.y.push_back(rms);
        }
    }
    m_rows->setRows(std::move(rows));
    // Names tell themselves apart at their end: they get the room that they need, up to half of it.
    m_table->table()->resizeColumnToContents(0);
    m_table->table()->setColumnWidth(0, std::clamp(m_table->table()->columnWidth(0), 160, std::max(160, width() / 2)));
    if (result.first) {
        m_table->setSelectedIds({qint64(*result.first)});
        if (const auto chosen = m_table->table()->selectionModel()->selectedRows(); !chosen.isEmpty())
            m_table->table()->scrollTo(chosen.front(), QAbstractItemView::PositionAtCenter);
    }
    m_plot->clear();
    const bool appears = m_plot->isHidden() && !growth.data.x.empty();
    m_plot->setVisible(!growth.data.x.empty());
    if (appears)
        m_splitter->setSizes({2000, 1000});
    if (!growth.data.x.empty())
        m_plot->setSeries(QStringLiteral("growth"), growth);
    m_plot->showAll();
}

QWidget* DivergencePage::picture() const
{
    return m_table;
}

QString DivergencePage::command() const
{
    if (!m_model || !whyNot().isEmpty())
        return {};
    const QString other = m_other->text().trimmed();
    QStringList words = {QStringLiteral("diff-run"), m_model->subject.model, other.isEmpty() ? m_model->subject.model : other};
    // Two runs are compared in evaluation: dropout would differ by itself.
    QStringList inputs = m_model->inputWords;
    inputs.removeAll(QStringLiteral("--training"));
    words << inputs;
    if (!m_dtype->currentData().toString().isEmpty())
        words << QStringLiteral("--dtype-b") << m_dtype->currentData().toString();
    if (m_threads->value() > 0)
        words << QStringLiteral("--threads-b") << QString::number(m_threads->value());
    for (const auto& [option, line] : {std::pair{"--rtol", m_relative}, {"--atol", m_absolute}})
        if (!line->text().trimmed().isEmpty())
            words << QString::fromLatin1(option) << line->text().trimmed();
    if (m_all->isChecked())
        words << QStringLiteral("--all");
    if (m_equalNan->isChecked())
        words << QStringLiteral("--equal-nan");
    return widgets::cliCommand(withWorkspace(words, {m_model->subject.model, other}, session().workspaceFolder()));
}

core::Json DivergencePage::saveState() const
{
    return {{"other", m_other->text().toStdString()},   {"dtype", m_dtype->currentIndex()},         {"threads", m_threads->value()},
            {"rtol", m_relative->text().toStdString()}, {"atol", m_absolute->text().toStdString()}, {"all", m_all->isChecked()},
            {"equal_nan", m_equalNan->isChecked()}};
}

void DivergencePage::restoreState(const core::Json& state)
{
    m_other->setText(widgets::stateText(state, "other"));
    m_dtype->setCurrentIndex(std::clamp(widgets::stateInteger(state, "dtype", 0), 0, m_dtype->count() - 1));
    m_threads->setValue(widgets::stateInteger(state, "threads", 0));
    m_relative->setText(widgets::stateText(state, "rtol"));
    m_absolute->setText(widgets::stateText(state, "atol"));
    const auto flag = [&](const char* key) { return state.is_object() && state.contains(key) && state[key].is_boolean() && state[key].get<bool>(); };
    m_all->setChecked(flag("all"));
    m_equalNan->setChecked(flag("equal_nan"));
}

}  // namespace orrery::plugins
