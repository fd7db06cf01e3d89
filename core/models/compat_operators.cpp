// Operators that files of PyTorch 2.x call and libtorch 1.13 does not have, so that such files load.
#include <torch/library.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR < 2

#include <ATen/ATen.h>

namespace orrery::models {
namespace {

at::Tensor attentionMask(const at::Tensor& query, const at::Tensor& key, const c10::optional<at::Tensor>& mask, bool isCausal)
{
    if (isCausal) {
        TORCH_CHECK(!mask, "scaled_dot_product_attention: attn_mask must be None where is_causal is True");
        const auto lower = at::ones({query.size(-2), key.size(-2)}, query.options().dtype(at::kBool)).tril();
        return at::zeros(lower.sizes(), query.options()).masked_fill(lower.logical_not(), -std::numeric_limits<double>::infinity());
    }
    if (!mask)
        return {};
    if (mask->scalar_type() == at::kBool)
        return at::zeros(mask->sizes(), query.options()).masked_fill(mask->logical_not(), -std::numeric_limits<double>::infinity());
    return *mask;
}

/// As torch.nn.functional.scaled_dot_product_attention documents it (PyTorch 2.5, "efficient implementation equivalent to the following"):
/// softmax(query @ key^T * scale + mask) @ value, scale = 1/sqrt(features of query) by default. Both factors are scaled by sqrt(scale), as ATen's math path does.
at::Tensor scaledDotProductAttention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const c10::optional<at::Tensor>& mask,
                                     double dropout, bool isCausal, c10::optional<double> scale, bool enableGqa)
{
    const double factor = std::sqrt(scale.value_or(1.0 / std::sqrt(double(query.size(-1)))));
    auto k = key, v = value;
    if (enableGqa) {
        k = key.repeat_interleave(query.size(-3) / key.size(-3), -3);
        v = value.repeat_interleave(query.size(-3) / value.size(-3), -3);
    }
    auto scores = at::matmul(query * factor, k.transpose(-2, -1) * factor);
    const auto added = attentionMask(query, k, mask, isCausal);
    if (added.defined())
        scores = scores + added;
    auto pattern = at::softmax(scores, -1);
    if (dropout > 0)
        pattern = at::dropout(pattern, dropout, true);
    return at::matmul(pattern, v);
}

// The name in use since 2.1 for CPU; the second result is the logarithm of each row's sum.
std::tuple<at::Tensor, at::Tensor> flashAttentionForCpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, double dropout,
                                                        bool isCausal, const c10::optional<at::Tensor>& mask, c10::optional<double> scale)
{
    auto scores = at::matmul(query, key.transpose(-2, -1)) * scale.value_or(1.0 / std::sqrt(double(query.size(-1))));
    if (const auto added = attentionMask(query, key, mask, isCausal); added.defined())
        scores = scores + added;
    return {scaledDotProductAttention(query, key, value, mask, dropout, isCausal, scale, false), at::logsumexp(scores, {-1})};
}

/// Softmax whose rows of minus infinity alone give zeros instead of NaN.
at::Tensor safeSoftmax(const at::Tensor& self, std::int64_t dim, c10::optional<at::ScalarType> dtype)
{
    const auto masked = self.eq(-std::numeric_limits<double>::infinity()).all(dim, true);
    const auto result = at::softmax(self, dim, dtype);
    return at::where(masked, at::zeros({}, result.options()), result);
}

at::Tensor inverseRootMeanSquare(const at::Tensor& input, at::IntArrayRef shape, c10::optional<double> eps)
{
    std::vector<std::int64_t> dims;
    for (std::size_t i = 0; i < shape.size(); ++i)
        dims.push_back(-1 - std::int64_t(i));
    const double smallest = input.scalar_type() == at::kDouble     ? std::numeric_limits<double>::epsilon()
                            : input.scalar_type() == at::kHalf     ? 9.765625e-4
                            : input.scalar_type() == at::kBFloat16 ? 7.8125e-3
                                                                   : double(std::numeric_limits<float>::epsilon());
    const auto wide = input.element_size() < 4 ? input.to(at::kFloat) : input;
    return at::rsqrt(wide.pow(2).mean(dims, true) + eps.value_or(smallest));
}

/// x / sqrt(mean(x^2) + eps) * weight over the last dimensions. Source: Zhang & Sennrich (2019), "Root Mean Square Layer Normalization", arXiv:1910.07467, equation 4.
std::tuple<at::Tensor, at::Tensor> fusedRmsNorm(const at::Tensor& input, at::IntArrayRef shape, const c10::optional<at::Tensor>& weight,
                                                c10::optional<double> eps)
{
    const auto inverse = inverseRootMeanSquare(input, shape, eps);
    auto result = input * inverse;
    if (weight && weight->defined())
        result = result * *weight;
    return {result.to(input.scalar_type()), inverse};
}

at::Tensor rmsNorm(const at::Tensor& input, at::IntArrayRef shape, const c10::optional<at::Tensor>& weight, c10::optional<double> eps)
{
    return std::get<0>(fusedRmsNorm(input, shape, weight, eps));
}

using Three = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

Three batchNorm(const at::Tensor& input, const c10::optional<at::Tensor>& weight, const c10::optional<at::Tensor>& bias, at::Tensor& mean,
                at::Tensor& variance, bool training, double momentum, double eps)
{
    return at::native_batch_norm(input, weight, bias, mean, variance, training, momentum, eps);
}

Three batchNormNoStats(const at::Tensor& input, const c10::optional<at::Tensor>& weight, const c10::optional<at::Tensor>& bias, bool training,
                       double momentum, double eps)
{
    return at::native_batch_norm(input, weight, bias, {}, {}, training, momentum, eps);
}

Three batchNormNoTraining(const at::Tensor& input, const c10::optional<at::Tensor>& weight, const c10::optional<at::Tensor>& bias,
                          const at::Tensor& mean, const at::Tensor& variance, double momentum, double eps)
{
    return at::native_batch_norm(input, weight, bias, mean, variance, false, momentum, eps);
}

/// Gives the new running statistics instead of writing them.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> batchNormFunctional(const at::Tensor& input,
                                                                                           const c10::optional<at::Tensor>& weight,
                                                                                           const c10::optional<at::Tensor>& bias,
                                                                                           const at::Tensor& mean, const at::Tensor& variance,
                                                                                           bool training, double momentum, double eps)
{
    const auto newMean = mean.detach().clone(), newVariance = variance.detach().clone();
    const auto [result, saved, inverse] = at::native_batch_norm(input, weight, bias, newMean, newVariance, training, momentum, eps);
    return {result, saved, inverse, newMean, newVariance};
}

at::Tensor squeezeDims(const at::Tensor& self, at::IntArrayRef dims)
{
    std::vector<std::int64_t> wrapped;
    for (const auto dim : dims)
        wrapped.push_back(dim < 0 ? dim + std::max<std::int64_t>(self.dim(), 1) : dim);
    std::sort(wrapped.rbegin(), wrapped.rend());
    auto result = self;
    for (const auto dim : wrapped)
        result = result.squeeze(dim);
    return wrapped.empty() ? self.view(self.sizes()) : result;
}

template <class Reduce>
at::Tensor reducedOver(const at::Tensor& self, at::OptionalIntArrayRef dims, bool keep, const Reduce& reduce)
{
    std::vector<std::int64_t> wrapped;
    for (std::int64_t i = 0; i < self.dim(); ++i)
        wrapped.push_back(i);
    if (dims) {
        wrapped.clear();
        for (const auto dim : *dims)
            wrapped.push_back(dim < 0 ? dim + self.dim() : dim);
        std::sort(wrapped.begin(), wrapped.end());
    }
    auto result = self;
    for (auto dim = wrapped.rbegin(); dim != wrapped.rend(); ++dim)
        result = reduce(result, *dim, keep);
    return wrapped.empty() ? self.ne(0) : result;
}

at::Tensor anyOver(const at::Tensor& self, at::OptionalIntArrayRef dims, bool keep)
{
    return reducedOver(self, dims, keep, [](const at::Tensor& tensor, std::int64_t dim, bool kept) { return at::any(tensor, dim, kept); });
}

at::Tensor allOver(const at::Tensor& self, at::OptionalIntArrayRef dims, bool keep)
{
    return reducedOver(self, dims, keep, [](const at::Tensor& tensor, std::int64_t dim, bool kept) { return at::all(tensor, dim, kept); });
}

at::Tensor preluKernel(const at::Tensor& self, const at::Tensor& weight)
{
    return at::where(self > 0, self, self * weight);
}

// Its contents are not defined, so the order in memory does not matter.
at::Tensor emptyPermuted(at::IntArrayRef size, at::IntArrayRef, c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                         c10::optional<at::Device> device, c10::optional<bool>)
{
    return at::empty(size, at::TensorOptions(dtype.value_or(at::kFloat)).device(device.value_or(c10::kCPU)));
}

TORCH_LIBRARY_FRAGMENT(aten, library)
{
    library.def("scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool "
                "is_causal=False, *, float? scale=None, "
                "bool enable_gqa=False) -> Tensor");
    library.def(
        "_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0.0, bool is_causal=False, *, Tensor? "
        "attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)");
    library.def("_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor");
    library.def("rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor");
    library.def("_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)");
    library.def(
        "_native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) running_var, bool training, float "
        "momentum, float eps) -> (Tensor, Tensor, Tensor)");
    library.def(
        "_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, "
        "Tensor)");
    library.def(
        "_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, "
        "float eps) -> (Tensor, Tensor, Tensor)");
    library.def("_native_batch_norm_legit_functional(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, bool "
                "training, float "
                "momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor running_mean_out, Tensor running_var_out)");
    library.def("squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)");
    library.def("any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor");
    library.def("all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor");
    library.def("_prelu_kernel(Tensor self, Tensor weight) -> Tensor");
    library.def("empty_permuted(int[] size, int[] physical_layout, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
                "pin_memory=None) "
                "-> Tensor");
}

TORCH_LIBRARY_IMPL(aten, CompositeImplicitAutograd, library)
{
    library.impl("scaled_dot_product_attention", scaledDotProductAttention);
    library.impl("_scaled_dot_product_flash_attention_for_cpu", flashAttentionForCpu);
    library.impl("_safe_softmax", safeSoftmax);
    library.impl("rms_norm", rmsNorm);
    library.impl("_fused_rms_norm", fusedRmsNorm);
    library.impl("_native_batch_norm_legit", batchNorm);
    library.impl("_native_batch_norm_legit.no_stats", batchNormNoStats);
    library.impl("_native_batch_norm_legit_no_training", batchNormNoTraining);
    library.impl("_native_batch_norm_legit_functional", batchNormFunctional);
    library.impl("squeeze.dims", squeezeDims);
    library.impl("any.dims", anyOver);
    library.impl("all.dims", allOver);
    library.impl("_prelu_kernel", preluKernel);
    library.impl("empty_permuted", emptyPermuted);
}

}  // namespace
}  // namespace orrery::models

#endif
