#pragma once
#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
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

inline CLI::Validator finite()
{
    return numberCheck("", "number", [](double) { return true; });
}

/// A seed: what 64 bits hold. CLI11 would take the largest for anything above.
inline CLI::Validator seedNumber()
{
    return CLI::Validator(
        [](std::string& text) {
            std::uint64_t value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            return error == std::errc() && end == text.data() + text.size()
                       ? std::string()
                       : fmt::format("expected a whole number from 0 to {}, got \"{}\"", std::numeric_limits<std::uint64_t>::max(), text);
        },
        "");
}

inline const std::string kComputeTypes = "float32, float64, bfloat16 or float16";

/// The dtypes that a model can compute in; "as the file" is none of them.
inline CLI::Validator computeType()
{
    return CLI::Validator(
        [](std::string& text) {
            const bool known = text == "float32" || text == "float64" || text == "bfloat16" || text == "float16";
            return known ? std::string() : fmt::format("expected {}, got \"{}\"", kComputeTypes, text);
        },
        "");
}

/// Both ends belong to it.
inline CLI::Validator between(double low, double high)
{
    return numberCheck(fmt::format("FLOAT in [{} - {}]", low, high), fmt::format("number from {} to {}", low, high),
                       [low, high](double value) { return value >= low && value <= high; });
}

}  // namespace orrery::cli
