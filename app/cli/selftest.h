#pragma once
#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace orrery::cli {

struct Skip {
    std::string why;
};

/// One numeric check: gives the error it measured, which must not exceed `tolerance`. Throws Skip where it cannot run.
struct Check {
    const char* name;
    const char* what;
    double tolerance;
    std::function<double()> error;
};

inline double largest(const at::Tensor& difference)
{
    return difference.numel() == 0 ? 0 : difference.to(at::kDouble).abs().max().item<double>();
}

inline at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed, at::ScalarType dtype = at::kFloat)
{
    auto generator = at::detail::createCPUGenerator(seed);
    return at::randn(shape, generator, at::TensorOptions().dtype(dtype));
}

/// What CPU and GPU must agree on; SKIP without a GPU.
std::vector<Check> cudaChecks();

}  // namespace orrery::cli
