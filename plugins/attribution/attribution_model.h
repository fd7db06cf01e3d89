#pragma once
#include <QString>
#include <QStringList>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <core/data/dataset.h>
#include <core/explain/attribution.h>
#include <core/graph/model.h>
#include <core/store/workspace.h>

namespace orrery::plugins {

/// What is to be explained: a model's answer to one sample or picture.
struct ExplainSubject {
    QString model;    ///< MODEL argument
    core::Json data;  ///< data document; null: the data of `run`
    std::optional<qint64> run;
    QString split = QStringLiteral("test");
    qint64 sample = 0;  ///< number within the split
    QString image;      ///< a picture of the user's own instead of a sample
    bool operator==(const ExplainSubject&) const = default;
};

enum class InputKind { Image, Table, Tokens, Other };

/// The subject, opened and answered. Immutable; shared with jobs.
struct PreparedSubject {
    ExplainSubject subject;
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    data::DataSetPtr data;  ///< null for a picture of the user's own
    core::Json dataDocument;
    std::int64_t samplesInSplit = 0;
    std::vector<c10::IValue> inputs;  ///< one row
    InputKind kind = InputKind::Other;
    std::vector<float> pixels;  ///< Image: [channel, height, width], standardisation undone, 0 black to 1 white
    int channels = 0, height = 0, width = 0;
    std::vector<std::string> names;     ///< features or tokens
    std::vector<double> values;         ///< Table: standardisation undone
    std::vector<double> probabilities;  ///< of each class; empty if the output has no classes
    std::vector<std::string> classes;
    std::int64_t predicted = -1;
    std::string targetText;  ///< true class or value
};
using PreparedPtr = std::shared_ptr<const PreparedSubject>;

/// One attribution with what it was made of.
struct Explanation {
    PreparedPtr subject;
    std::string method, title;
    core::Json parameters;  ///< resolved
    std::int64_t target = -1;
    std::string targetName;
    double output = 0, sum = 0;
    std::optional<double> completenessError;
    std::vector<double> values;            ///< as shown: [height, width] summed over channels, [feature], or [position]
    int rows = 0, columns = 0;             ///< of `values` as a picture; 0 otherwise
    double magnitude = 0;                  ///< largest absolute value
    std::optional<std::int64_t> analysis;  ///< stored as
    std::string whyNotStored;
    double seconds = 0;
};

/// Opened models and data sets of the last subject: stepping through samples opens nothing again. Any thread.
class SubjectOpener {
public:
    /// @throws what opening and running the model throws; core::InputError for a sample outside its part.
    PreparedPtr prepare(const ExplainSubject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop);

private:
    struct Cache;
    std::shared_ptr<Cache> cache();
    std::mutex m_mutex;
    std::shared_ptr<Cache> m_cache;  ///< guarded by m_mutex
};

/// Computes and, where the model is a run of the workspace, stores. Any thread.
Explanation explainSubject(const PreparedPtr& subject, const std::string& method, const core::Json& parameters, std::optional<std::int64_t> target,
                           const std::shared_ptr<store::Workspace>& workspace, const explain::Control& control);

/// The `orrery-cli attribute` line that does the same.
QString attributeCommand(const ExplainSubject& subject, const core::Json& data, const QString& method, const core::Json& parameters,
                         std::optional<std::int64_t> target, const QString& workspace);

/// The same numbers as the command line prints: shortest text that reads back to the same double.
QString fullNumber(double value);

}  // namespace orrery::plugins
