#pragma once
#include <map>
#include <set>

#include <core/explain/stored.h>

#include "attribution_model.h"

namespace orrery::plugins {

/// A method with its parameters as typed: one card of the panel.
struct MethodSettings {
    std::string method;
    core::Json parameters = core::Json::object();
    bool operator==(const MethodSettings&) const = default;
};
QString titleOf(const MethodSettings& settings);
/// Parameters that differ from the defaults, "n_steps 20, method gausslegendre"; empty if none.
QString summaryOf(const MethodSettings& settings);

/// What all methods are asked about a subject.
struct Question {
    std::optional<std::int64_t> target;  ///< class; nothing: the predicted one
    std::string site;                    ///< value to attribute to; empty: the default
    bool operator==(const Question&) const = default;
};

/// How an attribution is looked at.
enum class ResultShape {
    Picture,   ///< values [rows, columns]: summed over the channels of the input picture
    Channels,  ///< values [channels, rows, columns]: an inner value
    List       ///< values [feature] or [position]
};

/// One attribution with what it was made of, without the batch axis.
struct Explanation {
    PreparedPtr subject;
    MethodSettings settings;  ///< as asked
    Question question;
    std::string title;
    core::Json parameters;  ///< resolved
    std::string site;       ///< what was attributed to
    std::int64_t target = -1;
    std::string targetName;
    double output = 0, sum = 0;
    std::optional<double> completenessError, standardError;  ///< standard error: the largest of all elements
    ResultShape shape = ResultShape::List;
    std::vector<double> values;
    int channels = 0, rows = 0, columns = 0;
    std::vector<float> picture;            ///< an input that was found, shown as a picture like the subject's; empty: an attribution
    bool ofElements = false;               ///< one value an element of the input (feature, token): names apply
    double magnitude = 0;                  ///< largest absolute finite value
    std::optional<std::int64_t> analysis;  ///< stored as
    std::string whyNotStored;
    double seconds = 0;
    core::Json details;                                     ///< what else the method reports
    std::int64_t row = 0;                                   ///< of the details where they are those of several samples
    std::shared_ptr<const explain::AttributionResult> raw;  ///< as core gave it, for the metrics; null: partial, or read from the workspace
    bool partial = false;  ///< still growing, or cancelled on the way: output, errors and metrics are not known, nothing is stored
};
using ExplanationPtr = std::shared_ptr<const Explanation>;

/// What is known before a method has finished: `attribution` is shaped as its result's.
Explanation partialExplanation(const PreparedPtr& subject, const MethodSettings& settings, const Question& question, const at::Tensor& attribution);

/// What core is asked for these settings. @throws core::DocumentError.
explain::AttributionRequest requestOf(const PreparedSubject& subject, const MethodSettings& settings, const Question& question);

/// Computes and, where the model is a run of the workspace, stores. @throws as `explain::attribute`. Any thread.
Explanation explainSubject(const PreparedPtr& subject, const MethodSettings& settings, const Question& question,
                           const std::shared_ptr<store::Workspace>& workspace, const explain::Control& control);

/// A stored attribution of this subject, as it was made: without `raw`. @throws core::InputError for a method that is not known any more.
Explanation storedExplanation(const PreparedPtr& subject, const explain::StoredAttribution& stored);

/// The `orrery-cli attribute` line that does the same, and measures it where metrics are given.
QString attributeCommand(const ExplainSubject& subject, const core::Json& data, const MethodSettings& settings, const Question& question,
                         const std::vector<explain::MetricRequest>& metrics, const QString& workspace);
/// The `orrery-cli predict` line that gives the answer without these elements.
QString leaveOutCommand(const ExplainSubject& subject, const core::Json& data, const std::set<std::int64_t>& elements, double baseline,
                        const QString& workspace);

/// The same numbers as the command line prints: shortest text that reads back to the same double.
QString fullNumber(double value);

}  // namespace orrery::plugins
