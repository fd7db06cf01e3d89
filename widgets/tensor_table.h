#pragma once
#include <QString>
#include <QWidget>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace orrery::widgets {

/// Numbers of an array of any rank as a table: the last two axes as rows and columns, a box for the position on each other axis, cells shaded by
/// value,
/// statistics below. Copy as CSV. UI thread.
class TensorTable : public QWidget {
    Q_OBJECT
public:
    explicit TensorTable(QWidget* parent = nullptr);
    ~TensorTable() override;

    /// Row-major values; `shape` is empty for a scalar. @throws core::ShapeError if the counts differ.
    void setTensor(std::vector<float> values, std::vector<std::int64_t> shape, const QString& title = {});
    void clear();
    /// Names of the rows of a slice beside their numbers, asked for those on show; an empty function: numbers alone. `setTensor` and `clear` forget them.
    void setRowNames(std::function<QString(std::int64_t row)> names);
    /// Title and statistics above and below the numbers; off where they stand elsewhere already.
    void setDetailsVisible(bool visible);
    const std::vector<std::int64_t>& shape() const;
    /// The full index of the current cell, one number an axis.
    std::vector<std::int64_t> currentIndex() const;
    bool hasCurrentCell() const;  ///< one has been chosen
    void setCurrentIndex(const std::vector<std::int64_t>& index);
    QString toCsv() const;  ///< the slice on show
    QString statisticsText() const;

Q_SIGNALS:
    void currentIndexChanged();

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
