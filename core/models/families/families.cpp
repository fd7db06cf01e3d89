// The one list of checkpoint families.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <core/base/error.h>
#include <core/base/text.h>

#include "family.h"

namespace orrery::models::families {
namespace {

/// Endings of the names in `architectures`; longer ones before those that end alike.
constexpr std::pair<std::string_view, Head> kEndings[] = {
    {"ForConditionalGeneration", Head::ConditionalGeneration},
    {"MTModel", Head::ConditionalGeneration},  // Marian's
    {"WithLMHeadModel", Head::ConditionalGeneration},
    {"ForCausalLM", Head::CausalLM},
    {"LMHeadModel", Head::CausalLM},
    {"ForMaskedLM", Head::MaskedLM},
    {"ForPreTraining", Head::PreTraining},
    {"ForSequenceClassification", Head::SequenceClassification},
    {"ForTokenClassification", Head::TokenClassification},
    {"ForQuestionAnswering", Head::QuestionAnswering},
    {"ForImageClassification", Head::ImageClassification},
    {"EncoderModel", Head::Encoder},
    {"Model", Head::Base},
};

std::string endingOf(Head head)
{
    for (const auto& [ending, each] : kEndings)
        if (each == head)
            return "..." + std::string(ending);
    return {};
}

}  // namespace

const std::vector<Family>& families()
{
    static const std::vector<Family> kFamilies = {
        gpt2Family(),   gptNeoxFamily(),     optFamily(),          llamaFamily(),    phiFamily(),        gptjFamily(),       bloomFamily(),
        falconFamily(), stablelmFamily(),    starcoder2Family(),   bertFamily(),     robertaFamily(),    distilbertFamily(), t5Family(),
        vitFamily(),    clipFamily(),        resnetFamily(),       convnextFamily(), convnextV2Family(), albertFamily(),     electraFamily(),
        mpnetFamily(),  modernBertFamily(),  debertaFamily(),      bartFamily(),     whisperFamily(),    swinFamily(),       siglipFamily(),
        dinov2Family(), mobileNetV2Family(), efficientNetFamily(),
    };
    return kFamilies;
}

const Family* findFamily(std::string_view modelType)
{
    for (const auto& family : families())
        if (std::find(family.modelTypes.begin(), family.modelTypes.end(), modelType) != family.modelTypes.end())
            return &family;
    return nullptr;
}

std::vector<std::string> knownModelTypes()
{
    std::vector<std::string> types;
    for (const auto& family : families())
        types.insert(types.end(), family.modelTypes.begin(), family.modelTypes.end());
    std::sort(types.begin(), types.end());
    return types;
}

std::optional<Head> headOf(std::string_view architecture)
{
    for (const auto& [ending, head] : kEndings)
        if (architecture.ends_with(ending))
            return head;
    return std::nullopt;
}

Head headOf(const Family& family, const Config& config)
{
    if (!config.has("architectures"))
        return family.heads.front();
    const auto& names = config.json().at("architectures");
    if (!names.is_array() || names.empty() || !names[0].is_string())
        config.fail("architectures", "a list of names");
    const auto name = names[0].get<std::string>();
    const auto head = headOf(name);
    if (head && std::find(family.heads.begin(), family.heads.end(), *head) != family.heads.end())
        return *head;
    std::vector<std::string> known;
    for (const Head each : family.heads)
        known.push_back(endingOf(each));
    throw core::InputError(
        fmt::format("{}: architectures: expected one of {} for {}, found {}", config.where(), core::join(known, ", "), family.title, name));
}

graph::Model buildFamily(const Family& family, const Config& config, const std::set<std::string>& keepInputs)
{
    return family.build({config, headOf(family, config), keepInputs});
}

}  // namespace orrery::models::families
