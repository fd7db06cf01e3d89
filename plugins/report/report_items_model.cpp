#include "report_items_model.h"

#include <QMimeData>
#include <QPainter>
#include <QPalette>
#include <QPixmap>
#include <algorithm>

#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr const char* kMimeType = "application/x-orrery-report-item";

/// The icon of the panel that makes such results.
QString iconName(const QString& kind)
{
    static const std::map<QString, QString> names = {{"runs", "experiments"},
                                                     {"leaderboard", "experiments"},
                                                     {"comparison", "representations"},
                                                     {"probe", "representations"},
                                                     {"projection", "representations"},
                                                     {"intervene", "interventions"},
                                                     {"note", "log"},
                                                     {"snapshot", "report"},
                                                     {"results", "report"}};
    const auto found = names.find(kind);
    return found == names.end() ? kind : found->second;
}

QString kindText(const QString& kind)
{
    static const std::map<QString, const char*> texts = {{"runs", QT_TRANSLATE_NOOP("Report", "runs")},
                                                         {"leaderboard", QT_TRANSLATE_NOOP("Report", "leaderboard")},
                                                         {"comparison", QT_TRANSLATE_NOOP("Report", "similarity of layers")},
                                                         {"probe", QT_TRANSLATE_NOOP("Report", "linear probes")},
                                                         {"intervene", QT_TRANSLATE_NOOP("Report", "intervention")},
                                                         {"snapshot", QT_TRANSLATE_NOOP("Report", "picture or table")},
                                                         {"results", QT_TRANSLATE_NOOP("Report", "stored result")},
                                                         {"missing", QT_TRANSLATE_NOOP("Report", "its source is gone")}};
    const auto found = texts.find(kind);
    return found == texts.end() ? kind : QCoreApplication::translate("Report", found->second);
}

}  // namespace

void ReportItemsModel::setItems(std::vector<ListedItem> items)
{
    const auto isSame = [](const ListedItem& a, const ListedItem& b) { return a.item.id == b.item.id; };
    if (std::ranges::equal(items, m_items, isSame)) {
        m_items = std::move(items);
        if (!m_items.empty())
            Q_EMIT dataChanged(index(0), index(rowCount() - 1));
        return;
    }
    beginResetModel();
    m_items = std::move(items);
    std::erase_if(m_thumbnails, [&](const auto& entry) { return rowOf(entry.first) < 0; });
    endResetModel();
}

int ReportItemsModel::rowOf(std::int64_t item) const
{
    const auto found = std::ranges::find_if(m_items, [&](const ListedItem& listed) { return listed.item.id == item; });
    return found == m_items.end() ? -1 : int(found - m_items.begin());
}

void ReportItemsModel::setTexts(std::int64_t item, const std::string& title, const std::string& annotation)
{
    if (const int row = rowOf(item); row >= 0) {
        m_items[std::size_t(row)].item.title = title;
        m_items[std::size_t(row)].item.annotation = annotation;
    }
}

void ReportItemsModel::setThumbnail(std::int64_t item, const QImage& picture)
{
    const int row = rowOf(item);
    if (row < 0)
        return;
    m_thumbnails[item] = QIcon(QPixmap::fromImage(picture));
    Q_EMIT dataChanged(index(row), index(row), {Qt::DecorationRole});
}

void ReportItemsModel::setPalette(const QPalette& palette)
{
    m_palette = palette;
    if (!m_items.empty())
        Q_EMIT dataChanged(index(0), index(rowCount() - 1), {Qt::DecorationRole});
}

QIcon ReportItemsModel::iconOf(const ListedItem& item) const
{
    const auto known = m_thumbnails.find(item.item.id);
    return known == m_thumbnails.end() ? widgets::themedIcon(iconName(item.kind), m_palette) : known->second;
}

int ReportItemsModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_items.size());
}

QVariant ReportItemsModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid() || index.row() >= rowCount())
        return {};
    const ListedItem& listed = m_items[std::size_t(index.row())];
    switch (role) {
    case Qt::DisplayRole: return tr("%1. %2\n%3").arg(index.row() + 1).arg(listed.title, kindText(listed.kind));
    case Qt::AccessibleTextRole: return tr("%1, %2").arg(listed.title, kindText(listed.kind));
    case Qt::EditRole: return QString::fromStdString(listed.item.title);
    case Qt::ToolTipRole: return listed.title;
    case Qt::DecorationRole: return iconOf(listed);
    default: return {};
    }
}

bool ReportItemsModel::setData(const QModelIndex& index, const QVariant& value, int role)
{
    if (role != Qt::EditRole || !index.isValid())
        return false;
    const ListedItem& listed = m_items[std::size_t(index.row())];
    const QString title = value.toString().simplified();
    if (title != QString::fromStdString(listed.item.title))
        Q_EMIT renameAsked(listed.item.id, title);
    return false;  // shown once it is stored
}

Qt::ItemFlags ReportItemsModel::flags(const QModelIndex& index) const
{
    if (!index.isValid())
        return Qt::ItemIsDropEnabled;
    return Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsDragEnabled | Qt::ItemIsEditable | Qt::ItemNeverHasChildren;
}

QStringList ReportItemsModel::mimeTypes() const
{
    return {kMimeType};
}

QMimeData* ReportItemsModel::mimeData(const QModelIndexList& indexes) const
{
    if (indexes.isEmpty())
        return nullptr;
    auto* data = new QMimeData;
    data->setData(kMimeType, QByteArray::number(qint64(m_items[std::size_t(indexes.first().row())].item.id)));
    return data;
}

bool ReportItemsModel::dropMimeData(const QMimeData* data, Qt::DropAction action, int row, int, const QModelIndex&)
{
    const int from = data && action == Qt::MoveAction ? rowOf(data->data(kMimeType).toLongLong()) : -1;
    if (from < 0)
        return false;
    const int target = row < 0 ? rowCount() : row;
    if (const int place = target > from ? target - 1 : target; place != from)
        Q_EMIT moveAsked(m_items[std::size_t(from)].item.id, place);
    return false;  // the view must not remove the row: the model changes once the move is stored
}

}  // namespace orrery::plugins
