#include "pickle_calls.h"

#include <fmt/format.h>

namespace orrery::io {
namespace {

using Arguments = PickleItems;

constexpr std::size_t kMaxAxes = 64;

/// One call being read.
struct CallContext {
    Pickle& pickle;
    const PickleNode& function;
    const Arguments& arguments;
    const PickleFail& fail;

    const PickleNode& argument(std::size_t i, PickleKind kind, std::string_view what) const
    {
        if (i >= arguments.size() || pickle.at(arguments[i]).kind != kind)
            fail(fmt::format("{}: expected {} as argument {}, found {}", pickleName(pickle, function), what, i + 1,
                             i < arguments.size() ? "another value" : "none"));
        return pickle.at(arguments[i]);
    }
    std::vector<std::int64_t> integers(std::size_t i, std::string_view what) const
    {
        const auto& tuple = argument(i, PickleKind::Tuple, what);
        if (tuple.items.size() > kMaxAxes)
            fail(fmt::format("{}: expected at most {} axes, found {}", pickleName(pickle, function), kMaxAxes, tuple.items.size()));
        std::vector<std::int64_t> values;
        for (const auto item : tuple.items) {
            if (pickle.at(item).kind != PickleKind::Integer)
                fail(fmt::format("{}: expected integers as {}, found another value", pickleName(pickle, function), what));
            values.push_back(pickle.at(item).integer);
        }
        return values;
    }
    PickleNode tensorNode(PickleTensor tensor) const
    {
        pickle.tensors.push_back(std::move(tensor));
        PickleNode made;
        made.kind = PickleKind::Tensor;
        made.integer = std::int64_t(pickle.tensors.size() - 1);
        return made;
    }
};

PickleNode container(const CallContext& call, PickleKind kind)
{
    PickleNode made;
    made.kind = kind;
    const auto expected = kind == PickleKind::Dict ? PickleKind::Dict : PickleKind::List;
    for (const auto argument : call.arguments) {
        const auto& content = call.pickle.at(argument);
        if (content.kind == expected)
            made.items = content.items;
        else if (kind == PickleKind::Dict && content.kind == PickleKind::List)  // [(key, value), ...] or [[key, value], ...]
            for (const auto pair : content.items) {
                const auto& items = call.pickle.at(pair).items;
                if (items.size() != 2)
                    call.fail(fmt::format("{}: expected pairs of key and value", pickleName(call.pickle, call.function)));
                made.items.append(items.begin(), items.size());
            }
    }
    return made;
}

PickleNode orderedDict(const CallContext& call)
{
    return container(call, PickleKind::Dict);
}

PickleNode makeSet(const CallContext& call)
{
    return container(call, PickleKind::Set);
}

// torch.Size is a tuple of integers.
PickleNode torchSize(const CallContext& call)
{
    call.integers(0, "sizes");
    PickleNode made;
    made.kind = PickleKind::Tuple;
    made.items = call.argument(0, PickleKind::Tuple, "sizes").items;
    return made;
}

/// A record of the call itself.
PickleNode record(const CallContext& call)
{
    PickleNode made = call.function;
    made.kind = PickleKind::Object;
    made.items = call.arguments;
    return made;
}

// _rebuild_tensor(storage, offset, sizes, strides); _v2 adds (requires_grad, hooks[, metadata]), _v3 (requires_grad, hooks, dtype[, metadata]).
PickleNode rebuildTensor(const CallContext& call)
{
    PickleTensor tensor;
    tensor.storage = std::uint32_t(call.argument(0, PickleKind::Storage, "a storage").integer);
    tensor.offset = call.argument(1, PickleKind::Integer, "an offset").integer;
    tensor.sizes = call.integers(2, "sizes");
    tensor.strides = call.integers(3, "strides");
    if (tensor.sizes.size() != tensor.strides.size())
        call.fail(fmt::format("{}: expected as many strides as sizes, found {} and {}", pickleName(call.pickle, call.function), tensor.strides.size(),
                              tensor.sizes.size()));
    if (call.pickle.nameOf(call.function).text.ends_with("_v3"))
        tensor.dtype = call.pickle.nameOf(call.argument(6, PickleKind::Global, "a dtype")).text;
    return call.tensorNode(std::move(tensor));
}

// _rebuild_parameter(tensor, requires_grad, hooks); _with_state adds the attributes.
PickleNode rebuildParameter(const CallContext& call)
{
    auto tensor = call.pickle.tensors[std::size_t(call.argument(0, PickleKind::Tensor, "a tensor").integer)];
    tensor.isParameter = true;
    return call.tensorNode(std::move(tensor));
}

// _rebuild_from_type_v2(function, class, arguments, attributes): a tensor with attributes, or of a class of its own.
PickleNode rebuildFromType(const CallContext& call)
{
    const auto function = call.argument(0, PickleKind::Global, "a function");
    const auto arguments = call.argument(2, PickleKind::Tuple, "arguments");
    if (call.pickle.nameOf(function).text == call.pickle.nameOf(call.function).text)
        call.fail(fmt::format("{}: is handed to itself", pickleName(call.pickle, call.function)));
    return pickleCall(call.pickle, function, arguments, call.fail);
}

/// What is known by name. `module` ends in a dot where all that is below it counts.
struct KnownCall {
    std::string_view module, name;
    PickleNode (*make)(const CallContext& call);
};
constexpr KnownCall kKnownCalls[] = {
    {"collections", "OrderedDict", orderedDict},
    {"collections", "defaultdict", orderedDict},
    {"collections", "Counter", orderedDict},
    {"builtins", "dict", orderedDict},
    {"builtins", "set", makeSet},
    {"builtins", "frozenset", makeSet},
    {"__builtin__", "set", makeSet},
    {"__builtin__", "frozenset", makeSet},
    {"torch", "Size", torchSize},
    {"torch", "device", record},
    {"torch.serialization", "_get_layout", record},
    {"torch._utils", "_rebuild_tensor", rebuildTensor},
    {"torch._utils", "_rebuild_tensor_v2", rebuildTensor},
    {"torch._utils", "_rebuild_tensor_v3", rebuildTensor},
    {"torch._utils", "_rebuild_parameter", rebuildParameter},
    {"torch._utils", "_rebuild_parameter_with_state", rebuildParameter},
    {"torch._tensor", "_rebuild_from_type_v2", rebuildFromType},
    {"numpy", "dtype", record},
    {"numpy.core.multiarray", "scalar", record},
    {"numpy.core.multiarray", "_reconstruct", record},
    {"numpy._core.multiarray", "scalar", record},
    {"numpy._core.multiarray", "_reconstruct", record},
    {"_codecs", "encode", record},
    {"pathlib", "PosixPath", record},
    {"pathlib", "WindowsPath", record},
    {"datetime", "datetime", record},
    {"datetime", "timedelta", record},
};

/// Tensors that are known and not read: why.
struct RefusedTensor {
    std::string_view name, why;
};
constexpr RefusedTensor kRefusedTensors[] = {{"_rebuild_qtensor", "quantised tensors are not read"},
                                             {"_rebuild_sparse_tensor", "sparse tensors are not read"},
                                             {"_rebuild_sparse_csr_tensor", "sparse tensors are not read"},
                                             {"_rebuild_nested_tensor", "nested tensors are not read"},
                                             {"_rebuild_meta_tensor_no_storage", "tensors without elements (device meta) are not read"},
                                             {"_rebuild_wrapper_subclass", "tensors of a class of their own are not read"}};

/// What is kept of an Object made by the class `torch.storage` or the like: its plain name.
std::string shortened(std::string_view text)
{
    constexpr std::size_t kShown = 80;
    std::string clean;
    for (const char c : text.substr(0, kShown))
        clean += c >= 0x20 && c < 0x7f ? c : '?';
    return clean + (text.size() > kShown ? "..." : "");
}

}  // namespace

std::string pickleName(const Pickle& pickle, const PickleNode& node)
{
    const PickleName& name = pickle.nameOf(node);
    return shortened(name.module) + "." + shortened(name.text);
}

PickleNode pickleCall(Pickle& pickle, const PickleNode& function, const PickleNode& arguments, const PickleFail& fail)
{
    const CallContext call{pickle, function, arguments.items, fail};
    const PickleName name = pickle.nameOf(function);
    for (const auto& known : kKnownCalls)
        if (known.module == name.module && known.name == name.text)
            return known.make(call);
    for (const auto& refused : kRefusedTensors)
        if (refused.name == name.text)
            fail(fmt::format("{}: {}", pickleName(pickle, function), refused.why));
    fail(fmt::format(
        "the file asks to call {}, which is refused: only tensors, numbers, texts, lists and dictionaries are read, and nothing is executed",
        pickleName(pickle, function)));
    return {};
}

PickleNode pickleStorage(Pickle& pickle, const PickleNode& id, const PickleFail& fail)
{
    const auto item = [&](std::size_t i, PickleKind kind, std::string_view what) -> const PickleNode& {
        if (i >= id.items.size() || pickle.at(id.items[i]).kind != kind)
            fail(fmt::format("persistent id: expected {} at place {}, found {}", what, i + 1, i < id.items.size() ? "another value" : "none"));
        return pickle.at(id.items[i]);
    };
    if (id.kind != PickleKind::Tuple)
        fail("persistent id: expected a storage, found another value");
    const auto what = item(0, PickleKind::Text, "a text").text();
    if (what == "module")  // a class with its source, as files before 2020 keep it
        return item(1, PickleKind::Global, "a class");
    if (what != "storage")
        fail(fmt::format("persistent id: expected a storage, found \"{}\"", shortened(what)));
    PickleStorage storage;
    storage.type = pickle.nameOf(item(1, PickleKind::Global, "a class")).text;
    storage.key = item(2, PickleKind::Text, "a key").text();
    storage.location = item(3, PickleKind::Text, "a location").text();
    storage.elements = item(4, PickleKind::Integer, "a number of elements").integer;
    if (storage.elements < 0)
        fail(fmt::format("storage {}: expected a number of elements, found {}", shortened(storage.key), storage.elements));
    if (id.items.size() > 5 && pickle.at(id.items[5]).kind == PickleKind::Tuple) {
        const PickleNode& view = pickle.at(id.items[5]);
        const bool isView = view.items.size() == 3 && pickle.at(view.items[0]).kind == PickleKind::Text &&
                            pickle.at(view.items[1]).kind == PickleKind::Integer && pickle.at(view.items[2]).kind == PickleKind::Integer;
        if (!isView)
            fail("persistent id: expected key, offset and length of a view");
        storage.viewKey = pickle.at(view.items[0]).text();
        storage.viewOffset = pickle.at(view.items[1]).integer;
        storage.viewElements = pickle.at(view.items[2]).integer;
    }
    PickleNode made;
    made.kind = PickleKind::Storage;
    const auto last = pickle.storageByKey.find(storage.key);
    if (last == pickle.storageByKey.end() || pickle.storages[last->second] != storage) {
        pickle.storageByKey[storage.key] = std::uint32_t(pickle.storages.size());
        pickle.storages.push_back(storage);
    }
    made.integer = pickle.storageByKey.at(storage.key);
    return made;
}

}  // namespace orrery::io
