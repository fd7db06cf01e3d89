#pragma once
#include <stdexcept>
#include <string>

/// Everything in core that is not tied to a subject: errors, JSON, text, files, hashing, random seeds, the parameter schema and the registries.
namespace orrery::core {

/// Root of what core throws. The message says what was expected, what was found and where; it is shown to people as it is.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Tensor shapes, dtypes or lengths that do not fit together.
class ShapeError : public Error {
    using Error::Error;
};
/// A file or document that is broken: the message names the file, the place, what was expected and what was found.
class FormatError : public Error {
    using Error::Error;
};
/// A device that is missing, full or failed.
class DeviceError : public Error {
    using Error::Error;
};
/// A file or database that could not be read or written.
class StorageError : public Error {
    using Error::Error;
};
/// Wrong usage or bad input by the caller: an unknown name, a parameter out of range. The command line exits with status 2.
class InputError : public Error {
    using Error::Error;
};

/// Unwinds a job that was asked to stop. Not an error: deliberately outside the Error family.
struct Cancelled {};

}  // namespace orrery::core
