#pragma once
#include <string>
#include <vector>

namespace orrery::app {

/// What a report is about: runs, or a report document of the workspace by name or number.
struct ReportSubject {
    std::vector<std::string> runs;
    std::string document;
};

/// `orrery --report RUN... --out FILE.pdf`, `orrery --report-document NAME --out FILE.pdf`: writes the report without showing a window (and without a
/// display). @return Exit status.
/// @throws core::InputError for a bad run, document or file name, or for both at once.
int writeReport(int argc, char** argv, const std::string& workspace, const ReportSubject& subject, const std::string& out);

}  // namespace orrery::app
