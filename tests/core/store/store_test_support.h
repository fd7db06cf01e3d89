#pragma once
#include <QTemporaryDir>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include <core/base/text.h>
#include <core/store/workspace.h>

/// Parts that the tests of the store share.
namespace store_test {

using namespace orrery;
using namespace orrery::store;

/// A fresh folder that is removed with everything in it.
class Folder {
public:
    std::filesystem::path path() const { return m_directory.path().toStdString(); }
    std::filesystem::path operator/(const char* name) const { return path() / name; }

private:
    QTemporaryDir m_directory;
};

inline NewRun newRun(const std::string& name)
{
    NewRun run;
    run.name = name;
    run.document = {{"model", "lenet"}, {"train", {{"optimizer", {{"id", "adamw"}, {"lr", 0.001}}}}}, {"layers", {8, 16}}};
    run.environment = {{"version", "0.1"}, {"device", "cpu"}};
    run.seed = 18446744073709551615u;
    return run;
}

/// The message of the exception of this type that `function` throws; "no exception" if there is none.
template <class Exception>
std::string messageOf(const std::function<void()>& function)
{
    try {
        function();
    } catch (const Exception& error) {
        return error.what();
    }
    return "no exception";
}

inline bool eventually(const std::function<bool()>& condition)
{
    for (int i = 0; i < 2000 && !condition(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return condition();
}

inline bool contains(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

}  // namespace store_test
