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

TORCH_LIBRARY_FRAGMENT(aten, library)
{
    library.def("scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool "
                "is_causal=False, *, float? scale=None, "
                "bool enable_gqa=False) -> Tensor");
}

TORCH_LIBRARY_IMPL(aten, CompositeImplicitAutograd, library)
{
    library.impl("scaled_dot_product_attention", scaledDotProductAttention);
}

}  // namespace
}  // namespace orrery::models

#endif
