#include "run_inspection.h"

#include <QComboBox>
#include <QHeaderView>
#include <QLabel>
#include <QTableView>
#include <QVBoxLayout>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/report/document_diff.h>
#include <core/report/run_report.h>
#include <core/store/workspace.h>
#include <core/train/reproduce.h>
#include <core/train/trainer.h>
#include <widgets/heat_map_view.h>

namespace orrery::plugins {
namespace {

constexpr std::size_t kLogLines = 200;

QString toQt(const std::string& text)
{
    return QString::fromStdString(text);
}
QString escaped(const std::string& text)
{
    return toQt(text).toHtmlEscaped();
}

void readConfusion(const store::Workspace& workspace, RunInspection& inspection)
{
    const auto artifact = workspace.findArtifact(inspection.runs.front().id, train::kConfusionMatrix);
    if (!artifact)
        return;
    try {
        inspection.confusion = parseConfusion(workspace.readArtifact(*artifact));
    } catch (const core::Error& error) {
        inspection.confusionProblem = QString::fromUtf8(error.what());
    }
}

QString table(const std::vector<std::pair<QString, QString>>& rows)
{
    QString html = "<table cellspacing='0' cellpadding='2'>";
    for (const auto& [key, value] : rows)
        html += QString("<tr><td style='padding-right:12px'>%1</td><td>%2</td></tr>").arg(key, value);
    return html + "</table>";
}

QString runHtml(const store::RunRecord& run)
{
    const auto tr = [](const char* text) { return DifferenceView::tr(text); };
    QString html = QString("<h3>%1</h3>").arg(escaped(report::runTitle(run)));
    if (!run.error.empty())
        html += QString("<p><b>%1</b> %2</p>").arg(tr("Error:"), escaped(run.error));
    std::vector<std::pair<QString, QString>> rows{{tr("Status"), escaped(std::string(store::statusName(run.status)))},
                                                  {tr("Created"), escaped(run.created)}};
    if (!run.started.empty())
        rows.emplace_back(tr("Started"), escaped(run.started));
    if (!run.ended.empty())
        rows.emplace_back(tr("Ended"), escaped(run.ended));
    if (run.parent)
        rows.emplace_back(tr("Made from run"), QString::number(*run.parent));
    if (!run.notes.empty())
        rows.emplace_back(tr("Notes"), escaped(run.notes));
    html += table(rows) + QString("<h4>%1</h4>").arg(tr("Last values"));
    rows.clear();
    for (const auto& [name, value] : run.lastMetrics)
        rows.emplace_back(escaped(name), escaped(report::shortNumber(value)));
    html += (rows.empty() ? tr("<p>None yet.</p>") : table(rows)) + QString("<h4>%1</h4>").arg(tr("Environment"));
    rows.clear();
    for (const auto& [path, value] : report::flattened(run.environment))
        rows.emplace_back(escaped(path), escaped(report::plainText(value)));
    return html + table(rows);
}

QString reproductionHtml(const core::Json& told)
{
    const auto tr = [](const char* text) { return DifferenceView::tr(text); };
    const auto number = [tr](const core::Json& value) { return value.is_number() ? escaped(report::shortNumber(value.get<double>())) : tr("none"); };
    try {
        const auto title = tr("Run %1 repeats run %2").arg(told.at("again").get<qint64>()).arg(told.at("run").get<qint64>());
        QString html = QString("<h4>%1</h4>").arg(title);
        if (told.at("identical").get<bool>())
            return html + tr("<p><b>Bit-identical</b>: every point of %1 metrics and the final weights.</p>").arg(told.at("metrics").size());
        std::vector<std::pair<QString, QString>> rows;
        for (const auto& metric : told.at("metrics"))
            if (!metric.at("identical").get<bool>())
                rows.emplace_back(escaped(metric.at("name").get<std::string>()),
                                  tr("%1, then %2 (differs by at most %3, from step %4 on)")
                                      .arg(number(metric.at("last").at(0)), number(metric.at("last").at(1)), number(metric.at("largest_difference")),
                                           number(metric.at("first_difference"))));
        for (const auto& difference : told.at("environment"))
            rows.emplace_back(tr("Environment"), escaped(difference.get<std::string>()));
        return html + table(rows);
    } catch (const core::Json::exception&) {
        return {};  // stored by a version that told it otherwise
    }
}

}  // namespace

report::ConfusionMatrix parseConfusion(const std::string& text)
{
    const auto json = core::Json::parse(text, nullptr, false);
    report::ConfusionMatrix matrix;
    try {
        matrix.counts = json.at("counts").get<std::vector<std::vector<std::int64_t>>>();
        matrix.classes = json.value("classes", std::vector<std::string>());
        matrix.split = json.value("split", std::string());
    } catch (const core::Json::exception& error) {
        throw core::FormatError(std::string("confusion matrix: expected {\"classes\": [...], \"counts\": [[...]]}: ") + error.what());
    }
    if (matrix.classes.empty())
        for (std::size_t i = 0; i < matrix.counts.size(); ++i)
            matrix.classes.push_back(std::to_string(i));
    for (const auto& row : matrix.counts)
        if (row.size() != matrix.counts.size() || row.size() != matrix.classes.size())
            throw core::FormatError("confusion matrix: expected as many counts as classes (" + std::to_string(matrix.classes.size()) +
                                    ") in each row, got " + std::to_string(row.size()));
    return matrix;
}

RunInspection inspectRuns(const store::Workspace& workspace, std::span<const store::RunId> runs)
{
    RunInspection inspection;
    for (const auto run : runs)
        if (workspace.findRun(run))
            inspection.runs.push_back(workspace.run(run));
    if (inspection.runs.empty())
        return inspection;
    readConfusion(workspace, inspection);
    inspection.commands = toQt(report::reproductionCommands(inspection.runs));
    for (const auto& run : inspection.runs)
        for (const auto& analysis : workspace.analyses(run.id, train::kReproductionMethod))
            inspection.reproductions.push_back(analysis.results);
    inspection.log = workspace.logLines(inspection.runs.front().id, 0, kLogLines);
    return inspection;
}

QString detailsHtml(const RunInspection& inspection)
{
    const auto tr = [](const char* text) { return DifferenceView::tr(text); };
    if (inspection.runs.empty())
        return QString("<p>%1</p>").arg(tr("Select a run in the table to see its error, environment, commands and log."));
    QString html;
    for (const auto& run : inspection.runs)
        html += runHtml(run);
    for (const auto& told : inspection.reproductions)
        html += reproductionHtml(told);
    html += QString("<h4>%1</h4><pre style='white-space: pre-wrap'>%2</pre>")
                .arg(tr("Commands (run-ID.json is the run's document, see the report)"), inspection.commands.toHtmlEscaped());
    if (inspection.log.empty())
        return html;
    html += QString("<h4>%1</h4><pre style='white-space: pre-wrap'>").arg(tr("Log of run %1").arg(inspection.runs.front().id));
    for (const auto& line : inspection.log)
        html += escaped(line.time.substr(11, 8) + " " + line.text) + '\n';
    return html + "</pre>";
}

ConfusionView::ConfusionView(QWidget* parent) : QWidget(parent)
{
    m_caption = new QLabel(this);
    m_caption->setObjectName("caption");
    m_caption->setWordWrap(true);
    m_share = new QComboBox(this);
    m_share->addItems({tr("Colour: counts"), tr("Colour: share of the true class"), tr("Colour: share of the predicted class")});
    m_share->setAccessibleName(tr("What the colours show"));
    m_share->setCurrentIndex(1);
    m_map = new widgets::HeatMapView(this);
    m_map->setAxisTitles(tr("true class"), tr("predicted class"));
    m_map->setDecimals(0);
    connect(m_share, &QComboBox::currentIndexChanged, this, [this](int index) { m_map->setNormalisation(widgets::Normalisation(index)); });
    m_map->setNormalisation(widgets::Normalisation::Rows);
    auto* row = new QHBoxLayout;
    row->setContentsMargins(6, 4, 6, 4);
    row->addWidget(m_caption, 1);
    row->addWidget(m_share);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->addLayout(row);
    column->addWidget(m_map, 1);
    show({});
}

int ConfusionView::normalisation() const
{
    return m_share->currentIndex();
}
void ConfusionView::setNormalisation(int index)
{
    m_share->setCurrentIndex(std::clamp(index, 0, 2));
}

void ConfusionView::show(const RunInspection& inspection)
{
    m_map->setVisible(inspection.confusion.has_value());
    m_share->setVisible(inspection.confusion.has_value());
    if (!inspection.confusion) {
        m_caption->setText(
            !inspection.confusionProblem.isEmpty() ? inspection.confusionProblem
            : inspection.runs.empty()
                ? tr("Select a run of a classification to see which classes it confuses.")
                : tr("Run %1 has left no confusion matrix (it comes with the test at the end of a classification).").arg(inspection.runs.front().id));
        return;
    }
    const auto& matrix = *inspection.confusion;
    std::vector<double> values;
    for (const auto& row : matrix.counts)
        values.insert(values.end(), row.begin(), row.end());
    QStringList classes;
    for (const auto& name : matrix.classes)
        classes << toQt(name);
    m_map->setMatrix(std::move(values), int(matrix.counts.size()), int(matrix.counts.size()));
    m_map->setLabels(classes, classes);
    m_caption->setText(tr("%1, %2: accuracy %3")
                           .arg(toQt(report::runTitle(inspection.runs.front())), matrix.split.empty() ? tr("predictions") : toQt(matrix.split),
                                toQt(report::shortNumber(report::accuracy(matrix)))));
}

DifferenceView::DifferenceView(QWidget* parent) : QWidget(parent)
{
    m_table = new widgets::TableView(this);
    m_table->setModel(&m_rows);
    m_table->setPlaceholder(tr("Filter differences"));
    m_table->table()->setAccessibleName(tr("Differences of the documents"));
    m_hint = new QLabel(this);
    m_hint->setWordWrap(true);
    m_hint->setAlignment(Qt::AlignCenter);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->addWidget(m_hint, 1);
    column->addWidget(m_table, 1);
    show({});
}

void DifferenceView::show(const RunInspection& inspection)
{
    std::vector<core::Json> documents;
    QList<widgets::Column> columns{{.id = "path", .title = tr("Setting"), .tooltip = tr("Place in the document")}};
    for (const auto& run : inspection.runs) {
        documents.push_back(run.document);
        columns << widgets::Column{.id = QString::number(run.id), .title = toQt(report::runTitle(run)), .tooltip = {}};
    }
    std::vector<widgets::RowModel::Row> rows;
    for (const auto& difference : report::differences(documents)) {
        widgets::RowModel::Row row{qint64(rows.size()), {toQt(difference.path)}, {}};
        for (const auto& value : difference.values)
            row.cells << (value ? QVariant(toQt(report::plainText(*value))) : QVariant());
        rows.push_back(std::move(row));
    }
    m_hint->setText(inspection.runs.size() < 2 ? tr("Select two or more runs in the table to compare their documents.")
                                               : tr("The documents of these runs are equal."));
    m_hint->setVisible(rows.empty());
    m_table->setVisible(!rows.empty());
    const bool sameColumns = columns.size() == m_rows.columns().size() && std::equal(columns.begin(), columns.end(), m_rows.columns().begin(),
                                                                                     [](const auto& a, const auto& b) { return a.id == b.id; });
    m_rows.setRows(std::move(rows));
    if (sameColumns)
        return;
    m_rows.setColumns(columns);
    m_table->table()->resizeColumnsToContents();
}

}  // namespace orrery::plugins
