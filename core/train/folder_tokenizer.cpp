#include "folder_tokenizer.h"

#include <core/base/files.h>
#include <core/data/dataset.h>
#include <core/text/tokenizer_files.h>

namespace orrery::train {

void deriveTokenizer(core::Json& document, const std::filesystem::path& folder)
{
    const auto found = document.find("data");
    if (found == document.end())
        return;
    core::Json data = found->is_string() ? core::Json{{"id", *found}} : *found;
    if (!data.is_object() || !data.contains("id") || !data["id"].is_string() || data.contains("tokenizer") || data.contains("vocabulary"))
        return;
    const core::Component* const set = data::dataRegistry().find(data["id"].get<std::string>());
    const auto& model = document["model"].get_ref<const std::string&>();
    const std::filesystem::path path = core::resolvePath(model, folder);
    std::error_code ignored;
    if (!set || !set->schema.find("tokenizer") || !std::filesystem::is_directory(path, ignored) || !orrery::text::holdsTokenizer(path))
        return;
    data["tokenizer"] = model;
    *found = std::move(data);
}

}  // namespace orrery::train
