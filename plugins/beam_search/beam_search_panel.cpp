#include "beam_search_panel.h"

#include <QAction>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPixmap>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
#include <QSplitter>
#include <QTableWidget>
#include <QVBoxLayout>

#include <core/text/card_tokenizer.h>
#include <widgets/colour_bar.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/job_bar.h>
#include <widgets/model_source.h>
#include <widgets/numbers.h>
#include <widgets/report_item.h>
#include <widgets/report_pdf.h>
#include <widgets/session.h>

#include "beam_tree_view.h"

namespace orrery::plugins {
namespace {

QString shortNumber(double value)
{
    return widgets::fixedNumber(value, 4);
}

}  // namespace

BeamSearchPanel::BeamSearchPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("beam_search"), tr("Beam search"), session, parent)
{
    addAction(widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); }));
    auto* save = new QAction(tr("Save the tree as a picture…"), this);
    connect(save, &QAction::triggered, this, &BeamSearchPanel::savePicture);
    addAction(save);
    setContent(makeContent());
    connect(&session, &widgets::Session::selectionChanged, this, &BeamSearchPanel::followSelection);
    followSelection(widgets::SelectionPart::Model);
}

BeamSearchPanel::~BeamSearchPanel() = default;

QLayout* BeamSearchPanel::makeForm()
{
    auto* form = new QFormLayout;
    m_subject = new QLabel(this);
    m_subject->setObjectName("subject");
    m_text = new QLineEdit(this);
    m_text->setObjectName("text");
    m_text->setPlaceholderText(tr("The beginning, or the source"));
    m_beams = new QSpinBox(this);
    m_beams->setObjectName("beams");
    m_beams->setRange(1, 64);
    m_beams->setValue(4);
    m_beams->setToolTip(tr("Prefixes kept at each step; 1 is greedy"));
    m_longest = new QSpinBox(this);
    m_longest->setObjectName("longest");
    m_longest->setRange(1, 1000);
    m_longest->setValue(24);
    m_longest->setSuffix(tr(" tokens"));
    m_longest->setToolTip(tr("New tokens at most"));
    m_penalty = new QDoubleSpinBox(this);
    m_penalty->setObjectName("penalty");
    m_penalty->setRange(0, 10);
    m_penalty->setSingleStep(0.1);
    m_penalty->setValue(1);
    m_penalty->setToolTip(tr("Score = log probability / length^penalty"));
    form->addRow(tr("Model"), m_subject);
    form->addRow(tr("Text"), m_text);
    form->addRow(tr("Beams"), m_beams);
    form->addRow(tr("Longest"), m_longest);
    form->addRow(tr("Length penalty"), m_penalty);
    connect(m_text, &QLineEdit::textChanged, this, &BeamSearchPanel::updateButtons);
    connect(m_text, &QLineEdit::returnPressed, this, &BeamSearchPanel::search);
    return form;
}

QWidget* BeamSearchPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->addLayout(makeForm());
    m_search = new QPushButton(tr("Search"), content);
    m_search->setObjectName("search");
    connect(m_search, &QPushButton::clicked, this, &BeamSearchPanel::search);
    layout->addWidget(m_search, 0, Qt::AlignLeft);
    m_bar = new widgets::JobBar(session(), tr("Progress of the search"), content);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        updateButtons();
    });
    layout->addWidget(m_bar);
    auto* splitter = new QSplitter(Qt::Vertical, content);
    m_table = new QTableWidget(0, 3, splitter);
    m_table->setObjectName("hypotheses");
    m_table->setAccessibleName(tr("Hypotheses"));
    m_table->setHorizontalHeaderLabels({tr("Score"), tr("Log probability"), tr("Text")});
    m_table->horizontalHeader()->setStretchLastSection(true);
    m_table->horizontalHeader()->setHighlightSections(false);
    m_table->verticalHeader()->hide();
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    connect(m_table, &QTableWidget::currentCellChanged, this,
            [this](int row) { m_tree->setHypothesis(row < 0 ? std::nullopt : std::optional(row)); });
    auto* tree = new QWidget(splitter);
    auto* scroll = new QScrollArea(tree);
    m_tree = new BeamTreeView(scroll);
    scroll->setWidget(m_tree);
    scroll->setFrameShape(QFrame::NoFrame);
    splitter->addWidget(m_table);
    auto* scale = new widgets::ColourBar(tree);
    scale->setObjectName("scale");
    scale->setScale(report::viridis(), {QStringLiteral("0 %"), QStringLiteral("50 %"), QStringLiteral("100 %")},
                    tr("Probability of the token, given its prefix"));
    auto* scaleRow = new QHBoxLayout;
    scaleRow->addWidget(new QLabel(tr("Probability given the prefix"), tree));
    scaleRow->addWidget(scale, 1);
    auto* treeLayout = new QVBoxLayout(tree);
    treeLayout->setContentsMargins(0, 0, 0, 0);
    treeLayout->addWidget(scroll, 1);
    treeLayout->addLayout(scaleRow);
    splitter->addWidget(tree);
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 3);
    splitter->setSizes({200, 300});
    splitter->setChildrenCollapsible(false);
    layout->addWidget(splitter, 1);
    return content;
}

void BeamSearchPanel::followSelection(widgets::SelectionParts parts)
{
    using widgets::SelectionPart;
    if (!(parts & (widgets::SelectionParts(SelectionPart::Model) | SelectionPart::Weights | SelectionPart::Runs)))
        return;
    const QString model = widgets::modelArgument(session().selection());
    if (model != m_model && !m_bar->isRunning()) {  // what another model answered, or could not
        showError({});
        m_table->setRowCount(0);
        m_tree->setResult({}, {});
        m_shownCommand.clear();
    }
    m_model = model;
    m_subject->setText(m_model);
    if (m_model.isEmpty())
        showEmptyState(tr("No model"), tr("Choose a run in Experiments, or open a model of text: the search follows the selection."));
    else
        showContent();
    updateButtons();
}

intervene::BeamOptions BeamSearchPanel::options() const
{
    intervene::BeamOptions options;
    options.beams = m_beams->value();
    options.maxLength = m_longest->value();
    options.lengthPenalty = m_penalty->value();
    return options;
}

void BeamSearchPanel::search()
{
    if (!m_search->isEnabled())
        return;
    showError({});
    widgets::BackgroundOptions background;
    background.title = tr("Beam search from \"%1\"").arg(m_text->text().left(40));
    const auto work = [model = m_model, text = m_text->text().toStdString(), options = options(),
                       workspace = session().workspace()](widgets::BackgroundContext& context) {
        const auto opened = widgets::openModelArgument(model, workspace);
        auto wanted = options;
        wanted.progress = [&context](double done, double total) { context.progress(done, total, "tokens"); };
        Found found{intervene::searchText(opened, text, wanted, context.stopToken()), {}, {}};
        const auto tokenizer = text::requiredTokenizer(opened.card);
        const auto textOf = [&](std::int64_t token) { return QString::fromStdString(tokenizer->tokenText(token)); };
        for (const auto& nodes : found.result.steps) {
            auto& texts = found.nodes.emplace_back();
            for (const auto& node : nodes)
                texts.push_back(node.ended ? QStringLiteral("■") : textOf(node.token));
        }
        for (const auto& hypothesis : found.result.hypotheses) {
            const auto& tokens = hypothesis.tokens;
            const auto written = tokens.size() - (hypothesis.ended && !tokens.empty() ? 1 : 0);
            found.texts.push_back(QString::fromStdString(text::escaped(tokenizer->decode({tokens.data(), written}))));
        }
        return found;
    };
    addBusy(1);
    m_bar->follow(session().runInBackground(
        this, work, [this, command = commandLine()](const Found& found) { takeFound(found, command); },
        [this](const QString& text) { showError(text); }, background));
    updateButtons();
}

void BeamSearchPanel::takeFound(const Found& found, const QString& command)
{
    m_shownCommand = command;
    m_table->setRowCount(int(found.result.hypotheses.size()));
    for (int row = 0; row < m_table->rowCount(); ++row) {
        const auto& hypothesis = found.result.hypotheses[std::size_t(row)];
        const QString texts[] = {shortNumber(hypothesis.score), shortNumber(hypothesis.logProbability), found.texts[std::size_t(row)]};
        for (int column = 0; column < 3; ++column) {
            auto* item = new QTableWidgetItem(texts[column]);
            if (column < 2)
                item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
            m_table->setItem(row, column, item);
        }
    }
    m_table->resizeColumnsToContents();
    m_tree->setResult(found.result, found.nodes);
    m_table->setCurrentCell(m_table->rowCount() > 0 ? 0 : -1, 0);
    m_tree->setHypothesis(m_table->rowCount() > 0 ? std::optional(0) : std::nullopt);
}

void BeamSearchPanel::updateButtons()
{
    m_search->setEnabled(!m_bar->isRunning() && !m_model.isEmpty() && !m_text->text().isEmpty());
}

void BeamSearchPanel::savePicture()
{
    const QString file = widgets::askSaveFile()(this, QStringLiteral("beam_search.png"), tr("Pictures (*.png)"));
    if (!file.isEmpty() && !m_tree->grab().save(file))
        showError(tr("%1 could not be written").arg(file));
}

std::optional<widgets::ReportItem> BeamSearchPanel::reportItem() const
{
    if (m_table->rowCount() == 0)
        return std::nullopt;
    report::Table hypotheses{"Hypotheses", {{"Text"}, {"Score", report::Align::Right}, {"Log probability", report::Align::Right}}, {}};
    for (int row = 0; row < m_table->rowCount(); ++row) {
        std::vector<report::Cell> cells;
        for (const int column : {2, 0, 1})
            cells.push_back({m_table->item(row, column)->text().toStdString()});
        hypotheses.rows.push_back(std::move(cells));
    }
    report::Snapshot snapshot{id().toStdString(),
                              tr("Beam search from \"%1\"").arg(m_text->text().left(60)).toStdString(),
                              {{"model", m_model.toStdString()}, {"text", m_text->text().toStdString()}},
                              m_shownCommand.toStdString(),
                              {},
                              {}};
    snapshot.pictures.push_back(
        {widgets::fromQImage(widgets::lightPicture(*m_tree)), tr("kept prefixes, coloured by the probability of their last token").toStdString()});
    snapshot.blocks.emplace_back(std::move(hypotheses));
    return widgets::reportSnapshot(std::move(snapshot));
}

core::Json BeamSearchPanel::saveState() const
{
    return {{"text", m_text->text().toStdString()}, {"beams", m_beams->value()}, {"longest", m_longest->value()}, {"penalty", m_penalty->value()}};
}

void BeamSearchPanel::restoreState(const core::Json& state)
{
    if (state.contains("text") && state["text"].is_string())
        m_text->setText(QString::fromStdString(state["text"].get<std::string>()));
    const auto number = [&](const char* key, auto* box) {
        if (state.contains(key) && state[key].is_number())
            box->setValue(state[key].get<double>());
    };
    number("beams", m_beams);
    number("longest", m_longest);
    number("penalty", m_penalty);
}

QString BeamSearchPanel::commandLine() const
{
    if (m_model.isEmpty() || m_text->text().isEmpty())
        return {};
    QStringList arguments{"predict",          m_model,
                          "--text",           m_text->text(),
                          "--beam",           QString::number(m_beams->value()),
                          "--max-length",     QString::number(m_longest->value()),
                          "--length-penalty", QString::number(m_penalty->value())};
    if (m_model.startsWith("run:"))
        arguments << "--workspace" << session().workspaceFolder();
    return widgets::cliCommand(arguments);
}

}  // namespace orrery::plugins
