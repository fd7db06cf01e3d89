#include "kernels.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include <core/base/error.h>

namespace orrery::cuda {
namespace {

struct Loaded {
    const Api* api = nullptr;
    std::string missing;
};

std::filesystem::path kernelsFile()
{
    if (const char* const given = std::getenv("ORRERY_CUDA_KERNELS"); given && *given)
        return given;
    Dl_info own{};
    if (!dladdr(reinterpret_cast<void*>(&kernelsMissing), &own) || !own.dli_fname)
        return "liborrery_cuda.so";
    return std::filesystem::path(own.dli_fname).parent_path() / "liborrery_cuda.so";
}

Loaded load()
{
    const auto file = kernelsFile();
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: its kernels are registered with CUDA
    if (!library) {
        const char* const reason = dlerror();
        return {nullptr, reason ? reason : file.string() + " cannot be loaded"};
    }
    const auto give = reinterpret_cast<const Api* (*)()>(dlsym(library, "orreryCudaApi"));
    const Api* const api = give ? give() : nullptr;
    if (!api || api->version != kApiVersion)
        return {nullptr, fmt::format("{}: expected kernels of version {}, got {}", file.string(), kApiVersion,
                                     api ? std::to_string(api->version) : std::string("none"))};
    return {api, {}};
}

const Loaded& loaded()
{
    static const Loaded kLoaded = load();
    return kLoaded;
}

}  // namespace

const Api& kernels(const char* what)
{
    if (!loaded().api)
        throw core::InputError(fmt::format("{}: expected CUDA kernels for a model on the GPU, found none ({})", what, loaded().missing));
    return *loaded().api;
}

std::string kernelsMissing()
{
    return loaded().missing;
}

void check(const char* what, const char* error)
{
    if (error)
        throw core::Error(fmt::format("{}: CUDA: {}", what, error));
}

}  // namespace orrery::cuda
