#include <iostream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/report/html.h>
#include <core/report/run_report.h>

#include "cli.h"

namespace orrery::cli {

std::function<Exit(Session&)> declareReport(CLI::App& app)
{
    struct Options {
        std::vector<store::RunId> runs;
        std::string out, title;
        bool noDates = false;
    };
    auto options = std::make_shared<Options>();
    app.add_option("runs", options->runs, "Run ids.")->required();
    app.add_option("--out", options->out, "HTML file. (PDF: orrery --report RUN... --out FILE.pdf)")->required();
    app.add_option("--title", options->title, "Title of the report.");
    app.add_flag("--no-date", options->noDates, "Leave out when the report was written: same runs, same bytes.");
    return [options](Session& session) {
        const auto ending = core::lower(std::filesystem::path(options->out).extension().string());
        if (ending != ".html" && ending != ".htm")
            throw core::InputError(
                fmt::format("--out {}: expected a file ending in .html (PDF: orrery --report RUN... --out FILE.pdf)", options->out));
        const auto workspace = session.workspace(store::OpenMode::ReadOnly);
        report::RunReportOptions settings;
        settings.title = options->title;
        if (!options->noDates)
            settings.written = core::isoTimeNow();
        core::writeFileAtomically(options->out, report::toHtml(report::buildRunReport(*workspace, options->runs, settings)));
        if (session.json)
            session.print({{"runs", options->runs}, {"file", options->out}});
        else
            std::cout << options->out << "\n";
        return Exit::Done;
    };
}

}  // namespace orrery::cli
