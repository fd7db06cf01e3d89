#pragma once
#include <QAbstractItemModel>
#include <QStringList>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <core/graph/inspect.h>
#include <core/models/file_properties.h>

namespace orrery::plugins {

/// Everything that the panel knows of an opened model. Immutable; shared with background work.
struct OpenedModel {
    QString argument;
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;  ///< null if it cannot be run at all: weights alone, or an operator that libtorch lacks
    graph::Inspection inspection;
    std::vector<std::vector<std::int64_t>> inputShapes;  ///< of the example it was run on; empty if it was not
    std::map<std::string, double> predicted;             ///< seconds of nodes by this machine's cost model; empty if none was fitted
    std::vector<std::size_t> unknown;                    ///< nodes, in Graph::allNodes(), whose operator this build lacks
    QString whyNotRun;                                   ///< empty if shapes and costs were measured
    QString text;                                        ///< Graph::print
    std::vector<models::FileProperty> properties;        ///< what the file says of itself; empty for zoo: and run:
};
using OpenedModelPtr = std::shared_ptr<const OpenedModel>;

/// Opens, runs the card's example once for shapes and costs, and prints. A model that cannot be run on the example is shown without them; one that cannot be
/// run at all, or whose weights are above 2 GiB, is shown without reading its weights. Any thread.
/// @throws what opening throws; core::Cancelled.
OpenedModelPtr openForPanel(const QString& argument, graph::Model model, std::stop_token stop);

/// Modules with their nodes and parameters as a tree: children of a module are its modules, nodes and parameters, in the order of execution; the inputs stand
/// first. UI thread.
class ModelTree : public QAbstractItemModel {
    Q_OBJECT
public:
    enum Column { NameColumn, KindColumn, ShapeColumn, ParametersColumn, FlopsColumn, ColumnCount };
    enum class ItemKind { Root, Module, Input, Node, Parameter };

    explicit ModelTree(QObject* parent = nullptr);
    ~ModelTree() override;
    void setOpened(OpenedModelPtr opened);
    const OpenedModelPtr& opened() const { return m_opened; }

    ItemKind kind(const QModelIndex& index) const;
    /// Path of the module, or name of the node, parameter or input.
    QString path(const QModelIndex& index) const;
    const graph::NodeInfo* node(const QModelIndex& index) const;
    const graph::ModuleInfo* module(const QModelIndex& index) const;
    const graph::Parameter* parameter(const QModelIndex& index) const;
    std::optional<std::size_t> input(const QModelIndex& index) const;  ///< index into the graph's inputs
    /// Nothing valid for an unknown path. Values of a node (`lstm:1`, `name@2`) give the node.
    QModelIndex find(const QString& path) const;

    QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
    QModelIndex parent(const QModelIndex& index) const override;
    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    struct Item {
        ItemKind kind = ItemKind::Module;
        int number = 0;  ///< index into modules, inputs, nodes or parameters
        QString name, path;
        Item* parent = nullptr;
        int row = 0;
        std::vector<std::unique_ptr<Item>> children;
    };
    Item* itemOf(const QModelIndex& index) const;
    Item* add(Item& parent, ItemKind kind, int number, const QString& name, const QString& path);
    Item* moduleItem(const QString& path);
    void build();
    void addInputs(Item& parent);
    QString cell(const Item& item, int column) const;

    OpenedModelPtr m_opened;
    std::unique_ptr<Item> m_root;
    std::map<QString, Item*> m_modules, m_values;
};

/// "1,152", "12.3 M", "1.81 G".
QString shortCount(std::int64_t count);
/// "[1, 32, 8, 8]".
QString shapeText(const std::vector<std::int64_t>& shape);

}  // namespace orrery::plugins
