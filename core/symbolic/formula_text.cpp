#include <fmt/format.h>

#include "formula_dag.h"

namespace orrery::symbolic {
namespace {

/// How tightly a text binds: sums, products, signs, powers, operands.
enum class Binding { Sum, Product, Sign, Power, Operand };

struct BoundText {
    std::string text;
    Binding binding = Binding::Operand;
};

std::string within(const BoundText& part, Binding least)
{
    return part.binding < least ? "(" + part.text + ")" : part.text;
}

BoundText numberText(double number)
{
    return {fmt::format("{}", number), number < 0 ? Binding::Sign : Binding::Operand};
}

/// Texts of the terms, each made once.
class TermWriter {
public:
    TermWriter(const Formula& formula, std::size_t limit) : m_formula(formula), m_limit(limit), m_texts(formula.terms.size()) {}
    /// The term's users write its name.
    void call(std::size_t term, std::string name) { m_texts[term] = {std::move(name), Binding::Operand}; }
    const BoundText& text(std::size_t term)
    {
        BoundText& made = m_texts[term];
        if (made.text.empty())
            made = write(m_formula.terms[term]);
        if (made.text.size() > m_limit)
            made = {"...", Binding::Operand};
        return made;
    }

private:
    BoundText write(const Term& term)
    {
        const auto& in = term.arguments;
        switch (term.kind) {
        case TermKind::Number: return numberText(term.number);
        case TermKind::Variable: return {term.name, Binding::Operand};
        case TermKind::Negate: return {"-" + within(text(in[0]), Binding::Sign), Binding::Sign};
        case TermKind::Add: return {within(text(in[0]), Binding::Sum) + " + " + within(text(in[1]), Binding::Product), Binding::Sum};
        case TermKind::Subtract: return {within(text(in[0]), Binding::Sum) + " - " + within(text(in[1]), Binding::Product), Binding::Sum};
        case TermKind::Multiply: return {within(text(in[0]), Binding::Product) + " * " + within(text(in[1]), Binding::Sign), Binding::Product};
        case TermKind::Divide: return {within(text(in[0]), Binding::Product) + " / " + within(text(in[1]), Binding::Sign), Binding::Product};
        case TermKind::Power: return {within(text(in[0]), Binding::Operand) + "^" + within(text(in[1]), Binding::Sign), Binding::Power};
        case TermKind::Call: break;
        }
        std::string all = term.name + "(";
        for (std::size_t i = 0; i < in.size(); ++i)
            all += (i ? ", " : "") + text(in[i]).text;
        return {all + ")", Binding::Operand};
    }
    const Formula& m_formula;
    std::size_t m_limit;
    std::vector<BoundText> m_texts;
};

/// How often each needed term is used.
std::vector<int> usesOf(const Formula& formula)
{
    const auto needed = neededTerms(formula);
    std::vector<int> uses(formula.terms.size());
    for (std::size_t i = 0; i < formula.terms.size(); ++i)
        if (needed[i])
            for (const auto argument : formula.terms[i].arguments)
                ++uses[argument];
    return uses;
}

}  // namespace

std::string toText(const Formula& formula, std::size_t term, std::size_t limit)
{
    return TermWriter(formula, limit).text(term).text;
}

std::vector<std::string> toLines(const Formula& formula)
{
    TermWriter writer(formula, 1'000'000);
    const auto uses = usesOf(formula);
    std::vector<std::string> lines;
    int count = 0;
    for (std::size_t i = 0; i < formula.terms.size(); ++i) {
        const bool computes = formula.terms[i].kind != TermKind::Number && formula.terms[i].kind != TermKind::Variable;
        if (uses[i] < 2 || !computes)
            continue;
        std::string name;
        do
            name = fmt::format("t{}", ++count);
        while (formula.variables.contains(name));
        lines.push_back(name + " = " + writer.text(i).text);
        writer.call(i, std::move(name));
    }
    for (const auto& output : formula.outputs)
        lines.push_back(output.name + " = " + writer.text(output.term).text);
    return lines;
}

}  // namespace orrery::symbolic
