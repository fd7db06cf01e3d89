#include <ATen/ATen.h>
#include <ATen/CPUFunctions.h>
#include <c10/util/Exception.h>
#include <torch/library.h>
#include <torch/version.h>

#include "gemm_symbol.h"
#include "kernels.h"

namespace orrery::kernels {

#if TORCH_VERSION_MAJOR < 2

namespace {

bool isDenseFloat(const at::Tensor& x)
{
    return x.scalar_type() == at::kFloat && x.layout() == at::kStrided && x.is_contiguous() && x.numel() > 0;
}

bool isLastAxis(const at::Tensor& x, std::int64_t axis)
{
    return x.dim() > 0 && (axis == -1 || axis == x.dim() - 1);
}

at::Tensor bmm(const at::Tensor& a, const at::Tensor& b)
{
    return takesBatchedProduct(a, b) ? batchedProduct(a, b) : at::cpu::bmm(a, b);
}

bool broadcasts(const at::Tensor& addend, const at::Tensor& a, const at::Tensor& b)
{
    return addend.scalar_type() == at::kFloat && addend.layout() == at::kStrided &&
           at::is_expandable_to(addend.sizes(), {a.size(0), a.size(1), b.size(2)});
}

at::Tensor baddbmm(const at::Tensor& addend, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta, const at::Scalar& alpha)
{
    if (!takesBatchedProduct(a, b) || !broadcasts(addend, a, b) || beta.isComplex() || alpha.isComplex())
        return at::cpu::baddbmm(addend, a, b, beta, alpha);
    return batchedProductAdd(addend, a, b, beta.to<float>(), alpha.to<float>());
}

at::Tensor gelu(const at::Tensor& x, c10::string_view approximate)
{
    return approximate == "tanh" && isDenseFloat(x) ? geluTanh(x) : at::cpu::gelu(x, approximate);
}

at::Tensor geluBackward(const at::Tensor& gradient, const at::Tensor& x, c10::string_view approximate)
{
    if (approximate != "tanh" || !isDenseFloat(x) || gradient.scalar_type() != at::kFloat || gradient.sizes() != x.sizes())
        return at::cpu::gelu_backward(gradient, x, approximate);
    return geluTanhBackward(gradient.contiguous(), x);
}

at::Tensor softmax(const at::Tensor& x, std::int64_t axis, bool halfToFloat)
{
    return isDenseFloat(x) && isLastAxis(x, axis) && !halfToFloat ? softmaxLastAxis(x) : at::cpu::_softmax(x, axis, halfToFloat);
}

at::Tensor softmaxBackward(const at::Tensor& gradient, const at::Tensor& y, std::int64_t axis, at::ScalarType inputType)
{
    if (!isDenseFloat(y) || !isLastAxis(y, axis) || inputType != at::kFloat || gradient.scalar_type() != at::kFloat || gradient.sizes() != y.sizes())
        return at::cpu::_softmax_backward_data(gradient, y, axis, inputType);
    return softmaxLastAxisBackward(gradient.contiguous(), y);
}

/// libtorch says aloud that a kernel is replaced; here that is the intent.
class Quiet : public c10::WarningHandler {
    void process(const c10::SourceLocation&, const std::string&, bool) override {}
};

/// Lives as long as the process: taking the kernels back while threads compute would not be safe.
struct Replacement {
    torch::Library library{torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__};
    std::vector<std::string> names;

    template <class Kernel>
    void add(const char* name, Kernel&& kernel)
    {
        library.impl(name, kernel);
        names.push_back(name);
    }
};

// When the library is loaded, before any tensor is computed: two kernels of one operator in the life of a process would give two results for one input.
const std::vector<std::string>& replaceAll()
{
    static const auto* const replaced = [] {
        Quiet quiet;
        const c10::Warning::WarningHandlerGuard guard(&quiet);
        auto* const all = new Replacement;
        all->add("gelu", TORCH_FN(gelu));
        all->add("gelu_backward", TORCH_FN(geluBackward));
        all->add("_softmax", TORCH_FN(softmax));
        all->add("_softmax_backward_data", TORCH_FN(softmaxBackward));
        if (sgemm()) {
            all->add("bmm", TORCH_FN(bmm));
            all->add("baddbmm", TORCH_FN(baddbmm));
        }
        return all;
    }();
    return replaced->names;
}

[[maybe_unused]] const std::size_t kReplaced = replaceAll().size();

}  // namespace

const std::vector<std::string>& replacedOperators()
{
    return replaceAll();
}

#else

// libtorch 2 has kernels of its own for these.
const std::vector<std::string>& replacedOperators()
{
    static const std::vector<std::string> kNone;
    return kNone;
}

#endif

}  // namespace orrery::kernels
