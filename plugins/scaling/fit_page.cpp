#include "fit_page.h"

#include <QCheckBox>
#include <QGridLayout>
#include <QLineEdit>
#include <QTabWidget>
#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <widgets/commands.h>
#include <widgets/schema_form.h>
#include <widgets/table_view.h>

#include "cutoff_line.h"

namespace orrery::plugins {
namespace {

/// Quick enough to follow the mouse: no resamples.
core::Json withoutResamples(core::Json document)
{
    document["resamples"] = 0;
    return document;
}

OutcomePtr fitted(const core::Json& document, const TablePtr& table, jobs::Context& context)
{
    return std::make_shared<scaling::FitOutcome>(scaling::runFit(scaling::requestFromJson(document), *table, context));
}

/// The points a law took, under its names and in its units.
TablePtr tableOf(const scaling::Points& points)
{
    auto table = std::make_shared<scaling::Table>();
    table->name = points.name;
    table->names = points.inputNames;
    table->names.emplace_back("loss");
    table->columns = points.inputs;
    table->columns.push_back(points.loss);
    table->places = points.places;
    table->runs = points.runs;
    return table;
}

}  // namespace

FitPage::~FitPage() = default;

std::vector<std::string> FitPage::inputNames() const
{
    try {
        const core::Json document = m_form->document();
        return scaling::makeLaw(scaling::requestFromJson(document.contains("law") ? core::Json{{"law", document["law"]}} : core::Json::object()).law,
                                m_table ? m_table->names : std::vector<std::string>{})
            ->inputs();
    } catch (const core::Error&) {
        return {};  // the form says what is wrong
    }
}

void FitPage::setTable(const TablePtr& table, const PointSource& source)
{
    // The rows of a stored fit come after it and change nothing of it; where its file is gone, its own points stay.
    const bool belongsToStored = m_opened && *m_opened == source;
    m_opened.reset();
    if (belongsToStored && !table)
        return;
    // A law of other points is not theirs, though they may want other settings before one of their own is found.
    const bool isStale = m_outcome && !belongsToStored;
    m_table = table;
    m_source = source;
    fillColumns();
    fillPoints();
    if (!belongsToStored)
        m_analysis.reset();
    if (!table)
        m_preview.cancel();
    if (isStale)
        m_outcome.reset();
    showOutcome();
    if (isStale)
        Q_EMIT outcomeChanged();
    if (!belongsToStored)
        fitSoon();
    updateButton();
}

/// A box a column that the law takes: where the table holds it, and its factor.
void FitPage::fillColumns()
{
    std::vector<std::string> names = inputNames();
    names.emplace_back("loss");
    delete m_columns;
    m_columns = new QWidget;
    auto* grid = new QGridLayout(m_columns);
    grid->setContentsMargins(0, 0, 0, 0);
    for (int row = 0; row < int(names.size()); ++row) {
        const QString name = QString::fromStdString(names[std::size_t(row)]);
        QComboBox* box = widgets::narrowBox(tr("Column of %1").arg(name), tr("Column of the table that holds %1").arg(name));
        box->setObjectName(QStringLiteral("column_") + name);
        box->addItem(tr("by name"), QString());
        if (m_table)
            for (const std::string& column : m_table->names)
                box->addItem(QString::fromStdString(column), QString::fromStdString(column));
        if (m_wantedColumns.contains(names[std::size_t(row)]))
            box->setCurrentIndex(std::max(0, box->findData(widgets::stateText(m_wantedColumns, names[std::size_t(row)].c_str()))));
        auto* factor = new QLineEdit;
        factor->setObjectName(QStringLiteral("scale_") + name);
        factor->setAccessibleName(tr("Factor of %1").arg(name));
        factor->setToolTip(tr("Factor that brings %1 into its unit: 1e6 for numbers in millions").arg(name));
        factor->setPlaceholderText(QStringLiteral("1"));
        if (const double scale = widgets::stateNumber(m_wantedScales, names[std::size_t(row)].c_str(), 1); scale != 1)
            factor->setText(QString::number(scale));
        grid->addWidget(new QLabel(name), row, 0);
        grid->addWidget(box, row, 1);
        grid->addWidget(new QLabel(QStringLiteral("×")), row, 2);
        grid->addWidget(factor, row, 3);
        connect(box, &QComboBox::activated, this, &FitPage::fitSoon);
        connect(factor, &QLineEdit::editingFinished, this, &FitPage::fitSoon);
    }
    grid->setColumnStretch(1, 2);
    grid->setColumnStretch(3, 1);
    m_columnGrid->addWidget(m_columns, 0, 0);
    names.pop_back();
    if (names == m_shownInputs && m_axis->count())
        return;
    m_shownInputs = names;
    const QSignalBlocker blocker(m_axis);
    m_axis->clear();
    for (const std::string& name : names)
        m_axis->addItem(QString::fromStdString(name));
}

void FitPage::fillPoints()
{
    QList<widgets::Column> columns{{QStringLiteral("place"), tr("Place"), tr("Where the row stands"), false}};
    std::vector<widgets::RowModel::Row> rows(m_table ? m_table->rows() : 0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        rows[i].id = qint64(i);
        rows[i].cells << QString::fromStdString(m_table->places[i]);
    }
    for (std::size_t c = 0; m_table && c < m_table->names.size(); ++c) {
        const QString name = QString::fromStdString(m_table->names[c]);
        columns << widgets::Column{name, name, name, true};
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const double value = m_table->columns[c][i];
            rows[i].cells << (std::isnan(value) ? QVariant() : QVariant(value));
        }
    }
    m_rows->setColumns(columns);
    m_rows->setRows(std::move(rows));
    showSelectedRuns();
}

core::Json FitPage::requestDocument() const
{
    core::Json document = m_form->document(), columns = core::Json::object(), scales = core::Json::object();
    std::vector<std::string> names = m_shownInputs;
    names.emplace_back("loss");
    for (const std::string& name : names) {
        if (const auto* box = m_columns->findChild<QComboBox*>(QStringLiteral("column_") + QString::fromStdString(name));
            box && !box->currentData().toString().isEmpty())
            columns[name] = box->currentData().toString().toStdString();
        const auto* factor = m_columns->findChild<QLineEdit*>(QStringLiteral("scale_") + QString::fromStdString(name));
        if (factor && !factor->text().trimmed().isEmpty()) {
            bool fine = false;
            const double value = factor->text().toDouble(&fine);
            scales[name] = fine ? core::Json(value) : core::Json(factor->text().toStdString());
        }
    }
    document["columns"] = columns;
    document["scale"] = scales;
    if (m_holdOut->isChecked() && m_cutoff->position() && axis() < m_shownInputs.size()) {
        document["hold_out"] = m_shownInputs[axis()];
        document["below"] = *m_cutoff->position();
    }
    return document;
}

std::size_t FitPage::axis() const
{
    return std::size_t(std::max(0, m_axis->currentIndex()));
}

QString FitPage::whyNot() const
{
    if (!m_table)
        return tr("Read points first");
    return m_form->isValid() ? QString() : tr("Correct the settings first");
}

void FitPage::formChanged()
{
    if (inputNames() != m_shownInputs)
        fillColumns();
    updateButton();
    fitSoon();
}

void FitPage::fitSoon()
{
    if (m_table && m_form->isValid() && !isRunning())
        preview();
}

/// Follows what is typed and dragged; the button adds the bootstrap and keeps the fit.
void FitPage::preview()
{
    Q_EMIT failed({});
    m_preview.start(
        session(), this,
        [document = withoutResamples(requestDocument()), table = m_table](widgets::BackgroundContext& context) {
            return fitted(document, table, context.job());
        },
        [this](const OutcomePtr& outcome) {
            m_analysis.reset();
            take(outcome);
        },
        [this](const QString& text) { Q_EMIT failed(text); });
}

void FitPage::run()
{
    if (isRunning() || !whyNot().isEmpty())
        return;
    m_preview.cancel();
    struct Kept {
        OutcomePtr outcome;
        std::optional<qint64> analysis;
    };
    const core::Json document = requestDocument();
    auto work = [document, table = m_table, source = m_source, workspace = session().workspace()](widgets::BackgroundContext& context) {
        const auto started = std::chrono::steady_clock::now();
        Kept kept{fitted(document, table, context.job()), {}};
        if (workspace)
            kept.analysis = scaling::storeFit(*workspace, *kept.outcome, originOf(source),
                                              std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
        return kept;
    };
    start(
        std::move(work),
        [this](const Kept& kept) {
            m_analysis = kept.analysis;
            take(kept.outcome);
            if (kept.analysis)
                Q_EMIT message(tr("The fit is stored as analysis %1").arg(*kept.analysis));
        },
        tr("Fit of a scaling law"), "scaling_fit", document, 0);
}

void FitPage::openStored(qint64 analysis)
{
    const auto workspace = session().workspace();
    if (!workspace)
        return;
    Q_EMIT failed({});
    m_preview.start(
        session(), this,
        [workspace, analysis](widgets::BackgroundContext&) { return std::make_shared<scaling::StoredFit>(scaling::readFit(*workspace, analysis)); },
        [this, analysis](const std::shared_ptr<scaling::StoredFit>& stored) {
            m_analysis = analysis;
            m_source = sourceFromOrigin(stored->analysis.inputs);
            m_table = tableOf(stored->outcome.points);
            fillPoints();
            restoreState({{"request", scaling::toJson(stored->outcome.request)}});
            take(std::make_shared<scaling::FitOutcome>(stored->outcome));
            m_opened = m_source;
            Q_EMIT sourceChosen(m_source);
        },
        [this](const QString& text) { Q_EMIT failed(text); });
}

void FitPage::take(const OutcomePtr& outcome)
{
    m_outcome = outcome;
    showOutcome();
    Q_EMIT outcomeChanged();
}

void FitPage::chooseRow(std::size_t row)
{
    m_points->setSelectedIds({qint64(row)});
    if (!m_table || row >= m_table->runs.size())
        return;
    m_sending = true;
    session().chooseRuns({m_table->runs[row]});
    m_sending = false;
}

void FitPage::showSelectedRuns()
{
    if (m_sending || !m_table || m_table->runs.empty())
        return;
    QList<qint64> rows;
    for (std::size_t i = 0; i < m_table->runs.size(); ++i)
        if (session().selection().runs.contains(m_table->runs[i]))
            rows << qint64(i);
    m_points->setSelectedIds(rows);
}

void FitPage::cutoffMoved(double x)
{
    m_heldOut->setText(tr("Fitting below %1…").arg(shortText(x)));
    fitSoon();
}

QString FitPage::command() const
{
    if (!m_table)
        return {};
    QStringList words{QStringLiteral("scaling"), QStringLiteral("fit")};
    const core::Json document = requestDocument();
    if (!m_source.runs || document.value("columns", core::Json::object()).empty())
        words << m_source.arguments();
    const core::Json law = document.value("law", core::Json("chinchilla"));
    words << QStringLiteral("--law") << QString::fromStdString(law.is_string() ? law.get<std::string>() : law.value("id", "chinchilla"));
    if (law.is_object())
        for (const auto& [key, value] : law.items())
            if (key != "id")
                words << QStringLiteral("--set") << QString::fromStdString(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
    for (const auto& [key, option] :
         {std::pair{"objective", "--objective"}, {"delta", "--delta"}, {"space", "--space"}, {"hold_out", "--hold-out"}, {"below", "--below"}})
        if (document.contains(key))
            words << QString::fromLatin1(option)
                  << QString::fromStdString(document[key].is_string() ? document[key].get<std::string>() : document[key].dump());
    for (const auto& [name, column] : document["columns"].items())
        words << QStringLiteral("--column") << QString::fromStdString(name + "=" + column.get<std::string>());
    for (const auto& [name, factor] : document["scale"].items())
        words << QStringLiteral("--scale") << QString::fromStdString(name + "=" + factor.dump());
    return widgets::cliCommand(words);
}

core::Json FitPage::saveState() const
{
    return {{"request", requestDocument()}, {"axis", m_axis->currentIndex()}, {"hold_out", m_holdOut->isChecked()}};
}

void FitPage::restoreState(const core::Json& state)
{
    core::Json request = state.is_object() ? state.value("request", core::Json::object()) : core::Json::object();
    if (!request.is_object())
        return;
    m_wantedColumns = request.value("columns", core::Json::object());
    m_wantedScales = request.value("scale", core::Json::object());
    const QString heldOut = widgets::stateText(request, "hold_out");
    const double below = widgets::stateNumber(request, "below", 0);
    for (const char* key : {"columns", "scale", "hold_out", "below"})
        request.erase(key);
    m_form->setDocument(request);
    m_shownInputs.clear();
    fillColumns();
    const int row = heldOut.isEmpty() ? int(widgets::stateNumber(state, "axis", 0)) : m_axis->findText(heldOut);
    m_axis->setCurrentIndex(std::clamp(row, 0, std::max(0, m_axis->count() - 1)));
    m_cutoff->setPosition(below > 0 ? std::optional(below) : std::nullopt);
    const QSignalBlocker blocker(m_holdOut);
    m_holdOut->setChecked(below > 0);
    updateButton();
}

}  // namespace orrery::plugins
