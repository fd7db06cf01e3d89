#pragma once
#include "optimizer.h"

/// Run-time dispatch of one elementwise loop: the same inline body compiled for the baseline and for AVX2 with FMA. `Rule` is a struct with a template
/// `static void apply(const Span&, const Coefficients&)`, marked ORRERY_INLINE.
#define ORRERY_INLINE [[gnu::always_inline]] inline

namespace orrery::train {

template <class Rule, class Span, class Coefficients>
void runBaseline(const Span& span, const Coefficients& c)
{
    Rule::apply(span, c);
}

#if defined(__x86_64__)
template <class Rule, class Span, class Coefficients>
[[gnu::target("avx2,fma"), gnu::optimize("O3")]] void runAvx2(const Span& span, const Coefficients& c)
{
    Rule::apply(span, c);
}
#endif

template <class Rule, class Span, class Coefficients>
void runElementwise(const Span& span, const Coefficients& c)
{
#if defined(__x86_64__)
    if (hasAvx2())
        return runAvx2<Rule>(span, c);
#endif
    runBaseline<Rule>(span, c);
}

}  // namespace orrery::train
