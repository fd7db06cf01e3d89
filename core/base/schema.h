#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"
#include "json.h"

namespace orrery::core {

class Schema;
class RegistryBase;

enum class ParameterType { Bool, Int, Float, String, Choice, List, Component, Group, Any };

/// One parameter of a component. The single definition behind the form in the window, the command-line help and checking, the experiment file,
/// the sweep space and the table in the report.
struct Parameter {
    std::string name;  ///< as spelled in documents: `weight_decay`
    ParameterType type = ParameterType::Any;
    std::string help;       ///< one sentence
    Json defaultValue;      ///< null: required, unless `optional`
    std::string unit;       ///< "s", "px", ...; empty if it has none
    bool optional = false;  ///< null is a valid value ("not used")
    std::optional<double> minimum, maximum;
    bool exclusiveMinimum = false, exclusiveMaximum = false;
    bool logScale = false;                     ///< hint for sliders and sweeps
    std::vector<std::string> choices;          ///< Choice
    std::shared_ptr<const Parameter> element;  ///< List: what each element is (its name is unused)
    std::string family;                        ///< Component: a registered family ("optimizer")
    std::shared_ptr<const Schema> group;       ///< Group: a nested object
    std::string shownIf;                       ///< name of a sibling this one depends on (conditional field); empty: always shown
    std::vector<Json> shownIfValues;           ///< values of that sibling for which it applies; elsewhere it is left out of resolved documents

    // Fluent refinements, so that a registration reads as one line a parameter.
    Parameter range(double low, double high) const;
    Parameter atLeast(double low) const;
    Parameter above(double low) const;
    Parameter below(double high) const;
    Parameter log() const;
    Parameter withUnit(std::string text) const;
    Parameter orNone() const;         ///< null may be given
    Parameter noneByDefault() const;  ///< null may be given and is the default
    Parameter when(std::string sibling, std::vector<Json> values) const;
};

Parameter boolean(std::string name, bool defaultValue, std::string help);
Parameter integer(std::string name, std::int64_t defaultValue, std::string help);
Parameter real(std::string name, double defaultValue, std::string help);
Parameter text(std::string name, std::string defaultValue, std::string help);
Parameter choice(std::string name, std::vector<std::string> choices, std::string defaultValue, std::string help);
Parameter list(std::string name, Parameter element, Json defaultValue, std::string help);
/// A nested component of a family: `{"id": "adamw", "lr": 0.001}`, or just `"adamw"`.
Parameter component(std::string name, std::string family, Json defaultValue, std::string help);
Parameter group(std::string name, Schema schema, std::string help);
/// Any JSON; the component checks it itself.
Parameter any(std::string name, Json defaultValue, std::string help);
/// The same parameter without a default: it must be given.
Parameter required(Parameter parameter);

/// One thing that is wrong with a document.
struct Issue {
    std::string path;     ///< `train.optimizer.lr`
    std::string message;  ///< `expected a number > 0, got "fast"`
};

/// Thrown by `Schema::resolve`: all issues at once, one `path: message` a line.
class DocumentError : public InputError {
public:
    explicit DocumentError(std::vector<Issue> issues);
    const std::vector<Issue>& issues() const { return m_issues; }

private:
    std::vector<Issue> m_issues;
};

class Schema {
public:
    Schema() = default;
    Schema(std::initializer_list<Parameter> parameters) : m_parameters(parameters) {}
    Schema& add(Parameter parameter);
    const std::vector<Parameter>& parameters() const { return m_parameters; }
    const Parameter* find(std::string_view name) const;

    /// The document with all defaults filled in, in the schema's order, numbers normalised to their type.
    /// @param document  An object, or null for "all defaults".
    /// @param place     Prefix of error places.
    /// @throws DocumentError with every issue found. Any thread.
    Json resolve(const Json& document, const std::string& place = "") const;
    /// As `resolve`, but collects the issues and returns what could be resolved: for forms with errors in place.
    Json check(const Json& document, const std::string& place, std::vector<Issue>& issues) const;
    /// Help, one line a parameter: name, type, default, range, unit, sentence.
    std::string helpText(int indent = 2) const;
    /// The schema itself as JSON (`orrery-cli describe ID --json`).
    Json toJson() const;

private:
    std::vector<Parameter> m_parameters;
};

/// `document["train"]["optimizer"]["lr"] = value` from `train.optimizer.lr=0.01`: dotted path, list index as a number; the value is JSON, or else text.
/// @throws InputError if the text has no `=` or the path runs through a value that is no object or list.
void setByPath(Json& document, std::string_view assignment);

}  // namespace orrery::core
