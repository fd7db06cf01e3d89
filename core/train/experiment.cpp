#include "experiment.h"

#include <algorithm>
#include <fmt/format.h>
#include <mutex>

#include <core/base/hash.h>
#include <core/base/registry.h>
#include <core/base/text.h>
#include <core/data/augmentation.h>
#include <core/data/label_tables.h>
#include <core/data/masking.h>
#include <core/models/open_model.h>
#include <core/zoo/zoo.h>

#include "catalogue.h"
#include "defaults.h"
#include "document_file.h"
#include "folder_tokenizer.h"
#include "splat_learner.h"

namespace orrery::train {
namespace {

using core::Issue;
using core::Json;

core::Schema checkpointSchema()
{
    using namespace core;
    return {integer("every", 100, "Steps between checkpoints; null: at each evaluation").atLeast(1).noneByDefault(),
            integer("keep", 2, "How many of the last checkpoints stay").range(1, 1000),
            core::text("best", "auto", "Metric that says which weights are best (\"val/accuracy\"); auto: the validation loss; null: none").orNone(),
            choice("use", {"best", "last"}, "best", "Weights that are tested and kept at the end")};
}

core::Schema trainSchema()
{
    using namespace core;
    core::Schema checkpoint = checkpointSchema();
    core::Schema out{
        integer("epochs", 10, "Passes over the training part").atLeast(1).noneByDefault(),
        integer("steps", 1000, "Optimizer steps, instead of epochs").atLeast(1).noneByDefault(),
        integer("batch_size", 32, "Samples a batch").range(1, 1 << 24).log(),
        integer("max_tokens", 4096, "Tokens a batch holds at most, padding counted: samples of like length come together; null: batch_size samples")
            .range(1, 1 << 28)
            .withUnit("tokens")
            .noneByDefault(),
        integer("eval_batch_size", 256, "Samples a batch in evaluation; null: 256 (tokens: batch_size)").range(1, 1 << 24).noneByDefault(),
        component("optimizer", "optimizer", "adamw", "How weights follow their gradients"),
        component("schedule", "schedule", "constant", "How the learning rate changes"),
        integer("warmup", 0, "Steps in which the learning rate first rises").atLeast(0).withUnit("steps"),
        component("loss", "loss", nullptr, "What is minimised; auto: by the data's task").noneByDefault(),
        list("metrics", component("", "metric", nullptr, ""), nullptr, "What is measured in evaluation; auto: by the data's task").noneByDefault(),
        real("clip_norm", 1, "Largest norm of all gradients together").above(0).noneByDefault(),
        integer("accumulate", 1, "Batches whose gradients make one step").range(1, 1 << 20),
        real("ema_decay", 0.999, "Decay of a running average of the weights, which is then evaluated and kept").range(0, 1).noneByDefault(),
        list("weight_decay_exclude", core::text("", "", ""), Json::array(), "Patterns of parameter names that do not decay (\"**.bias\")"),
        integer("evaluate_every", 100, "Steps between evaluations; null: each epoch, or a tenth of the steps").atLeast(1).noneByDefault(),
        integer("evaluate_samples", 1000, "Evaluate at most so many validation samples, evenly spread; null: all").atLeast(1).noneByDefault(),
        integer("test_samples", 1000, "Test on at most so many samples, evenly spread; null: all").atLeast(1).noneByDefault(),
        group("checkpoint", std::move(checkpoint), "When the state is saved"),
        core::text("device", "auto", "auto, cpu, cuda or cuda:N"),
        choice("dtype", {"float32", "float64", "bfloat16"}, "float32", "Type that weights and values have"),
        choice("autocast", {"bfloat16"}, "bfloat16",
               "Mixed precision: linear layers and convolutions compute in this type, all else and the weights in float32; null: everything in dtype")
            .noneByDefault(),
        integer("threads", 0, "Threads; 0: as many as the job is given").range(0, 1024),
    };
    return out;
}

/// @param modelIsText  The model is a MODEL text: it is not a component.
core::Schema makeSchema(bool modelIsText)
{
    using namespace core;
    return {core::text("name", "experiment", "What the run is called"),
            integer("seed", 0, "Decides initial weights, order of samples and dropout").range(0, 9007199254740991.0),
            modelIsText ? required(core::text("model", "", "MODEL: a file, a folder, zoo:NAME?key=value or run:ID"))
                        : required(component("model", "model", nullptr, "Architecture, or any MODEL")),
            required(component("data", "data", nullptr, "Data set")),
            group("train", trainSchema(), "Training"),
            list("analyses", any("", nullptr, ""), Json::array(), "Analyses to run on the result"),
            list("tags", core::text("", "", ""), Json::array(), "Tags of the run"),
            core::text("notes", "", "Notes on the run"),
            core::text("data_hash", "", "Hash of the data this was resolved with; other data is refused").noneByDefault()};
}

void addFamilies()
{
    static std::once_flag once;
    std::call_once(once, [] {
        for (const core::RegistryBase* registry : std::initializer_list<const core::RegistryBase*>{
                 &zoo::zooRegistry(), &data::dataRegistry(), &data::augmentationRegistry(), &optimizers(), &schedules(), &losses(), &metrics()})
            core::addFamily(*registry);
    });
}

bool isOpen(const Json& object, const std::string& key)
{
    const auto found = object.find(key);
    return found == object.end() || found->is_null() || (found->is_string() && *found == "auto");
}

bool isModelText(const Json& document)
{
    const auto model = document.is_object() ? document.find("model") : document.end();
    return document.is_object() && model != document.end() && model->is_string() && !zoo::zooRegistry().find(model->get<std::string>()) &&
           model->get_ref<const std::string&>().find_first_of(":./\\") != std::string::npos;
}

/// Spellings that mean the same are made one: `zoo:NAME?...` and `"auto"`.
Json normalised(Json document)
{
    if (!document.is_object())
        return document;
    if (document.contains("sweep"))
        throw core::DocumentError(
            std::vector<Issue>{{"sweep", "is no part of one experiment: a document with a sweep is run by `orrery-cli sweep`"}});
    if (const auto model = document.find("model"); model != document.end() && model->is_string() && zoo::isZooReference(model->get<std::string>())) {
        try {
            const zoo::ZooReference reference = zoo::parseZooReference(model->get<std::string>());
            Json component{{"id", reference.id}};
            // What stands at its default may still come from the data.
            for (const auto& [key, value] : reference.parameters.items())
                if (const core::Parameter* parameter = zoo::zooRegistry().at(reference.id).schema.find(key);
                    !parameter || parameter->defaultValue != value)
                    component[key] = value;
            *model = std::move(component);
        } catch (const core::InputError& error) {
            throw core::DocumentError(std::vector<Issue>{{"model", error.what()}});
        }
    }
    if (const auto train = document.find("train"); train != document.end() && train->is_object())
        for (const char* key : {"loss", "metrics", "epochs", "steps", "eval_batch_size", "evaluate_every"})
            if (const auto value = train->find(key); value != train->end() && *value == "auto")
                *value = nullptr;
    return document;
}

/// What the data says about a model's parameter of that name; null: nothing.
Json factOf(const std::string& parameter, const data::DataInfo& info)
{
    const auto& shape = info.inputShape;
    const bool image = info.kind == data::DataKind::Image && shape.size() == 3, tokens = info.kind == data::DataKind::Tokens;
    if (parameter == "channels" && image)
        return shape[0];
    if (parameter == "image_size" && image && shape[1] == shape[2])
        return shape[1];
    if (parameter == "features" && info.kind == data::DataKind::Table && shape.size() == 1)
        return shape[0];
    if (parameter == "vocabulary" && tokens)
        return info.vocabularySize;
    if (parameter == "block_length" && tokens && shape.size() == 1)
        return shape[0];
    if (parameter == "classes" && info.outputSize > 0 && info.task != data::Task::NextToken)
        return info.outputSize;
    if (parameter == "task" && info.task == data::Task::Regression && !data::holdsLabels(info))
        return "regression";
    return nullptr;
}

/// Parameters that the data decides: filled in where open.
void derive(Json& model, const core::Schema& schema, const data::DataInfo& info)
{
    for (const core::Parameter& parameter : schema.parameters()) {
        if (!isOpen(model, parameter.name))
            continue;
        if (const Json fact = factOf(parameter.name, info); !fact.is_null())
            model[parameter.name] = fact;
        else if (!parameter.optional)
            model.erase(parameter.name);
    }
}

/// What was given must not contradict the data. A vocabulary or block may be larger than needed.
void checkFacts(const Json& model, const data::DataInfo& info, std::vector<Issue>& issues)
{
    for (const auto& [key, value] : model.items()) {
        const Json fact = factOf(key, info);
        if (fact.is_null() || value == fact || !value.is_number())
            continue;
        const bool atLeast = key == "vocabulary" || key == "block_length";
        if (!atLeast || value < fact)
            issues.push_back({"model." + key, fmt::format("expected {}{}, as the data \"{}\" has, got {}", atLeast ? "at least " : "", fact.dump(),
                                                          info.id, value.dump())});
    }
}

/// A model component with open parameters taken from the data, before the schema sees it (which knows no "auto").
void deriveModel(Json& document, const data::DataInfo& info)
{
    const auto found = document.find("model");
    if (found == document.end() || isModelText(document))
        return;
    Json model = found->is_string() ? Json{{"id", *found}} : *found;
    if (!model.is_object() || !model.contains("id") || !model["id"].is_string())
        return;
    if (const core::Component* component = zoo::zooRegistry().find(model["id"].get<std::string>())) {
        derive(model, component->schema, info);
        *found = std::move(model);
    }
}

/// Targets are whole pictures: heavy, and not all of one size.
bool holdsPictures(const data::DataInfo& info)
{
    return info.target.axes.size() == 4;
}

void fillTrain(Json& train, const data::DataInfo& info)
{
    if (isOpen(train, "epochs") && isOpen(train, "steps"))
        train["epochs"] = 10;
    if (isOpen(train, "loss"))
        train["loss"] = defaultLoss(info);
    if (isOpen(train, "metrics"))
        train["metrics"] = defaultMetrics(info);
    if (isOpen(train, "eval_batch_size"))
        train["eval_batch_size"] = holdsPictures(info)                   ? Json(1)
                                   : info.kind == data::DataKind::Tokens ? train.value("batch_size", Json(32))
                                                                         : Json(256);
}

// --- Links ---

core::Port asClassIndex(core::Port port)
{
    // The number of the next token is the index of its class.
    if (port.kind == "token_id")
        port.kind = "class_index";
    return port;
}

void link(const core::Port& from, const core::Port& to, const std::string& place, std::vector<Issue>& issues)
{
    if (const auto reason = core::whyNotLinked(from, to))
        issues.push_back({place, *reason});
}

core::Port modelOutput(const Json& document)
{
    const core::Component* component = document["model"].is_object() ? zoo::zooRegistry().find(document["model"]["id"].get<std::string>()) : nullptr;
    return component && !component->outputs.empty() ? component->outputs[0] : core::Port{"output", "any", {"..."}};
}

void checkModelInput(const Json& document, const data::DataInfo& info, std::vector<Issue>& issues)
{
    if (!document["model"].is_object())
        return;
    const core::Component& model = zoo::zooRegistry().at(document["model"]["id"].get<std::string>());
    if (model.inputs.size() != info.inputs.size())
        issues.push_back({"model", fmt::format("expected a model with {} inputs, as the data \"{}\" has, got \"{}\" with {}", info.inputs.size(),
                                               info.id, model.id, model.inputs.size())});
    else
        for (std::size_t i = 0; i < model.inputs.size(); ++i)
            link(info.inputs[i], model.inputs[i], "model", issues);
}

/// An encoder sees the tokens that come next: told to predict them it would only copy.
void checkObjective(const Json& document, const data::DataInfo& info, std::vector<Issue>& issues)
{
    const bool fillsMasks = document["model"].is_object() && document["model"]["id"] == "bert";
    if (fillsMasks && info.task == data::Task::NextToken && !data::predictsMaskedTokens(info))
        issues.push_back({"data.objective", "expected masked with the model \"bert\", which sees the whole text, got the next token"});
}

void checkLinks(const Json& document, const data::DataInfo& info, std::vector<Issue>& issues)
{
    if (info.task == data::Task::None) {
        issues.push_back({"data", fmt::format("expected data with targets, got \"{}\" without", info.id)});
        return;
    }
    checkModelInput(document, info, issues);
    checkObjective(document, info, issues);
    const core::Port output = modelOutput(document), target = asClassIndex(info.target);
    const Json& train = document["train"];
    const auto check = [&](const core::Component& component, const std::string& place) {
        link(output, component.inputs[0], place, issues);
        link(target, component.inputs[1], place, issues);
    };
    check(losses().at(train["loss"]["id"].get<std::string>()), "train.loss");
    for (std::size_t i = 0; i < train["metrics"].size(); ++i)
        check(metrics().at(train["metrics"][i]["id"].get<std::string>()), fmt::format("train.metrics[{}]", i));
}

// --- Rules that one parameter alone does not show ---

void checkDevice(const std::string& device, std::vector<Issue>& issues)
{
    static const std::vector<std::string> kNames{"auto", "cpu", "cuda"};
    const bool numbered =
        device.starts_with("cuda:") && device.size() > 5 && device.find_first_not_of("0123456789", 5) == std::string::npos && device.size() < 8;
    if (!numbered && std::find(kNames.begin(), kNames.end(), device) == kNames.end())
        issues.push_back({"train.device", fmt::format("expected auto, cpu, cuda or cuda:N, got \"{}\"{}", device, core::didYouMean(device, kNames))});
}

/// The kernel and the mean field are limits of gradient descent: how fast tensors go under optimizers that divide by the gradients' size is not defined.
void checkParametrisation(const Json& document, std::vector<Issue>& issues)
{
    const std::string kind = document["model"].is_object() ? document["model"].value("parametrisation", "standard") : "standard";
    const Json& optimizer = document["train"]["optimizer"]["id"];
    if ((kind == "ntk" || kind == "mean_field") && optimizer != "sgd")
        issues.push_back({"train.optimizer", fmt::format("expected sgd with the parametrisation {}, got {}", kind, optimizer.dump())});
}

void checkRules(const Json& document, std::vector<Issue>& issues)
{
    const Json& train = document["train"];
    checkParametrisation(document, issues);
    if (!train["epochs"].is_null() && !train["steps"].is_null())
        issues.push_back({"train.steps", "expected epochs or steps, got both"});
    checkDevice(train["device"].get<std::string>(), issues);
    if (!train["autocast"].is_null() && train["dtype"] != "float32")
        issues.push_back({"train.autocast", fmt::format("expected the dtype float32 beside it, got {}", train["dtype"].dump())});
    const Json& best = train["checkpoint"]["best"];
    if (best.is_string() && best != "auto" && !best.get<std::string>().starts_with("val/"))
        issues.push_back(
            {"train.checkpoint.best", fmt::format("expected a metric of the validation part such as \"val/loss\", got {}", best.dump())});
}

void throwIf(std::vector<Issue> issues)
{
    if (!issues.empty())
        throw core::DocumentError(std::move(issues));
}

data::DataSetPtr openDocumentData(const Json& document, const std::filesystem::path& folder)
{
    const auto data = document.is_object() ? document.find("data") : document.end();
    if (!document.is_object() || data == document.end())
        return nullptr;
    std::vector<Issue> issues;
    const core::Schema schema{core::required(core::component("data", "data", nullptr, ""))};
    const Json checked = schema.check({{"data", *data}}, "", issues);
    return issues.empty() ? data::openData(checked["data"], folder) : nullptr;
}

}  // namespace

Json defaultLoss(const data::DataInfo& info)
{
    if (holdsPictures(info))
        return "l1_ssim";
    if (data::holdsLabels(info))
        return "masked_binary_cross_entropy";
    return info.task == data::Task::Regression ? "mse" : "cross_entropy";
}

Json defaultMetrics(const data::DataInfo& info)
{
    if (holdsPictures(info))
        return {"loss", "psnr"};
    if (data::holdsLabels(info))
        return {"loss", {{"id", "label_auc"}, {"labels", info.targetNames}}};
    switch (info.task) {
    case data::Task::Regression: return {"loss", "mae", "rmse", "r2"};
    case data::Task::NextToken: return data::predictsMaskedTokens(info) ? Json{"loss", "accuracy"} : Json{"loss", "bits_per_character"};
    default: break;
    }
    Json out{"loss", "accuracy", "f1", "confusion_matrix"};
    if (info.classNames.size() == 2)
        out.push_back("roc_auc");
    return out;
}

const core::Schema& experimentSchema()
{
    addFamilies();
    static const core::Schema schema = makeSchema(false);
    return schema;
}

std::vector<Issue> quickCheck(const Json& given)
{
    addFamilies();
    std::vector<Issue> issues;
    try {
        Json document = normalised(given);
        if (document.is_object())
            deriveModel(document, data::DataInfo{});
        const Json checked = makeSchema(isModelText(document)).check(document, "", issues);
        if (issues.empty())
            checkRules(checked, issues);
    } catch (const core::DocumentError& error) {
        issues.insert(issues.end(), error.issues().begin(), error.issues().end());
    }
    return issues;
}

Experiment resolveExperiment(const Json& given, const std::filesystem::path& folder)
{
    addFamilies();
    Json document = normalised(given);
    if (isModelText(document))
        deriveTokenizer(document, folder);
    // The data is opened first: defaults depend on it. Where it cannot be, the schema's other issues are reported all the same.
    const data::DataSetPtr data = openDocumentData(document, folder);
    std::vector<Issue> issues;
    if (document.is_object()) {
        deriveModel(document, data ? data->info() : data::DataInfo{});
        fillSplats(document);
        if (Json& train = document["train"]; data && (train.is_null() || train.is_object()))
            fillTrain(train, data->info());
        if (document["train"].is_null())
            document["train"] = Json::object();
    }
    Experiment out{makeSchema(isModelText(document)).check(document, "", issues), data, folder};
    throwIf(issues);
    checkRules(out.document, issues);
    if (out.document["model"].is_object())
        checkFacts(out.document["model"], data->info(), issues);
    checkLinks(out.document, data->info(), issues);
    checkSplats(out.document, *data, issues);
    const Json& hash = out.document["data_hash"];
    if (hash.is_string() && hash != data->contentHash())
        issues.push_back({"data_hash", fmt::format("expected data with hash {}, but \"{}\" has {}: it is not the data of this document",
                                                   hash.get<std::string>(), data->info().id, data->contentHash())});
    throwIf(issues);
    out.document["data_hash"] = data->contentHash();
    return out;
}

Experiment readExperiment(const std::filesystem::path& file, const std::vector<std::string>& assignments)
{
    Json document = readDocument(file);
    for (const std::string& assignment : assignments)
        core::setByPath(document, assignment);
    try {
        return resolveExperiment(document, std::filesystem::absolute(file).parent_path());
    } catch (const core::DocumentError& error) {
        std::vector<Issue> issues = error.issues();
        for (Issue& issue : issues)
            issue.path = file.filename().string() + (issue.path.empty() ? "" : ": " + issue.path);
        throw core::DocumentError(std::move(issues));
    }
}

std::string experimentHash(const Json& resolved)
{
    Json decisive = resolved;
    for (const char* key : {"name", "tags", "notes"})
        decisive.erase(key);
    // What is not used decides nothing: a document keeps its hash when the schema gains a setting that is off by default.
    if (Json& data = decisive["data"]; data.is_object())
        for (const char* key : {"fraction", "objective"})
            if (data.contains(key) && data[key].is_null())
                data.erase(key);
    Json& train = decisive["train"];
    for (auto setting = train.begin(); setting != train.end();)
        setting = setting->is_null() ? train.erase(setting) : std::next(setting);
    if (Json& model = decisive["model"]; model.is_object() && model.value("parametrisation", "") == "standard")
        model.erase("parametrisation");
    return core::hashHex(decisive.dump());
}

graph::Model buildExperimentModel(const Experiment& experiment, const std::function<graph::Model(const std::string&)>& openModel)
{
    const Json& model = experiment.document["model"];
    if (model.is_object()) {
        Json parameters = model;
        parameters.erase("id");
        return zoo::buildModel(model["id"].get<std::string>(), parameters, experiment.document["seed"].get<std::uint64_t>());
    }
    std::string reference = model.get<std::string>();
    std::error_code ignored;
    if (const auto file = experiment.folder / reference; !experiment.folder.empty() && std::filesystem::exists(file, ignored))
        reference = file.string();
    return openModel ? openModel(reference) : models::openModel(reference);
}

data::LoaderOptions trainingLoader(const Json& train)
{
    data::LoaderOptions options;
    options.batchSize = train["batch_size"];
    const Json most = train.value("max_tokens", Json());
    options.maxTokens = most.is_null() ? 0 : most.get<std::int64_t>();
    return options;
}

TrainLength trainLength(const Json& resolved, const data::DataSet& data)
{
    const Json& train = resolved["train"];
    const auto accumulate = train["accumulate"].get<std::int64_t>();
    const std::int64_t batches = data::batchesPerEpoch(data, data.split(data::Split::Train), trainingLoader(train));
    TrainLength out;
    out.perEpoch = std::max<std::int64_t>(1, (batches + accumulate - 1) / accumulate);
    out.steps =
        train["steps"].is_null() ? (train["epochs"].get<std::int64_t>() * batches + accumulate - 1) / accumulate : train["steps"].get<std::int64_t>();
    return out;
}

}  // namespace orrery::train
