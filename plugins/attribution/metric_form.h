#pragma once
#include <QWidget>
#include <map>

#include <core/explain/metrics/metric.h>

class QCheckBox;
class QComboBox;
class QLabel;

namespace orrery::widgets {
class SchemaForm;
}

namespace orrery::plugins {

/// Which metrics are measured, and with what parameters: one of them at a time is on show. UI thread.
class MetricForm : public QWidget {
    Q_OBJECT
public:
    explicit MetricForm(QWidget* parent = nullptr);
    /// Those that are ticked, in the registry's order, with the parameters that differ from the defaults.
    std::vector<explain::MetricRequest> requests() const;
    /// False while a parameter of a ticked metric is out of range.
    bool isValid() const;
    core::Json toJson() const;
    /// Unknown metrics and ill-typed entries are left out.
    void fromJson(const core::Json& state);

Q_SIGNALS:
    void changed();

private:
    struct Setting {
        bool isMeasured = true;
        core::Json parameters = core::Json::object();
    };
    void choose();
    std::string current() const;

    std::map<std::string, Setting> m_settings;
    QComboBox* m_metrics;
    QCheckBox* m_measured;
    QLabel* m_summary;
    widgets::SchemaForm* m_form;
};

}  // namespace orrery::plugins
