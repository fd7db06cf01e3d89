#include "report.h"

#include <iostream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/report/html.h>
#include <core/report/report_document.h>
#include <core/report/run_report.h>

namespace orrery::cli {
namespace {

using Action = std::function<Exit(Session&)>;

struct ReportOptions {
    std::vector<store::RunId> runs;
    std::string document, out, title;
    bool noDates = false;
};

/// The subcommands, in the order of the help.
const std::vector<Command>& reportCommands()
{
    static const std::vector<Command> list = {
        {"add", "Add a stored result, runs, a picture or a note to a report document.", declareReportAdd},
        {"list", "The report documents of the workspace, or the items of one.", declareReportList},
        {"sources", "Stored results that can be added: numbers, methods, what they are about.", declareReportSources},
        {"create", "Start an empty report document; what is added next goes there.", declareReportCreate},
        {"move", "Put an item at another place.", declareReportMove},
        {"remove", "Take an item out, or remove a whole report document. What they show stays.", declareReportRemove},
    };
    return list;
}

void checkUsage(const ReportOptions& options)
{
    if (options.runs.empty() == options.document.empty())
        throw core::InputError(options.runs.empty() ? "report: expected run ids, or --document NAME"
                                                    : "report: expected run ids or --document, got both");
    if (options.out.empty())
        throw core::InputError("report: expected --out FILE.html");
    const auto ending = core::lower(std::filesystem::path(options.out).extension().string());
    if (ending != ".html" && ending != ".htm")
        throw core::InputError(
            fmt::format("--out {}: expected a file ending in .html (PDF: orrery {} --out FILE.pdf)", options.out,
                        options.document.empty() ? "--report RUN..." : "--report-document " + report::shellQuoted(options.document)));
}

report::Report documentReport(const std::shared_ptr<store::Workspace>& workspace, const ReportOptions& options, const std::string& written)
{
    const store::Reports reports(workspace);
    store::ReportDocument document = reports.find(options.document);
    const auto items = reports.items(document.id);
    report::Report made = report::buildDocument(*workspace, document, items, {written});
    if (!options.title.empty())
        made.title = options.title;
    return made;
}

Exit writeReport(Session& session, const ReportOptions& options)
{
    checkUsage(options);
    const auto workspace = session.workspace(store::OpenMode::ReadOnly);
    const std::string written = options.noDates ? std::string() : core::isoTimeNow();
    const report::Report made = options.document.empty()
                                    ? report::buildRunReport(*workspace, options.runs, {.title = options.title, .written = written})
                                    : documentReport(workspace, options, written);
    core::writeFileAtomically(options.out, report::toHtml(made));
    if (session.json) {
        core::Json answer{{"file", options.out}};
        if (options.document.empty())
            answer["runs"] = options.runs;
        else
            answer["document"] = options.document;
        session.print(answer);
    } else {
        std::cout << options.out << "\n";
    }
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareReport(CLI::App& app)
{
    auto options = std::make_shared<ReportOptions>();
    app.add_option("runs", options->runs, "Run ids.");
    app.add_option("--document", options->document, "A report document of the workspace, by name or number, instead of run ids.");
    app.add_option("--out", options->out, "HTML file. (PDF: orrery --report RUN... --out FILE.pdf, or orrery --report-document NAME --out FILE.pdf)");
    app.add_option("--title", options->title, "Title of the report.");
    app.add_flag("--no-date", options->noDates, "Leave out when the report was written: same content, same bytes.");
    return declareGroup(app, reportCommands(), [options](Session& session) { return writeReport(session, *options); });
}

}  // namespace orrery::cli
