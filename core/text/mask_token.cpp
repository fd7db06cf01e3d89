#include "mask_token.h"

namespace orrery::text {

std::optional<std::int64_t> maskId(const Tokenizer& tokenizer)
{
    for (const char* name : {"[MASK]", "<mask>"})
        if (const auto id = tokenizer.idOf(name))
            return id;
    return std::nullopt;
}

}  // namespace orrery::text
