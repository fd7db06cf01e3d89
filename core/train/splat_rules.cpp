// What a document that trains Gaussians may say.
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/data/views.h>

#include "splat_learner.h"

namespace orrery::train {
namespace {

using core::Issue;
using core::Json;

constexpr const char* kSplatModel = "splats";
constexpr const char* kSplatLoss = "l1_ssim";

std::string idOf(const Json& object, const char* key)
{
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end())
        return {};
    if (found->is_string())
        return found->get<std::string>();
    return found->is_object() && found->contains("id") && (*found)["id"].is_string() ? (*found)["id"].get<std::string>() : std::string();
}

/// Settings of `train` that a training of Gaussians has no use for, and the value that leaves them out.
const std::vector<std::pair<const char*, Json>>& unusedSettings()
{
    static const std::vector<std::pair<const char*, Json>> list{
        {"batch_size", 1},      {"accumulate", 1},      {"max_tokens", nullptr},
        {"clip_norm", nullptr}, {"ema_decay", nullptr}, {"autocast", nullptr},
        {"dtype", "float32"},   {"warmup", 0},          {"weight_decay_exclude", Json::array()}};
    return list;
}

void checkPair(const std::string& model, const std::string& optimizer, const Json& document, std::vector<Issue>& issues)
{
    if (model == kSplatModel && optimizer != kSplatOptimizer)
        issues.push_back({"train.optimizer", fmt::format("expected {}, since the model is {}, got {}", kSplatOptimizer, kSplatModel, optimizer)});
    if (document["model"].is_object() && model != kSplatModel && optimizer == kSplatOptimizer)
        issues.push_back({"train.optimizer", fmt::format("expected an optimizer of tensors, since the model is {}, got {}", model, kSplatOptimizer)});
}

void checkSettings(const Json& train, std::vector<Issue>& issues)
{
    for (const auto& [key, unused] : unusedSettings())
        if (train[key] != unused)
            issues.push_back({fmt::format("train.{}", key), fmt::format("expected {}, since Gaussians are trained picture by picture by {}, got {}",
                                                                        unused.dump(), kSplatOptimizer, train[key].dump())});
    if (idOf(train, "schedule") != "constant")
        issues.push_back(
            {"train.schedule", fmt::format("expected constant, since {} has rates of its own, got {}", kSplatOptimizer, idOf(train, "schedule"))});
    if (idOf(train, "loss") != kSplatLoss)
        issues.push_back({"train.loss", fmt::format("expected {}, since the model is {}, got {}", kSplatLoss, kSplatModel, idOf(train, "loss"))});
    const auto device = train["device"].get<std::string>();
    if (device != "auto" && device != "cpu")
        issues.push_back({"train.device", fmt::format("expected auto or cpu: Gaussians are trained on the processor, got {}", device)});
}

}  // namespace

bool trainsSplats(const Json& document)
{
    return idOf(document.at("train"), "optimizer") == kSplatOptimizer;
}

void fillSplats(Json& document)
{
    if (!document.is_object() || (document.contains("train") && !document["train"].is_object() && !document["train"].is_null()))
        return;
    Json train = document.contains("train") && document["train"].is_object() ? document["train"] : Json::object();
    const bool isOpen = idOf(train, "optimizer").empty() && (!train.contains("optimizer") || train["optimizer"].is_null());
    if (isOpen && idOf(document, "model") == kSplatModel)
        train["optimizer"] = kSplatOptimizer;
    if (idOf(train, "optimizer") != kSplatOptimizer)
        return;
    if (!train.contains("batch_size") || train["batch_size"].is_null())
        train["batch_size"] = 1;
    document["train"] = std::move(train);
}

void checkSplats(const Json& document, const data::DataSet& data, std::vector<Issue>& issues)
{
    const auto model = idOf(document, "model"), optimizer = idOf(document["train"], "optimizer");
    checkPair(model, optimizer, document, issues);
    if (optimizer != kSplatOptimizer || (document["model"].is_object() && model != kSplatModel))
        return;
    checkSettings(document["train"], issues);
    if (!dynamic_cast<const data::ViewSet*>(&data))
        issues.push_back({"data", fmt::format("expected whole pictures with cameras (views), got {}", data.info().id)});
}

}  // namespace orrery::train
