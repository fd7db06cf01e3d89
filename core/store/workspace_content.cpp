// Metrics, log lines, artifacts and analyses of a workspace.
#include "workspace.h"

#include <fstream>

#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/base/text.h>

#include "metric_reader.h"
#include "schema.h"
#include "workspace_private.h"

namespace orrery::store {
namespace {

constexpr const char* kArtifactColumns = "SELECT id, run, analysis, name, media_type, step, hash, bytes, created FROM artifacts ";
constexpr const char* kAnalysisColumns = "SELECT id, run, method, inputs, parameters, results, seconds, created FROM analyses ";

Artifact artifactOf(Cursor& row)
{
    Artifact artifact;
    artifact.id = row.integer(0);
    artifact.run = row.optionalInteger(1);
    artifact.analysis = row.optionalInteger(2);
    artifact.name = row.text(3);
    artifact.mediaType = row.text(4);
    artifact.step = row.optionalInteger(5);
    artifact.hash = row.text(6);
    artifact.bytes = std::uint64_t(row.integer(7));
    artifact.created = row.text(8);
    return artifact;
}

std::vector<Artifact> artifactsOf(Cursor& rows)
{
    std::vector<Artifact> artifacts;
    while (rows.next())
        artifacts.push_back(artifactOf(rows));
    return artifacts;
}

Analysis analysisOf(Connection& connection, Cursor& row)
{
    Analysis analysis;
    analysis.id = row.integer(0);
    analysis.run = row.optionalInteger(1);
    analysis.method = row.text(2);
    analysis.inputs = row.json(3);
    analysis.parameters = row.json(4);
    analysis.results = row.json(5);
    analysis.seconds = row.real(6);
    analysis.created = row.text(7);
    analysis.artifacts = artifactsOf(*connection.query(std::string(kArtifactColumns) + "WHERE analysis = ? ORDER BY id", analysis.id));
    return analysis;
}

void requireAnalysis(Connection& connection, std::int64_t analysis)
{
    const auto row = connection.query("SELECT 1 FROM analyses WHERE id = ?", analysis);
    if (!row->next())
        throw core::InputError(fmt::format("there is no analysis {}", analysis));
}

void copyFileTo(const std::filesystem::path& file, const Workspace::Write& write)
{
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        throw core::StorageError(fmt::format("{}: cannot be read", file.string()));
    std::string buffer(std::size_t(1) << 20, '\0');
    while (stream.read(buffer.data(), std::streamsize(buffer.size())) || stream.gcount() > 0)
        write(std::string_view(buffer).substr(0, std::size_t(stream.gcount())));
    if (stream.bad())
        throw core::StorageError(fmt::format("{}: cannot be read to its end", file.string()));
}

}  // namespace

std::vector<std::string> hashesOf(Connection& connection, const std::string& where, std::int64_t id)
{
    std::vector<std::string> hashes;
    const auto rows = connection.query("SELECT hash FROM artifacts WHERE " + where, id);
    while (rows->next())
        hashes.push_back(rows->text(0));
    return hashes;
}

// --- Metrics ---

void Workspace::metric(RunId run, std::string_view name, std::int64_t step, double value, double time)
{
    d->writing().addMetrics(run, name, {&step, 1}, {&value, 1}, time);
}

void Workspace::metrics(RunId run, std::string_view name, std::span<const std::int64_t> steps, std::span<const double> values, double time)
{
    d->writing().addMetrics(run, name, steps, values, time);
}

MetricSeries Workspace::metricSeries(RunId run, const std::string& name, std::int64_t stepFrom, std::int64_t stepTo, std::size_t maxPoints) const
{
    return d->readers.with([&](Connection& connection) { return readSeries(connection, run, name, stepFrom, stepTo, maxPoints); });
}

std::vector<MetricInfo> Workspace::metricInfos(RunId run) const
{
    return d->readers.with([&](Connection& connection) {
        std::vector<MetricInfo> infos;
        const auto rows =
            connection.query("SELECT name, points, first_step, last_step, last_value, minimum, maximum FROM series WHERE run = ? ORDER BY name", run);
        while (rows->next())
            infos.push_back({rows->text(0), rows->integer(1), rows->integer(2), rows->integer(3), rows->real(4), rows->real(5), rows->real(6)});
        return infos;
    });
}

std::map<std::string, double> Workspace::lastMetrics(RunId run) const
{
    std::map<std::string, double> last;
    for (const MetricInfo& info : metricInfos(run))
        last[info.name] = info.lastValue;
    return last;
}

std::vector<std::string> Workspace::metricNames(std::span<const RunId> runs) const
{
    return d->readers.with([&](Connection& connection) {
        std::set<std::string> names;
        const auto add = [&](Cursor& rows) {
            while (rows.next())
                names.insert(rows.text(0));
        };
        if (runs.empty())
            add(*connection.query("SELECT DISTINCT name FROM series"));
        for (const RunId run : runs)
            add(*connection.query("SELECT name FROM series WHERE run = ?", run));
        return std::vector(names.begin(), names.end());
    });
}

// --- Log lines ---

void Workspace::logLine(RunId run, LogLevel level, std::string_view text)
{
    d->writing().addLogLine(run, level, text);
}

std::vector<LogLine> Workspace::logLines(RunId run, std::int64_t afterId, std::size_t limit) const
{
    return d->readers.with([&](Connection& connection) {
        std::vector<LogLine> lines;
        const auto rows = connection.query("SELECT id, time, level, text FROM log_lines WHERE run = ? AND id > ? ORDER BY id DESC LIMIT ?", run,
                                           afterId, std::int64_t(std::min<std::size_t>(limit, INT64_MAX)));
        while (rows->next())
            lines.push_back({rows->integer(0), rows->text(1), LogLevel(rows->integer(2)), rows->text(3)});
        std::reverse(lines.begin(), lines.end());
        return lines;
    });
}

// --- Artifacts ---

namespace {

// Content that was there already was removed, as unused, between finding it and naming it in the database.
class FileVanished : public core::StorageError {
public:
    using core::StorageError::StorageError;
};

// Adds again what can be produced again.
Artifact addedAgain(const std::function<Artifact()>& add)
{
    for (int attempt = 0;; ++attempt) {
        try {
            return add();
        } catch (const FileVanished&) {
            if (attempt == 50)
                throw;
        }
    }
}

}  // namespace

Artifact Workspace::Private::addArtifact(std::optional<RunId> run, std::optional<std::int64_t> analysis, const ArtifactSpec& spec,
                                         const Produce& produce)
{
    Writer& thread = writing();
    const ArtifactFiles::Stored stored = files.add(produce);
    std::vector<std::string> replaced;
    Artifact artifact = thread.callFor<Artifact>([&](Writer::Call& call) {
        if (run)
            requireRun(call.connection, *run);
        if (analysis)
            requireAnalysis(call.connection, *analysis);
        // Another process may have removed the same content, no longer in use there, since it was stored.
        if (!std::filesystem::exists(files.path(stored.hash)))
            throw FileVanished(fmt::format("artifact \"{}\": its file was removed by another process; try again", spec.name));
        const std::string owner = run ? "run = ? AND name = ?" : "analysis = ? AND name = ?";
        const auto old = call.connection.query("SELECT hash FROM artifacts WHERE " + owner, run ? *run : *analysis, spec.name);
        while (old->next())
            replaced.push_back(old->text(0));
        call.connection.execute("DELETE FROM artifacts WHERE " + owner, run ? *run : *analysis, spec.name);
        const std::string now = core::isoTimeNow();
        call.connection.execute("INSERT INTO artifacts(run, analysis, name, media_type, step, hash, bytes, created) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                                run, analysis, spec.name, spec.mediaType, spec.step, stored.hash, stored.bytes, now);
        call.change.artifacts = true;
        if (run)
            call.change.runs = {*run};
        return Artifact{spec, call.connection.lastId(), run, analysis, stored.hash, stored.bytes, now};
    });
    std::erase(replaced, stored.hash);
    removeUnused(replaced);
    return artifact;
}

Artifact Workspace::addArtifact(RunId run, const ArtifactSpec& spec, std::string_view content)
{
    return addedAgain([&] { return d->addArtifact(run, {}, spec, [&](const Write& write) { write(content); }); });
}

Artifact Workspace::addArtifact(RunId run, const ArtifactSpec& spec, const std::function<void(const Write&)>& produce)
{
    return d->addArtifact(run, {}, spec, produce);
}

Artifact Workspace::addArtifactFile(RunId run, const ArtifactSpec& spec, const std::filesystem::path& file)
{
    return addedAgain([&] { return d->addArtifact(run, {}, spec, [&](const Write& write) { copyFileTo(file, write); }); });
}

Artifact Workspace::addAnalysisArtifact(std::int64_t analysis, const ArtifactSpec& spec, std::string_view content)
{
    return addedAgain([&] { return d->addArtifact({}, analysis, spec, [&](const Write& write) { write(content); }); });
}

std::vector<Artifact> Workspace::artifacts(RunId run) const
{
    return d->readers.with([&](Connection& connection) {
        return artifactsOf(*connection.query(std::string(kArtifactColumns) + "WHERE run = ? ORDER BY step IS NULL, step, id", run));
    });
}

std::optional<Artifact> Workspace::findArtifact(RunId run, const std::string& name) const
{
    return d->readers.with([&](Connection& connection) -> std::optional<Artifact> {
        const auto row = connection.query(std::string(kArtifactColumns) + "WHERE run = ? AND name = ?", run, name);
        return row->next() ? std::optional(artifactOf(*row)) : std::nullopt;
    });
}

std::filesystem::path Workspace::artifactPath(const Artifact& artifact) const
{
    const std::filesystem::path file = d->files.path(artifact.hash);
    std::error_code none;
    if (!std::filesystem::is_regular_file(file, none))
        throw core::StorageError(fmt::format("{}: the file of artifact \"{}\" is missing", file.string(), artifact.name));
    return file;
}

std::filesystem::path Workspace::artifactPath(const std::string& hash) const
{
    Artifact artifact;
    artifact.name = artifact.hash = hash;
    return artifactPath(artifact);
}

std::string Workspace::readArtifact(const Artifact& artifact) const
{
    const std::filesystem::path file = artifactPath(artifact);
    std::string content = core::readFile(file, std::uint64_t(1) << 40);
    if (core::hashHex(content) != artifact.hash)
        throw core::StorageError(fmt::format("{}: artifact \"{}\" is damaged: expected {} bytes with hash {}, found {} bytes with another",
                                             file.string(), artifact.name, artifact.bytes, artifact.hash, content.size()));
    return content;
}

void Workspace::removeArtifact(RunId run, const std::string& name)
{
    std::vector<std::string> removed;
    d->changeRun(
        run,
        [&](Writer::Call& call) {
            const auto rows = call.connection.query("SELECT hash FROM artifacts WHERE run = ? AND name = ?", run, name);
            while (rows->next())
                removed.push_back(rows->text(0));
            call.connection.execute("DELETE FROM artifacts WHERE run = ? AND name = ?", run, name);
            call.change.artifacts = true;
        },
        false);
    d->removeUnused(removed);
}

// --- Analyses ---

std::int64_t Workspace::addAnalysis(const NewAnalysis& analysis)
{
    return d->writing().callFor<std::int64_t>([&](Writer::Call& call) {
        if (analysis.run) {
            requireRun(call.connection, *analysis.run);
            call.change.runs = {*analysis.run};
        }
        call.connection.execute("INSERT INTO analyses(run, method, inputs, parameters, results, seconds, created) VALUES(?, ?, ?, ?, ?, ?, ?)",
                                analysis.run, analysis.method, analysis.inputs, analysis.parameters, analysis.results, analysis.seconds,
                                core::isoTimeNow());
        call.change.analyses = true;
        return call.connection.lastId();
    });
}

void Workspace::removeAnalysis(std::int64_t analysis)
{
    std::vector<std::string> hashes;
    d->writing().call([&](Writer::Call& call) {
        requireAnalysis(call.connection, analysis);
        hashes = hashesOf(call.connection, "analysis = ?", analysis);
        call.connection.execute("DELETE FROM analyses WHERE id = ?", analysis);
        call.change.analyses = true;
    });
    d->removeUnused(hashes);
}

Analysis Workspace::analysis(std::int64_t analysis) const
{
    return d->readers.with([&](Connection& connection) {
        requireAnalysis(connection, analysis);
        const auto row = connection.query(std::string(kAnalysisColumns) + "WHERE id = ?", analysis);
        row->next();
        return analysisOf(connection, *row);
    });
}

std::vector<Analysis> Workspace::analyses(std::optional<RunId> run, const std::string& method) const
{
    return d->readers.with([&](Connection& connection) {
        std::vector<Analysis> analyses;
        const auto rows = connection.query(
            std::string(kAnalysisColumns) + "WHERE (?1 IS NULL OR run = ?1) AND (?2 = '' OR method = ?2) ORDER BY id DESC", run, method);
        while (rows->next())
            analyses.push_back(analysisOf(connection, *rows));
        return analyses;
    });
}

// --- Check ---

std::vector<std::string> Workspace::check() const
{
    std::vector<std::string> problems;
    d->readers.with([&](Connection& connection) {
        const auto rows = connection.query("PRAGMA integrity_check");
        while (rows->next())
            if (rows->text(0) != "ok")
                problems.push_back(fmt::format("{}: {}", d->file.string(), rows->text(0)));
        const auto artifacts = connection.query("SELECT hash, min(name) FROM artifacts GROUP BY hash");
        while (artifacts->next()) {
            const std::filesystem::path file = d->files.path(artifacts->text(0));
            if (!std::filesystem::exists(file))
                problems.push_back(fmt::format("{}: the file of artifact \"{}\" is missing", file.string(), artifacts->text(1)));
            else if (core::hashFileHex(file) != artifacts->text(0))
                problems.push_back(fmt::format("{}: artifact \"{}\" is damaged: its content has another hash", file.string(), artifacts->text(1)));
        }
    });
    return problems;
}

}  // namespace orrery::store
