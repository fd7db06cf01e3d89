#include "cli.h"

namespace orrery::cli {

const std::vector<Command>& commands()
{
    static const std::vector<Command> kCommands = {
        {"devices", "Processors, libtorch, the matrix product in use and its speed.", declareDevices},
        {"list", "Registered components, by family.", declareList},
        {"describe", "One component: summary, source, parameters, ports.", declareDescribe},
        {"selftest", "Numeric checks of this build on this machine.", declareSelftest},
        {"inspect", "Nodes, parameters, shapes, FLOPs and bytes of a model.", declareInspect},
        {"forward", "Run a model on arrays; write outputs and probed values.", declareForward},
        {"export", "Write a model as a file or folder of another format.", declareExport},
        {"debug", "Step through a run: breakpoints, values, edits, gradients.", declareDebug},
        {"diff", "What differs between two models: nodes, weights; the checkpoints of a run.", declareDiff},
        {"diff-run", "Run two models side by side and name the first value that differs.", declareDiffRun},
        {"profile", "Time, bytes and FLOPs of each node; flame chart, roofline, what could be fused.", declareProfile},
        {"check-graphs", "Random valid graphs: all ways to run one must agree.", declareCheckGraphs},
        {"expression", "A formula as a graph: rewritten, differentiated, evaluated, opened as a model.", declareExpression},
        {"evaluate", "Metrics of a model on a data set.", declareEvaluate},
        {"predict", "What a model says of one input: array, text or picture.", declarePredict},
        {"generate", "Write on from a text, token by token.", declareGenerate},
        {"train", "Train as an experiment document says.", declareTrain},
        {"sweep", "Train many variants of an experiment and find the best; go on with a sweep.", declareSweep},
        {"runs", "List, show, compare, tag, note, delete, export and import runs.", declareRuns},
        {"attribute", "Explain a prediction.", declareAttribute},
        {"patch", "Activation patching: which part of which value carries the answer.", declarePatch},
        {"lens", "Logit lens, future lens, logit attribution, attention patterns, induction heads and memorisation.", declareLens},
        {"intervene", "Change values inside a model and compare its answers.", declareIntervene},
        {"probe", "What can be read off a value by a linear map; PCA and UMAP of it.", declareProbe},
        {"compare-representations", "How alike the values of two models or checkpoints are (CKA, SVCCA, PWCCA).", declareCompareRepresentations},
        {"scene", "Point clouds, splats and radiance fields.", declareScene},
        {"scaling", "Scaling laws: fits, intervals, plans.", declareScaling},
        {"tokenize", "A text as tokens, tokenizers compared, and vocabularies learned from a text.", declareTokenize},
        {"report", "Write a report of runs, or a report document, as one HTML file; keep report documents.", declareReport},
        {"bench", "Measure speeds; JSON with --json.", declareBench},
        {"completion", "Print the completion script for bash.", declareCompletion},
        {"worker", "Does one job for another process.", declareWorker},
        {"read-model", "Reads one model file for another process.", declareReadModel},
    };
    return kCommands;
}

std::function<Exit(Session&)> declareGroup(CLI::App& app, const std::vector<Command>& subcommands, std::function<Exit(Session&)> otherwise)
{
    using Action = std::function<Exit(Session&)>;
    auto actions = std::make_shared<std::vector<std::pair<CLI::App*, Action>>>();
    app.require_subcommand(otherwise ? 0 : 1, 1);
    app.fallthrough();
    for (const auto& command : subcommands) {
        auto* sub = app.add_subcommand(command.name, command.summary);
        actions->emplace_back(sub, command.declare(*sub));
    }
    return [actions, otherwise = std::move(otherwise)](Session& session) {
        for (const auto& [sub, action] : *actions)
            if (sub->parsed())
                return action(session);
        return otherwise ? otherwise(session) : Exit::BadInput;  // CLI11 has asked for a required subcommand before
    };
}

}  // namespace orrery::cli
