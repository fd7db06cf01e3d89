#pragma once
#include <QString>
#include <QStringList>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <core/data/dataset.h>
#include <core/explain/attribution.h>
#include <core/graph/model.h>
#include <core/store/workspace.h>
#include <core/train/text_batch.h>

namespace orrery::plugins {

/// What is to be explained: a model's answer to one sample, picture or text.
struct ExplainSubject {
    QString model;    ///< MODEL argument
    core::Json data;  ///< data document; null: the data of `run`
    std::optional<qint64> run;
    QString split = QStringLiteral("test");
    qint64 sample = 0;  ///< number within the split
    QString image;      ///< a picture of the user's own instead of a sample
    std::vector<train::GivenText>
        texts;  ///< a text of the user's own instead of a sample, perhaps with a second one; at most one. For models that read text
    std::optional<qint64> position;  ///< where a sequence answers; nothing: where such models usually do
    /// Whether it says what the model is asked.
    bool hasInput() const { return !image.isEmpty() || !texts.empty() || run || !data.is_null(); }
    bool isOwn() const { return !image.isEmpty() || !texts.empty(); }  ///< no sample of a data set
    bool operator==(const ExplainSubject&) const = default;
};

enum class InputKind { Image, Table, Tokens, Other };

/// A value that can be attributed to, for one row of input.
struct Site {
    std::string name;                 ///< exact; the first site of a subject is the default of the methods
    std::string title;                ///< canonical name where there is one, else the name
    std::vector<std::int64_t> shape;  ///< with the batch axis of 1
};

/// A model's answer to one row.
struct Answer {
    std::vector<double> probabilities;  ///< of each class; empty if the output has no classes
    std::vector<double> outputs;        ///< as the model gives them: logits, probabilities or values; of a sequence those of its last position
    std::int64_t predicted = -1;
};
/// @param output  [1, class], [1, position, class], [1, value] or [1].
/// @param position  Where a sequence is read; nothing: at its end.
Answer answerOf(const graph::Model& model, const at::Tensor& output, std::optional<std::int64_t> position = {});

/// The subject, opened and answered. Immutable; shared with jobs.
struct PreparedSubject {
    ExplainSubject subject;
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    data::DataSetPtr data;  ///< null for a picture or text of the user's own
    core::Json dataDocument;
    std::int64_t samplesInSplit = 0;
    std::vector<c10::IValue> inputs;  ///< one row
    InputKind kind = InputKind::Other;
    std::vector<float> pixels;  ///< Image: [channel, height, width], standardisation undone, 0 black to 1 white
    int channels = 0, height = 0, width = 0;
    std::vector<std::string> names;             ///< features or tokens
    std::vector<std::string> blanks;            ///< Text of several lines: what stands before each token (see text::blanksOfLines); else empty
    std::vector<double> values;                 ///< Table: standardisation undone
    std::int64_t positions = 0;                 ///< of a sequence's output [1, position, class]; 0: it has none
    std::optional<std::int64_t> usualPosition;  ///< where such a model answers: a mask, else the last token
    Answer answer;                              ///< at `position`
    std::vector<std::string> classes;           ///< names; may be empty
    std::vector<std::string> tags;              ///< of a model that tags each token: the name of its most probable class; else empty
    std::vector<Site> sites;                    ///< the input (or a token model's embedding), then every floating value computed from it, in order
    std::string targetText;                     ///< true class or value

    QString className(std::int64_t index) const;
    /// Where the sequence is explained; nothing: its output has no positions.
    std::optional<std::int64_t> position() const;
    /// Elements that can be set to a baseline by hand: pixels, features or tokens.
    std::int64_t elements() const;
};
using PreparedPtr = std::shared_ptr<const PreparedSubject>;

/// What an opened model can be asked.
struct OpenedSubject {
    bool readsText = false, readsPairs = false;
};

/// Opened models and data sets of the last subject: stepping through samples opens nothing again. Any thread.
class SubjectOpener {
public:
    /// Null: the model is open, but nothing is asked yet. A text is left out for a model that reads none.
    /// @param opened  Told what the model reads as soon as it is open, before its input is.
    /// @throws what opening and running the model throws; core::InputError for a sample outside its part or a text that cannot be read.
    PreparedPtr prepare(const ExplainSubject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop,
                        const std::function<void(const OpenedSubject&)>& opened = {});

private:
    struct Cache;
    std::shared_ptr<Cache> cache();
    void openModel(Cache& cache, PreparedSubject& made, const std::shared_ptr<store::Workspace>& workspace) const;
    void openInput(Cache& cache, PreparedSubject& made, const std::shared_ptr<store::Workspace>& workspace) const;
    std::mutex m_mutex;
    std::shared_ptr<Cache> m_cache;  ///< guarded by m_mutex
};

/// One picture [channel, height, width] in the numbers of the subject's input, as `PreparedSubject::pixels`: standardisation undone, 0 black to 1 white.
std::vector<float> displayPixels(const PreparedSubject& subject, const at::Tensor& picture);

/// The output with some elements of the input (pixels in all channels, features, embeddings of tokens) set to a baseline: what the brush shows.
/// @param elements  Each 0..elements() - 1. @throws what running the model throws, core::InputError for an element outside. Any thread.
Answer answerWithout(const PreparedSubject& subject, const std::vector<std::int64_t>& elements, double baseline, std::stop_token stop);

}  // namespace orrery::plugins
