// Recurrent cells step by step, and lists of tensors.
#include "onnx_operators.h"

namespace orrery::kernels {
namespace {

/// The names and numbers of the activations of all directions, handed out one by one. Source: ONNX operator specification, "LSTM", activation functions.
class Activations {
public:
    Activations(const std::string& names, std::vector<double> alpha, std::vector<double> beta) : m_alpha(std::move(alpha)), m_beta(std::move(beta))
    {
        std::string name;
        for (const char c : names + ",")
            if (c == ',')
                m_names.push_back(std::exchange(name, {}));
            else
                name += c;
    }
    std::function<at::Tensor(const at::Tensor&)> next();

private:
    double number(std::vector<double>& list, std::size_t& at, double otherwise) { return at < list.size() ? list[at++] : otherwise; }
    std::vector<std::string> m_names;
    std::vector<double> m_alpha, m_beta;
    std::size_t m_next = 0, m_nextAlpha = 0, m_nextBeta = 0;
};

std::function<at::Tensor(const at::Tensor&)> Activations::next()
{
    using T = const at::Tensor&;
    const auto name = m_names.at(m_next++);
    const auto alpha = [&](double otherwise) { return number(m_alpha, m_nextAlpha, otherwise); };
    const auto beta = [&](double otherwise) { return number(m_beta, m_nextBeta, otherwise); };
    if (name == "Sigmoid")
        return [](T x) { return x.sigmoid(); };
    if (name == "Tanh")
        return [](T x) { return x.tanh(); };
    if (name == "Relu")
        return [](T x) { return x.relu(); };
    if (name == "Softsign")
        return [](T x) { return x / (x.abs() + 1); };
    if (name == "Softplus")
        return [](T x) { return at::softplus(x); };
    if (name == "LeakyRelu")
        return [a = alpha(0.01)](T x) { return at::leaky_relu(x, a); };
    if (name == "ThresholdedRelu")
        return [a = alpha(1)](T x) { return at::threshold(x, a, 0); };
    if (name == "Elu")
        return [a = alpha(1)](T x) { return at::elu(x, a); };
    if (name == "Affine")
        return [a = alpha(1), b = beta(0)](T x) { return x * a + b; };
    if (name == "ScaledTanh")
        return [a = alpha(1), b = beta(1)](T x) { return a * (x * b).tanh(); };
    TORCH_CHECK(name == "HardSigmoid", "expected a known activation, got ", name);
    return [a = alpha(0.2), b = beta(0.5)](T x) { return (x * a + b).clamp(0, 1); };
}

using Function = std::function<at::Tensor(const at::Tensor&)>;

/// One direction of one layer.
struct Cell {
    std::string kind;
    at::Tensor input, recurrent, inputBias, recurrentBias, peepholes;
    std::int64_t hidden = 0;
    Function f, g, h;
    double clip = 0;
    bool flag = false;

    at::Tensor limited(const at::Tensor& x) const { return clip > 0 ? x.clamp(-clip, clip) : x; }
    void step(const at::Tensor& x, at::Tensor& state, at::Tensor& memory) const;

private:
    void stepLstm(const at::Tensor& x, at::Tensor& state, at::Tensor& memory) const;
    void stepGru(const at::Tensor& x, at::Tensor& state) const;
    at::Tensor peephole(std::int64_t i, const at::Tensor& memory) const
    {
        return peepholes.defined() ? peepholes.narrow(0, i * hidden, hidden) * memory : at::zeros_like(memory);
    }
};

// Gates in the order input, output, forget, cell.
void Cell::stepLstm(const at::Tensor& x, at::Tensor& state, at::Tensor& memory) const
{
    const auto gates = (at::linear(x, input, inputBias) + at::linear(state, recurrent, recurrentBias)).chunk(4, -1);
    const auto in = f(limited(gates[0] + peephole(0, memory)));
    const auto forget = flag ? 1 - in : f(limited(gates[2] + peephole(2, memory)));
    memory = forget * memory + in * g(limited(gates[3]));
    state = f(limited(gates[1] + peephole(1, memory))) * h(memory);
}

// Gates in the order update, reset, hidden. With the flag the reset comes after the product, as in libtorch.
void Cell::stepGru(const at::Tensor& x, at::Tensor& state) const
{
    const auto fromInput = at::linear(x, input, inputBias).chunk(3, -1);
    const auto w = recurrent.chunk(3, 0), b = recurrentBias.chunk(3, 0);
    const auto update = f(limited(fromInput[0] + at::linear(state, w[0], b[0])));
    const auto reset = f(limited(fromInput[1] + at::linear(state, w[1], b[1])));
    const auto past = flag ? reset * at::linear(state, w[2], b[2]) : at::linear(reset * state, w[2], b[2]);
    const auto candidate = g(limited(fromInput[2] + past));
    state = (1 - update) * candidate + update * state;
}

void Cell::step(const at::Tensor& x, at::Tensor& state, at::Tensor& memory) const
{
    if (kind == "lstm")
        return stepLstm(x, state, memory);
    if (kind == "gru")
        return stepGru(x, state);
    state = f(limited(at::linear(x, input, inputBias) + at::linear(state, recurrent, recurrentBias)));
}

// Sequences that have ended keep their state and give zeros.
at::Tensor runCell(const Cell& cell, const at::Tensor& x, const at::Tensor& lengths, at::Tensor& state, at::Tensor& memory)
{
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < x.size(0); ++t) {
        auto nextState = state, nextMemory = memory;
        cell.step(x[t], nextState, nextMemory);
        if (!lengths.defined()) {
            state = nextState;
            memory = nextMemory;
            outputs.push_back(state);
            continue;
        }
        const auto runs = (lengths > t).unsqueeze(1);
        state = at::where(runs, nextState, state);
        memory = at::where(runs, nextMemory, memory);
        outputs.push_back(at::where(runs, nextState, at::zeros_like(nextState)));
    }
    return outputs.empty() ? at::zeros({0, x.size(1), cell.hidden}, x.options()) : at::stack(outputs);
}

using Optional = c10::optional<at::Tensor>;

std::tuple<at::Tensor, at::Tensor, at::Tensor> recurrentLayer(const std::string& kind, const at::Tensor& given, const at::Tensor& w,
                                                              const at::Tensor& r, const Optional& b, const Optional& lengths, const Optional& state0,
                                                              const Optional& memory0, const Optional& peepholes, std::int64_t hidden,
                                                              const std::string& direction, const std::string& names, std::vector<double> alpha,
                                                              std::vector<double> beta, double clip, bool batchFirst, bool flag)
{
    TORCH_CHECK(given.dim() == 3 && w.dim() == 3 && r.dim() == 3, "expected [time, batch, features] and weights of three axes");
    const auto x = batchFirst ? given.transpose(0, 1) : given;
    const auto directions = w.size(0), batch = x.size(1), gates = w.size(1);
    const auto size = hidden > 0 ? hidden : r.size(2);
    const auto ends = lengths ? lengths->to(at::kLong) : at::Tensor();
    const auto start = [&](const Optional& all, std::int64_t d) {
        if (!all)
            return at::zeros({batch, size}, x.options());
        return batchFirst ? all->select(1, d) : all->select(0, d);
    };
    Activations activations(names, std::move(alpha), std::move(beta));
    std::vector<at::Tensor> outputs, states, memories;
    for (std::int64_t d = 0; d < directions; ++d) {
        Cell cell{kind,
                  w[d],
                  r[d],
                  b ? (*b)[d].narrow(0, 0, gates) : at::zeros({gates}, w.options()),
                  b ? (*b)[d].narrow(0, gates, gates) : at::zeros({gates}, w.options()),
                  peepholes ? (*peepholes)[d] : at::Tensor(),
                  size};
        cell.f = activations.next();
        if (kind != "rnn")
            cell.g = activations.next();
        if (kind == "lstm")
            cell.h = activations.next();
        cell.clip = clip;
        cell.flag = flag;
        const bool backward = direction == "reverse" || d == 1;
        const auto turned = [&](const at::Tensor& sequence) {
            return !backward ? sequence : ends.defined() ? reverseSequences(sequence, ends, 0, 1) : sequence.flip(0);
        };
        auto state = start(state0, d), memory = start(memory0, d);
        outputs.push_back(turned(runCell(cell, turned(x), ends, state, memory)));
        states.push_back(state);
        memories.push_back(memory);
    }
    if (batchFirst)
        return {at::stack(outputs, 2).transpose(0, 1), at::stack(states, 1), at::stack(memories, 1)};
    return {at::stack(outputs, 1), at::stack(states), at::stack(memories)};
}

at::Tensor sequenceAt(const std::vector<at::Tensor>& list, std::int64_t index)
{
    const auto count = std::int64_t(list.size());
    TORCH_CHECK(index >= -count && index < count, "expected a position below ", count, ", got ", index);
    return list[std::size_t(index < 0 ? index + count : index)];
}

std::vector<at::Tensor> sequenceInsert(std::vector<at::Tensor> list, const at::Tensor& item, c10::optional<std::int64_t> index)
{
    const auto count = std::int64_t(list.size());
    const auto at = index.value_or(count);
    TORCH_CHECK(at >= -count && at <= count, "expected a position up to ", count, ", got ", at);
    list.insert(list.begin() + (at < 0 ? at + count : at), item);
    return list;
}

std::vector<at::Tensor> sequenceErase(std::vector<at::Tensor> list, c10::optional<std::int64_t> index)
{
    const auto count = std::int64_t(list.size());
    const auto at = index.value_or(-1);
    TORCH_CHECK(at >= -count && at < count, "expected a position below ", count, ", got ", at);
    list.erase(list.begin() + (at < 0 ? at + count : at));
    return list;
}

std::vector<at::Tensor> splitToSequence(const at::Tensor& x, const Optional& sizes, std::int64_t axis, bool keeps)
{
    if (!sizes) {
        auto parts = x.split(1, axis);
        for (auto& part : parts)
            part = keeps ? part : part.squeeze(axis);
        return parts;
    }
    if (sizes->dim() == 0)
        return x.split(sizes->item<std::int64_t>(), axis);
    return x.split_with_sizes(intsOf(*sizes), axis);
}

at::Tensor stacked(const std::vector<at::Tensor>& list, std::int64_t axis)
{
    return list.empty() ? at::empty({0}) : at::stack(list, axis);
}

}  // namespace

void registerOnnxRecurrent(torch::Library& library)
{
    library.def("onnx_recurrent(str kind, Tensor x, Tensor w, Tensor r, Tensor? b, Tensor? lengths, Tensor? state, Tensor? memory, Tensor? "
                "peepholes, int hidden,"
                " str direction, str activations, float[] alpha, float[] beta, float clip, bool batch_first, bool flag) -> (Tensor, Tensor, Tensor)",
                recurrentLayer);
    library.def("onnx_sequence_at(Tensor[] list, int index) -> Tensor", sequenceAt);
    library.def("onnx_sequence_insert(Tensor[] list, Tensor item, int? index) -> Tensor[]", sequenceInsert);
    library.def("onnx_sequence_erase(Tensor[] list, int? index) -> Tensor[]", sequenceErase);
    library.def("onnx_split_to_sequence(Tensor x, Tensor? sizes, int axis, bool keepdim) -> Tensor[]", splitToSequence);
    library.def("onnx_stack(Tensor[] list, int axis) -> Tensor", stacked);
}

}  // namespace orrery::kernels
