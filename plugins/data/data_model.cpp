#include "data_model.h"

#include <ATen/ATen.h>

#include <QTimer>
#include <algorithm>
#include <cmath>

#include <core/base/text.h>
#include <core/data/label_tables.h>
#include <core/data/vocabulary.h>
#include <widgets/session.h>

namespace orrery::plugins {
namespace {

constexpr std::int64_t kTargetsAtOnce = 2048;
constexpr std::size_t kShownAtOnce = 128, kWantedAtMost = 2048;
constexpr std::int64_t kFeaturesInRow = 8, kTokensInRow = 120;

QImage pictureOf(const data::DataInfo& info, const at::Tensor& sample)
{
    const at::Tensor bytes = data::toDisplay(info, sample);
    const int height = int(bytes.size(0)), width = int(bytes.size(1)), channels = int(bytes.size(2));
    const auto format = channels == 1 ? QImage::Format_Grayscale8 : QImage::Format_RGB888;
    return QImage(bytes.data_ptr<std::uint8_t>(), width, height, width * channels, format).copy();
}

QString tableRow(const data::DataInfo& info, const at::Tensor& sample)
{
    const at::Tensor values = sample.to(at::kDouble).contiguous();
    QStringList parts;
    for (std::int64_t i = 0; i < std::min(values.numel(), kFeaturesInRow); ++i) {
        const auto at = std::size_t(i);
        double value = values.data_ptr<double>()[i];
        if (at < info.mean.size())
            value = value * info.std[at] + info.mean[at];
        const QString name = at < info.featureNames.size() ? QString::fromStdString(info.featureNames[at]) : QString::number(i);
        parts << QStringLiteral("%1 %2").arg(name, QString::number(value, 'g', 4));
    }
    return parts.join(QStringLiteral("   ")) + (values.numel() > kFeaturesInRow ? QStringLiteral("   …") : QString());
}

/// One line: blanks joined; control characters (marks of padding, begin and end, which have no glyph) as points, and none at the end.
QString onOneLine(QString text)
{
    text = text.simplified();
    const auto isControl = [](QChar letter) { return letter.category() == QChar::Other_Control; };
    while (!text.isEmpty() && isControl(text.back()))
        text.chop(1);
    std::replace_if(text.begin(), text.end(), isControl, QChar(0xB7));
    return text;
}

QString tokenRow(const data::DataSet& data, const at::Tensor& sample)
{
    const at::Tensor tokens = sample.slice(0, 0, kTokensInRow).contiguous();
    const std::span<const std::int64_t> numbers(tokens.data_ptr<std::int64_t>(), std::size_t(tokens.numel()));
    if (const auto* vocabulary = data.vocabulary())
        return onOneLine(QString::fromStdString(vocabulary->decode(numbers)));
    QStringList parts;
    for (const auto number : numbers)
        parts << QString::number(number);
    return parts.join(QLatin1Char(' '));
}

}  // namespace

DataModel::DataModel(widgets::Session& session, QObject* parent) : QAbstractListModel(parent), m_session(session)
{
}

DataModel::~DataModel()
{
    m_targetsTask.cancel();
    m_shownTask.cancel();
}

void DataModel::setData(data::DataSetPtr data, data::Split part)
{
    m_targetsTask.cancel();
    m_shownTask.cancel();
    m_reading = 0;
    ++m_generation;
    m_data = std::move(data);
    m_part = part;
    m_cache.clear();
    m_wanted.clear();
    m_entries.assign(m_data ? m_data->split(part).size() : 0, {});
    m_predicted = m_wrong = 0;
    m_rowOf.clear();
    m_rows.clear();
    arrange();
    readTargets();
    Q_EMIT contentChanged();
    Q_EMIT idleChanged();
}

void DataModel::readTargets()
{
    using data::Task;
    if (!m_data || (m_data->info().task != Task::Classification && m_data->info().task != Task::Regression) || m_entries.empty())
        return;
    if (m_data->info().target.axes.size() > 2 || data::holdsLabels(m_data->info()))
        return;  // whole pictures and several labels are no numbers to sort by
    changeReading(1);
    const auto generation = m_generation;
    auto work = [data = m_data, part = m_part, this, generation](widgets::BackgroundContext& context) {
        const auto& indices = data->split(part);
        for (std::size_t begin = 0; begin < indices.size(); begin += kTargetsAtOnce) {
            context.throwIfStopped();
            const auto count = std::min<std::size_t>(kTargetsAtOnce, indices.size() - begin);
            const at::Tensor targets =
                data->fetch({indices.data() + begin, count}).targets.reshape({std::int64_t(count), -1}).select(1, 0).to(at::kFloat).contiguous();
            Targets read{std::int64_t(begin), {targets.data_ptr<float>(), targets.data_ptr<float>() + count}};
            // Runs on the UI thread, and only while this model lives.
            context.post([this, generation, read = std::move(read)] {
                if (generation == m_generation)
                    takeTargets(read);
            });
        }
    };
    m_targetsTask = m_session.runInBackground(
        this, std::move(work),
        [this] {
            arrange();
            changeReading(-1);
            Q_EMIT contentChanged();
        },
        [this](const QString& text) {
            changeReading(-1);
            Q_EMIT failed(text);
        });
}

void DataModel::takeTargets(const Targets& targets)
{
    for (std::size_t i = 0; i < targets.values.size(); ++i)
        m_entries[std::size_t(targets.begin) + i].target = targets.values[i];
    repaintAll();
}

void DataModel::repaintAll()
{
    if (rowCount() > 0)
        Q_EMIT dataChanged(index(0), index(rowCount() - 1));
}

void DataModel::setPredictions(const std::optional<train::Predictions>& predictions)
{
    for (Entry& entry : m_entries)
        entry.predicted = entry.confidence = NAN;
    m_predicted = m_wrong = 0;
    if (predictions && m_data && predictions->part == m_part) {
        const auto& indices = m_data->split(m_part);
        for (std::size_t i = 0; i < predictions->samples.size(); ++i) {
            const auto place = std::lower_bound(indices.begin(), indices.end(), predictions->samples[i]);
            if (place == indices.end() || *place != predictions->samples[i])
                continue;
            Entry& entry = m_entries[std::size_t(place - indices.begin())];
            entry = {float(predictions->targets[i]), float(predictions->predicted[i]), float(predictions->confidence[i])};
            ++m_predicted;
            m_wrong += isWrong(entry);
        }
    }
    arrange();
    repaintAll();
    Q_EMIT contentChanged();
}

void DataModel::setFilter(const SampleFilter& filter)
{
    if (m_filter == filter)
        return;
    m_filter = filter;
    arrange();
    Q_EMIT contentChanged();
}

bool DataModel::isWrong(const Entry& entry) const
{
    return m_data && m_data->info().task == data::Task::Classification && !std::isnan(entry.predicted) && entry.predicted != entry.target;
}

bool DataModel::passes(const Entry& entry) const
{
    if (m_filter.targetClass && entry.target != float(*m_filter.targetClass))
        return false;
    const bool predicted = !std::isnan(entry.predicted);
    if (m_filter.prediction != PredictionFilter::All && (!predicted || isWrong(entry) != (m_filter.prediction == PredictionFilter::Wrong)))
        return false;
    if (m_filter.confidenceFrom <= 0 && m_filter.confidenceTo >= 1)
        return true;
    return entry.confidence >= float(m_filter.confidenceFrom) && entry.confidence <= float(m_filter.confidenceTo);
}

std::vector<std::int32_t> DataModel::orderedRows() const
{
    std::vector<std::int32_t> rows;
    for (std::size_t i = 0; i < m_entries.size(); ++i)
        if (passes(m_entries[i]))
            rows.push_back(std::int32_t(i));
    if (m_filter.order == SampleOrder::Number)
        return rows;
    const double sign = m_filter.order == SampleOrder::ConfidenceRising ? 1 : -1;
    // Samples without prediction come last, whatever the direction.
    const auto key = [&](std::int32_t i) {
        return std::isnan(m_entries[std::size_t(i)].confidence) ? 2.0 : sign * double(m_entries[std::size_t(i)].confidence);
    };
    std::stable_sort(rows.begin(), rows.end(), [&](std::int32_t a, std::int32_t b) { return key(a) < key(b); });
    return rows;
}

void DataModel::arrange()
{
    std::vector<std::int32_t> rows = orderedRows();
    if (rows == m_rows && m_rowOf.size() == m_entries.size())
        return;
    beginResetModel();
    m_rows = std::move(rows);
    m_rowOf.assign(m_entries.size(), -1);
    for (std::size_t row = 0; row < m_rows.size(); ++row)
        m_rowOf[std::size_t(m_rows[row])] = std::int32_t(row);
    endResetModel();
}

bool DataModel::hasImages() const
{
    return m_data && m_data->info().kind == data::DataKind::Image;
}

qint64 DataModel::numberAt(int row) const
{
    return row >= 0 && row < int(m_rows.size()) ? m_rows[std::size_t(row)] : -1;
}

int DataModel::rowOf(qint64 number) const
{
    return number >= 0 && number < qint64(m_rowOf.size()) ? m_rowOf[std::size_t(number)] : -1;
}

int DataModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.size());
}

QString DataModel::valueText(float value) const
{
    if (std::isnan(value) || !m_data)
        return {};
    const auto& info = m_data->info();
    if (info.task != data::Task::Classification)
        return QString::number(double(value), 'g', 5);
    const auto at = std::size_t(value);
    return value >= 0 && at < info.classNames.size() ? QString::fromStdString(info.classNames[at]) : QString::number(int(value));
}

/// Labels of a picture are read with the picture itself, when it is shown.
QString DataModel::targetText(int row, const Entry& entry) const
{
    if (!m_data || !data::holdsLabels(m_data->info()))
        return valueText(entry.target);
    const Shown* const read = shown(row);
    return read ? read->text : QString();
}

QVariant DataModel::data(const QModelIndex& index, int role) const
{
    const qint64 number = numberAt(index.row());
    if (number < 0)
        return {};
    const Entry& entry = m_entries[std::size_t(number)];
    switch (role) {
    case NumberRole: return number;
    case TargetTextRole: return targetText(index.row(), entry);
    case PredictedTextRole: return valueText(entry.predicted);
    case ConfidenceRole: return std::isnan(entry.confidence) ? QVariant() : QVariant(double(entry.confidence));
    case WrongRole: return isWrong(entry);
    case PictureRole: return shown(index.row()) ? shown(index.row())->picture : QImage();
    case RowTextRole: return shown(index.row()) ? shown(index.row())->text : QString();
    default: break;
    }
    const QString target = targetText(index.row(), entry), predicted = valueText(entry.predicted);
    if (role != Qt::ToolTipRole && role != Qt::AccessibleTextRole && role != Qt::DisplayRole)
        return {};
    if (role == Qt::DisplayRole)
        return isWrong(entry) ? tr("%1 taken for %2").arg(target, predicted) : target;
    QString text = tr("Sample %1").arg(number);
    if (!target.isEmpty())
        text += data::holdsLabels(m_data->info())                   ? tr("\nTrue labels: %1").arg(target)
                : m_data->info().task == data::Task::Classification ? tr("\nTrue class: %1").arg(target)
                                                                    : tr("\nTrue value: %1").arg(target);
    if (!predicted.isEmpty())
        text += tr("\nPredicted: %1").arg(predicted) +
                (std::isnan(entry.confidence) ? QString() : tr(" (probability %1)").arg(double(entry.confidence), 0, 'f', 4));
    return isWrong(entry) ? text + tr("\nWrong") : text;
}

const DataModel::Shown* DataModel::shown(int row) const
{
    const qint64 number = numberAt(row);
    if (const Shown* found = m_cache.object(number))
        return found;
    // What one repaint asks for is read together, after it.
    if (m_wanted.empty())
        QTimer::singleShot(0, const_cast<DataModel*>(this), [model = const_cast<DataModel*>(this)] { model->readShown(); });
    if (std::find(m_wanted.begin(), m_wanted.end(), number) == m_wanted.end())
        m_wanted.push_back(number);
    return nullptr;
}

std::vector<DataModel::Shown> DataModel::shownOf(const data::DataSet& data, const std::vector<std::int64_t>& indices)
{
    const data::Batch batch = data.fetch(indices);
    const data::DataInfo& info = data.info();
    std::vector<Shown> out;
    for (std::int64_t i = 0; i < batch.size(); ++i) {
        const at::Tensor sample = batch.inputs[0][i];
        if (info.kind == data::DataKind::Image)
            out.push_back({pictureOf(info, sample),
                           data::holdsLabels(info) ? QString::fromStdString(data.targetText(batch.indices[std::size_t(i)])) : QString()});
        else
            out.push_back({{}, info.kind == data::DataKind::Table ? tableRow(info, sample) : tokenRow(data, sample)});
    }
    return out;
}

void DataModel::readShown()
{
    if (m_wanted.empty() || !m_data)
        return;
    if (m_shownTask.isRunning())
        return;  // its end looks again
    // The last ones asked for are what is on screen now; what was scrolled past long ago is forgotten.
    if (m_wanted.size() > kWantedAtMost)
        m_wanted.erase(m_wanted.begin(), m_wanted.end() - std::ptrdiff_t(kWantedAtMost));
    const auto first = m_wanted.end() - std::ptrdiff_t(std::min(kShownAtOnce, m_wanted.size()));
    const std::vector<qint64> numbers(first, m_wanted.end());
    m_wanted.erase(first, m_wanted.end());
    std::vector<std::int64_t> indices;
    for (const qint64 number : numbers)
        indices.push_back(m_data->split(m_part)[std::size_t(number)]);
    changeReading(1);
    const auto done = [this, numbers](std::vector<Shown> read) {
        m_shownTask = {};
        for (std::size_t i = 0; i < read.size(); ++i)
            m_cache.insert(numbers[i], new Shown(std::move(read[i])));
        changeReading(-1);
        for (const qint64 number : numbers)
            if (const int row = rowOf(number); row >= 0)
                Q_EMIT dataChanged(index(row), index(row), {PictureRole, RowTextRole});
        readShown();
    };
    m_shownTask = m_session.runInBackground(
        this, [data = m_data, indices](widgets::BackgroundContext&) { return shownOf(*data, indices); }, done,
        [this, numbers](const QString& text) {
            m_shownTask = {};
            // Remembered as empty, so that a broken file is not read again with every repaint.
            for (const qint64 number : numbers)
                m_cache.insert(number, new Shown);
            changeReading(-1);
            Q_EMIT failed(text);
        });
}

void DataModel::changeReading(int change)
{
    m_reading += change;
    Q_EMIT idleChanged();
}

}  // namespace orrery::plugins
