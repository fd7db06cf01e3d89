#include "source_bar.h"

#include <QComboBox>
#include <QGridLayout>
#include <QLineEdit>
#include <QPushButton>
#include <QToolButton>

#include <widgets/export.h>
#include <widgets/session.h>

#include "page_work.h"

namespace orrery::plugins {
namespace {

QLineEdit* sourceField(const char* name, const QString& accessible, const QString& tooltip, const QString& placeholder)
{
    auto* edit = new QLineEdit;
    edit->setObjectName(QString::fromLatin1(name));
    edit->setAccessibleName(accessible);
    edit->setToolTip(tooltip);
    edit->setPlaceholderText(placeholder);
    return edit;
}

}  // namespace

SourceBar::SourceBar(widgets::Session& session, QWidget* parent)
    : QWidget(parent), m_session(session), m_task([this](int change) { Q_EMIT busyChanged(change); }),
      m_kind(widgets::narrowBox(tr("Points from"), tr("Where the points come from: a table in a file, or runs of the workspace"))),
      m_file(sourceField("file", tr("Table"), tr("A CSV file with a header row"), tr("a CSV file with columns such as N, D, loss"))),
      m_query(sourceField("query", tr("Which runs"), tr("A query over runs; empty: all"), tr("all runs; or: tag:scaling and status = finished"))),
      m_sources(
          sourceField("sources", tr("Columns of the runs"),
                      tr("Column = metric or arithmetic over the document's numbers, parted by semicolons; parameters is the number of weights"),
                      tr("N = parameters; D = train.steps * train.batch_size; loss = val/loss"))),
      m_browse(new QToolButton), m_load(new QPushButton(tr("&Read")))
{
    m_kind->setObjectName(QStringLiteral("sourceKind"));
    m_kind->addItem(tr("Table"), QStringLiteral("file"));
    m_kind->addItem(tr("Runs"), QStringLiteral("runs"));
    m_browse->setText(QStringLiteral("…"));
    m_browse->setToolTip(tr("Choose a file"));
    m_browse->setAccessibleName(tr("Choose a file"));
    m_load->setObjectName(QStringLiteral("read"));
    m_load->setToolTip(tr("Read the points"));
    m_load->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    auto* layout = new QGridLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setVerticalSpacing(4);
    layout->addWidget(m_kind, 0, 0);
    layout->addWidget(m_file, 0, 1);
    layout->addWidget(m_query, 0, 1);
    layout->addWidget(m_browse, 0, 2);
    layout->addWidget(m_load, 0, 3);
    layout->addWidget(m_sources, 1, 0, 1, 4);
    layout->setColumnStretch(1, 1);
    connect(m_kind, &QComboBox::currentIndexChanged, this, &SourceBar::showKind);
    connect(m_browse, &QToolButton::clicked, this, &SourceBar::browse);
    connect(m_load, &QPushButton::clicked, this, &SourceBar::load);
    for (QLineEdit* edit : {m_file, m_query, m_sources}) {
        connect(edit, &QLineEdit::returnPressed, this, &SourceBar::load);
        connect(edit, &QLineEdit::textChanged, this, [this] { m_load->setEnabled(source().isComplete()); });
    }
    showKind();
}

void SourceBar::showKind()
{
    const bool runs = m_kind->currentData() == QStringLiteral("runs");
    m_file->setVisible(!runs);
    m_browse->setVisible(!runs);
    m_query->setVisible(runs);
    m_sources->setVisible(runs);
    m_load->setEnabled(source().isComplete());
}

PointSource SourceBar::source() const
{
    return {m_kind->currentData() == QStringLiteral("runs"), m_file->text().trimmed(), m_query->text().trimmed(), m_sources->text().trimmed()};
}

void SourceBar::setSource(const PointSource& source)
{
    m_file->setText(source.file);
    m_query->setText(source.query);
    m_sources->setText(source.sources);
    m_kind->setCurrentIndex(source.runs ? 1 : 0);
    showKind();
    load();
}

void SourceBar::browse()
{
    const QString file = widgets::askOpenFile()(this, tr("Open a table"), tr("Tables (*.csv *.tsv);;All files (*)"));
    if (file.isEmpty())
        return;
    PointSource source;
    source.file = file;
    setSource(source);
}

void SourceBar::load()
{
    const PointSource wanted = source();
    if (!wanted.isComplete())
        return Q_EMIT loaded(nullptr);
    Q_EMIT failed({});
    m_task.start(
        m_session, this, [wanted, workspace = m_session.workspace()](widgets::BackgroundContext&) { return loadPoints(wanted, workspace); },
        [this](const TablePtr& table) { Q_EMIT loaded(table); },
        [this](const QString& text) {
            Q_EMIT loaded(nullptr);
            Q_EMIT failed(text);
        });
}

}  // namespace orrery::plugins
