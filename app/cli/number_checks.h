#pragma once
#include <CLI/CLI.hpp>

#include <string>

#include <fmt/format.h>

/// Checks of options whose sentence names no bound where there is none: CLI11's own of these end at the largest double, written out.
namespace orrery::cli {

inline CLI::Validator numberCheck(const char* name, const char* wanted, bool (*holds)(double))
{
    return CLI::Validator(
        [wanted, holds](std::string& text) {
            double value = 0;
            return CLI::detail::lexical_cast(text, value) && holds(value) ? std::string() : fmt::format("expected {}, got \"{}\"", wanted, text);
        },
        name);
}

inline CLI::Validator positive()
{
    return numberCheck("POSITIVE", "a number above 0", [](double value) { return value > 0; });
}

inline CLI::Validator notNegative()
{
    return numberCheck("NONNEGATIVE", "a number of at least 0", [](double value) { return value >= 0; });
}

}  // namespace orrery::cli
