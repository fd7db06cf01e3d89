#include "normal_forms.h"

#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <algorithm>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {
namespace {

struct Tables {
    const icu::Normalizer2* canonical = nullptr;
    const icu::Normalizer2* compatible = nullptr;
    const icu::Normalizer2* composing = nullptr;
    Tables()
    {
        UErrorCode status = U_ZERO_ERROR;
        canonical = icu::Normalizer2::getNFDInstance(status);
        compatible = icu::Normalizer2::getNFKDInstance(status);
        composing = icu::Normalizer2::getNFCInstance(status);
        if (U_FAILURE(status))
            throw core::Error("expected ICU's tables of normal forms, found none: its data is missing");
    }
};

const Tables& tables()
{
    static const Tables kTables;
    return kTables;
}

int combiningClass(char32_t point)
{
    return tables().canonical->getCombiningClass(UChar32(point));
}

/// Marks in the order of their classes; those of one class stay in order.
void orderMarks(std::vector<Change>& changes)
{
    for (auto first = changes.begin(); first != changes.end();) {
        if (combiningClass(first->point) == 0) {
            ++first;
            continue;
        }
        const auto last = std::find_if(first, changes.end(), [](const Change& change) { return combiningClass(change.point) == 0; });
        std::stable_sort(first, last, [](const Change& a, const Change& b) { return combiningClass(a.point) < combiningClass(b.point); });
        first = last;
    }
}

std::vector<Change> decomposed(std::string_view text, const icu::Normalizer2& table)
{
    std::vector<Change> changes;
    changes.reserve(text.size());
    icu::UnicodeString parts;
    for (std::size_t at = 0; at < text.size();) {
        const Point point = pointAt(text, at);
        at += point.bytes;
        if (point.value < 0x80 || !table.getDecomposition(UChar32(point.value), parts)) {
            changes.push_back({point.value, 0});
            continue;
        }
        for (std::int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1))
            changes.push_back({char32_t(parts.char32At(i)), i > 0 ? 1 : 0});
    }
    orderMarks(changes);
    return changes;
}

/// Canonical composition of a decomposed text: a mark joins the last starter unless one of its own or a higher class stands between.
std::vector<Change> composed(const std::vector<Change>& changes)
{
    std::vector<Change> out;
    std::ptrdiff_t starter = -1;
    int lastClass = -1;  // of what stands behind the starter; -1: nothing
    for (const Change& change : changes) {
        const int ownClass = combiningClass(change.point);
        if (starter >= 0 && (lastClass < 0 || lastClass < ownClass)) {
            Change& base = out[std::size_t(starter)];
            const auto pair = tables().composing->composePair(UChar32(base.point), UChar32(change.point));
            if (pair >= 0) {
                base.point = char32_t(pair);
                base.shift += change.shift - 1;
                continue;
            }
        }
        if (ownClass == 0) {
            starter = std::ptrdiff_t(out.size());
            lastClass = -1;
        } else if (starter >= 0) {
            lastClass = ownClass;
        }
        out.push_back(change);
    }
    return out;
}

}  // namespace

std::vector<Change> normalForm(std::string_view text, NormalForm form)
{
    const bool compatible = form == NormalForm::Nfkc || form == NormalForm::Nfkd;
    auto changes = decomposed(text, compatible ? *tables().compatible : *tables().canonical);
    return form == NormalForm::Nfc || form == NormalForm::Nfkc ? composed(changes) : changes;
}

}  // namespace orrery::text
