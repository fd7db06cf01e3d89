#include "card_tokenizer.h"

#include <fmt/format.h>

#include <list>
#include <mutex>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/hash.h>

#include "dictionary.h"
#include "tokenizer_files.h"

namespace orrery::text {
namespace {

/// The last tokenizers that were read, by what they were read from.
class ReadTokenizers {
public:
    template <class Read>
    TokenizerPtr get(const std::string& key, const Read& read)
    {
        {
            const std::lock_guard lock(m_mutex);
            for (auto entry = m_entries.begin(); entry != m_entries.end(); ++entry)
                if (entry->first == key) {
                    m_entries.splice(m_entries.begin(), m_entries, entry);
                    return entry->second;
                }
        }
        TokenizerPtr made = read();  // outside the lock: two threads may read the same once each
        const std::lock_guard lock(m_mutex);
        m_entries.emplace_front(key, made);
        if (m_entries.size() > kMost)
            m_entries.pop_back();
        return made;
    }

private:
    static constexpr std::size_t kMost = 8;
    std::mutex m_mutex;
    std::list<std::pair<std::string, TokenizerPtr>> m_entries;  ///< guarded by m_mutex; the last one used first
};

ReadTokenizers& readTokenizers()
{
    static ReadTokenizers tokenizers;
    return tokenizers;
}

}  // namespace

TokenizerPtr tokenizerFromCard(const core::Json& card)
{
    const bool hasKind = card.is_object() && card.contains("kind") && card["kind"].is_string();
    const std::string kind = hasKind ? card["kind"].get<std::string>() : "";
    if (kind == "tokenizer_json" && card.contains("json") && card["json"].is_string()) {
        const auto& document = card["json"].get_ref<const std::string&>();
        return readTokenizers().get(core::hashHex(document), [&] { return tokenizerFromJson(document, "tokenizer"); });
    }
    if (kind == "dictionary")
        return readTokenizers().get(core::hashHex(card.dump(-1, ' ', false, core::Json::error_handler_t::replace)),
                                    [&] { return dictionaryTokenizer(card); });
    return vocabularyTokenizer(card);
}

TokenizerPtr tokenizerOf(const graph::ModelCard& card)
{
    return card.tokenizer.is_object() ? tokenizerFromCard(card.tokenizer) : nullptr;
}

TokenizerPtr requiredTokenizer(const graph::ModelCard& card)
{
    auto tokenizer = tokenizerOf(card);
    if (!tokenizer)
        throw core::InputError("the model takes no text: its card has no tokenizer");
    return tokenizer;
}

TokenizerPtr namedTokenizer(const std::string& argument, const std::function<graph::ModelCard(const std::string&)>& openCard)
{
    if (argument == "bytes")
        return vocabularyTokenizer({{"kind", "bytes"}});
    const auto path = core::resolvePath(argument);
    const auto ending = path.extension();
    const bool isFile = std::filesystem::is_regular_file(path) && (ending == ".json" || ending == ".txt" || ending == ".words" || ending == ".model");
    if (isFile || (std::filesystem::is_directory(path) && holdsTokenizer(path)))
        return openTokenizer(path);
    auto tokenizer = tokenizerOf(openCard(argument));
    if (!tokenizer)
        throw core::InputError(argument + ": expected a model with a tokenizer, found none in its card");
    return tokenizer;
}

}  // namespace orrery::text
