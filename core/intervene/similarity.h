#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <core/base/registry.h>

#include "activations.h"

/// How alike two representations of the same samples are.
namespace orrery::intervene {

/// Whether the Hilbert-Schmidt independence criterion is estimated with its bias or without.
enum class Estimator { Biased, Unbiased };

/// HSIC of two kernel matrices [n, n]. Biased: tr(K H L H) / (n - 1)^2, H = 1 - 1/n (Gretton et al. 2005, "Measuring Statistical Dependence with
/// Hilbert-Schmidt Norms", doi:10.1007/11564089_7). Unbiased: Song et al. (2012), "Feature Selection via Dependence Maximization", JMLR 13;
/// needs n > 3. @throws core::ShapeError, core::InputError for too few samples.
double hsic(const at::Tensor& k, const at::Tensor& l, Estimator estimator);

/// A representation made ready for comparing: what the measure keeps of it. Immutable.
class PreparedRows {
public:
    virtual ~PreparedRows() = default;
};
using PreparedPtr = std::shared_ptr<const PreparedRows>;

/// One measure. Any thread; deterministic.
class SimilarityMeasure {
public:
    virtual ~SimilarityMeasure() = default;
    /// @param features [row, feature], any floating dtype; computed in double. @throws core::InputError for too few rows, or numbers that are not finite.
    virtual PreparedPtr prepare(const at::Tensor& features) const = 0;
    /// Of two that this measure prepared from the same rows. NaN where one of them does not vary. @throws core::ShapeError for different numbers of rows.
    virtual double compare(const PreparedRows& a, const PreparedRows& b) const = 0;
    /// compare(a, b) = compare(b, a).
    virtual bool isSymmetric() const { return true; }
    /// Bytes that one prepared representation takes.
    virtual std::uint64_t preparedBytes(std::int64_t rows, std::int64_t features) const = 0;
};
using SimilarityFactory = std::function<std::unique_ptr<SimilarityMeasure>(const core::Json& parameters)>;

/// Family "similarity": `cka`, `rbf_cka`, `svcca`, `pwcca`. One line each in similarity.cpp.
const core::Registry<SimilarityFactory>& similarityRegistry();
/// A measure by id with parameters that its schema checks. @throws core::InputError, core::DocumentError.
std::unique_ptr<SimilarityMeasure> makeSimilarity(const std::string& id, const core::Json& parameters = core::Json::object());

/// The measure for two arrays of the same samples.
double similarity(const std::string& id, const at::Tensor& a, const at::Tensor& b, const core::Json& parameters = core::Json::object());

/// Each of `a` against each of `b`, [a, b] double. Equal lists (the same tensors) are compared once a pair, where the measure is symmetric. `control.partial` gets the matrix as far as it is
/// known, the rest NaN. @throws core::InputError if the prepared representations need more memory than is free.
at::Tensor similarityMatrix(const SimilarityMeasure& measure, const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                            const Control& control = {});

}  // namespace orrery::intervene
