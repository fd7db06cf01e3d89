#pragma once
#include <CLI/CLI.hpp>

#include <cmath>
#include <functional>
#include <string>

#include <fmt/format.h>

/// Checks of numbers. CLI11's own let NaN pass, and write the largest double out where there is no bound.
namespace orrery::cli {

inline CLI::Validator numberCheck(const std::string& name, const std::string& wanted, const std::function<bool(double)>& holds)
{
    return CLI::Validator(
        [wanted, holds](std::string& text) {
            double value = 0;
            if (CLI::detail::lexical_cast(text, value) && std::isfinite(value) && holds(value))
                return std::string();
            return fmt::format("expected a {}{}, got \"{}\"", std::isinf(value) ? "finite " : "", wanted, text);
        },
        name);
}

inline CLI::Validator positive()
{
    return numberCheck("POSITIVE", "number above 0", [](double value) { return value > 0; });
}

inline CLI::Validator notNegative()
{
    return numberCheck("NONNEGATIVE", "number of at least 0", [](double value) { return value >= 0; });
}

/// Both ends belong to it.
inline CLI::Validator between(double low, double high)
{
    return numberCheck(fmt::format("FLOAT in [{} - {}]", low, high), fmt::format("number from {} to {}", low, high),
                       [low, high](double value) { return value >= low && value <= high; });
}

}  // namespace orrery::cli
