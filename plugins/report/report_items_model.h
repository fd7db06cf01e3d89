#pragma once
#include <QAbstractListModel>
#include <QIcon>
#include <map>
#include <vector>

#include <core/store/reports.h>

namespace orrery::plugins {

/// An item of the report with what the list shows of it, read off the UI thread.
struct ListedItem {
    store::ReportItem item;
    QString title;  ///< the item's own, or what its source is called
    QString kind;   ///< as `report::itemKind`
};

/// The items of one report in order. Dragging asks for a move and editing for a new title; the model itself changes by `setItems` alone. UI thread.
class ReportItemsModel : public QAbstractListModel {
    Q_OBJECT
public:
    using QAbstractListModel::QAbstractListModel;

    /// With the same items in the same order indexes stay valid; otherwise the model is reset, and the view chooses its item again.
    void setItems(std::vector<ListedItem> items);
    const std::vector<ListedItem>& items() const { return m_items; }
    /// -1 if it is not there.
    int rowOf(std::int64_t item) const;
    /// Texts that are on their way into the store.
    void setTexts(std::int64_t item, const std::string& title, const std::string& annotation);
    /// The small picture of an item.
    void setThumbnail(std::int64_t item, const QImage& picture);
    /// Icons stand where no thumbnail is known yet; painted in this palette.
    void setPalette(const QPalette& palette);

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role) override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;
    Qt::DropActions supportedDropActions() const override { return Qt::MoveAction; }
    QStringList mimeTypes() const override;
    QMimeData* mimeData(const QModelIndexList& indexes) const override;
    bool dropMimeData(const QMimeData* data, Qt::DropAction action, int row, int column, const QModelIndex& parent) override;

Q_SIGNALS:
    /// `place` is counted without the item itself, as `store::Reports::moveItem` takes it.
    void moveAsked(qint64 item, int place);
    void renameAsked(qint64 item, const QString& title);

private:
    QIcon iconOf(const ListedItem& item) const;

    std::vector<ListedItem> m_items;
    std::map<std::int64_t, QIcon> m_thumbnails;
    QPalette m_palette;
};

}  // namespace orrery::plugins
