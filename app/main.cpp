#include <ATen/Parallel.h>

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <QApplication>
#include <QFileInfo>
#include <QIcon>
#include <iostream>

#include <core/base/error.h>
#include <core/base/memory.h>
#include <core/base/text.h>
#include <core/base/version.h>
#include <core/catalogue.h>
#include <core/jobs/queue.h>
#include <core/models/checkpoint_folder.h>
#include <core/store/workspace.h>

#include "crash_guard.h"
#include "main_window.h"
#include "quit_signals.h"
#include "report_command.h"
#include "screenshot.h"
#include "settings_dialog.h"

namespace {

using namespace orrery;

struct Arguments {
    std::string workspace, model, experiment, size, theme, screenshot, reportDocument, out;
    std::vector<std::string> panels, reportRuns;
};

void declare(CLI::App& app, Arguments& arguments)
{
    app.set_version_flag("--version", std::string("orrery ") + core::kVersion);
    app.add_option("workspace", arguments.workspace, "Folder of the workspace to open (a new or empty folder becomes one), or a file.");
    app.add_option("--open", arguments.model, "Model, experiment document or table to open.");
    app.add_option("--train", arguments.experiment, "Experiment document to open and to start at once.");
    app.add_option("--panel", arguments.panels, "Panel to show, by id; may be given several times.")->allow_extra_args(false);
    app.add_option("--size", arguments.size, "Size of the window: WIDTHxHEIGHT.");
    app.add_option("--theme", arguments.theme, "Colours for this session.")->check(CLI::IsMember({"light", "dark", "system"}));
    app.add_option("--screenshot", arguments.screenshot, "Wait until the panels are idle, save a picture of the window, exit.");
    app.add_option("--report", arguments.reportRuns, "Write a report of these runs as PDF (see --out), without a window.");
    app.add_option("--report-document", arguments.reportDocument,
                   "Write this report document of the workspace, by name or number, as PDF (see --out).");
    app.add_option("--out", arguments.out, "File of the report.");
    app.footer("Exit status: 0 done, 1 failed, 2 wrong usage or bad input.");
}

QSize parsedSize(const std::string& text)
{
    const auto parts = core::split(text, 'x');
    int width = 0, height = 0;
    if (parts.size() == 2) {
        width = QString::fromStdString(parts[0]).toInt();
        height = QString::fromStdString(parts[1]).toInt();
    }
    if (width < 320 || height < 240 || width > 16384 || height > 16384)
        throw core::InputError(fmt::format("--size: expected WIDTHxHEIGHT from 320x240 to 16384x16384, got \"{}\"", text));
    return {width, height};
}

void checkPanels(const widgets::PanelHost& host, const std::vector<std::string>& wanted)
{
    std::vector<std::string> known;
    for (const auto& info : host.panels())
        known.push_back(info.id.toStdString());
    for (const auto& panel : wanted)
        if (!host.find(QString::fromStdString(panel)))
            throw core::InputError(
                fmt::format("--panel: there is no panel \"{}\"{} (there are: {})", panel, core::didYouMean(panel, known), fmt::join(known, ", ")));
}

bool openPlace(app::MainWindow& window, const QString& path)
{
    const QFileInfo place(path);
    const auto folder = place.absoluteFilePath().toStdString();
    const bool isModel = place.isFile() || (!store::Workspace::isWorkspace(folder) && models::isCheckpointFolder(folder));
    return isModel ? window.openFile(path) : window.openWorkspace(path);
}

int runWindow(QApplication& application, const Arguments& arguments)
{
    application.setWindowIcon(QIcon::fromTheme("orrery"));
    app::CrashGuard guard;
    widgets::Theme theme;
    widgets::Session session;
    app::applySettings(session, theme);
    if (!arguments.theme.empty())
        theme.setChoice(widgets::Theme::choiceFromText(QString::fromStdString(arguments.theme)));
    const auto size = arguments.size.empty() ? QSize() : parsedSize(arguments.size);
    app::MainWindow window(session, theme);
    checkPanels(window.panels(), arguments.panels);
    const bool isUnattended = !arguments.screenshot.empty();
    window.setQuiet(isUnattended);
    app::closeOnSignals(window);
    QObject::connect(&session, &widgets::Session::workspaceChanged, &window, [&] { guard.setWorkspace(session.workspaceFolder()); });
    if (size.isValid())
        window.resize(size);
    window.show();
    const auto place = arguments.workspace.empty() ? guard.lastWorkspace() : QString::fromStdString(arguments.workspace);
    if (!place.isEmpty() && !openPlace(window, place) && isUnattended)
        return 1;
    if (size.isValid())
        window.resize(size);
    if (!arguments.experiment.empty())
        window.startExperiment(QString::fromStdString(arguments.experiment));
    if (!arguments.model.empty())
        window.openFile(QString::fromStdString(arguments.model));
    for (const auto& panel : arguments.panels)
        window.showPanel(QString::fromStdString(panel));
    if (!guard.lastCrash().isEmpty())
        session.report(guard.lastCrash());
    if (isUnattended)
        app::screenshotWhenIdle(window, QString::fromStdString(arguments.screenshot));
    return application.exec();
}

}  // namespace

int main(int argc, char** argv)
{
    core::keepFreedMemory();
    Arguments arguments;
    CLI::App parser("Orrery: a workbench for exploring neural-network models.", "orrery");
    declare(parser, arguments);
    try {
        parser.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool isHelp = error.get_exit_code() == int(CLI::ExitCodes::Success);
        parser.exit(error, std::cout, std::cerr);
        return isHelp ? 0 : 2;
    }
    QCoreApplication::setOrganizationName("Orrery");
    QCoreApplication::setApplicationName("orrery");
    core::registerAll();
    jobs::Queue::setThreadHook([](int threads) { at::set_num_threads(threads); });
    try {
        if (!arguments.reportRuns.empty() || !arguments.reportDocument.empty())
            return app::writeReport(argc, argv, arguments.workspace, {arguments.reportRuns, arguments.reportDocument}, arguments.out);
        QApplication application(argc, argv);
        return runWindow(application, arguments);
    } catch (const core::InputError& error) {
        std::cerr << "orrery: " << error.what() << "\n";
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "orrery: " << error.what() << "\n";
        return 1;
    }
}
