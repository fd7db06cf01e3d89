#include <QtTest>

#include <SQLiteCpp/SQLiteCpp.h>

#include <cmath>

#include <core/base/rng.h>
#include <core/store/run_filter.h>

#include "store_test_support.h"

using namespace store_test;

namespace {

std::vector<RunId> found(const Workspace& workspace, const std::string& where)
{
    RunQuery query;
    query.where = where;
    std::vector<RunId> ids;
    for (const RunSummary& run : workspace.runs(query).runs)
        ids.push_back(run.id);
    return ids;
}

QString said(const Workspace& workspace, const std::string& where)
{
    return QString::fromStdString(messageOf<core::InputError>([&] { found(workspace, where); }));
}

/// What a query may ask of a run, gathered through other functions of the store than the query itself.
struct Known {
    RunRecord record;
    std::map<std::string, std::vector<double>> points;
};

std::string lower(std::string text)
{
    return core::lower(text);
}

/// The value of a full path, read straight from the JSON; nothing if it is not there.
std::optional<core::Json> valueAt(const core::Json& document, const std::string& path)
{
    core::Json at = document;
    for (const std::string& part : core::split(path, '.')) {
        if (at.is_array() && std::size_t(std::stoul(part)) < at.size())
            at = core::Json(at[std::stoul(part)]);
        else if (at.is_object() && at.contains(part))
            at = core::Json(at[part]);
        else
            return {};
    }
    return at.is_null() ? std::nullopt : std::optional(at);
}

bool compareNumbers(RunFilter::Comparison comparison, double value, double wanted)
{
    using Comparison = RunFilter::Comparison;
    switch (comparison) {
    case Comparison::Less: return value < wanted;
    case Comparison::LessOrEqual: return value <= wanted;
    case Comparison::Greater: return value > wanted;
    case Comparison::GreaterOrEqual: return value >= wanted;
    default: return value == wanted || (std::isnan(value) && std::isnan(wanted));
    }
}

/// A second evaluation of the language's words, over plain data: for the names that the test below uses.
bool holds(const RunFilter& filter, std::size_t index, const Known& run)
{
    using Comparison = RunFilter::Comparison;
    const RunFilter::Node& node = filter.nodes[index];
    const auto inside = [&](std::size_t argument) { return holds(filter, argument, run); };
    switch (node.kind) {
    case RunFilter::Kind::Not: return !inside(node.arguments[0]);
    case RunFilter::Kind::And: return std::all_of(node.arguments.begin(), node.arguments.end(), inside);
    case RunFilter::Kind::Or: return std::any_of(node.arguments.begin(), node.arguments.end(), inside);
    case RunFilter::Kind::Words: {
        const std::string word = lower(node.values[0].text);
        const auto has = [&](const std::string& text) { return contains(lower(text), word); };
        return has(run.record.name) || has(run.record.notes) || std::to_string(run.record.id) == word ||
               std::any_of(run.record.tags.begin(), run.record.tags.end(), has);
    }
    case RunFilter::Kind::Condition: break;
    }
    const auto any = [&](const auto& one) {
        return std::any_of(node.values.begin(), node.values.end(), one) != (node.comparison == Comparison::NotEqual);
    };
    if (node.field == "tag")
        return any([&](const auto& literal) {
            return std::any_of(run.record.tags.begin(), run.record.tags.end(), [&](const std::string& tag) {
                return node.comparison == Comparison::Contains ? contains(lower(tag), lower(literal.text)) : lower(tag) == lower(literal.text);
            });
        });
    if (node.field == "id")
        return any([&](const auto& literal) { return compareNumbers(node.comparison, double(run.record.id), *literal.number); });
    const std::size_t dot = node.field.rfind('.');
    const std::string metric = node.field.substr(0, dot);
    if (const auto points = run.points.find(metric); metric == "val/loss") {
        if (points == run.points.end())
            return false;
        double value = points->second.back();
        const std::string end = dot == std::string::npos ? "last" : node.field.substr(dot + 1);
        if (end == "first")
            value = points->second.front();
        for (const double point : points->second)
            if (!std::isnan(point) && (end == "min" || end == "max"))
                value = std::isnan(value) ? point : end == "min" ? std::min(value, point) : std::max(value, point);
        if (end == "min" || end == "max")
            for (const double point : points->second)
                value = std::isnan(value) ? point : value;
        return any([&](const auto& literal) { return compareNumbers(node.comparison, value, *literal.number); });
    }
    const auto value = valueAt(run.record.document, node.field);
    if (node.values[0].isNull)
        return value.has_value() == (node.comparison == Comparison::NotEqual);
    if (!value)
        return false;
    return any([&](const auto& literal) {
        if (value->is_number() && literal.number && node.comparison != Comparison::Contains)
            return compareNumbers(node.comparison, value->template get<double>(), *literal.number);
        const std::string text = value->is_string()    ? value->template get<std::string>()
                                 : value->is_boolean() ? (*value ? "true" : "false")
                                                       : value->dump();
        if (node.comparison == Comparison::Contains)
            return contains(lower(text), lower(literal.text));
        return !value->is_number() && lower(text) == lower(literal.text);
    });
}

/// Names and values of all kinds, some of them missing.
Known addRandomRun(Workspace& workspace, core::SplitMix64& random)
{
    NewRun run;
    run.name = random.below(2) ? "Digits wide" : "spirals";
    run.notes = random.below(4) ? "" : "looks GOOD";
    run.document = {{"model", {{"width", 16 << random.below(4)}}}, {"train", {{"optimizer", {{"lr", 0.001 * double(1 + random.below(9))}}}}}};
    if (random.below(3))
        run.document["model"]["kind"] = random.below(2) ? core::Json("MLP") : core::Json(7);
    if (random.below(2))
        run.document["model"]["bias"] = random.below(2) == 1;
    for (const char* tag : {"good", "baseline"})
        if (random.below(2))
            run.tags.push_back(tag);
    const RunId id = workspace.createRun(run);
    workspace.startRun(id);
    Known known;
    const auto points = random.below(5);
    for (std::uint64_t step = 0; step < points; ++step) {
        const double value = random.below(6) ? double(random.below(5)) / 4 : std::nan("");
        workspace.metric(id, "val/loss", std::int64_t(step), value);
        known.points["val/loss"].push_back(value);
    }
    workspace.flush();
    known.record = workspace.run(id);
    return known;
}

std::string randomCondition(core::SplitMix64& random)
{
    static const std::vector<std::string> kConditions = {"digits",
                                                         "good",
                                                         "3",
                                                         "tag = good",
                                                         "tag != BASELINE",
                                                         "tag ~ as",
                                                         "tag in (good, other)",
                                                         "id <= 20",
                                                         "id in (3, 5, 40)",
                                                         "val/loss < 0.6",
                                                         "val/loss.last >= 0.5",
                                                         "val/loss.first = 1",
                                                         "val/loss.first != 1",
                                                         "val/loss.min <= 0.25",
                                                         "val/loss.max > 0.7",
                                                         "val/loss = nan",
                                                         "val/loss != nan",
                                                         "model.width = 32",
                                                         "model.width in (16, 128)",
                                                         "model.width ~ 2",
                                                         "model.width > 30",
                                                         "train.optimizer.lr < 0.0045",
                                                         "model.kind = mlp",
                                                         "model.kind != 7",
                                                         "model.kind = null",
                                                         "model.kind != null",
                                                         "model.bias = true",
                                                         "model.bias != true"};
    return kConditions[random.below(kConditions.size())];
}

std::string randomQuery(core::SplitMix64& random, int depth)
{
    switch (depth > 0 ? random.below(5) : 4) {
    case 0: return "(" + randomQuery(random, depth - 1) + " or " + randomQuery(random, depth - 1) + ")";
    case 1: return "(" + randomQuery(random, depth - 1) + ") and " + randomQuery(random, depth - 1);
    case 2: return "not (" + randomQuery(random, depth - 1) + ")";
    case 3: return "(" + randomQuery(random, depth - 1) + ") " + randomCondition(random);
    default: return randomCondition(random);
    }
}

}  // namespace

class RunQueryTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void findsWhatASecondEvaluationFinds()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        core::SplitMix64 random(7);
        std::vector<Known> all;
        for (int i = 0; i < 60; ++i)
            all.push_back(addRandomRun(*workspace, random));
        int some = 0;
        for (int i = 0; i < 400; ++i) {
            const std::string where = randomQuery(random, 3);
            const RunFilter filter = parseRunFilter(where);
            std::vector<RunId> expected;
            for (const Known& run : all)
                if (holds(filter, filter.nodes.size() - 1, run))
                    expected.push_back(run.record.id);
            const auto got = found(*workspace, where);
            if (got != expected)
                qWarning("query: %s", where.c_str());
            QCOMPARE(got, expected);
            some += !expected.empty() && expected.size() < all.size();
        }
        // The comparison is worth something only where queries part the runs.
        QVERIFY2(some > 200, std::to_string(some).c_str());
    }

    void propertiesAreAskedFor()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId first = workspace->createRun(newRun("first"));
        NewRun child = newRun("second");
        child.parent = first;
        child.seed = 7;
        child.document["model"] = "other";
        const RunId second = workspace->createRun(child);
        workspace->startRun(second);
        workspace->setStatus(second, RunStatus::Failed, "out of memory");
        QCOMPARE(found(*workspace, "status = FAILED"), std::vector{second});
        QCOMPARE(found(*workspace, "status in (queued, running)"), std::vector{first});
        QCOMPARE(found(*workspace, "error ~ Memory"), std::vector{second});
        QCOMPARE(found(*workspace, "error = null"), std::vector{first});
        QCOMPARE(found(*workspace, "parent = " + std::to_string(first)), std::vector{second});
        QCOMPARE(found(*workspace, "parent = null"), std::vector{first});
        QCOMPARE(found(*workspace, "seed = 7"), std::vector{second});
        QCOMPARE(found(*workspace, "name = FIRST"), std::vector{first});
        QCOMPARE(found(*workspace, "name < s"), std::vector{first});
        const std::string hash = workspace->findRun(first)->documentHash;
        QCOMPARE(found(*workspace, "hash = " + hash.substr(0, 8)), std::vector{first});
        QCOMPARE(found(*workspace, "hash != " + hash), std::vector{second});
        const std::string day = workspace->findRun(first)->created.substr(0, 10);
        QCOMPARE(found(*workspace, "created = " + day).size(), std::size_t(2));
        QCOMPARE(found(*workspace, "created >= " + day).size(), std::size_t(2));
        QCOMPARE(found(*workspace, "created > " + day).size(), std::size_t(0));
        QCOMPARE(found(*workspace, "created < 2001").size(), std::size_t(0));
        QCOMPARE(found(*workspace, "started = null"), std::vector{first});
        QCOMPARE(found(*workspace, "ended >= " + day), std::vector{second});
        // A list's element, and the end of a path.
        QCOMPARE(found(*workspace, "layers.1 = 16").size(), std::size_t(2));
        QCOMPARE(found(*workspace, "optimizer = AdamW and lr < 0.01 and model = other"), std::vector{second});
        // What is written is bound, never part of the SQL.
        QCOMPARE(found(*workspace, "name = \"x' OR 1=1 --\"").size(), std::size_t(0));
    }

    void aRunWhoseProcessIsGoneCountsAsInterrupted()
    {
        const Folder folder;
        RunId run = 0;
        {
            const auto workspace = Workspace::open(folder / "w");
            run = workspace->createRun(newRun("a"));
            workspace->startRun(run);
            QCOMPARE(found(*workspace, "status = running"), std::vector{run});
        }
        const auto workspace = Workspace::open(folder / "w", OpenMode::ReadOnly);
        QCOMPARE(found(*workspace, "status = interrupted"), std::vector{run});
        QVERIFY(found(*workspace, "status = running").empty());
    }

    void wrongNamesAndValuesAreSaid()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        // Without any run no name can be wrong.
        QVERIFY(found(*workspace, "optimizer.lr < 1").empty());
        NewRun run = newRun("a");
        run.document["data"] = {{"augment", {{"lr", 3}}}};
        const RunId id = workspace->createRun(run);
        workspace->startRun(id);
        workspace->metric(id, "test/accuracy", 1, 0.5);
        workspace->flush();
        QCOMPARE(said(*workspace, "tag=x or optimzer.lr < 1"), QString("query \"tag=x or optimzer.lr < 1\", column 10: expected a field, found "
                                                                       "\"optimzer.lr\", which no run has; did you mean \"optimizer.lr\"?"));
        QCOMPARE(
            said(*workspace, "test/acuracy > 0"),
            QString(
                "query \"test/acuracy > 0\", column 1: expected a field, found \"test/acuracy\", which no run has; did you mean \"test/accuracy\"?"));
        QCOMPARE(said(*workspace, "lr < 1"),
                 QString("query \"lr < 1\", column 1: \"lr\" is the end of more than one path; expected one of data.augment.lr, train.optimizer.lr"));
        QCOMPARE(
            said(*workspace, "status = finishd"),
            QString(
                "query \"status = finishd\", column 10: expected a status (queued, running, paused, finished, failed, cancelled, interrupted), found "
                "\"finishd\"; did you mean \"finished\"?"));
        QCOMPARE(said(*workspace, "id = abc"), QString("query \"id = abc\", column 6: expected a number to compare id with, found \"abc\""));
        QCOMPARE(said(*workspace, "test/accuracy > high"),
                 QString("query \"test/accuracy > high\", column 17: expected a number to compare test/accuracy with, found \"high\""));
        QCOMPARE(said(*workspace, "test/accuracy ~ 1"),
                 QString("query \"test/accuracy ~ 1\", column 1: expected = != < <= > or >= for the number test/accuracy, found ~"));
        QCOMPARE(said(*workspace, "created > yesterday"),
                 QString("query \"created > yesterday\", column 11: expected a date such as 2026-11-25 or 2026-11-25T14:30, found \"yesterday\""));
        QCOMPARE(said(*workspace, "status < failed"),
                 QString("query \"status < failed\", column 1: expected =, !=, ~ or in for the status, which has no order"));
        QCOMPARE(said(*workspace, "id > null"),
                 QString("query \"id > null\", column 6: expected a value, found null, which only = and != can ask for"));
    }

    void fieldsAreThoseOfTheRunsThatThereAre()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        const auto names = [&] {
            std::vector<std::string> all;
            for (const RunField& field : workspace->runFields())
                if (field.kind == RunField::Kind::Document)
                    all.push_back(field.name);
            return all;
        };
        QCOMPARE(names(), (std::vector<std::string>{"layers.0", "layers.1", "model", "train.optimizer.id", "train.optimizer.lr"}));
        for (const RunField& field : workspace->runFields()) {
            if (field.name == "train.optimizer.id")
                QCOMPARE(field.values, std::vector<std::string>{"adamw"});
            if (field.name == "train.optimizer.lr")
                QVERIFY(field.isNumber && field.values == std::vector<std::string>{"0.001"});
        }
        // They go and come with the runs, through a file of exported runs as well.
        workspace->exportRuns(std::vector{id}, folder / "runs.orrery");
        workspace->deleteRuns(std::vector{id});
        QVERIFY(names().empty());
        const auto added = workspace->importRuns(folder / "runs.orrery");
        QCOMPARE(found(*workspace, "optimizer.lr = 0.001"), added);
    }

    void aWorkspaceOfAnOlderVersionIsIndexedWhenItIsOpened()
    {
        const Folder folder;
        RunId run = 0;
        {
            const auto workspace = Workspace::open(folder / "w");
            run = workspace->createRun(newRun("old"));
            workspace->createRun(newRun("older"));
        }
        {
            SQLite::Database database((folder / "w" / "orrery.db").string(), SQLite::OPEN_READWRITE);
            database.exec("DROP TABLE document_paths; DROP TABLE document_values; PRAGMA user_version = 3");
        }
        const auto workspace = Workspace::open(folder / "w");
        QCOMPARE(found(*workspace, "optimizer.lr = 0.001 and name = old"), std::vector{run});
        QVERIFY(workspace->check().empty());
    }

    void wordsAndOldConditionsHoldTogether()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        NewRun wide = newRun("wide");
        wide.tags = {"good"};
        const RunId first = workspace->createRun(wide);
        workspace->createRun(newRun("wide too"));
        RunQuery query;
        query.text = "wide";
        query.where = "tag = good";
        query.columns = {"train.optimizer.lr"};
        const RunList list = workspace->runs(query);
        QCOMPARE(list.matching, std::size_t(1));
        QCOMPARE(list.runs[0].id, first);
        QVERIFY(list.runs[0].columns.at("train.optimizer.lr") == 0.001);
    }

    void runsAreOrderedByValuesOfTheirDocuments()
    {
        QTemporaryDir folder;
        const auto workspace = Workspace::open(folder.path().toStdString());
        const auto add = [&](const core::Json& lr, const char* model) {
            core::Json document{{"model", {{"id", model}}}, {"train", {{"optimizer", {{"lr", lr}}}, {"extra", {{"lr", 1}}}}}};
            if (lr.is_null())
                document["train"].erase("optimizer");
            NewRun run = newRun("r");
            run.document = document;
            return workspace->createRun(run);
        };
        const RunId large = add(0.5, "vit"), none = add(nullptr, "mlp"), small = add(0.001, "gpt"), text = add("auto", "mlp"),
                    middle = add(0.01, "lenet");
        const auto order = [&](const std::string& by, bool descending) {
            RunQuery query;
            query.orderBy = by;
            query.descending = descending;
            std::vector<RunId> ids;
            for (const RunSummary& run : workspace->runs(query).runs)
                ids.push_back(run.id);
            return ids;
        };
        using Ids = std::vector<RunId>;
        QCOMPARE(order("train.optimizer.lr", false), (Ids{small, middle, large, text, none}));
        QCOMPARE(order("train.optimizer.lr", true), (Ids{text, large, middle, small, none}));
        QCOMPARE(order("model.id", false), (Ids{small, middle, none, text, large}));
        // An ending is enough where it says which path is meant.
        QCOMPARE(order("optimizer.lr", false), (Ids{small, middle, large, text, none}));
        QCOMPARE(order("lr", false), (Ids{large, none, small, text, middle}));
    }
};

QTEST_APPLESS_MAIN(RunQueryTest)
#include "run_query_test.moc"
