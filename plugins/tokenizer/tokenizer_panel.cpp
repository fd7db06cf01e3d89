#include "tokenizer_panel.h"

#include <QCheckBox>
#include <QFileDialog>
#include <QHeaderView>
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSplitter>
#include <QTabWidget>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>

#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/export.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/report_pdf.h>
#include <widgets/session.h>
#include <widgets/token_view.h>

namespace orrery::plugins {
namespace {

constexpr int kTypingPause = 150;  ///< ms

QTableWidget* tableOf(const QString& name, const char* object, const QStringList& headers, QWidget* parent)
{
    auto* table = new QTableWidget(0, int(headers.size()), parent);
    table->setObjectName(object);
    table->setAccessibleName(name);
    table->setHorizontalHeaderLabels(headers);
    table->verticalHeader()->hide();
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setSelectionMode(QAbstractItemView::SingleSelection);
    table->horizontalHeader()->setStretchLastSection(true);
    table->horizontalHeader()->setHighlightSections(false);
    return table;
}

void setCell(QTableWidget& table, int row, int column, const QString& text, bool isNumber, const QString& tooltip = {})
{
    auto* item = new QTableWidgetItem(text);
    if (isNumber)
        item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    item->setToolTip(tooltip);
    table.setItem(row, column, item);
}

QString ratio(double value)
{
    return QString::number(value, 'f', 2);
}

}  // namespace

TokenizerPanel::TokenizerPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("tokenizer"), tr("Tokenizer"), session, parent), m_added{QStringLiteral("bytes")},
      m_task([this](int change) { addBusy(change); })
{
    addAction(widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); }));
    m_typing.setSingleShot(true);
    m_typing.setInterval(kTypingPause);
    connect(&m_typing, &QTimer::timeout, this, &TokenizerPanel::refresh);
    setContent(makeContent());
    connect(&session, &widgets::Session::selectionChanged, this, &TokenizerPanel::followSelection);
    followSelection(widgets::SelectionPart::Model);
    refresh();
}

TokenizerPanel::~TokenizerPanel() = default;

QLayout* TokenizerPanel::makeButtons(QWidget* parent)
{
    auto* row = new QHBoxLayout;
    const auto button = [&](const QString& text, const char* object, const QString& tooltip, void (TokenizerPanel::*clicked)()) {
        auto* made = new QPushButton(text, parent);
        made->setObjectName(object);
        made->setToolTip(tooltip);
        connect(made, &QPushButton::clicked, this, clicked);
        row->addWidget(made);
        return made;
    };
    button(tr("Add file…"), "add_file",
           tr("tokenizer.json, vocab.txt, vocab.json beside merges.txt, a SentencePiece model (.model), or a list of words (.words)"),
           &TokenizerPanel::askFile);
    button(tr("Add folder…"), "add_folder", tr("A checkpoint folder with a tokenizer"), &TokenizerPanel::askFolder);
    m_remove = button(tr("Remove"), "remove", tr("Take the chosen tokenizer out of the comparison"), &TokenizerPanel::removeChosen);
    row->addStretch(1);
    return row;
}

QWidget* TokenizerPanel::makeTokens(QWidget* parent)
{
    auto* box = new QWidget(parent);
    auto* layout = new QVBoxLayout(box);
    layout->setContentsMargins(0, 0, 0, 0);
    m_caption = new QLabel(box);
    m_caption->setObjectName("caption");
    m_caption->setWordWrap(true);
    auto* head = new QHBoxLayout;
    head->addWidget(m_caption, 1);
    m_special = new QCheckBox(tr("Special tokens"), box);
    m_special->setObjectName("special");
    m_special->setToolTip(tr("With what the tokenizer puts around a text. Counts are always without."));
    m_special->setChecked(true);
    connect(m_special, &QCheckBox::toggled, this, &TokenizerPanel::refresh);
    head->addWidget(m_special);
    layout->addLayout(head);
    auto* splitter = new QSplitter(Qt::Vertical, box);
    m_tokens = new widgets::TokenView(splitter);
    m_tokens->setObjectName("tokens");
    m_tokens->setNumbersShown(false);
    m_tokens->setAccessibleName(tr("Tokens of the chosen tokenizer"));
    connect(m_tokens, &widgets::TokenView::currentChanged, this, &TokenizerPanel::chooseToken);
    m_table =
        tableOf(tr("Tokens"), "token_table", {tr("Token"), tr("Text"), tr("Number"), tr("Bytes"), tr("Word"), tr("Script"), tr("Piece")}, splitter);
    connect(m_table, &QTableWidget::currentCellChanged, this, [this](int row) { m_tokens->setCurrent(row); });
    splitter->addWidget(m_tokens);
    splitter->addWidget(m_table);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({160, 260});
    layout->addWidget(splitter, 1);
    return box;
}

QWidget* TokenizerPanel::makeContent()
{
    auto* content = new QSplitter(Qt::Vertical, this);
    auto* top = new QWidget(content);
    auto* layout = new QVBoxLayout(top);
    m_text = new QPlainTextEdit(top);
    m_text->setObjectName("text");
    m_text->setAccessibleName(tr("Text"));
    m_text->setPlaceholderText(tr("Text to take apart, in any script"));
    m_text->setTabChangesFocus(true);
    connect(m_text, &QPlainTextEdit::textChanged, &m_typing, qOverload<>(&QTimer::start));
    layout->addWidget(m_text);
    layout->addLayout(makeButtons(top));
    content->addWidget(top);
    auto* tabs = new QTabWidget(content);
    m_counts = tableOf(tr("Tokenizers"), "counts",
                       {tr("Tokenizer"), tr("Pieces"), tr("Per word"), tr("Per letter"), tr("Unknown"), tr("Dropped"), tr("Comes back"), tr("Kind"),
                        tr("Vocabulary")},
                       tabs);
    connect(m_counts, &QTableWidget::currentCellChanged, this, &TokenizerPanel::showTokens);
    m_scripts = tableOf(tr("Pieces a word by script"), "scripts", {tr("Script"), tr("Words")}, tabs);
    tabs->addTab(m_counts, tr("Tokenizers"));
    tabs->addTab(m_scripts, tr("Scripts"));
    content->addWidget(tabs);
    content->addWidget(makeTokens(content));
    content->setStretchFactor(2, 1);
    content->setChildrenCollapsible(false);
    content->setSizes({160, 150, 420});
    return content;
}

void TokenizerPanel::followSelection(widgets::SelectionParts parts)
{
    using widgets::SelectionPart;
    if (!(parts & (widgets::SelectionParts(SelectionPart::Model) | SelectionPart::Weights | SelectionPart::Runs)))
        return;
    const QString model = widgets::modelArgument(session().selection());
    if (std::exchange(m_ofModel, model) != model)
        refresh();
}

QStringList TokenizerPanel::names() const
{
    QStringList names = m_added;
    if (!m_ofModel.isEmpty() && !names.contains(m_ofModel))
        names.prepend(m_ofModel);
    return names;
}

int TokenizerPanel::chosen() const
{
    return m_counts->currentRow();
}

void TokenizerPanel::refresh()
{
    const auto work = [names = names(), known = m_tokenizers, text = m_text->toPlainText().toStdString(), special = m_special->isChecked(),
                       workspace = session().workspace(), model = m_ofModel](widgets::BackgroundContext& context) {
        Found found;
        found.tokenizers = openTokenizers(names, known, workspace, context.stopToken());
        // A model of pictures has no tokenizer: it is no mistake that it is chosen.
        std::erase_if(found.tokenizers, [&](const auto& entry) { return entry.name == model && !entry.tokenizer; });
        found.texts = tokenizeAll(found.tokenizers, text, special, context.stopToken());
        return found;
    };
    m_task.start(
        session(), this, work, [this](Found found) { take(std::move(found)); }, [this](const QString& text) { showError(text); });
}

void TokenizerPanel::take(Found found)
{
    m_tokenizers = std::move(found.tokenizers);
    m_texts = std::move(found.texts);
    QStringList errors;
    for (const auto& text : m_texts)
        if (!text.error.isEmpty())
            errors << (text.error.contains(text.name) ? text.error : shortName(text.name) + ": " + text.error);
    const QString told = errors.join('\n');
    const bool isNew = std::exchange(m_toldErrors, told) != told, isRestored = std::exchange(m_isRestored, false);
    if (isNew && !isRestored)
        showError(told);
    showCounts();
    showTokens();
}

void TokenizerPanel::showCounts()
{
    const QSignalBlocker quiet(m_counts);
    const int before = chosen();
    m_counts->setRowCount(int(m_texts.size()));
    for (int row = 0; row < m_counts->rowCount(); ++row) {
        const auto& text = m_texts[std::size_t(row)];
        const auto& counts = text.counts.all;
        const bool broken = !text.error.isEmpty();
        const QString cells[] = {shortName(text.name),
                                 broken ? QStringLiteral("–") : QString::number(counts.pieces),
                                 broken ? QStringLiteral("–") : ratio(counts.perWord()),
                                 broken ? QStringLiteral("–") : ratio(counts.perCharacter()),
                                 broken ? QStringLiteral("–") : QString::number(counts.unknown),
                                 broken ? QStringLiteral("–") : QString::number(counts.dropped),
                                 broken                  ? QStringLiteral("–")
                                 : text.counts.comesBack ? tr("yes")
                                                         : tr("no"),
                                 broken ? tr("cannot be read: %1").arg(text.error) : text.kind,
                                 text.size > 0 ? QString::number(text.size) : QString()};
        for (int column = 0; column < int(std::size(cells)); ++column)
            setCell(*m_counts, row, column, cells[column], column > 0 && column != 7, column == 0 ? text.name : text.error);
    }
    m_counts->resizeColumnsToContents();
    if (m_counts->rowCount() > 0)
        m_counts->setCurrentCell(before >= 0 && before < m_counts->rowCount() ? before : 0, 0);
    // By script: one row a script, one column a tokenizer.
    QStringList headers = {tr("Script"), tr("Words")};
    for (const auto& text : m_texts)
        headers << shortName(text.name);
    m_scripts->clearContents();
    m_scripts->setColumnCount(int(headers.size()));
    m_scripts->setHorizontalHeaderLabels(headers);
    const TokenizedText* first = nullptr;
    for (const auto& text : m_texts)
        if (!first && text.error.isEmpty())
            first = &text;
    m_scripts->setRowCount(first ? int(first->counts.scripts.size()) : 0);
    for (int row = 0; row < m_scripts->rowCount(); ++row) {
        setCell(*m_scripts, row, 0, QString::fromStdString(first->counts.scripts[std::size_t(row)].script), false);
        setCell(*m_scripts, row, 1, QString::number(first->counts.scripts[std::size_t(row)].counts.words), true);
        for (std::size_t i = 0; i < m_texts.size(); ++i) {
            const auto& scripts = m_texts[i].counts.scripts;
            setCell(*m_scripts, row, int(i) + 2,
                    std::size_t(row) < scripts.size() ? ratio(scripts[std::size_t(row)].counts.perWord()) : QStringLiteral("–"), true);
        }
    }
    m_scripts->resizeColumnsToContents();
    m_remove->setEnabled(m_counts->rowCount() > 0);
}

void TokenizerPanel::showTokens()
{
    const int row = chosen();
    const TokenizedText none;
    const auto& text = row >= 0 && std::size_t(row) < m_texts.size() ? m_texts[std::size_t(row)] : none;
    QStringList shown, tooltips;
    QSet<int> unknown;
    std::vector<double> colours;
    for (const auto& token : text.tokens) {
        const int number = int(shown.size());
        shown << token.shown;
        tooltips << (token.dropped ? tr("dropped: no token stands for it")
                                   : tr("piece %1, number %2%3")
                                         .arg(token.piece)
                                         .arg(token.id)
                                         .arg(token.special   ? tr(", special")
                                              : token.unknown ? tr(", unknown")
                                                              : QString()));
        if (token.unknown || token.dropped)
            unknown << number;
        // Neighbours differ; special tokens have no colour.
        colours.push_back(token.special || token.dropped ? std::nan("") : number % 2 ? 0.35 : -0.35);
    }
    m_tokens->setTokens(shown);
    m_tokens->setValues(colours, 1.0);
    m_tokens->setTooltips(tooltips);
    m_tokens->setMarked(unknown);
    const QSignalBlocker quiet(m_table);
    m_table->setRowCount(int(text.tokens.size()));
    int place = 0;
    for (int i = 0; i < m_table->rowCount(); ++i) {
        const auto& token = text.tokens[std::size_t(i)];
        const QString cells[] = {token.dropped ? QString() : QString::number(place++),
                                 token.shown,
                                 token.dropped ? QString() : QString::number(token.id),
                                 token.special ? QString() : QStringLiteral("%1–%2").arg(token.begin).arg(token.end),
                                 token.word < 0 ? QString() : QString::number(token.word),
                                 token.special   ? tr("(special)")
                                 : token.dropped ? tr("(dropped)")
                                                 : token.script,
                                 token.piece};
        for (int column = 0; column < int(std::size(cells)); ++column)
            setCell(*m_table, i, column, cells[column], column == 0 || (column > 1 && column < 5));
    }
    m_table->resizeColumnsToContents();
    m_caption->setText(row < 0 ? QString()
                               : tr("%1: %2 tokens%3")
                                     .arg(shortName(text.name))
                                     .arg(std::count_if(text.tokens.begin(), text.tokens.end(), [](const auto& token) { return !token.dropped; }))
                                     .arg(text.cutShort       ? tr(", the first of more")
                                          : unknown.isEmpty() ? QString()
                                                              : tr(", unknown and dropped ones struck out")));
}

void TokenizerPanel::chooseToken(int token)
{
    const QSignalBlocker quiet(m_table);
    m_table->setCurrentCell(token, 0);
}

void TokenizerPanel::addTokenizer(const QString& name)
{
    if (!m_added.contains(name))
        m_added << name;
    // Its file may have changed since it was read.
    std::erase_if(m_tokenizers, [&](const auto& entry) { return entry.name == name; });
    refresh();
}

void TokenizerPanel::askFile()
{
    const QString file = widgets::askOpenFile()(this, tr("Open a tokenizer"), tr("Tokenizers (*.json *.txt *.model *.words);;All files (*)"));
    if (!file.isEmpty())
        addTokenizer(file);
}

void TokenizerPanel::askFolder()
{
    const QString folder = QFileDialog::getExistingDirectory(this, tr("Open the tokenizer of a checkpoint folder"));
    if (!folder.isEmpty())
        addTokenizer(folder);
}

void TokenizerPanel::removeChosen()
{
    const int row = chosen();
    if (row < 0 || std::size_t(row) >= m_texts.size())
        return;
    const QString name = m_texts[std::size_t(row)].name;
    m_added.removeAll(name);
    if (name == m_ofModel)
        m_ofModel.clear();
    refresh();
}

QString TokenizerPanel::commandLine() const
{
    const QStringList compared = names();
    if (compared.isEmpty() || m_text->toPlainText().isEmpty())
        return {};
    QStringList arguments = QStringList{"tokenize"} + compared + QStringList{"--text", m_text->toPlainText()};
    if (!m_special->isChecked())
        arguments << "--plain";
    for (const auto& name : compared)
        if (name.startsWith("run:")) {
            arguments << "--workspace" << session().workspaceFolder();
            break;
        }
    return widgets::cliCommand(arguments);
}

std::optional<widgets::ReportItem> TokenizerPanel::reportItem() const
{
    if (m_texts.empty() || m_text->toPlainText().isEmpty())
        return std::nullopt;
    using report::Align;
    report::Table table{"Tokenizers", {{"Tokenizer"}}, {}};
    for (int column = 1; column < m_counts->columnCount(); ++column)
        table.columns.push_back({m_counts->horizontalHeaderItem(column)->text().toStdString(), column == 6 ? Align::Left : Align::Right});
    for (int row = 0; row < m_counts->rowCount(); ++row) {
        std::vector<report::Cell> cells;
        for (int column = 0; column < m_counts->columnCount(); ++column)
            cells.push_back({m_counts->item(row, column)->text().toStdString()});
        table.rows.push_back(std::move(cells));
    }
    report::Snapshot snapshot{id().toStdString(),
                              tr("Tokens of \"%1\"").arg(m_text->toPlainText().left(60)).toStdString(),
                              {{"text", m_text->toPlainText().toStdString()}},
                              commandLine().toStdString(),
                              {},
                              {}};
    snapshot.pictures.push_back({widgets::fromQImage(widgets::lightPicture(*m_tokens)), m_caption->text().toStdString()});
    snapshot.blocks.emplace_back(std::move(table));
    return widgets::reportSnapshot(std::move(snapshot));
}

core::Json TokenizerPanel::saveState() const
{
    core::Json added = core::Json::array();
    for (const auto& name : m_added)
        added.push_back(name.toStdString());
    return {{"text", m_text->toPlainText().toStdString()}, {"tokenizers", std::move(added)}, {"special", m_special->isChecked()}};
}

void TokenizerPanel::restoreState(const core::Json& state)
{
    m_text->setPlainText(widgets::stateText(state, "text"));
    if (state.contains("special") && state["special"].is_boolean())
        m_special->setChecked(state["special"].get<bool>());
    if (state.contains("tokenizers") && state["tokenizers"].is_array()) {
        m_added.clear();
        for (const auto& name : state["tokenizers"])
            if (name.is_string())
                m_added << QString::fromStdString(name.get<std::string>());
        m_isRestored = true;
    }
    refresh();
}

}  // namespace orrery::plugins
