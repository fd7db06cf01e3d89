#pragma once
#include <span>

#include "formula_dag.h"

/// Internal to core/symbolic: rules of one term at a time.
namespace orrery::symbolic {

struct RewriteRule {
    const char* name;
    const char* explanation;
    /// What takes the term's place, of the same shape; nothing if the rule does not fit.
    std::optional<std::size_t> (*apply)(FormulaDag& dag, std::size_t id);
};

std::span<const RewriteRule> sumRules();
std::span<const RewriteRule> productRules();
std::span<const RewriteRule> shapeRules();

/// `made` if it has the shape of the term, broadcast if it is a constant; else nothing.
std::optional<std::size_t> inPlaceOf(FormulaDag& dag, std::size_t id, std::size_t made);
/// The value of an operation on plain numbers; nothing for functions of shapes.
std::optional<double> foldedNumber(const Term& term, const std::vector<double>& arguments);

}  // namespace orrery::symbolic
