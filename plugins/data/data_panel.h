#pragma once
#include <optional>

#include <widgets/background.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "data_model.h"

class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QListView;
class QPushButton;
class QSlider;
class QToolButton;

namespace orrery::widgets {
class JobBar;
}

namespace orrery::plugins {

class SampleDelegate;

/// The samples of a data set as a grid of pictures or a list of rows, with labels and what a run predicted.
class DataPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit DataPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~DataPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    std::optional<widgets::ReportItem> reportItem() const override;
    bool isIdle() const override;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    /// What is opened: a document, the data of a run (document null), or the run's if they are the same.
    struct Source {
        core::Json document;
        std::optional<qint64> run;
    };
    struct Opened {
        data::DataSetPtr data;
        core::Json document;
        std::optional<qint64> run;
    };

    QWidget* makeContent();
    QLayout* makeSourceRow();
    QLayout* makeFilterRows();
    void fillSources();
    void chooseSource(int row);
    void openSelected();
    void open(const Source& source);
    void take(const Opened& opened);
    void leaveOut(const core::Json& document);
    void readPredictions();
    void predict();
    void applyFilter();
    void fillClasses();
    void updateStatus();
    void updateEmptyState();
    void selectionOfSession(widgets::SelectionParts parts);
    void selectionOfView();
    void showSelected();
    void activate(const QModelIndex& index);
    void setPictureSize(int pixels);
    data::Split part() const;

    DataModel* m_model;
    SampleDelegate* m_delegate = nullptr;
    QListView* m_view = nullptr;
    QComboBox *m_source = nullptr, *m_split = nullptr, *m_class = nullptr, *m_show = nullptr, *m_order = nullptr;
    QDoubleSpinBox *m_from = nullptr, *m_to = nullptr;
    QSlider* m_size = nullptr;
    QLabel* m_status = nullptr;
    QPushButton* m_predict = nullptr;
    widgets::JobBar* m_job = nullptr;
    QAction *m_openDigits = nullptr, *m_openFile = nullptr, *m_copyCommand = nullptr;

    Source m_shown;               ///< of the set on show
    core::Json m_document;        ///< its document; null: none
    widgets::BackgroundTask m_openTask, m_readTask;
    bool m_opening = false, m_applying = false, m_followsRun = true;
    QString m_predictionsFrom;    ///< where the predictions on show come from
};

}  // namespace orrery::plugins
