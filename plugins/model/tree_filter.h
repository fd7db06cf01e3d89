#pragma once
#include <QSortFilterProxyModel>

#include "model_tree.h"

namespace orrery::plugins {

/// Keeps rows whose name, path or type holds the text, and everything above them.
class TreeFilter : public QSortFilterProxyModel {
public:
    explicit TreeFilter(const ModelTree& tree, QObject* parent) : QSortFilterProxyModel(parent), m_tree(tree) { setRecursiveFilteringEnabled(true); }
    void setText(const QString& text)
    {
        m_text = text.trimmed();
        invalidateFilter();
    }

protected:
    bool filterAcceptsRow(int row, const QModelIndex& parent) const override
    {
        if (m_text.isEmpty())
            return true;
        const QModelIndex index = m_tree.index(row, 0, parent);
        return m_tree.path(index).contains(m_text, Qt::CaseInsensitive) ||
               index.siblingAtColumn(ModelTree::KindColumn).data().toString().contains(m_text, Qt::CaseInsensitive);
    }

private:
    const ModelTree& m_tree;
    QString m_text;
};

}  // namespace orrery::plugins
