#pragma once
#include <QFont>
#include <QString>
#include <map>
#include <stop_token>
#include <vector>

#include <core/symbolic/study.h>
#include <widgets/graph_content.h>

namespace orrery::plugins {

/// What the panel asks for: texts as they are typed.
struct ExpressionRequest {
    std::string text;
    std::map<std::string, std::string> values;
    std::vector<std::string> by;  ///< variables to differentiate by
    std::string curveVariable;    ///< empty: no curve
    double from = -3, to = 3;
};

/// Everything the panel shows, computed off the UI thread.
struct ExpressionResult {
    ExpressionRequest request;
    std::map<std::string, at::Tensor> values;
    symbolic::Study study;
    int derivativeOperations = 0;
    widgets::GraphContentPtr original, rewritten, derivative;  ///< the last is null without variables to differentiate by
    symbolic::FormulaCurves curves;
    std::string curveError;  ///< why there is no curve
};

/// @throws core::InputError, core::ShapeError, core::Cancelled.
ExpressionResult studyForPanel(const ExpressionRequest& request, const QFont& font, std::stop_token stop);

/// The variables of a formula in the order of their first use; empty if the text cannot be read.
std::vector<std::string> variablesOf(const std::string& text);
/// Writes the rewritten formula and its derivatives into `folder`; gives the file. @throws core::StorageError.
QString writeAsModel(const ExpressionResult& result, const QString& folder);

}  // namespace orrery::plugins
