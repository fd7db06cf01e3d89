#include "report_command.h"

#include <fmt/format.h>

#include <QApplication>
#include <QHashSeed>
#include <iostream>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/report/report_document.h>
#include <core/report/run_report.h>
#include <core/store/workspace.h>
#include <widgets/report_pdf.h>

namespace orrery::app {
namespace {

std::vector<store::RunId> parsedRuns(const std::vector<std::string>& texts)
{
    std::vector<store::RunId> runs;
    for (const auto& text : texts) {
        if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
            throw core::InputError(fmt::format("--report: expected run numbers, got \"{}\"", text));
        runs.push_back(std::stoll(text));
    }
    return runs;
}

std::string workspaceFolder(const std::string& given)
{
    if (!given.empty())
        return given;
    const char* folder = std::getenv("ORRERY_WORKSPACE");
    return folder ? folder : "orrery-workspace";
}

report::Report builtReport(const std::shared_ptr<store::Workspace>& workspace, const std::vector<store::RunId>& runs, const std::string& document)
{
    const std::string written = core::isoTimeNow();
    if (document.empty())
        return report::buildRunReport(*workspace, runs, {.title = {}, .written = written});
    const store::Reports reports(workspace);
    const auto found = reports.find(document);
    return report::buildDocument(*workspace, found, reports.items(found.id), {written});
}

}  // namespace

int writeReport(int argc, char** argv, const std::string& workspace, const ReportSubject& subject, const std::string& out)
{
    if (!subject.runs.empty() && !subject.document.empty())
        throw core::InputError("expected --report or --report-document, got both");
    if (!QString::fromStdString(out).endsWith(".pdf", Qt::CaseInsensitive))
        throw core::InputError(fmt::format("--out: expected a file ending in .pdf, got \"{}\" (HTML: orrery-cli report)", out));
    const auto ids = parsedRuns(subject.runs);
    qputenv("QT_QPA_PLATFORM", "offscreen");
    QHashSeed::setDeterministicGlobalSeed();  // the same report gives the same bytes
    QApplication application(argc, argv);
    const auto opened = store::Workspace::open(workspaceFolder(workspace), store::OpenMode::ReadOnly);
    widgets::writePdf(builtReport(opened, ids, subject.document), QString::fromStdString(out));
    std::cout << out << "\n";
    return 0;
}

}  // namespace orrery::app
