#pragma once
#include <core/base/json.h>

#include "cli.h"

namespace orrery::cli {

// Suites of `bench` that live in files of their own. Each gives an object of numbers and texts.

/// Opening a checkpoint folder the size of GPT-2 small (half a gigabyte in four shards, written to the folder for temporary files first): structure alone, nothing of the weights is read.
core::Json importSuite(const Session& session);
/// Byte-level BPE over the bundled book (one thread): learning some ten thousand pieces, reading them from their document, taking the book apart.
core::Json tokenizerSuite(const Session& session);
/// Models of the zoo, and one of GPT-2 small's size, run once: the executor and libtorch's own interpreter on the same model as TorchScript, in turn.
core::Json forwardSuite(const Session& session);
/// A model of GPT-2 small's size writes with kept keys and values: tokens a second on one thread and on all.
core::Json generationSuite(const Session& session);

}  // namespace orrery::cli
