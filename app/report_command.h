#pragma once
#include <string>
#include <vector>

namespace orrery::app {

/// `orrery --report RUN... --out FILE.pdf`: writes the report without showing a window (and without a display). @return Exit status.
/// @throws core::InputError for a bad run or file name.
int writeReport(int argc, char** argv, const std::string& workspace, const std::vector<std::string>& runs, const std::string& out);

}  // namespace orrery::app
