#pragma once
#include <core/base/json.h>

#include "connection.h"
#include "types.h"

namespace orrery::store {

/// The values of runs' documents one by one (`document_values`), so that queries need not read 10,000 documents. A path is the keys and list indices
/// with dots between them; truth values are the texts "true" and "false"; null, empty lists and empty objects are left out.
/// Of a document at most 4,000 values, of a text the first 1,000 bytes.
void addDocumentValues(Connection& connection, RunId run, const core::Json& document);
/// To be called when a run is deleted, in the same transaction.
void removeDocumentValues(Connection& connection, RunId run);
/// Paths that no run has any more.
void removeUnusedPaths(Connection& connection);

}  // namespace orrery::store
