#include "expression_panel.h"

#include <QComboBox>
#include <QDoubleSpinBox>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSplitter>
#include <QStandardPaths>
#include <QTabWidget>
#include <QVBoxLayout>

#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/graph_view.h>
#include <widgets/plot_view.h>
#include <widgets/report_item.h>
#include <widgets/session.h>

#include "variable_table.h"

namespace orrery::plugins {
namespace {

const char* const kExample = "log(1 + exp(x * y)) + (x * y)^2";

/// Where models of formulas go without a workspace.
QString expressionFolder(const QString& workspace)
{
    const QString base = workspace.isEmpty() ? QStandardPaths::writableLocation(QStandardPaths::AppDataLocation) : workspace;
    return base + QStringLiteral("/expressions");
}

QString commandOf(const ExpressionRequest& request)
{
    QStringList arguments{"expression", QString::fromStdString(request.text)};
    for (const auto& [name, value] : request.values)
        arguments << "--at" << QString::fromStdString(name + "=" + value);
    for (const auto& name : request.by)
        arguments << "--derivative" << QString::fromStdString(name);
    arguments << "--rewrite";
    return widgets::cliCommand(arguments);
}

}  // namespace

ExpressionPanel::ExpressionPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("expression"), tr("Expression"), session, parent), m_task([this](int change) { addBusy(change); }),
      m_writing([this](int change) { addBusy(change); })
{
    addAction(widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); }));
    setContent(makeContent());
    m_formula->setText(QString::fromLatin1(kExample));
    readVariables();
    m_variables->setValue("x", "0.5");
    m_variables->setValue("y", "2");
}

ExpressionPanel::~ExpressionPanel()
{
    m_task.cancel();
    m_writing.cancel();
}

QWidget* ExpressionPanel::makeContent()
{
    auto* splitter = new QSplitter(Qt::Vertical, this);
    splitter->setChildrenCollapsible(false);
    splitter->addWidget(makeEntry());
    splitter->addWidget(makeGraphs());
    splitter->addWidget(makeResults());
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 5);  // a graph is read as a whole; a few lines of values are enough to begin with
    splitter->setStretchFactor(2, 2);
    return splitter;
}

QWidget* ExpressionPanel::makeEntry()
{
    auto* box = new QWidget(this);
    auto* layout = new QVBoxLayout(box);
    auto* row = new QHBoxLayout;
    m_formula = new QLineEdit(box);
    m_formula->setObjectName("formula");
    m_formula->setAccessibleName(tr("Formula"));
    m_formula->setPlaceholderText(tr("A formula, for example sum((sigmoid(x * w) - y)^2). Enter shows it."));
    connect(m_formula, &QLineEdit::textChanged, this, &ExpressionPanel::readVariables);
    connect(m_formula, &QLineEdit::returnPressed, this, &ExpressionPanel::study);
    m_study = new QPushButton(tr("Show"), box);
    m_study->setObjectName("study");
    m_study->setToolTip(tr("Draws the graphs and computes the values (Enter in the formula)"));
    connect(m_study, &QPushButton::clicked, this, &ExpressionPanel::study);
    m_open = new QPushButton(tr("Open as model"), box);
    m_open->setObjectName("open");
    m_open->setEnabled(false);
    m_open->setToolTip(tr("Writes the rewritten formula and its derivatives as a model and opens it in every panel"));
    connect(m_open, &QPushButton::clicked, this, &ExpressionPanel::openAsModel);
    row->addWidget(m_formula, 1);
    row->addWidget(m_study);
    row->addWidget(m_open);
    m_variables = new VariableTable(box);
    m_variables->setObjectName("variables");
    m_variables->setMinimumHeight(m_variables->horizontalHeader()->sizeHint().height() + 3 * m_variables->verticalHeader()->defaultSectionSize());
    connect(m_variables, &VariableTable::edited, this, &ExpressionPanel::study);
    layout->addLayout(row);
    layout->addWidget(m_variables, 1);
    return box;
}

QWidget* ExpressionPanel::makeGraphs()
{
    auto* splitter = new QSplitter(Qt::Horizontal, this);
    splitter->setChildrenCollapsible(false);
    const char* const names[] = {"original", "rewritten", "derivative"};
    for (std::size_t i = 0; i < 3; ++i) {
        auto* box = new QWidget(splitter);
        auto* layout = new QVBoxLayout(box);
        layout->setContentsMargins(4, 0, 4, 0);
        m_titles[i] = new QLabel(box);
        m_titles[i]->setObjectName(QStringLiteral("%1_title").arg(names[i]));
        m_titles[i]->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
        m_views[i] = new widgets::GraphView(session(), box);
        m_views[i]->setObjectName(names[i]);
        connect(m_views[i], &widgets::GraphView::idleChanged, this, &ExpressionPanel::idleChanged);
        layout->addWidget(m_titles[i]);
        layout->addWidget(m_views[i], 1);
        splitter->addWidget(box);
    }
    return splitter;
}

QTableWidget* ExpressionPanel::makeTable(const char* name, const QStringList& columns, int stretched)
{
    auto* table = new QTableWidget(0, int(columns.size()), this);
    table->setObjectName(name);
    table->setHorizontalHeaderLabels(columns);
    table->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
    table->horizontalHeader()->setSectionResizeMode(stretched, QHeaderView::Stretch);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 6);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    return table;
}

QWidget* ExpressionPanel::makeCurve()
{
    auto* box = new QWidget(this);
    auto* layout = new QVBoxLayout(box);
    auto* row = new QHBoxLayout;
    m_curveVariable = widgets::narrowBox(tr("Variable of the curve"),
                                         tr("All elements of this variable take the same value; the curve is the sum over the result"));
    m_curveVariable->setObjectName("curve_variable");
    connect(m_curveVariable, &QComboBox::activated, this, &ExpressionPanel::study);
    row->addWidget(new QLabel(tr("Over"), box));
    row->addWidget(m_curveVariable);
    const auto makeEnd = [&](const char* name, const QString& title, double value) {
        auto* end = new QDoubleSpinBox(box);
        end->setObjectName(name);
        end->setRange(-1e6, 1e6);
        end->setDecimals(3);
        end->setValue(value);
        end->setKeyboardTracking(false);
        end->setAccessibleName(title);
        connect(end, &QDoubleSpinBox::valueChanged, this, &ExpressionPanel::study);
        row->addWidget(new QLabel(title, box));
        row->addWidget(end);
        return end;
    };
    m_from = makeEnd("from", tr("from"), -3);
    m_to = makeEnd("to", tr("to"), 3);
    row->addStretch(1);
    m_plot = new widgets::PlotView(box);
    m_plot->setObjectName("curve");
    layout->addLayout(row);
    layout->addWidget(m_plot, 1);
    return box;
}

QWidget* ExpressionPanel::makeResults()
{
    auto* tabs = new QTabWidget(this);
    tabs->setObjectName("results");
    m_values = makeTable("values", {tr("Output"), tr("Shape"), tr("Value"), tr("Rewritten differs by"), tr("Central differences differ by")}, 2);
    m_rules = makeTable("rules", {tr("Of"), tr("Times"), tr("Rule"), tr("What it does")}, 3);
    m_text = new QPlainTextEdit(tabs);
    m_text->setObjectName("text");
    m_text->setReadOnly(true);
    m_text->setAccessibleName(tr("The formulas as text"));
    tabs->addTab(m_values, tr("Values"));
    tabs->addTab(m_rules, tr("Rules"));
    tabs->addTab(makeCurve(), tr("Curve"));
    tabs->addTab(m_text, tr("Text"));
    return tabs;
}

void ExpressionPanel::showEvent(QShowEvent* event)
{
    Panel::showEvent(event);
    if (!m_result && !m_task.isRunning())
        study();
}

bool ExpressionPanel::isIdle() const
{
    return Panel::isIdle() && std::all_of(m_views.begin(), m_views.end(), [](const auto* view) { return view->isIdle(); });
}

void ExpressionPanel::readVariables()
{
    const auto names = variablesOf(m_formula->text().toStdString());
    if (names.empty() && !m_formula->text().isEmpty() && !m_variables->variables().empty())
        return;  // half typed
    m_variables->setVariables(names);
    const QString chosen = m_curveVariable->currentText();
    m_curveVariable->clear();
    for (const auto& name : names)
        m_curveVariable->addItem(QString::fromStdString(name));
    m_curveVariable->setCurrentIndex(std::max(0, m_curveVariable->findText(chosen)));
}

ExpressionRequest ExpressionPanel::request() const
{
    return {m_formula->text().toStdString(),
            m_variables->values(),
            m_variables->by(),
            m_curveVariable->currentText().toStdString(),
            m_from->value(),
            m_to->value()};
}

void ExpressionPanel::study()
{
    showError({});
    m_task.start(
        session(), this,
        [asked = request(), font = m_views[0]->font()](widgets::BackgroundContext& context) {
            return std::make_shared<ExpressionResult>(studyForPanel(asked, font, context.stopToken()));
        },
        [this](std::shared_ptr<ExpressionResult> result) { present(std::move(result)); }, [this](const QString& error) { showError(error); });
}

void ExpressionPanel::openAsModel()
{
    showError({});
    m_writing.start(
        session(), this,
        [result = m_result, folder = expressionFolder(session().workspaceFolder())](widgets::BackgroundContext&) {
            return writeAsModel(*result, folder);
        },
        [this](const QString& file) {
            session().openModel(file);
            session().requestPanel(QStringLiteral("model"));
            Q_EMIT statusMessage(tr("%1 is open").arg(file));
        },
        [this](const QString& error) { showError(error); });
}

core::Json ExpressionPanel::saveState() const
{
    const auto asked = request();
    return {{"formula", asked.text},       {"values", asked.values}, {"by", asked.by},
            {"over", asked.curveVariable}, {"from", asked.from},     {"to", asked.to}};
}

void ExpressionPanel::restoreState(const core::Json& state)
{
    m_formula->setText(widgets::stateText(state, "formula", m_formula->text()));
    readVariables();
    const core::Json values = widgets::stateObject(state, "values");
    const core::Json by = state.is_object() && state.contains("by") ? state["by"] : core::Json();
    for (const auto& name : m_variables->variables()) {
        if (values.is_object() && values.contains(name) && values[name].is_string())
            m_variables->setValue(name, values[name].get<std::string>());
        if (by.is_array())
            m_variables->setBy(name, std::find(by.begin(), by.end(), core::Json(name)) != by.end());
    }
    m_curveVariable->setCurrentIndex(std::max(0, m_curveVariable->findText(widgets::stateText(state, "over"))));
    m_from->setValue(widgets::stateNumber(state, "from", m_from->value()));
    m_to->setValue(widgets::stateNumber(state, "to", m_to->value()));
    if (isVisible())
        study();
}

QString ExpressionPanel::commandLine() const
{
    return m_formula->text().trimmed().isEmpty() ? QString() : commandOf(request());
}

QString ExpressionPanel::shownCommand() const
{
    return m_result ? commandOf(m_result->request) : QString();
}

std::optional<widgets::ReportItem> ExpressionPanel::reportItem() const
{
    if (!m_result)
        return std::nullopt;
    return widgets::reportShown(*this, tr("Formula %1").arg(QString::fromStdString(m_result->request.text).left(60)), std::nullopt,
                                *m_views[0]->parentWidget()->parentWidget());
}

}  // namespace orrery::plugins
