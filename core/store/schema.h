#pragma once
#include <filesystem>

#include "connection.h"

namespace orrery::store {

/// Version of the tables that this program reads and writes, kept in `PRAGMA user_version`.
///   1  first version: one row for every point of a metric, no notes, no parent run, no log lines
///   2  metrics in packed chunks with a pyramid; notes, parent, log lines, settings
///   3  report documents
///   4  values of documents one by one, for queries
inline constexpr int kSchemaVersion = 4;
/// Version of files of exported runs: reports and what queries need do not belong to them, so theirs did not change.
inline constexpr int kExportVersion = 2;
/// `PRAGMA application_id` of a workspace ("Orry"), and of a file of exported runs ("OrrX").
inline constexpr int kWorkspaceId = 0x4f727279, kExportId = 0x4f727258;

/// Creates the tables in an empty database, or brings older ones up to date; one transaction. Runs inside none.
void createOrMigrate(Connection& connection, int applicationId = kWorkspaceId);
/// @throws FormatError unless the database has the given application id and a version that is not newer than ours.
/// @return the version; 0 for an empty database.
int checkVersion(Connection& connection, int applicationId, const std::filesystem::path& file);
/// Looks at the file without changing it: header, size, and for small files all pages.
/// @throws FormatError if it is no SQLite database, StorageError if it is truncated or damaged.
void checkFile(const std::filesystem::path& file);

}  // namespace orrery::store
