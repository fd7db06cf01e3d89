#include "generate_panel.h"

#include <QGuiApplication>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
#include <QSplitter>
#include <QTabWidget>
#include <QTableWidget>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

#include <core/base/plural.h>
#include <widgets/colour_bar.h>
#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/job_bar.h>
#include <widgets/lines_edit.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>
#include <widgets/token_view.h>

namespace orrery::plugins {
namespace {

constexpr int kPromptLines = 3;

QString percent(double probability)
{
    return QStringLiteral("%1 %").arg(100 * probability, 0, 'f', 2);
}

QString endSentence(generation::TextEnd end)
{
    switch (end) {
    case generation::TextEnd::Length: return GeneratePanel::tr("max_new_tokens reached");
    case generation::TextEnd::EndToken: return GeneratePanel::tr("end token");
    case generation::TextEnd::StopText: return GeneratePanel::tr("stop text");
    case generation::TextEnd::ModelLimit: return GeneratePanel::tr("the model reads no more");
    case generation::TextEnd::Failed: return GeneratePanel::tr("the model failed");
    }
    return {};
}

}  // namespace

GeneratePanel::GeneratePanel(widgets::Session& session, QWidget* parent) : Panel(QStringLiteral("generate"), tr("Generate"), session, parent)
{
    addAction(widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); }));
    setContent(makeContent());
    for (auto* action : m_view->exportActions())
        addAction(action);
    connect(&session, &widgets::Session::selectionChanged, this, &GeneratePanel::followSelection);
    followSelection(widgets::SelectionPart::Model);
}

GeneratePanel::~GeneratePanel() = default;

QWidget* GeneratePanel::makeForm()
{
    auto* box = new QWidget(this);
    auto* layout = new QVBoxLayout(box);
    layout->setContentsMargins(0, 0, 0, 0);
    m_form = new widgets::SchemaForm(box);
    m_form->setObjectName("settings");
    m_form->setSchema(generation::textSchema());
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &GeneratePanel::updateButtons);
    auto* seedRow = new QHBoxLayout;
    auto* label = new QLabel(tr("Seed"), box);
    m_seed = new QSpinBox(box);
    m_seed->setObjectName("seed");
    m_seed->setRange(0, 1'000'000'000);
    m_seed->setToolTip(tr("The same seed draws the same text again"));
    label->setBuddy(m_seed);
    seedRow->addWidget(label);
    seedRow->addWidget(m_seed);
    seedRow->addStretch(1);
    layout->addWidget(m_form);
    layout->addLayout(seedRow);
    layout->addStretch(1);
    auto* scroll = new QScrollArea(this);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidget(box);
    return scroll;
}

QWidget* GeneratePanel::makeResult()
{
    auto* box = new QWidget(this);
    auto* layout = new QVBoxLayout(box);
    layout->setContentsMargins(0, 0, 0, 0);
    m_view = new widgets::TokenView(box);
    m_view->setObjectName("tokens");
    m_view->setAccessibleName(tr("Text"));
    m_view->setMapKind(widgets::MapKind::Sequential);
    connect(m_view, &widgets::TokenView::currentChanged, this, &GeneratePanel::showAlternatives);
    connect(m_view, &widgets::TokenView::tokenActivated, this, [this](int token) {
        showAlternatives(token);
        if (QGuiApplication::mouseButtons() == Qt::NoButton)
            m_table->setFocus();  // a click leaves the keys with the text, to walk on from there
    });
    auto* scale = new widgets::ColourBar(box);
    scale->setObjectName("scale");
    scale->setScale(report::viridis(), {QStringLiteral("0 %"), QStringLiteral("50 %"), QStringLiteral("100 %")},
                    tr("Probability with which the model wrote the token; given ones have no colour"));
    auto* tokens = new QWidget(box);
    auto* tokensLayout = new QVBoxLayout(tokens);
    tokensLayout->setContentsMargins(0, 0, 0, 0);
    tokensLayout->addWidget(m_view, 1);
    auto* scaleRow = new QHBoxLayout;
    scaleRow->addWidget(new QLabel(tr("Probability"), tokens));
    scaleRow->addWidget(scale, 1);
    tokensLayout->addLayout(scaleRow);
    m_text = new QPlainTextEdit(box);
    m_text->setObjectName("text");
    m_text->setAccessibleName(tr("Text as it reads"));
    m_text->setReadOnly(true);
    m_text->setTabChangesFocus(true);
    m_sourceView = new widgets::TokenView(box);
    m_sourceView->setObjectName("source");
    m_sourceView->setAccessibleName(tr("Source"));
    m_tabs = new QTabWidget(box);
    m_tabs->setObjectName("views");
    m_tabs->setDocumentMode(true);
    m_tabs->addTab(tokens, tr("Tokens"));
    m_tabs->addTab(m_text, tr("Text"));
    m_tabs->addTab(m_sourceView, tr("Source"));
    m_tabs->setTabToolTip(1, tr("The text as it reads: characters that are several tokens are whole here"));
    m_tabs->setTabToolTip(2, tr("The tokens that the model answers to"));
    m_tabs->setTabVisible(2, false);
    m_summary = new QLabel(box);
    m_summary->setObjectName("summary");
    m_summary->setWordWrap(true);
    m_table = new QTableWidget(0, 3, box);
    m_table->setObjectName("alternatives");
    m_table->setAccessibleName(tr("Alternatives of the chosen token"));
    m_table->setHorizontalHeaderLabels({tr("Instead"), tr("Probability"), tr("Token")});
    m_table->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_table->verticalHeader()->hide();
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    m_table->setToolTip(tr("Double click or Enter: write on with this token instead"));
    m_table->installEventFilter(this);
    connect(m_table, &QTableWidget::cellDoubleClicked, this, &GeneratePanel::goOnWith);
    layout->addWidget(m_tabs, 3);
    layout->addWidget(m_summary);
    layout->addWidget(m_table, 2);
    return box;
}

QWidget* GeneratePanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    m_subject = new QLabel(content);
    m_subject->setObjectName("subject");
    m_subject->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_subject->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_prompt = new QPlainTextEdit(content);
    m_prompt->setObjectName("prompt");
    m_prompt->setAccessibleName(tr("Prompt"));
    m_prompt->setPlaceholderText(tr("The text to go on from. Ctrl+Enter writes."));
    m_prompt->setTabChangesFocus(true);
    m_prompt->setFixedHeight(kPromptLines * m_prompt->fontMetrics().lineSpacing() + 14);
    m_prompt->installEventFilter(this);
    connect(m_prompt, &QPlainTextEdit::textChanged, this, &GeneratePanel::updateButtons);
    m_promptLabel = new QLabel(tr("&Source"), content);
    m_promptLabel->setBuddy(m_prompt);
    m_begin = new widgets::LinesEdit(content);
    m_begin->setObjectName("begin");
    m_begin->setAccessibleName(tr("Beginning of the answer"));
    m_begin->setPlaceholderText(tr("what the answer begins with, if anything"));
    m_begin->setToolTip(tr("An encoder-decoder answers to its source; it goes on from here. Enter writes."));
    connect(m_begin, &QPlainTextEdit::textChanged, this, &GeneratePanel::updateButtons);
    m_begin->installEventFilter(this);
    m_beginLabel = new QLabel(tr("Answer &begins with"), content);
    m_beginLabel->setBuddy(m_begin);
    m_write = new QPushButton(tr("Write"), content);
    m_write->setObjectName("write");
    connect(m_write, &QPushButton::clicked, this, &GeneratePanel::write);
    m_bar = new widgets::JobBar(session(), tr("Progress of the writing"), content);
    connect(m_bar, &widgets::JobBar::ended, this, &GeneratePanel::takeEnd);
    layout->addWidget(m_subject);
    layout->addWidget(m_promptLabel);
    layout->addWidget(m_prompt);
    layout->addWidget(m_beginLabel);
    layout->addWidget(m_begin);
    showAbilities();
    layout->addWidget(m_write, 0, Qt::AlignLeft);
    layout->addWidget(m_bar);
    auto* splitter = new QSplitter(Qt::Vertical, content);
    splitter->setChildrenCollapsible(false);
    splitter->addWidget(makeForm());
    splitter->addWidget(makeResult());
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 3);
    layout->addWidget(splitter, 1);
    return content;
}

bool GeneratePanel::eventFilter(QObject* watched, QEvent* event)
{
    if (event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        const bool isEnter = key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter;
        if (watched == m_prompt && isEnter && key->modifiers().testFlag(Qt::ControlModifier)) {
            write();
            return true;
        }
        if (watched == m_begin && isEnter && !key->modifiers().testFlag(Qt::ShiftModifier)) {
            write();
            return true;
        }
        if (watched == m_table && isEnter && m_table->currentRow() >= 0) {
            goOnWith(m_table->currentRow());
            return true;
        }
    }
    return Panel::eventFilter(watched, event);
}

void GeneratePanel::followSelection(widgets::SelectionParts parts)
{
    using widgets::SelectionPart;
    if (!(parts & (widgets::SelectionParts(SelectionPart::Model) | SelectionPart::Weights | SelectionPart::Runs)))
        return;
    const QString model = widgets::modelArgument(session().selection());
    if (model != m_model) {
        m_model = model;
        m_tokens.clear();
        m_tokenizer.reset();
        showError({});
        showSource({});
        m_summary->clear();
        showTokens();
        learnAbilities();
    }
    m_subject->setText(m_model);
    m_subject->setToolTip(m_model);
    if (m_model.isEmpty())
        showEmptyState(tr("No model"),
                       tr("Open a checkpoint folder or another model of text, or choose a run in Experiments: the writing follows the selection."));
    else
        showContent();
    updateButtons();
}

/// What the model can do is known once it is open; until then it may be asked to write.
void GeneratePanel::learnAbilities()
{
    m_opening.cancel();
    m_abilities = {};
    showAbilities();
    if (m_model.isEmpty())
        return;
    m_opening.start(
        session(), this, [model = m_model, workspace = session().workspace()](widgets::BackgroundContext&) { return abilitiesOf(model, workspace); },
        [this](const WriteAbilities& can) {
            m_abilities = can;
            showAbilities();
            updateButtons();
        },
        [](const QString&) {});  // what is wrong with the model is said when it is to write
}

void GeneratePanel::showAbilities()
{
    for (QWidget* each : std::initializer_list<QWidget*>{m_promptLabel, m_beginLabel, m_begin})
        each->setVisible(m_abilities.hasSource);
    m_prompt->setPlaceholderText(m_abilities.hasSource ? tr("The text to answer to, for example to translate. Ctrl+Enter writes.")
                                                       : tr("The text to go on from. Ctrl+Enter writes."));
}

QString GeneratePanel::whyNot() const
{
    if (m_bar->isRunning())
        return tr("A text is being written");
    if (!m_abilities.whyNot.isEmpty())
        return m_abilities.whyNot;
    if (m_prompt->toPlainText().isEmpty())
        return tr("Type a prompt first");
    return m_form->isValid() ? QString() : tr("Mend the settings first");
}

void GeneratePanel::updateButtons()
{
    m_write->setEnabled(!m_model.isEmpty() && whyNot().isEmpty());
    m_write->setToolTip(whyNot());
    // What no prompt can mend is said where the text would stand.
    if (m_summary && m_tokens.empty())
        m_summary->setText(m_abilities.whyNot);
}

void GeneratePanel::write()
{
    if (!m_write->isEnabled())
        return;
    start(m_prompt->toPlainText().toStdString(), m_abilities.hasSource ? m_begin->text().toStdString() : std::string(), commandLine(), {});
}

void GeneratePanel::goOnWith(int alternative)
{
    const int at = m_view->current();
    if (m_bar->isRunning() || at < 0 || at >= int(m_tokens.size()) || !m_form->isValid())
        return;
    const auto& token = m_tokens[std::size_t(at)];
    if (alternative < 0 || alternative >= int(token.alternatives.size()))
        return;
    const auto& chosen = token.alternatives[std::size_t(alternative)];
    ShownToken now{chosen.token, chosen.text, chosen.probability, token.alternatives};
    std::vector<ShownToken> kept(m_tokens.begin(), m_tokens.begin() + at);
    kept.push_back(std::move(now));
    start(m_writtenPrompt, m_writtenBegin, m_shownCommand, std::move(kept));
}

/// What is on show stays until the new text begins: with what is kept of it, else with the prompt.
void GeneratePanel::start(const std::string& prompt, const std::string& begin, const QString& command, std::vector<ShownToken> kept)
{
    showError({});
    std::vector<std::int64_t> text;
    for (const auto& each : kept)
        text.push_back(each.token);
    WriteRequest request{
        m_model, session().workspace(), prompt, begin, text, generation::textOptions(m_form->document(), std::uint64_t(m_seed->value()))};
    widgets::BackgroundOptions background;
    background.title =
        (m_abilities.hasSource ? tr("Answering to \"%1\"") : tr("Writing on from \"%1\"")).arg(QString::fromStdString(prompt).left(40));
    const auto work = [this, request, command, kept](widgets::BackgroundContext& context) {
        return writeForPanel(
            request, context,
            [&](WriteBeginning beginning) {
                if (!kept.empty())
                    beginning.tokens = kept;
                context.post([this, beginning = std::move(beginning), request, command]() mutable {
                    m_writtenPrompt = request.prompt;
                    m_writtenBegin = request.begin;
                    m_shownCommand = command;
                    takeBeginning(std::move(beginning));
                });
            },
            [&](ShownToken token) { context.post([this, token = std::move(token)]() mutable { takeToken(std::move(token)); }); });
    };
    addBusy(1);
    m_bar->follow(session().runInBackground(
        this, work, [this](const WriteResult& result) { takeResult(result); },
        [this](const QString& error) { showError(m_tokens.empty() ? error : tr("%1. What is shown below was written before.").arg(error)); },
        background));
    updateButtons();
}

void GeneratePanel::takeBeginning(WriteBeginning beginning)
{
    m_tokenizer = std::move(beginning.tokenizer);
    m_tokens = std::move(beginning.tokens);
    showSource(beginning.source);
    m_summary->clear();
    showTokens();
}

void GeneratePanel::showSource(const QStringList& tokens)
{
    m_sourceView->setTokens(tokens);
    m_tabs->setTabVisible(2, !tokens.isEmpty());
}

void GeneratePanel::takeToken(ShownToken token)
{
    m_tokens.push_back(std::move(token));
    showTokens();
}

void GeneratePanel::takeResult(const WriteResult& result)
{
    const QString speed = result.seconds > 0 ? tr(", %1 tokens/s").arg(result.tokens / result.seconds, 0, 'f', 1) : QString();
    m_summary->setText(tr("%1%2; ended by: %3; %4")
                           .arg(QString::fromStdString(core::counted(result.tokens, "token")), speed, endSentence(result.end), result.cache));
}

void GeneratePanel::takeEnd()
{
    addBusy(-1);
    if (m_bar->wasCancelled()) {
        const auto written = std::count_if(m_tokens.begin(), m_tokens.end(), [](const ShownToken& token) { return !std::isnan(token.probability); });
        m_summary->setText(written == 1 ? tr("1 token; ended by: Cancel") : tr("%1 tokens; ended by: Cancel").arg(written));
    }
    updateButtons();
}

void GeneratePanel::showTokens()
{
    // The newest one is current, and stays in view, until another one is chosen.
    const int current = m_view->current() == m_view->count() - 1 ? -1 : m_view->current();
    std::vector<double> values;
    QStringList tooltips;
    for (const auto& token : m_tokens) {
        values.push_back(token.probability);
        tooltips << (std::isnan(token.probability) ? tr("given") : tr("probability %1").arg(percent(token.probability)));
    }
    m_view->setTokens(textsOf(m_tokens));
    m_view->setValues(values, 1.0);
    m_view->setTooltips(tooltips);
    if (m_tokenizer)
        m_view->setText(readText(m_tokenizer.get(), m_tokens));
    m_text->setPlainText(m_view->text());
    m_view->setCurrent(current >= 0 && current < m_view->count() ? current : m_view->count() - 1);
    showAlternatives(m_view->current());
}

void GeneratePanel::showAlternatives(int token)
{
    const auto* shown = token >= 0 && token < int(m_tokens.size()) ? &m_tokens[std::size_t(token)] : nullptr;
    m_table->setRowCount(shown ? int(shown->alternatives.size()) : 0);
    for (int row = 0; row < m_table->rowCount(); ++row) {
        const auto& each = shown->alternatives[std::size_t(row)];
        const QString texts[] = {each.text, percent(each.probability), QString::number(each.token)};
        for (int column = 0; column < 3; ++column) {
            auto* item = new QTableWidgetItem(texts[column]);
            if (column > 0)
                item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
            QFont font = item->font();
            font.setBold(each.token == shown->token);
            item->setFont(font);
            m_table->setItem(row, column, item);
        }
    }
}

core::Json GeneratePanel::saveState() const
{
    return {{"prompt", m_prompt->toPlainText().toStdString()},
            {"begin", m_begin->text().toStdString()},
            {"settings", m_form->document()},
            {"seed", m_seed->value()}};
}

void GeneratePanel::restoreState(const core::Json& state)
{
    m_prompt->setPlainText(widgets::stateText(state, "prompt", m_prompt->toPlainText()));
    m_begin->setText(widgets::stateText(state, "begin", m_begin->text()));
    if (const auto settings = widgets::stateObject(state, "settings"); !settings.empty())
        m_form->setDocument(settings);
    m_seed->setValue(widgets::stateInteger(state, "seed", m_seed->value()));
    updateButtons();
}

QString GeneratePanel::commandLine() const
{
    if (m_model.isEmpty() || m_prompt->toPlainText().isEmpty() || !m_form->isValid())
        return {};
    const auto settings = m_form->resolved();
    const auto number = [&](const char* key) { return QString::fromStdString(settings.at(key).dump()); };
    QStringList arguments{"generate", m_model, "--prompt", m_prompt->toPlainText(), "--max-tokens", number("max_new_tokens")};
    if (m_abilities.hasSource && !m_begin->text().isEmpty())
        arguments << "--begin" << m_begin->text();
    if (settings.at("do_sample").get<bool>())
        arguments << "--temperature" << number("temperature") << "--top-k" << number("top_k") << "--top-p" << number("top_p") << "--seed"
                  << QString::number(m_seed->value());
    if (settings.at("repetition_penalty").get<double>() != 1)
        arguments << "--repetition-penalty" << number("repetition_penalty");
    if (const auto stop = settings.at("stop").get<std::string>(); !stop.empty())
        arguments << "--stop" << QString::fromStdString(stop);
    if (m_model.startsWith("run:"))
        arguments << "--workspace" << session().workspaceFolder();
    return widgets::cliCommand(arguments);
}

std::optional<widgets::ReportItem> GeneratePanel::reportItem() const
{
    if (m_tokens.empty())
        return std::nullopt;
    report::Table table{"Tokens", {{"Token"}, {"Probability", report::Align::Right}}, {}};
    for (const auto& token : m_tokens)
        table.rows.push_back({{token.text.toStdString()}, {std::isnan(token.probability) ? "given" : percent(token.probability).toStdString()}});
    core::Json inputs{{"model", m_model.toStdString()}, {"prompt", m_writtenPrompt}};
    if (!m_writtenBegin.empty())
        inputs["begin"] = m_writtenBegin;
    report::Snapshot snapshot{id().toStdString(),
                              tr("Text from \"%1\"").arg(QString::fromStdString(m_writtenPrompt).left(60)).toStdString(),
                              inputs,
                              m_shownCommand.toStdString(),
                              {},
                              {}};
    snapshot.blocks.emplace_back(std::move(table));
    return widgets::reportSnapshot(std::move(snapshot));
}

}  // namespace orrery::plugins
