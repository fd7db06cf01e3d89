#include "document_diff.h"

#include <algorithm>
#include <map>

namespace orrery::report {

using core::Json;

namespace {

bool isPlainList(const Json& value)
{
    return std::ranges::none_of(value, [](const Json& element) { return element.is_structured(); });
}

bool isLeaf(const Json& value)
{
    return !value.is_structured() || value.empty() || (value.is_array() && isPlainList(value));
}

std::string pathStep(const std::string& key)
{
    const bool plain = !key.empty() && key.find_first_of(".\"") == std::string::npos;
    return plain ? key : Json(key).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string joined(const std::string& path, const std::string& step)
{
    return path.empty() ? step : path + "." + step;
}

void flattenInto(std::vector<std::pair<std::string, Json>>& entries, const std::string& path, const Json& value)
{
    if (isLeaf(value)) {
        entries.emplace_back(path, value);
    } else if (value.is_object()) {
        for (const auto& [key, element] : value.items())
            flattenInto(entries, joined(path, pathStep(key)), element);
    } else {
        for (std::size_t i = 0; i < value.size(); ++i)
            flattenInto(entries, joined(path, std::to_string(i)), value[i]);
    }
}

}  // namespace

std::vector<std::pair<std::string, Json>> flattened(const Json& document)
{
    std::vector<std::pair<std::string, Json>> entries;
    if (!document.is_structured() || !document.empty())
        flattenInto(entries, "", document);
    return entries;
}

std::vector<DocumentDifference> differences(std::span<const Json> documents)
{
    std::vector<DocumentDifference> all;
    std::map<std::string, std::size_t> indexOfPath;
    for (std::size_t d = 0; d < documents.size(); ++d) {
        for (auto& [path, value] : flattened(documents[d])) {
            const auto [place, isNew] = indexOfPath.try_emplace(path, all.size());
            if (isNew)
                all.push_back({path, std::vector<std::optional<Json>>(documents.size())});
            all[place->second].values[d] = std::move(value);
        }
    }
    std::erase_if(all, [](const DocumentDifference& entry) {
        return std::ranges::all_of(entry.values, [&](const auto& value) { return value == entry.values.front(); });
    });
    return all;
}

std::string plainText(const Json& value)
{
    const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (!value.is_string())
        return text;
    const auto& bare = value.get_ref<const std::string&>();
    // "3" as text must not become the number 3 when it is read back.
    const bool readsAsItself = !bare.empty() && !Json::accept(bare) && bare.find_first_of("\n\r\t") == std::string::npos;
    return readsAsItself ? bare : text;
}

}  // namespace orrery::report
