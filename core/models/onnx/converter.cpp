#include "converter.h"

#include <core/base/error.h>
#include <core/base/stop.h>
#include <core/base/text.h>

namespace orrery::models::onnx {
namespace {

constexpr std::int64_t kMinOpset = 1, kMaxOpset = 23;
constexpr int kMaxFunctionDepth = 32;
constexpr std::int64_t kFoldableElements = 4096;

using OnnxShape = std::vector<io::OnnxValueInfo::Dimension>;

std::string withoutSuffix(const std::string& name)
{
    const auto at = name.rfind("_output_");
    return at == std::string::npos ? name : name.substr(0, at);
}

// Numbers that a program computes with, as opposed to weights: integers, and lone floating numbers.
bool isFoldable(const at::Tensor& tensor)
{
    return tensor.is_floating_point() ? tensor.dim() == 0 : tensor.numel() <= kFoldableElements;
}

std::string typeOf(const io::OnnxValueInfo& info)
{
    using Kind = io::OnnxValueInfo::Kind;
    switch (info.kind) {
    case Kind::Sequence: return "List[Tensor]";
    case Kind::Optional: return info.optionalSequence ? "Optional[List[Tensor]]" : "Optional[Tensor]";
    default: return "Tensor";
    }
}

// Texts of attributes may hold any bytes; a graph holds text.
bool isPlain(const std::string& text)
{
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

// Attributes for people to read where a node has no form here.
std::string attributeText(const io::OnnxAttribute& attribute)
{
    if (attribute.real)
        return fmt::format("{}={}", attribute.name, core::formatNumber(*attribute.real));
    if (attribute.integer)
        return fmt::format("{}={}", attribute.name, *attribute.integer);
    if (attribute.text && isPlain(*attribute.text))
        return fmt::format("{}={}", attribute.name, attribute.text->substr(0, 200));
    if (!attribute.integers.empty())
        return fmt::format("{}={}", attribute.name, core::formatShape(attribute.integers));
    if (attribute.tensor)
        return fmt::format("{}=tensor {}", attribute.name, core::formatShape(attribute.tensor->shape));
    return fmt::format("{}=...", attribute.name);
}

// ONNX Gemm "/fc/Gemm": transB=1; what the exporter says of it.
std::string sourceText(const io::OnnxNode& node)
{
    constexpr std::size_t kMostAttributes = 16;
    std::vector<std::string> attributes;
    for (std::size_t i = 0; i < std::min(node.attributes.size(), kMostAttributes); ++i)
        attributes.push_back(attributeText(node.attributes[i]));
    std::string text = fmt::format("{} {}", node.domain.empty() ? "ONNX" : node.domain, node.op);
    if (!node.name.empty())
        text += fmt::format(" \"{}\"", node.name);
    if (!attributes.empty())
        text += ": " + core::join(attributes, ", ");
    return node.doc.empty() ? text : text + "; " + node.doc;
}

}  // namespace

const Operator* findOnnxOperator(const std::string& domain, const std::string& name)
{
    static const auto* const table = [] {
        auto* const all = new std::map<std::string, Operator>;
        for (const auto family :
             {mathOperators(), shapeOperators(), indexOperators(), convOperators(), normOperators(), reduceOperators(), recurrentOperators(),
              controlOperators(), sequenceOperators(), quantiseOperators(), visionOperators(), randomOperators(), signalOperators(), lossOperators()})
            for (const auto& entry : family)
                all->emplace(entry.name, entry.convert);
        for (const auto& entry : trainingOperators())
            all->emplace(std::string("ai.onnx.preview.training.") + entry.name, entry.convert);
        for (const auto& entry : microsoftOperators())
            all->emplace(std::string("com.microsoft.") + entry.name, entry.convert);
        return all;
    }();
    const auto found = table->find(domain.empty() ? name : domain + "." + name);
    return found == table->end() ? nullptr : &found->second;
}

Converter::Converter(const io::OnnxModel& model, TensorReader& tensors, std::string title)
    : m_model(model), m_tensors(tensors), m_emitter(std::move(title))
{
}

graph::GraphData Converter::convert()
{
    const auto opset = m_model.opsets.find("");
    if (opset != m_model.opsets.end() && (opset->second < kMinOpset || opset->second > kMaxOpset))
        throw core::FormatError(fmt::format("expected operator set {} to {} of ai.onnx, found {}", kMinOpset, kMaxOpset, opset->second));
    m_scopes.emplace_back();
    m_scopes.back().opsets = m_model.opsets;
    addInitialisers(m_model.graph);
    for (const auto* infos : {&m_model.graph.inputs, &m_model.graph.values, &m_model.graph.outputs})
        for (const auto& info : *infos)
            m_declared.emplace(info.name, &info);
    addInputs();
    for (const auto& node : m_model.graph.nodes)
        convertNode(node);
    for (const auto& output : m_model.graph.outputs) {
        const auto* term = lookUp(output.name);
        if (!term)
            throw core::FormatError(
                fmt::format("output \"{}\": expected a value that a node, an input or an initialiser gives, found none", output.name));
        m_emitter.begin("");
        m_emitter.addOutput(output.name, *term);
    }
    return m_emitter.finish();
}

std::vector<std::string> Converter::notes() const
{
    std::vector<std::string> notes;
    for (const auto& [reason, nodes] : m_missing) {
        const std::vector<std::string> names(nodes.begin(), nodes.end());
        const std::vector<std::string> first(names.begin(), names.begin() + std::ptrdiff_t(std::min<std::size_t>(names.size(), 8)));
        notes.push_back(fmt::format("structure only, it cannot be run: {} ({}{})", reason, core::join(first, ", "),
                                    names.size() > first.size() ? fmt::format(" and {} more", names.size() - first.size()) : std::string()));
    }
    return notes;
}

void Converter::addInputs()
{
    for (const auto& info : m_model.graph.inputs) {
        if (m_scopes.back().values.count(info.name))
            continue;  // an initialiser that older files list among the inputs, too
        m_emitter.begin("");
        Term term = m_emitter.addInput(info.name, typeOf(info));
        if (info.kind == io::OnnxValueInfo::Kind::Tensor) {
            term.dtype = scalarTypeOf(info.elementType);
            if (info.shape)
                term.rank = int(info.shape->size());
        }
        define(info.name, std::move(term), "the graph's inputs");
    }
}

void Converter::addInitialisers(const io::OnnxGraph& graph)
{
    for (const auto& tensor : graph.initialisers) {
        core::throwIfStopped();
        Term term = constantTerm(m_tensors.read(tensor), tensor.name);
        term.foldable = isFoldable(term.constant);
        define(tensor.name, std::move(term), "the initialisers");
    }
}

const Term* Converter::lookUp(const std::string& name) const
{
    for (auto scope = m_scopes.rbegin(); scope != m_scopes.rend(); ++scope) {
        if (const auto found = scope->values.find(name); found != scope->values.end())
            return &found->second;
        if (scope->isFunction)
            break;
    }
    return nullptr;
}

void Converter::define(const std::string& name, Term term, const std::string& place)
{
    if (name.empty())
        throw core::FormatError(fmt::format("{}: a value has no name", place));
    if (!term.isNone() && term.type == "Tensor")
        if (const auto declared = m_declared.find(name); declared != m_declared.end() && declared->second->kind == io::OnnxValueInfo::Kind::Tensor) {
            if (!term.dtype)
                term.dtype = scalarTypeOf(declared->second->elementType);
            if (!term.rank && declared->second->shape)
                term.rank = int(declared->second->shape->size());
        }
    if (!m_scopes.back().values.emplace(name, std::move(term)).second)
        throw core::FormatError(fmt::format("{}: value \"{}\" is defined twice", place, name));
}

std::vector<Term> Converter::inputsOf(const io::OnnxNode& node) const
{
    std::vector<Term> inputs;
    for (const auto& name : node.inputs) {
        const auto* term = name.empty() ? nullptr : lookUp(name);
        if (!name.empty() && !term)
            throw core::FormatError(
                fmt::format("node {} ({}): input \"{}\" is given by no input, initialiser or earlier node", pathFor(node), node.op, name));
        inputs.push_back(term ? *term : Term(nullptr));
    }
    return inputs;
}

std::optional<std::int64_t> Converter::declaredSize(const std::string& value, std::size_t axis) const
{
    if (const auto* term = lookUp(value); term && term->isConstant())
        return axis < std::size_t(term->constant.dim()) ? std::optional(term->constant.size(std::int64_t(axis))) : std::nullopt;
    const auto declared = m_declared.find(value);
    const OnnxShape* shape = declared == m_declared.end() || !declared->second->shape ? nullptr : &*declared->second->shape;
    return shape && axis < shape->size() ? (*shape)[axis].size : std::nullopt;
}

std::string Converter::pathFor(const io::OnnxNode& node) const
{
    std::string path = pathOf(node.name);
    if (path.empty() && !node.outputs.empty() && node.outputs[0].find('/') != std::string::npos)
        path = pathOf(withoutSuffix(node.outputs[0]));
    if (path.empty())
        path = node.op;
    return m_functionPath.empty() ? path : m_functionPath + "." + path;
}

std::int64_t Converter::opsetOf(const io::OnnxNode& node) const
{
    for (auto scope = m_scopes.rbegin(); scope != m_scopes.rend(); ++scope)
        if (const auto found = scope->opsets.find(node.domain); found != scope->opsets.end())
            return found->second;
    return 1;
}

const io::OnnxFunction* Converter::findFunction(const io::OnnxNode& node) const
{
    for (const auto& function : m_model.functions)
        if (function.name == node.op && function.domain == node.domain)
            return &function;
    return nullptr;
}

void Converter::convertNode(const io::OnnxNode& node)
{
    const auto outer = m_emitter.exchangeSource(sourceText(node));
    const auto written = m_emitter.block().nodes.size();
    convertAny(node);
    m_emitter.boxNode(pathFor(node), node.op, written);
    m_emitter.exchangeSource(outer);
}

void Converter::convertAny(const io::OnnxNode& node)
{
    core::throwIfStopped();
    m_emitter.begin(pathFor(node));
    if (const auto* function = findFunction(node))
        return convertFunction(node, *function);
    const auto* convert = findOnnxOperator(node.domain, node.op);
    if (!convert)
        return convertUnknown(node, node.domain.empty() ? fmt::format("operator {} is not known", node.op)
                                                        : fmt::format("operator {} of domain {} is not known", node.op, node.domain));
    convertKnown(node, *convert);
}

void Converter::convertKnown(const io::OnnxNode& node, const Operator& convert)
{
    const auto path = m_emitter.path();
    const auto written = m_emitter.block().nodes.size();
    auto* const block = &m_emitter.block();
    try {
        Call call(*this, m_emitter, node, inputsOf(node), opsetOf(node));
        convert(call);
        for (std::size_t i = 0; i < node.outputs.size(); ++i)
            if (call.wants(i) && !call.m_given[i])
                call.unsupported(fmt::format("output {} is not known", i));
        m_emitter.begin(path);
        defineOutputs(node, std::move(call.m_outputs));
    } catch (const Unsupported& unsupported) {
        m_emitter.enter(block);
        block->nodes.resize(written);
        m_emitter.begin(path);
        convertUnknown(node, fmt::format("operator {}: {}", node.op, unsupported.reason));
    } catch (const core::Error&) {
        throw;
    } catch (const std::exception& error) {  // libtorch's while computing with constants
        const auto* torchs = dynamic_cast<const c10::Error*>(&error);
        throw core::FormatError(
            fmt::format("node {} ({}): {}", path, node.op, core::split(torchs ? torchs->what_without_backtrace() : error.what(), '\n').at(0)));
    }
}

void Converter::defineOutputs(const io::OnnxNode& node, std::vector<Term> outputs)
{
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
        if (!node.outputs[i].empty())
            define(node.outputs[i], outputs.at(i), fmt::format("node {} ({})", m_emitter.path(), node.op));
}

// The node as the file has it: seen, saved and compared, but not run.
void Converter::convertUnknown(const io::OnnxNode& node, const std::string& reason)
{
    std::vector<Term> args = inputsOf(node);
    for (const auto& attribute : node.attributes)
        args.push_back(Term(c10::IValue(attributeText(attribute))));
    const auto domain = node.domain.empty() ? "onnx" : pathOf(node.domain);
    auto outputs = m_emitter.emitOpaque(domain + "::" + pathOf(node.op), args, node.outputs.size());
    if (!outputs.empty())
        m_emitter.nameAfterNode(outputs[0], "");
    m_missing[reason].insert(m_emitter.path());
    defineOutputs(node, std::move(outputs));
}

void Converter::convertFunction(const io::OnnxNode& node, const io::OnnxFunction& function)
{
    if (++m_depth > kMaxFunctionDepth)
        throw core::FormatError(fmt::format("function {}: calls are nested more than {} deep", function.name, kMaxFunctionDepth));
    const auto inputs = inputsOf(node);
    const auto path = m_emitter.path();
    const auto outer = std::exchange(m_functionPath, path);
    m_scopes.push_back({{}, true, function.opsets});
    for (std::size_t i = 0; i < function.inputs.size(); ++i)
        define(function.inputs[i], i < inputs.size() ? inputs[i] : Term(nullptr), "function " + function.name);
    for (auto inner : function.nodes) {
        std::erase_if(inner.attributes, [&](const io::OnnxAttribute& each) { return !each.reference.empty() && !node.find(each.reference); });
        for (auto& attribute : inner.attributes)
            if (!attribute.reference.empty()) {
                const auto name = attribute.name;
                attribute = *node.find(attribute.reference);
                attribute.name = name;
                attribute.reference.clear();
            }
        convertNode(inner);
    }
    std::vector<Term> outputs;
    for (const auto& name : function.outputs) {
        const auto* term = lookUp(name);
        if (!term)
            throw core::FormatError(fmt::format("function {}: nothing gives its output \"{}\"", function.name, name));
        outputs.push_back(*term);
    }
    m_scopes.pop_back();
    m_functionPath = outer;
    --m_depth;
    m_emitter.begin(path);
    outputs.resize(std::max(outputs.size(), node.outputs.size()), Term(nullptr));
    defineOutputs(node, std::move(outputs));
}

std::vector<Term> Converter::convertInner(const io::OnnxGraph& graph, const std::vector<Term>& bound, graph::Block* block)
{
    auto* const outer = m_emitter.enter(block);
    m_scopes.emplace_back();
    const auto outerPath = m_emitter.path();
    if (graph.inputs.size() < bound.size())
        throw core::FormatError(fmt::format("node {}: expected {} inputs of its graph, found {}", outerPath, bound.size(), graph.inputs.size()));
    for (std::size_t i = 0; i < bound.size(); ++i)
        define(graph.inputs[i].name, bound[i], "the graph of node " + outerPath);
    addInitialisers(graph);
    for (const auto& node : graph.nodes)
        convertNode(node);
    std::vector<Term> outputs;
    m_emitter.begin(outerPath);
    for (const auto& output : graph.outputs) {
        const auto* term = lookUp(output.name);
        if (!term)
            throw core::FormatError(fmt::format("node {}: nothing gives the output \"{}\" of its graph", outerPath, output.name));
        outputs.push_back(*term);
    }
    m_scopes.pop_back();
    m_emitter.enter(outer);
    return outputs;
}

}  // namespace orrery::models::onnx
