#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <core/base/devices.h>
#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>

#include "cost_model.h"

namespace orrery::debug {
namespace {

constexpr int kCostModelVersion = 2;
constexpr std::uint64_t kMostBytes = std::uint64_t(64) << 20;

core::Json rowsToJson(const std::vector<CostRow>& rows)
{
    core::Json json = core::Json::array();
    for (const auto& row : rows)
        json.push_back({row.op, row.flops, row.bytes, row.parameterBytes, row.elements, row.width, row.seconds, row.round});
    return json;
}

std::vector<CostRow> rowsFromJson(const core::Json& json, const std::string& name)
{
    const auto isRow = [](const core::Json& row) {
        const bool numbers =
            row.is_array() && row.size() == 8 && row[0].is_string() &&
            std::all_of(row.begin() + 1, row.end() - 1, [](const auto& each) { return each.is_number() && each.template get<double>() >= 0; });
        return numbers && row[6].get<double>() > 0 && row[7].is_number_integer();
    };
    if (!json.is_array() || !std::all_of(json.begin(), json.end(), isRow))
        throw core::FormatError(name + ": cost model: expected rows of an operator and seven numbers, the sixth a time");
    std::vector<CostRow> rows;
    for (const auto& row : json)
        rows.push_back({row[0].get<std::string>(), row[1].get<double>(), row[2].get<double>(), row[3].get<double>(), row[4].get<double>(),
                        row[5].get<double>(), row[6].get<double>(), row[7].get<int>()});
    return rows;
}

}  // namespace

core::Json machineSignature()
{
    const auto devices = core::listDevices();
    return {{"processor", devices.front().name}, {"level", devices.front().level},    {"cores", devices.front().cores},
            {"libtorch", TORCH_VERSION},         {"product", core::gemmInUse().name}, {"threads", at::get_num_threads()}};
}

std::string machineDifference(const core::Json& machine)
{
    std::vector<std::string> differences;
    const core::Json signature = machineSignature();
    for (const auto& [key, here] : signature.items())
        if (!machine.is_object() || !machine.contains(key) || machine[key] != here)
            differences.push_back(fmt::format("{}: {}, fitted with {}", key, here.dump(),
                                              machine.is_object() && machine.contains(key) ? machine[key].dump() : "nothing"));
    return core::join(differences, "; ");
}

StoredCostModel makeCostModel(const TimingOptions& options, std::stop_token stop)
{
    StoredCostModel made;
    made.rows = timeOperators(options, stop);
    made.model = CostModel::fit(made.rows);
    made.heldOut = heldOut(made.rows);
    made.date = core::isoTimeNow();
    made.machine = machineSignature();
    return made;
}

core::Json StoredCostModel::toJson() const
{
    return {{"version", kCostModelVersion}, {"date", date}, {"machine", machine}, {"held_out", heldOut.toJson()}, {"model", model.toJson()},
            {"rows", rowsToJson(rows)}};
}

std::filesystem::path costModelFile()
{
    const auto folder = [](const char* variable) {
        const char* value = std::getenv(variable);
        return value && *value == '/' ? std::filesystem::path(value) : std::filesystem::path();
    };
    const auto cache = folder("XDG_CACHE_HOME"), home = folder("HOME");
    if (cache.empty() && home.empty())
        throw core::StorageError("cost model: neither XDG_CACHE_HOME nor HOME names a folder to keep it in");
    return (cache.empty() ? home / ".cache" : cache) / "orrery" / "cost-model.json";
}

void saveCostModel(const StoredCostModel& model, const std::filesystem::path& file)
{
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    if (error)
        throw core::StorageError(file.parent_path().string() + ": cannot be made: " + error.message());
    core::writeFileAtomically(file, model.toJson().dump());
}

std::optional<StoredCostModel> loadCostModel(const std::filesystem::path& file)
{
    if (!std::filesystem::exists(file))
        return std::nullopt;
    const std::string name = file.string();
    const core::Json json = core::Json::parse(core::readFile(file, kMostBytes), nullptr, false);
    if (!json.is_object() || json.value("version", core::Json()) != kCostModelVersion || !json.contains("model") || !json.contains("rows"))
        throw core::FormatError(
            fmt::format("{}: expected a cost model of version {}: fit it again with profile --cost-model fit", name, kCostModelVersion));
    StoredCostModel stored;
    stored.model = CostModel::fromJson(json["model"], name);
    stored.rows = rowsFromJson(json["rows"], name);
    stored.date = json.contains("date") && json["date"].is_string() ? json["date"].get<std::string>() : std::string();
    stored.machine = json.value("machine", core::Json::object());
    if (stored.rows.size() < 20)
        throw core::FormatError(name + ": cost model: expected at least 20 rows");
    stored.heldOut = heldOut(stored.rows);
    return stored;
}

}  // namespace orrery::debug
