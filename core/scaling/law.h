#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <core/base/registry.h>

/// Scaling laws: how loss depends on parameters, data and compute; fitted to points, extrapolated, used for planning. Free of libtorch but for threads.
namespace orrery::scaling {

struct LawParameter {
    std::string name;       ///< as the literature has it: `alpha`
    std::string help;       ///< one sentence
    bool positive = false;  ///< stays above 0; fitted by its logarithm
};

/// The inputs of rows as laws take them.
struct Rows {
    std::size_t count = 0;
    std::vector<std::vector<double>> inputs;  ///< [input][row], finite and > 0
    std::vector<std::vector<double>> logs;    ///< ln(input / centre)
    std::vector<double> centre;               ///< geometric mean of each input over the rows that are fitted
};
/// @param inputs  [input][row]. @param centre  Empty: the geometric means of `inputs`.
Rows makeRows(std::vector<std::vector<double>> inputs, std::vector<double> centre = {});

/// A law: the loss as a function of inputs and parameters. Immutable; any thread.
///
/// Fits work in *coordinates* that are better conditioned than the parameters: logarithms of what is positive, coefficients taken at the centre of the
/// rows (so that coefficient and exponent do not make up for each other).
class Law {
public:
    virtual ~Law() = default;
    /// Names of the inputs, in order: "x", or "N" and "D".
    virtual const std::vector<std::string>& inputs() const = 0;
    virtual const std::vector<LawParameter>& parameters() const = 0;
    /// For people: "E + A / N^alpha + B / D^beta".
    virtual std::string formula() const = 0;

    /// @param coordinates  As many as parameters. @param values  [row]. @param gradient  [row][coordinate], or null. May be NaN or infinite.
    virtual void evaluate(const Rows& rows, const double* coordinates, double* values, double* gradient) const = 0;
    virtual std::vector<double> coordinatesOf(std::span<const double> parameters, std::span<const double> centre) const = 0;
    virtual std::vector<double> parametersOf(std::span<const double> coordinates, std::span<const double> centre) const = 0;

    /// Parameters to start a search from: a grid that covers what the data may hold. @param loss  [row], > 0.
    virtual std::vector<std::vector<double>> grid(const Rows& rows, std::span<const double> loss) const = 0;
    /// Where random starts are drawn from, evenly in each coordinate.
    virtual std::vector<std::pair<double, double>> coordinateRanges(const Rows& rows, std::span<const double> loss) const = 0;

    /// The loss at rows of inputs [input][row]. @throws core::InputError unless there are as many parameters as the law has.
    std::vector<double> predict(std::span<const double> parameters, const std::vector<std::vector<double>>& inputs) const;
    /// The loss at one place.
    double at(std::span<const double> parameters, std::span<const double> input) const;
};
using LawPtr = std::shared_ptr<const Law>;

/// @param columns  Names of the columns there are: an expression takes those it names as inputs and fits its other names.
using LawFactory = std::function<LawPtr(const core::Json& parameters, const std::vector<std::string>& columns)>;
using LawRegistry = core::Registry<LawFactory>;

/// Family "law": power_law, power_law_floor, chinchilla, broken_law, expression. One file and one line each.
const LawRegistry& lawRegistry();
/// @param document  `"chinchilla"` or `{"id": "expression", "text": "..."}`. @throws core::InputError for an unknown id, core::DocumentError.
LawPtr makeLaw(const core::Json& document, const std::vector<std::string>& columns = {});

void addPowerLaw(LawRegistry& registry);
void addPowerLawFloor(LawRegistry& registry);
void addChinchilla(LawRegistry& registry);
void addBrokenLaw(LawRegistry& registry);
void addExpressionLaw(LawRegistry& registry);

}  // namespace orrery::scaling
