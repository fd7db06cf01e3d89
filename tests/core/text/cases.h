#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/files.h>
#include <core/base/json.h>
#include <core/text/tokenizer.h>
#include <core/text/unicode.h>

namespace orrery::text {

/// A file of tests/data/text, which are gzipped.
inline std::string dataFile(const std::filesystem::path& file)
{
    return core::inflateIfGzip(core::readFile(file), file.string());
}

/// Folders below tests/data/text, and below $ORRERY_TOKENIZER_CASES, that hold a tokenizer with cases of the `tokenizers` library.
inline std::vector<std::filesystem::path> caseFolders()
{
    std::vector<std::filesystem::path> folders;
    for (const char* root : {ORRERY_TEST_DATA "/text", static_cast<const char*>(std::getenv("ORRERY_TOKENIZER_CASES"))})
        if (root)
            for (const auto& entry : std::filesystem::directory_iterator(root))
                if (std::filesystem::exists(entry.path() / "cases.json.gz"))
                    folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    return folders;
}

inline TokenizerPtr tokenizerIn(const std::filesystem::path& folder)
{
    return tokenizerFromJson(dataFile(folder / "tokenizer.json.gz"), folder.filename().string());
}

/// Offsets in characters, as the library counts them.
inline std::size_t characterAt(std::string_view text, std::uint32_t byte)
{
    return countPoints(text.substr(0, byte));
}

}  // namespace orrery::text
