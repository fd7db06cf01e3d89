// bin/NAME: sets what must be in the environment before any library is loaded, and becomes the program libexec/NAME. No library but libc's is loaded here.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

/// How often a thread of GNU OpenMP looks for work before it sleeps, some 0.2 ms. By itself it looks for milliseconds: where other programs want the processors,
/// too, it then looks in vain while the thread it waits for may not run, and two threads take longer than one. Sleeping at once costs as much where nobody else is.
constexpr const char* kSpinCount = "10000";

/// The prefix, found from this program's own place: PREFIX/bin/NAME.
std::string prefix()
{
    char path[4096];
    const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
    if (size <= 0 || size == ssize_t(sizeof path))
        return {};
    const std::string self(path, std::size_t(size));
    const auto name = self.rfind('/');
    const auto folder = name == 0 ? name : self.rfind('/', name - 1);
    return folder == std::string::npos ? std::string() : self.substr(0, folder);
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc == 2 && std::strcmp(argv[1], "--version") == 0)
        return std::puts(ORRERY_PROGRAM " " ORRERY_VERSION) < 0;
    if (!std::getenv("OMP_WAIT_POLICY"))
        ::setenv("GOMP_SPINCOUNT", kSpinCount, 0);  // a value that somebody has set stays
    const std::string program = prefix() + "/libexec/" ORRERY_PROGRAM;
    ::execv(program.c_str(), argv);
    std::fprintf(stderr, "%s: %s cannot be started: %s\n", ORRERY_PROGRAM, program.c_str(), std::strerror(errno));
    return 1;
}
