#pragma once
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <core/base/json.h>

#include "formula_graph.h"

/// A formula looked at from all sides: what the command `expression` and the panel Expression show.
namespace orrery::symbolic {

struct StudyRequest {
    std::string text;
    std::map<std::string, at::Tensor> values;  ///< of all variables, float64
    /// One entry a derivative: the variables by which to differentiate, one after the other ({"x", "x"}: the second derivative).
    std::vector<std::vector<std::string>> derivatives;
};

/// One formula before and after rewriting.
struct StudiedFormula {
    Formula formula;
    Rewritten rewritten;
    at::Tensor value;         ///< of its one output
    double difference = 0;    ///< largest between the values before and after, relative to 1 + their size, where both are finite
    std::int64_t gained = 0;  ///< elements that are numbers only after rewriting
};

struct StudiedDerivative {
    std::vector<std::string> by;
    std::string name;  ///< "d_x", "d_x_x"
    StudiedFormula part;
    std::int64_t checked = 0;      ///< elements compared with central differences: 200 at most
    double centralDifference = 0;  ///< largest difference from them, relative to 1 + their size
};

struct Study {
    StudiedFormula original;
    std::vector<StudiedDerivative> derivatives;
    core::Json toJson() const;
};

/// @throws core::InputError, core::ShapeError as parseFormula, derivative and evaluateAt; core::Cancelled.
Study studyFormula(const StudyRequest& request, std::stop_token stop = {});

/// The formula and its first derivatives as one model: output "value", then "d_x" and so on.
/// @param rewritten  After the rewriting.
graph::Model studyModel(const Study& study, bool rewritten, const std::map<std::string, at::Tensor>& values);

/// A curve over one variable, all elements of which take the same value.
struct FormulaCurve {
    std::string name;       ///< "value", "d_x"
    std::vector<double> y;  ///< the sum over the output's elements; NaN where it is no number
};
struct FormulaCurves {
    std::vector<double> x;
    std::vector<FormulaCurve> curves;
};
/// The formula and its derivatives at `points` places from `from` to `to`, rewritten. @throws core::InputError for an unknown variable, fewer than two points or from >= to; core::Cancelled.
FormulaCurves curvesOver(const Study& study, const std::map<std::string, at::Tensor>& values, const std::string& variable, double from, double to,
                         int points = 201, std::stop_token stop = {});

/// "x=VALUE" as name and value. @throws core::InputError if there is no name or no "=".
std::pair<std::string, std::string> splitAssignment(const std::string& text, const std::string& option);

}  // namespace orrery::symbolic
