// The text of the C file.
#include <algorithm>
#include <cmath>
#include <set>

#include <core/base/error.h>
#include <core/base/text.h>

#include "c_kernels.h"
#include "c_program.h"

namespace orrery::models {
namespace {

using graph::ValueId;

std::int64_t elementsOf(const std::vector<std::int64_t>& sizes)
{
    std::int64_t count = 1;
    for (const auto size : sizes)
        count *= size;
    return count;
}

// A comment ends where its text says so: names come from a file.
std::string harmless(std::string text)
{
    for (std::size_t i = 0; i < text.size(); ++i)
        if (static_cast<unsigned char>(text[i]) < 32 || (text[i] == '/' && i > 0 && text[i - 1] == '*') || text[i] == '\\')
            text[i] = ' ';
    return text;
}

std::string arrayText(const std::string& name, const at::Tensor& tensor)
{
    const auto flat = tensor.detach().cpu().to(at::kFloat).contiguous();
    const auto* data = flat.data_ptr<float>();
    std::string out = fmt::format("static const float {}[{}] = {{", name, std::max<std::int64_t>(flat.numel(), 1));
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
        out += i % 8 == 0 ? "\n    " : " ";
        if (std::isinf(data[i])) {  // masks
            out += data[i] < 0 ? "-INFINITY," : "INFINITY,";
            continue;
        }
        if (std::isnan(data[i]))
            throw core::InputError(fmt::format("weight {}: expected numbers, found NaN", name));
        auto number = fmt::format("{:.9g}", data[i]);
        out += number + (number.find_first_of(".e") == std::string::npos ? ".0f," : "f,");
    }
    return out + (flat.numel() == 0 ? "0.0f" : "") + "\n};\n";
}

}  // namespace

std::string CProgram::pointer(ValueId id) const
{
    const auto root = rootOf(id);
    const auto& data = m_model.graph->data();
    for (std::size_t i = 0; i < data.inputs.size(); ++i)
        if (data.inputs[i].value == root)
            return data.inputs.size() == 1 ? "input" : fmt::format("inputs[{}]", i);
    for (std::size_t i = 0; i < data.parameters.size(); ++i)
        if (data.parameters[i].value == root)
            return fmt::format("weight_{}", i);
    if (m_constants.count(root))
        return fmt::format("constant_{}", root);
    const auto offset = m_plan.buffers.at(m_bufferOf.at(root)).offset;
    return offset == 0 ? "arena" : fmt::format("arena + {}", offset);
}

// What the file is, the memory plan, and what every call costs.
std::string CProgram::comment() const
{
    std::string out =
        fmt::format("/* {}: written by Orrery. C99, no libraries but the C library's mathematics (-lm).\n *\n", harmless(m_model.card.title));
    out += fmt::format(" * memory plan: {} buffers in an arena of {} bytes; most that lives at one time: {} bytes\n *\n", m_plan.buffers.size(),
                       m_plan.arena * 4, m_plan.peakLive * 4);
    out += fmt::format(" * {:>4}  {:<40} {:<24} {:>14} {:>12} {:>12}\n", "call", "node", "operator", "FLOPs", "bytes out", "arena at");
    std::int64_t flops = 0;
    for (std::size_t i = 0; i < m_calls.size(); ++i) {
        const auto& made = m_calls[i];
        flops += made.flops;
        out += fmt::format(" * {:>4}  {:<40} {:<24} {:>14} {:>12} {:>12}\n", i, harmless(made.node), made.op, made.flops,
                           elementsOf(m_sizes.at(made.output)) * 4, m_plan.buffers[m_bufferOf.at(rootOf(made.output))].offset * 4);
    }
    return out + fmt::format(" *\n * {} FLOPs a run\n */\n", flops);
}

std::string CProgram::source() const
{
    const auto& data = m_model.graph->data();
    std::string out = comment() + "#include <math.h>\n#include <string.h>\n\n";
    std::set<std::string> kernels;
    std::set<ValueId> used;
    for (const auto& made : m_calls) {
        kernels.insert(made.kernel);
        for (const auto& argument : made.arguments)
            if (const auto* id = std::get_if<ValueId>(&argument))
                used.insert(rootOf(*id));
    }
    std::int64_t inputs = 0, outputs = 0;
    for (const auto& input : data.inputs)
        inputs += elementsOf(m_sizes.at(input.value));
    for (const auto output : m_outputs)
        outputs += elementsOf(m_sizes.at(output));
    out += fmt::format("#define MODEL_INPUT_SIZE {}\n#define MODEL_OUTPUT_SIZE {}\n#define MODEL_ARENA_SIZE {}\n\n", inputs, outputs, m_plan.arena);
    for (std::size_t i = 0; i < data.parameters.size(); ++i)
        if (used.count(data.parameters[i].value))
            out += fmt::format("/* {} {} */\n", harmless(data.parameters[i].name), core::formatShape(data.parameters[i].shape)) +
                   arrayText(fmt::format("weight_{}", i), m_model.weights.at(data.parameters[i].name));
    for (const auto& [id, tensor] : m_constants)
        if (used.count(id) || std::any_of(m_outputs.begin(), m_outputs.end(), [&](ValueId output) { return rootOf(output) == id; }))
            out += fmt::format("/* {} {} */\n", harmless(m_model.graph->value(id).name), core::formatShape(tensor.sizes())) +
                   arrayText(fmt::format("constant_{}", id), tensor);
    out += fmt::format("\nstatic float arena[{}];\n\n", std::max<std::int64_t>(m_plan.arena, 1));
    for (const auto& kernel : kernels)
        out += std::string(cKernel(kernel)) + "\n";
    out += "/* Inputs one after another, row-major; so are the outputs. Not for two threads at a time: there is one arena. */\nvoid model_run(const "
           "float *input, float *output)\n{\n";
    if (data.inputs.size() > 1) {
        std::int64_t at = 0;
        out += fmt::format("    const float *inputs[{}];\n", data.inputs.size());
        for (std::size_t i = 0; i < data.inputs.size(); ++i) {
            out += fmt::format("    inputs[{}] = input + {};\n", i, at);
            at += elementsOf(m_sizes.at(data.inputs[i].value));
        }
    }
    for (const auto& made : m_calls) {
        std::vector<std::string> arguments;
        for (const auto& argument : made.arguments)
            arguments.push_back(std::holds_alternative<std::string>(argument) ? std::get<std::string>(argument)
                                                                              : pointer(std::get<ValueId>(argument)));
        out += fmt::format("    {}({});\n", made.kernel, core::join(arguments, ", "));
    }
    std::int64_t at = 0;
    for (const auto output : m_outputs) {
        const auto count = elementsOf(m_sizes.at(output));
        out += fmt::format("    memcpy(output + {}, {}, {} * sizeof(float));\n", at, pointer(output), count);
        at += count;
    }
    return out + "}\n\n#ifdef MODEL_MAIN\n#include <stdio.h>\n\n/* Floats from standard input, results to standard output, until the input ends. "
                 "*/\nint main(void)\n{\n"
                 "    static float input[MODEL_INPUT_SIZE], output[MODEL_OUTPUT_SIZE];\n"
                 "    while (fread(input, sizeof(float), MODEL_INPUT_SIZE, stdin) == MODEL_INPUT_SIZE) {\n        model_run(input, output);\n"
                 "        if (fwrite(output, sizeof(float), MODEL_OUTPUT_SIZE, stdout) != MODEL_OUTPUT_SIZE)\n            return 1;\n    }\n    "
                 "return 0;\n}\n#endif\n";
}

}  // namespace orrery::models
