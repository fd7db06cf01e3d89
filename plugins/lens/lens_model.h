#pragma once
#include <QString>
#include <QStringList>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <core/data/dataset.h>
#include <core/graph/model.h>
#include <core/intervene/lens_methods.h>
#include <core/store/workspace.h>
#include <core/train/text_batch.h>
#include <widgets/kept_model.h>

namespace orrery::plugins {

/// What is looked at: a model, perhaps as it was at a checkpoint, and a sequence of tokens.
struct LensWanted {
    QString model;                        ///< MODEL argument without a step
    std::optional<qint64> step;           ///< checkpoint of `run:ID`; nothing: the model as it is
    std::vector<train::GivenText> texts;  ///< at most one, read by the model's tokenizer; empty: a sample
    core::Json data;                      ///< data document; null: the data of `run`
    std::optional<qint64> run;
    QString split = QStringLiteral("test");
    qint64 sample = 0;
    QStringList models;  ///< all that can be chosen: runs among them are put in order of size
    bool operator==(const LensWanted&) const = default;
    /// The MODEL argument with its step.
    QString argument() const;
    bool hasData() const { return run || !data.is_null(); }
};

/// A run among those that can be chosen.
struct LensSize {
    QString model;
    std::int64_t parameters = 0;
    std::string dataOrder;  ///< see train::dataOrderHash; empty: not kept
    bool operator==(const LensSize&) const = default;
};

/// Opened. Immutable; shared with jobs.
struct LensPrepared {
    LensWanted wanted;  ///< with the step that was found: of a run without that checkpoint the nearest one
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    data::DataSetPtr data;  ///< null for a text without it
    core::Json dataDocument;
    at::Tensor tokens;              ///< [1, position]; undefined without input
    std::vector<c10::IValue> more;  ///< what the model reads with the tokens: attention_mask, token_type_ids of a pair
    bool readsPairs = false;        ///< two texts that belong together mean something to it
    QStringList names;              ///< of the tokens, as shown
    QStringList blanks;             ///< text of several lines: what stands before each token; else empty
    std::int64_t samplesInSplit = 0;
    std::vector<std::int64_t> steps;  ///< checkpoints of the run
    std::vector<LensSize> sizes;      ///< the runs of `wanted.models` by number of parameters; empty with fewer than two
    bool isTransformer() const;
};
using LensPreparedPtr = std::shared_ptr<const LensPrepared>;

/// Keeps the last model and data set open: stepping through samples and kinds opens nothing again. Any thread.
class LensOpener {
public:
    /// @param opened  Told as soon as the model is open, before its input is read.
    /// @param withData  The data are opened for a text, too: what the future lens is fitted on.
    /// @throws what opening throws; core::InputError for a text that the tokenizer cannot read or a sample outside its part.
    LensPreparedPtr prepare(const LensWanted& wanted, const std::shared_ptr<store::Workspace>& workspace, bool withData, std::stop_token stop,
                            const std::function<void(bool readsPairs)>& opened = {});

private:
    void openModel(LensPrepared& made, const std::shared_ptr<store::Workspace>& workspace);
    void openData(LensPrepared& made, const std::shared_ptr<store::Workspace>& workspace);
    void takeSample(LensPrepared& made) const;
    void orderBySize(LensPrepared& made, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop);
    std::mutex m_mutex;  ///< one at a time; guards all below
    widgets::KeptModel m_model;
    std::shared_ptr<store::Workspace> m_workspace;
    core::Json m_document;
    std::optional<qint64> m_run;
    data::DataSetPtr m_data;
    std::map<qint64, LensSize> m_sizes;  ///< of the runs of m_workspace
};

/// One result with what it was made of.
struct LensAnswer {
    LensPreparedPtr prepared;
    intervene::LensResult result;
    double seconds = 0;
};

/// Runs a lens on what was prepared. Any thread.
LensAnswer lookInto(const LensPreparedPtr& prepared, const QString& kind, const core::Json& parameters, const explain::Control& control);
/// Keeps an answer as an analysis of the model's run. @throws core::InputError if the model is no run of the workspace; as the workspace.
std::int64_t keepAnswer(const LensAnswer& answer, const std::shared_ptr<store::Workspace>& workspace);

/// The `orrery-cli lens` line that does the same.
QString lensCommand(const LensWanted& wanted, const core::Json& dataDocument, const QString& kind, const core::Json& parameters,
                    const QString& workspace, const QString& checkpoints = {});

/// A token as it is shown: spaces and line breaks visible, short.
QString shownToken(const std::string& name);

}  // namespace orrery::plugins
