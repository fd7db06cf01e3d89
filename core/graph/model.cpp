#include "model.h"

#include <core/base/error.h>

namespace orrery::graph {

core::Json ModelCard::toJson() const
{
    core::Json inputList = core::Json::array();
    for (const auto& input : inputs)
        inputList.push_back(
            {{"name", input.name}, {"kind", input.kind}, {"dtype", input.dtype}, {"shape", input.shape}, {"preprocessing", input.preprocessing}});
    return {{"title", title},
            {"task", task},
            {"inputs", std::move(inputList)},
            {"class_names", classNames},
            {"feature_names", featureNames},
            {"tokenizer", tokenizer},
            {"canonical_names", canonicalNames},
            {"example", example}};
}

ModelCard ModelCard::fromJson(const core::Json& json)
{
    ModelCard card;
    try {
        card.title = json.value("title", "");
        card.task = json.value("task", "");
        for (const auto& each : json.value("inputs", core::Json::array())) {
            Input input;
            input.name = each.at("name").get<std::string>();
            input.kind = each.value("kind", "float");
            input.dtype = each.value("dtype", "float32");
            input.shape = each.value("shape", std::vector<std::string>());
            input.preprocessing = each.value("preprocessing", core::Json());
            card.inputs.push_back(std::move(input));
        }
        card.classNames = json.value("class_names", std::vector<std::string>());
        card.featureNames = json.value("feature_names", std::vector<std::string>());
        card.tokenizer = json.value("tokenizer", core::Json());
        card.canonicalNames = json.value("canonical_names", std::map<std::string, std::string>());
        card.example = json.value("example", core::Json());
    } catch (const nlohmann::json::exception& error) {
        throw core::FormatError(fmt::format("model card: {}", error.what()));
    }
    return card;
}

}  // namespace orrery::graph
