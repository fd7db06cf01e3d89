#pragma once
#include <QAbstractListModel>
#include <QCache>
#include <QImage>
#include <QString>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include <core/data/dataset.h>
#include <core/train/samples.h>
#include <widgets/background.h>

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

enum class PredictionFilter { All, Wrong, Correct };
enum class SampleOrder { Number, ConfidenceRising, ConfidenceFalling };

/// Which samples of a part are shown, and in what order.
struct SampleFilter {
    std::optional<int> targetClass;
    PredictionFilter prediction = PredictionFilter::All;
    double confidenceFrom = 0, confidenceTo = 1;  ///< both inclusive; the whole range takes samples without prediction, too
    SampleOrder order = SampleOrder::Number;
    bool operator==(const SampleFilter&) const = default;
};

/// One part of a data set as a list. Targets are read in one go in the background, pictures and rows when they are first painted and kept while there is room.
/// UI thread.
class DataModel : public QAbstractListModel {
    Q_OBJECT
public:
    enum Role { NumberRole = Qt::UserRole, TargetTextRole, PredictedTextRole, ConfidenceRole, WrongRole, PictureRole, RowTextRole };

    explicit DataModel(widgets::Session& session, QObject* parent = nullptr);
    ~DataModel() override;

    /// Null: nothing is shown. Drops predictions.
    void setData(data::DataSetPtr data, data::Split part);
    const data::DataSetPtr& dataSet() const { return m_data; }
    data::Split part() const { return m_part; }
    /// Those of other parts are ignored; nothing: none.
    void setPredictions(const std::optional<train::Predictions>& predictions);
    bool hasPredictions() const { return m_predicted > 0; }
    void setFilter(const SampleFilter& filter);
    const SampleFilter& filter() const { return m_filter; }

    bool hasImages() const;
    std::int64_t samplesInPart() const { return std::int64_t(m_entries.size()); }
    std::int64_t predicted() const { return m_predicted; }
    std::int64_t wrong() const { return m_wrong; }
    /// Number within the part; -1 outside.
    qint64 numberAt(int row) const;
    /// -1 if it is not shown.
    int rowOf(qint64 number) const;
    /// False while targets or something on screen is being read.
    bool isIdle() const { return m_reading == 0 && m_wanted.empty(); }

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

Q_SIGNALS:
    void idleChanged();
    /// Counts, filter or predictions changed.
    void contentChanged();
    void failed(const QString& text);

private:
    struct Entry {
        float target = NAN, predicted = NAN, confidence = NAN;
    };
    struct Shown {
        QImage picture;
        QString text;
    };
    struct Targets {
        std::int64_t begin = 0;
        std::vector<float> values;
    };

    void readTargets();
    void takeTargets(const Targets& targets);
    std::vector<std::int32_t> orderedRows() const;
    void arrange();
    void repaintAll();
    bool passes(const Entry& entry) const;
    bool isWrong(const Entry& entry) const;
    QString valueText(float value) const;
    QString targetText(int row, const Entry& entry) const;
    const Shown* shown(int row) const;
    void readShown();
    void changeReading(int change);
    static std::vector<Shown> shownOf(const data::DataSet& data, const std::vector<std::int64_t>& indices);

    widgets::Session& m_session;
    data::DataSetPtr m_data;
    data::Split m_part = data::Split::Test;
    std::vector<Entry> m_entries;   ///< by number within the part
    std::vector<std::int32_t> m_rows;  ///< numbers in the order shown
    std::vector<std::int32_t> m_rowOf;
    SampleFilter m_filter;
    std::int64_t m_predicted = 0, m_wrong = 0;
    widgets::BackgroundTask m_targetsTask, m_shownTask;
    mutable QCache<qint64, Shown> m_cache{4096};
    mutable std::vector<qint64> m_wanted;  ///< numbers asked for while painting
    int m_reading = 0, m_generation = 0;
};

}  // namespace orrery::plugins
