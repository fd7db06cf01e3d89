#include "export_dialog.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>

#include <core/base/text.h>
#include <core/models/exporter.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/job_bar.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>

namespace orrery::plugins {
namespace {

/// What an export ended with.
struct Exported {
    std::uint64_t bytes = 0;
    QStringList notes;
    std::optional<debug::ExportCheck> check;
};

/// "model" of "/data/model.onnx", "run-2" of "run:2", "lenet" of "zoo:lenet?maps=8".
QString stemOf(const QString& argument)
{
    if (argument.startsWith(QLatin1String("zoo:")))
        return argument.mid(4).section('?', 0, 0);
    if (argument.startsWith(QLatin1String("run:")))
        return QString(argument).replace(':', '-').replace('@', '-');
    const QFileInfo file(argument);
    return file.isDir() ? file.fileName() : file.completeBaseName();
}

QString withEnding(const QString& file, const QString& before, const QString& ending)
{
    return (!before.isEmpty() && file.endsWith(before) ? file.chopped(before.size()) : file) + ending;
}

Exported exportNow(const ValueRequest& request, const std::string& format, const std::string& target, core::Json parameters, bool check,
                   widgets::BackgroundContext& context)
{
    Exported exported;
    models::ExportOptions options;
    options.parameters = std::move(parameters);
    options.note = [&exported](const std::string& note) { exported.notes << QString::fromStdString(note); };
    options.stop = context.stopToken();
    options.example = exampleFor(request).inputs;
    const auto& model = *request.opened->model;
    exported.bytes = models::exportModel(target, model, format, options);
    if (check)
        exported.check = debug::checkExport(model, format, target, options.example, context.stopToken());
    return exported;
}

}  // namespace

ExportDialog::ExportDialog(widgets::Session& session, ValueRequest request, QWidget* parent)
    : QDialog(parent), m_session(session), m_request(std::move(request)), m_format(new QComboBox), m_summary(new QLabel), m_result(new QLabel),
      m_hint(new QLabel), m_parameters(new widgets::SchemaForm), m_target(new QLineEdit),
      m_check(new QCheckBox(tr("&Compare with the model afterwards"))), m_bar(new widgets::JobBar(session, tr("Progress of the export")))
{
    setWindowTitle(tr("Export %1").arg(m_request.opened->argument));
    for (const auto& component : models::exporterRegistry().components()) {
        m_format->addItem(QString::fromStdString(component.title), QString::fromStdString(component.id));
        m_format->setItemData(m_format->count() - 1, QString::fromStdString(component.summary + "\n" + component.source), Qt::ToolTipRole);
    }
    m_target->setText(QDir(m_session.workspaceFolder()).filePath(stemOf(m_request.opened->argument)));
    makeRows();
    connect(m_format, &QComboBox::currentIndexChanged, this, &ExportDialog::chooseFormat);
    connect(m_target, &QLineEdit::textChanged, this, &ExportDialog::updateButtons);
    connect(m_parameters, &widgets::SchemaForm::issuesChanged, this, &ExportDialog::updateButtons);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        if (m_bar->wasCancelled())
            say(tr("Cancelled: nothing was written."), false);
        updateButtons();
    });
    chooseFormat();
    resize(680, sizeHint().height());
}

ExportDialog::~ExportDialog() = default;

void ExportDialog::makeRows()
{
    m_format->setObjectName(QStringLiteral("format"));
    m_format->setAccessibleName(tr("Format"));
    m_target->setObjectName(QStringLiteral("target"));
    m_target->setAccessibleName(tr("File or folder to write"));
    m_parameters->setMinimumHeight(100);
    m_check->setObjectName(QStringLiteral("check"));
    m_check->setChecked(true);
    m_check->setToolTip(tr("Opens what was written and compares its outputs with the model's; of weights alone, every tensor"));
    m_result->setObjectName(QStringLiteral("result"));
    for (auto* label : {m_summary, m_result, m_hint}) {
        label->setWordWrap(true);
        label->setTextFormat(Qt::PlainText);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    }
    auto* choose = new QPushButton(tr("C&hoose…"));
    choose->setAutoDefault(false);
    connect(choose, &QPushButton::clicked, this, &ExportDialog::chooseTarget);
    auto* target = new QHBoxLayout;
    target->addWidget(m_target, 1);
    target->addWidget(choose);
    auto* form = new QFormLayout;
    form->addRow(tr("&Format"), m_format);
    form->addRow(QString(), m_summary);
    form->addRow(m_parameters);
    form->addRow(tr("Write to"), target);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close);
    m_write = buttons->addButton(tr("&Export"), QDialogButtonBox::ActionRole);
    m_write->setObjectName(QStringLiteral("export"));
    m_write->setDefault(true);
    m_open = buttons->addButton(tr("&Open it"), QDialogButtonBox::ActionRole);
    m_open->setObjectName(QStringLiteral("open"));
    m_open->setToolTip(tr("Opens what was written in place of the model"));
    auto* copy = buttons->addButton(tr("Copy as co&mmand"), QDialogButtonBox::ActionRole);
    copy->setObjectName(QStringLiteral("copy"));
    copy->setAutoDefault(false);
    connect(m_write, &QPushButton::clicked, this, &ExportDialog::write);
    connect(m_open, &QPushButton::clicked, this, [this] { m_session.openModel(m_written); });
    connect(copy, &QPushButton::clicked, this, [this] { widgets::copyAsCommand(command()); });
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* layout = new QVBoxLayout(this);
    layout->addLayout(form);
    for (QWidget* below :
         {static_cast<QWidget*>(m_hint), static_cast<QWidget*>(m_check), static_cast<QWidget*>(m_bar), static_cast<QWidget*>(m_result)})
        layout->addWidget(below);
    layout->addStretch(1);
    layout->addWidget(buttons);
}

QString ExportDialog::format() const
{
    return m_format->currentData().toString();
}

void ExportDialog::chooseFormat()
{
    const auto& component = models::exporterRegistry().at(format().toStdString());
    const auto& writer = models::exporterRegistry().factory(component.id);
    m_summary->setText(QString::fromStdString(component.summary));
    m_parameters->setSchema(component.schema);
    m_parameters->setVisible(!component.schema.parameters().empty());
    m_check->setEnabled(writer.opensAgain);
    const QString before = m_target->property("ending").toString(), ending = QString::fromStdString(writer.ending);
    m_target->setText(withEnding(m_target->text(), before, ending));
    m_target->setProperty("ending", ending);
    say({}, false);
    updateButtons();
}

void ExportDialog::chooseTarget()
{
    const QString ending = m_target->property("ending").toString();
    QString chosen;
    if (ending.isEmpty())
        chosen = QFileDialog::getExistingDirectory(this, tr("Folder to write, empty or new"), m_target->text());
    else
        chosen = widgets::askSaveFile()(this, m_target->text(), tr("%1 (*%2);;All files (*)").arg(m_format->currentText(), ending));
    if (!chosen.isEmpty())
        m_target->setText(chosen);
}

/// Why "Export" cannot be pressed; empty: it can.
QString ExportDialog::whyNot() const
{
    if (m_target->text().trimmed().isEmpty())
        return tr("Name the file or folder to write.");
    if (!m_parameters->isValid())
        return tr("Correct the parameters marked above.");
    return {};
}

void ExportDialog::updateButtons()
{
    const QFileInfo target(m_target->text());
    const QString why = whyNot();
    m_hint->setText(!why.isEmpty() ? why : target.isFile() ? tr("Replaces the file that is there.") : QString());
    m_hint->setVisible(!m_hint->text().isEmpty());
    m_write->setEnabled(why.isEmpty() && !m_bar->isRunning());
    m_open->setEnabled(!m_written.isEmpty() && !m_bar->isRunning());
    grow();
}

/// Rows come and go: the window takes the room that they need.
void ExportDialog::grow()
{
    layout()->activate();
    const int wanted = std::max(layout()->totalHeightForWidth(width()), layout()->totalMinimumSize().height());
    if (height() < wanted)
        resize(width(), wanted);
}

void ExportDialog::say(const QString& text, bool isError)
{
    m_result->setText(isError ? tr("Not written: %1").arg(text) : text);
    m_result->setVisible(!text.isEmpty());
    grow();
}

void ExportDialog::write()
{
    const std::string target = m_target->text().toStdString();
    try {
        models::checkNotSource(target, m_request.opened->argument.toStdString());
    } catch (const std::exception& error) {
        return say(QString::fromUtf8(error.what()), true);
    }
    m_written.clear();
    say({}, false);
    const bool check = m_check->isChecked() && m_check->isEnabled();
    widgets::BackgroundOptions options;
    options.title = tr("Export %1").arg(QFileInfo(m_target->text()).fileName());
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("export");
    const auto done = [this, file = m_target->text()](const Exported& exported) {
        const bool opens = models::exporterRegistry().factory(format().toStdString()).opensAgain;
        m_written = opens ? file : QString();
        QStringList lines{tr("Written: %1, %2").arg(file, QString::fromStdString(core::formatBytes(exported.bytes)))};
        if (exported.check)
            lines << QString::fromStdString(exported.check->text());
        say((lines + exported.notes).join(QLatin1Char('\n')), false);
    };
    m_bar->follow(m_session.runInBackground(
        this,
        [request = m_request, name = format().toStdString(), target, parameters = m_parameters->document(),
         check](widgets::BackgroundContext& context) { return exportNow(request, name, target, parameters, check, context); },
        done, [this](const QString& text) { say(text, true); }, options));
    updateButtons();
}

QString ExportDialog::command() const
{
    QStringList words{QStringLiteral("export"), m_request.opened->argument, QStringLiteral("--to"), format(), QStringLiteral("--out"),
                      m_target->text()};
    for (const auto& [key, value] : m_parameters->document().items())
        words << QStringLiteral("--set") << QString::fromStdString(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
    if (m_check->isChecked() && m_check->isEnabled())
        words << QStringLiteral("--check");
    if (m_request.opened->argument.startsWith(QLatin1String("run:")))
        words << QStringLiteral("--workspace") << m_session.workspaceFolder();
    return widgets::cliCommand(words);
}

}  // namespace orrery::plugins
