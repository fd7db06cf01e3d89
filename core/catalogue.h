#pragma once

namespace orrery::core {

/// Makes every family known by name (documents with nested components, `orrery-cli list`), and every kind of job that can run in another process. Cheap; may be called more than once.
void registerAll();

}  // namespace orrery::core
