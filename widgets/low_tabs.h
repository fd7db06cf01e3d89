#pragma once
#include <QTabWidget>

namespace orrery::widgets {

/// Pages that take what height there is, down to `leastHeight`. Plain tabs are as high as their highest page would like to be, and where a page holds a
/// text that wraps, a panel in a low window scrolls although everything in it could be lower.
class LowTabs : public QTabWidget {
public:
    explicit LowTabs(int leastHeight, QWidget* parent = nullptr) : QTabWidget(parent)
    {
        setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Ignored);
        setMinimumHeight(leastHeight);
    }
    bool hasHeightForWidth() const override { return false; }
};

}  // namespace orrery::widgets
