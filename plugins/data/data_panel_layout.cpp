// What the panel Data is made of; data_panel.cpp says how it behaves.
#include <QAction>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QItemSelectionModel>
#include <QLabel>
#include <QListView>
#include <QPushButton>
#include <QSlider>
#include <QToolButton>
#include <QVBoxLayout>

#include <widgets/controls.h>
#include <widgets/job_bar.h>
#include <widgets/report_item.h>
#include <widgets/session.h>

#include "data_panel.h"
#include "sample_delegate.h"

namespace orrery::plugins {

namespace {

QDoubleSpinBox* makeShare(const QString& name, double value)
{
    auto* box = new QDoubleSpinBox;
    box->setRange(0, 1);
    box->setDecimals(3);
    box->setSingleStep(0.05);
    box->setValue(value);
    box->setAccessibleName(name);
    box->setToolTip(DataPanel::tr("Probability of the predicted class, 0 to 1. The whole range shows samples without a prediction, too."));
    return box;
}

QLabel* makeLabel(const QString& text, QWidget* buddy)
{
    auto* label = new QLabel(text);
    label->setBuddy(buddy);
    return label;
}

}  // namespace

QLayout* DataPanel::makeSourceRow()
{
    m_source = widgets::narrowBox(tr("Data set"), tr("The data of the selected run, or a data set"));
    m_split = widgets::narrowBox(tr("Part"), tr("Training, validation or test part"));
    for (const char* name : {"train", "val", "test"})
        m_split->addItem(QString::fromLatin1(name), QString::fromLatin1(name));
    m_split->setCurrentIndex(2);
    auto* openFile = new QToolButton;
    openFile->setDefaultAction(m_openFile);
    openFile->setText(tr("Open…"));
    connect(m_source, &QComboBox::activated, this, &DataPanel::chooseSource);
    connect(m_split, &QComboBox::activated, this, [this] {
        m_model->setData(m_model->dataSet(), part());
        readPredictions();
        session().changeSelection([this](widgets::Selection& s) {
            s.split = m_split->currentData().toString();
            s.samples.clear();
        });
    });
    auto* row = new QHBoxLayout;
    row->addWidget(m_source, 3);
    row->addWidget(m_split, 2);
    row->addWidget(openFile);
    return row;
}

QLayout* DataPanel::makeFilterRows()
{
    m_class = widgets::narrowBox(tr("Class"), tr("Only samples of this true class"));
    m_show = widgets::narrowBox(tr("Predictions"), tr("Only samples that the run got wrong, or right"));
    m_show->addItems({tr("All samples"), tr("Wrong predictions"), tr("Right predictions")});
    m_order = widgets::narrowBox(tr("Order"), tr("Order of the samples"));
    m_order->addItems({tr("By number"), tr("Least sure first"), tr("Most sure first")});
    m_from = makeShare(tr("Lowest confidence"), 0);
    m_to = makeShare(tr("Highest confidence"), 1);
    for (auto* box : {m_class, m_show, m_order})
        connect(box, &QComboBox::currentIndexChanged, this, &DataPanel::applyFilter);
    for (auto* box : {m_from, m_to})
        connect(box, &QDoubleSpinBox::valueChanged, this, &DataPanel::applyFilter);
    auto* grid = new QGridLayout;
    grid->setHorizontalSpacing(6);
    grid->setVerticalSpacing(4);
    grid->addWidget(m_class, 0, 0, 1, 2);
    grid->addWidget(m_show, 0, 2, 1, 2);
    grid->addWidget(makeLabel(tr("&Confidence"), m_from), 1, 0);
    auto* range = new QHBoxLayout;
    range->addWidget(m_from, 1);
    range->addWidget(new QLabel(QStringLiteral("–")));
    range->addWidget(m_to, 1);
    grid->addLayout(range, 1, 1, 1, 2);
    grid->addWidget(m_order, 1, 3);
    grid->setColumnStretch(1, 1);
    grid->setColumnStretch(3, 1);
    return grid;
}

std::optional<widgets::ReportItem> DataPanel::reportItem() const
{
    if (m_model->rowCount() == 0)
        return std::nullopt;
    const QString title = tr("%1, %2").arg(m_source->currentText(), m_split->currentText());
    return widgets::reportShown(*this, title, std::nullopt, *m_view->viewport());
}

QWidget* DataPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(6, 6, 6, 6);
    layout->setSpacing(4);
    layout->addLayout(makeSourceRow());
    layout->addLayout(makeFilterRows());

    m_delegate = new SampleDelegate(this);
    m_view = new QListView;
    m_view->setModel(m_model);
    m_view->setItemDelegate(m_delegate);
    m_view->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_view->setUniformItemSizes(true);
    m_view->setResizeMode(QListView::Adjust);
    m_view->setMouseTracking(true);
    m_view->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_view->setLayoutMode(QListView::Batched);
    m_view->setBatchSize(5000);
    m_view->setAccessibleName(tr("Samples"));
    m_view->setObjectName(QStringLiteral("samples"));
    m_view->installEventFilter(this);
    connect(m_view, &QListView::doubleClicked, this, &DataPanel::activate);
    connect(m_view->selectionModel(), &QItemSelectionModel::selectionChanged, this, &DataPanel::selectionOfView);
    layout->addWidget(m_view, 1);
    content->setFocusProxy(m_view);

    m_predict = new QPushButton(tr("&Predict this part"));
    m_predict->setToolTip(tr("Let the model of the selected run answer every sample of this part"));
    connect(m_predict, &QPushButton::clicked, this, &DataPanel::predict);
    m_job = new widgets::JobBar(session(), tr("Progress of predicting"));
    connect(m_job, &widgets::JobBar::ended, this, [this] {
        updateStatus();
        addBusy(-1);
    });
    m_size = new QSlider(Qt::Horizontal);
    m_size->setRange(24, 160);
    m_size->setValue(m_delegate->pictureSize());
    m_size->setMaximumWidth(90);
    m_size->setAccessibleName(tr("Size of the pictures"));
    m_size->setToolTip(tr("Size of the pictures"));
    connect(m_size, &QSlider::valueChanged, this, &DataPanel::setPictureSize);
    auto* tools = new QHBoxLayout;
    tools->addWidget(m_predict);
    tools->addWidget(m_job, 2);
    tools->addStretch(1);
    tools->addWidget(m_size);
    layout->addLayout(tools);
    m_status = new QLabel;
    m_status->setWordWrap(true);
    m_status->setObjectName(QStringLiteral("status"));
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse);
    layout->addWidget(m_status);
    setPictureSize(m_delegate->pictureSize());
    return content;
}

}  // namespace orrery::plugins
