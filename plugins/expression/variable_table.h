#pragma once
#include <QTableWidget>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace orrery::plugins {

/// The variables of a formula: their values as text, and whether to differentiate by them. What was typed for a name is kept while the name is away. UI thread.
class VariableTable : public QTableWidget {
    Q_OBJECT
public:
    explicit VariableTable(QWidget* parent = nullptr);

    void setVariables(const std::vector<std::string>& names);
    const std::vector<std::string>& variables() const { return m_names; }
    std::map<std::string, std::string> values() const;  ///< of the variables that are there
    std::vector<std::string> by() const;
    void setValue(const std::string& name, const std::string& text);
    void setBy(const std::string& name, bool by);

Q_SIGNALS:
    /// By hand.
    void edited();

private:
    void fill();
    void take(int row, int column);
    std::vector<std::string> m_names;
    std::map<std::string, std::string> m_values;
    std::set<std::string> m_notBy;  // every variable is differentiated by unless somebody says otherwise
};

}  // namespace orrery::plugins
