#include "devices.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "error.h"
#include "text.h"

namespace orrery::core {
namespace {

/// The first value of `key : value` in a text of such lines, as /proc/cpuinfo is.
std::string valueOf(std::istream& lines, std::string_view key)
{
    for (std::string line; std::getline(lines, line);) {
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos && trim(std::string_view(line).substr(0, colon)) == key)
            return std::string(trim(std::string_view(line).substr(colon + 1)));
    }
    return {};
}

std::string cpuName()
{
    std::ifstream info("/proc/cpuinfo");
    const std::string name = valueOf(info, "model name");
    return name.empty() ? "CPU" : name;
}

int usableCores()
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    return std::max(1, int(std::thread::hardware_concurrency()));
}

/// libtorch chooses its kernels when it starts and says which in its configuration; a header for it exists only in 2.x.
std::string kernelLevel()
{
    std::istringstream config(at::show_config());
    const std::string level = valueOf(config, "- CPU capability usage");
    return level.empty() ? "unknown" : level;
}

DeviceInfo cpu()
{
    return {"cpu", cpuName(), usableCores(), machineMemory(), kernelLevel()};
}

/// What the CUDA driver knows of a device. The driver is looked up at run time, so that core builds without CUDA's headers and runs without its libraries.
class CudaDriver {
public:
    CudaDriver() : m_library(::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL))
    {
        const auto init = find<int(unsigned)>("cuInit");
        m_usable = init && init(0) == 0;
    }
    CudaDriver(const CudaDriver&) = delete;
    CudaDriver& operator=(const CudaDriver&) = delete;
    ~CudaDriver()
    {
        if (m_library)
            ::dlclose(m_library);
    }

    void describe(int index, DeviceInfo& info) const
    {
        const auto deviceGet = find<int(int*, int)>("cuDeviceGet");
        const auto getName = find<int(char*, int, int)>("cuDeviceGetName");
        const auto totalMemory = find<int(std::size_t*, int)>("cuDeviceTotalMem_v2");
        int device = 0;
        if (!m_usable || !deviceGet || deviceGet(&device, index) != 0)
            return;
        char name[256] = "";
        if (getName && getName(name, sizeof name, device) == 0)
            info.name = name;
        std::size_t bytes = 0;
        if (totalMemory && totalMemory(&bytes, device) == 0)
            info.memory = bytes;
        constexpr int kMultiprocessors = 16, kMajor = 75, kMinor = 76;  // CUdevice_attribute
        info.cores = attribute(kMultiprocessors, device);
        info.level = fmt::format("{}.{}", attribute(kMajor, device), attribute(kMinor, device));
    }

private:
    template <class Signature>
    Signature* find(const char* name) const
    {
        return m_library ? reinterpret_cast<Signature*>(::dlsym(m_library, name)) : nullptr;
    }
    int attribute(int which, int device) const
    {
        const auto get = find<int(int*, int, int)>("cuDeviceGetAttribute");
        int value = 0;
        return get && get(&value, which, device) == 0 ? value : 0;
    }

    void* m_library;
    bool m_usable = false;
};

int cudaDevices()
{
    return at::hasCUDA() ? int(at::getNumGPUs()) : 0;
}

std::string libraryName(const std::string& file)
{
    const std::pair<const char*, const char*> known[] = {
        {"openblas", "OpenBLAS"}, {"blis", "BLIS"}, {"mkl", "MKL"}, {"atlas", "ATLAS"}, {"torch", "built into libtorch"}};
    std::error_code ignored;
    const std::filesystem::path real = std::filesystem::canonical(file, ignored);
    const std::string text = lower(ignored ? file : real.string());
    for (const auto& [part, name] : known)
        if (text.find(part) != std::string::npos)
            return name;
    const std::string own = std::filesystem::path(text).filename();
    return own.starts_with("libblas.so") ? "reference BLAS" : own;
}

std::string existingDevices(int cuda)
{
    std::vector<std::string> names{"cpu"};
    for (int i = 0; i < cuda; ++i)
        names.push_back(fmt::format("cuda:{}", i));
    return (names.size() == 1 ? "there is only " : "there are ") + join(names, ", ");
}

/// The N of `cuda:N`; 0 of `cuda`.
std::optional<int> cudaIndex(std::string_view text)
{
    if (text == "cuda")
        return 0;
    if (!text.starts_with("cuda:") || text.size() == 5)
        return std::nullopt;
    text.remove_prefix(5);
    unsigned index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || end != text.data() + text.size() || index > 127)
        return std::nullopt;
    return int(index);
}

}  // namespace

std::uint64_t machineMemory()
{
    return std::uint64_t(::sysconf(_SC_PHYS_PAGES)) * std::uint64_t(::sysconf(_SC_PAGE_SIZE));
}

std::vector<DeviceInfo> listDevices()
{
    std::vector<DeviceInfo> out{cpu()};
    const int count = cudaDevices();
    if (count == 0)
        return out;
    const CudaDriver driver;
    for (int i = 0; i < count; ++i) {
        out.push_back({fmt::format("cuda:{}", i), "CUDA device", 0, 0, ""});
        driver.describe(i, out.back());
    }
    return out;
}

GemmInfo gemmInUse()
{
    // libtorch's undefined sgemm_ is bound to the first definition in load order, which is what this look-up finds, too.
    void* const product = ::dlsym(RTLD_DEFAULT, "sgemm_");
    Dl_info where{};
    if (!product || ::dladdr(product, &where) == 0 || !where.dli_fname)
        return {at::hasMKL() ? "MKL, built into libtorch" : "built into libtorch", "", false};
    const auto shimName = reinterpret_cast<const char* (*)()>(::dlsym(RTLD_DEFAULT, "orreryGemmName"));
    Dl_info shim{};
    if (shimName && ::dladdr(reinterpret_cast<void*>(shimName), &shim) != 0 && shim.dli_fbase == where.dli_fbase)
        return {shimName(), where.dli_fname, true};
    return {libraryName(where.dli_fname), where.dli_fname, false};
}

double measureGemm(std::int64_t n)
{
    const c10::InferenceMode noGradients;
    const at::Tensor a = at::linspace(-1, 1, n * n, at::kFloat).view({n, n}), b = a.t().contiguous();
    using Clock = std::chrono::steady_clock;
    double best = at::mm(a, b).numel() == n * n ? 1e30 : 0;  // The first product warms up threads and caches.
    const auto start = Clock::now();
    for (int i = 0; i < 20 && Clock::now() - start < std::chrono::milliseconds(200); ++i) {
        const auto before = Clock::now();
        const at::Tensor product = at::mm(a, b);
        best = std::min(best, std::chrono::duration<double>(Clock::now() - before).count());
    }
    return 2.0 * double(n) * double(n) * double(n) / best * 1e-9;
}

void keepFullPrecision()
{
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
}

c10::Device parseDevice(std::string_view text)
{
    const int count = cudaDevices();
    if (text == "cpu" || (text == "auto" && count == 0))
        return c10::Device(c10::kCPU);
    if (text == "auto")
        return c10::Device(c10::kCUDA, 0);
    const std::optional<int> index = cudaIndex(text);
    if (!index)
        throw InputError(fmt::format("device: expected auto, cpu, cuda or cuda:N, got \"{}\"", text));
    if (*index >= count)
        throw InputError(fmt::format("device: there is no \"{}\" here that can be used; {}", text, existingDevices(count)));
    return c10::Device(c10::kCUDA, c10::DeviceIndex(*index));
}

}  // namespace orrery::core
