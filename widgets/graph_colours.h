#pragma once
#include <QColor>
#include <QString>
#include <QStringList>
#include <map>
#include <string>
#include <vector>

#include <core/compare/graph_difference.h>
#include <core/layout/graph_items.h>

namespace orrery::widgets {

/// What colours the boxes of a `GraphView`. Every colour is told apart with any common colour vision, and each has a name in the legend.
struct GraphColours {
    enum class Kind {
        Families,  ///< by `families`, an index into `names`; -1: grey
        Numbers,   ///< by `numbers`, viridis; NaN: grey
        Changes    ///< by `families`, in the order of compare::Change
    };
    Kind kind = Kind::Families;
    QString title, unit;
    QStringList names;
    QString other;  ///< what grey boxes are, below the names; empty: there is none
    std::vector<int> families;
    std::vector<std::vector<int>> shares;  ///< Families: per group how many of its leaves are of each
    std::vector<double> numbers;
    bool logarithmic = false;
    double low = 0, high = 0;  ///< of the finite numbers
    bool isKnown = false;      ///< Numbers: there is one that has a colour
};

/// The family of an operator ("conv2d", "aten::relu"): index into `operatorFamilies`; -1 for what belongs to none.
int operatorFamily(const std::string& op);
const QStringList& operatorFamilies();

/// Boxes by what their operators do.
GraphColours familyColours(const layout::ItemTree& tree);
/// @param numbers  One an item. Logarithmic scales leave out what is not positive.
GraphColours numberColours(const QString& title, const QString& unit, std::vector<double> numbers, bool logarithmic);
/// @param changes  One an item.
GraphColours changeColours(const std::vector<compare::Change>& changes);

/// Numbers of nodes (by `Item::number` of nodes) as numbers of items: groups give the sum of what they hold, or the largest.
enum class Gather { Sum, Largest };
std::vector<double> gathered(const layout::ItemTree& tree, const std::vector<double>& ofNodes, Gather how);

/// The colour of one box, and the colours of the legend's entries. Invalid: none.
QColor boxColour(const GraphColours& colours, int item, bool dark);
QColor legendColour(const GraphColours& colours, int entry, bool dark);

}  // namespace orrery::widgets
