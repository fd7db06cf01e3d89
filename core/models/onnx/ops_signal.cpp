// Windows, spectra and n-grams.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace signal {

at::ScalarType outputType(Call& c)
{
    const auto type = scalarTypeOf(int(c.integer("output_datatype", 1)));
    if (!type)
        c.unsupported("its element type is not known");
    return *type;
}

/// A sum of cosines: a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N).
Operator window(double a0, double a1, double a2)
{
    return [=](Call& c) {
        const auto type = outputType(c);
        Term result = c.emit("orrery::onnx_cosine_window", {c.oneInt(c.in(0)), a0, a1, a2, c.integer("periodic", 1) != 0, type});
        result.dtype = type;
        result.rank = 1;
        c.out(result);
    };
}

void melWeights(Call& c)
{
    const auto type = outputType(c);
    Term result = c.emit("orrery::onnx_mel_weights", {c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), type});
    result.dtype = type;
    result.rank = 2;
    c.out(result);
}

void fourier(Call& c)
{
    const Term axis = c.opset() >= 20 ? (c.has(2) ? c.oneInt(c.in(2)) : Term(-2)) : Term(c.integer("axis", 1));
    const Term length = c.has(1) ? c.oneInt(c.in(1)) : Term(nullptr);
    Term result = c.emit("orrery::onnx_dft", {c.in(0), length, axis, c.integer("onesided", 0) != 0, c.integer("inverse", 0) != 0});
    result.dtype = c.in(0).dtype;
    result.rank = c.in(0).rank;
    c.out(result);
}

void shortTimeFourier(Call& c)
{
    const Term length = c.has(3) ? c.oneInt(c.in(3)) : Term(nullptr);
    Term result = c.emit("orrery::onnx_stft", {c.in(0), c.oneInt(c.in(1)), c.optional(2), length, c.integer("onesided", 1) != 0});
    result.dtype = c.in(0).dtype;
    result.rank = 4;
    c.out(result);
}

void termFrequencies(Call& c)
{
    if (c.hasAttribute("pool_strings"))
        c.unsupported("text is not supported");
    Term result = c.emit("orrery::onnx_tf_idf", {c.in(0), Term(c10::IValue(c.text("mode", "TF"))), c.integer("min_gram_length", 1),
                                                 c.integer("max_gram_length", 1), c.integer("max_skip_count", 0), c.integers("ngram_counts"),
                                                 c.integers("ngram_indexes"), c.integers("pool_int64s"), Term(c10::IValue(c.reals("weights")))});
    result.dtype = at::kFloat;
    result.rank = c.in(0).rank;
    c.out(result);
}

}  // namespace signal

std::span<const Entry> signalOperators()
{
    using namespace signal;
    static const Entry kEntries[] = {
        {"BlackmanWindow", window(0.42, 0.5, 0.08)},
        {"DFT", fourier},
        {"HammingWindow", window(25.0 / 46.0, 21.0 / 46.0, 0)},
        {"HannWindow", window(0.5, 0.5, 0)},
        {"MelWeightMatrix", melWeights},
        {"STFT", shortTimeFourier},
        {"TfIdfVectorizer", termFrequencies},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
