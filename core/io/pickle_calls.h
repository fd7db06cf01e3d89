#pragma once
#include <functional>

#include "pickle.h"

/// Internal to core/io: what the calls in a pickle stand for.
namespace orrery::io {

/// How a failure is told: throws core::FormatError with the place.
using PickleFail = std::function<void(const std::string& what)>;

/// The node that a call makes, or throws by `fail`: names every function that is not known.
/// @param function   A Global.
/// @param arguments  A Tuple.
PickleNode pickleCall(Pickle& pickle, const PickleNode& function, const PickleNode& arguments, const PickleFail& fail);

/// The node of a persistent id: ("storage", class, key, location, elements[, view]).
PickleNode pickleStorage(Pickle& pickle, const PickleNode& id, const PickleFail& fail);

/// "module.name" of a Global or Object, shortened, for messages.
std::string pickleName(const Pickle& pickle, const PickleNode& node);

}  // namespace orrery::io
