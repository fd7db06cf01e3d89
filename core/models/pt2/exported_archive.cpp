#include "exported_archive.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/io/tensors.h>
#include <core/io/zip.h>

#include "nested_pickle.h"

namespace orrery::models {
namespace {

constexpr std::string_view kModels = "models/", kWeights = "data/weights/", kConstants = "data/constants/", kSamples = "data/sample_inputs/",
                           kExtra = "extra/";
constexpr std::string_view kOldProgram = "serialized_exported_program.json", kOldExtra = "extra_files/";
constexpr std::uint64_t kMaxExtraFile = 64 << 20;

/// The entries by their names without the archive's folder.
class ArchiveReader {
public:
    ArchiveReader(const Mapping& file, std::string name);
    ExportedArchive read();

private:
    const io::ZipMember* find(const std::string& entry) const;
    const io::ZipMember& at(const std::string& entry) const;
    std::string text(const std::string& entry) const { return io::unpackZipMember(at(entry), m_name); }
    std::string modelName();
    void readNew();
    void readOld();
    void readPayloads(std::string_view folder, const std::string& config);
    at::Tensor payload(std::string_view folder, const std::string& tensor, const io::ExportedPayload& payload);
    at::Tensor base(const std::string& entry, io::ElementType type);
    std::string_view stored(const std::string& entry) const;
    void readStateDict(const std::string& entry);
    void readSamples(const std::string& entry);
    void readExtraFiles(std::string_view folder);

    Mapping m_file;
    std::string m_name;
    std::map<std::string, io::ZipMember> m_members;
    std::map<std::string, at::Tensor> m_bases;
    ExportedArchive m_archive;
};

// "model/models/model.json" -> "models/model.json"; the old layout has no folder.
std::string withoutRoot(const std::string& entry)
{
    const auto slash = entry.find('/');
    return slash == std::string::npos || entry.starts_with(kOldExtra) ? entry : entry.substr(slash + 1);
}

ArchiveReader::ArchiveReader(const Mapping& file, std::string name) : m_file(file), m_name(std::move(name))
{
    for (auto& member : io::zipMembers(file->text(), m_name, std::uint64_t(1) << 50)) {
        if (member.isStored)
            io::checkStoredZipMember(member, m_name);
        const auto entry = withoutRoot(member.name);
        if (!m_members.emplace(entry, std::move(member)).second)
            throw core::FormatError(fmt::format("{}: entry {} is there twice", m_name, entry));
    }
}

const io::ZipMember* ArchiveReader::find(const std::string& entry) const
{
    const auto found = m_members.find(entry);
    return found == m_members.end() ? nullptr : &found->second;
}

const io::ZipMember& ArchiveReader::at(const std::string& entry) const
{
    const auto* member = find(entry);
    if (!member)
        throw core::FormatError(fmt::format("{}: expected an entry {}, found none", m_name, entry));
    return *member;
}

// Usually "model"; a package of several programs has one of that name or the first is taken.
std::string ArchiveReader::modelName()
{
    std::vector<std::string> names;
    for (const auto& [entry, member] : m_members)
        if (entry.starts_with(kModels) && entry.ends_with(".json"))
            names.push_back(entry.substr(kModels.size(), entry.size() - kModels.size() - 5));
    if (names.empty())
        throw core::FormatError(fmt::format("{}: expected a program models/NAME.json, found none (a compiled package holds none)", m_name));
    const bool hasModel = std::find(names.begin(), names.end(), "model") != names.end();
    const auto chosen = hasModel ? std::string("model") : names.front();
    if (names.size() > 1)
        m_archive.notes.insert(fmt::format("the archive holds {} programs ({}); {} was opened", names.size(), core::join(names, ", "), chosen));
    return chosen;
}

at::Tensor ArchiveReader::base(const std::string& entry, io::ElementType type)
{
    auto& tensor = m_bases[fmt::format("{} {}", entry, io::elementName(type))];
    if (tensor.defined())
        return tensor;
    const auto bytes = stored(entry);
    const auto begin = std::uint64_t(bytes.data() - m_file->text().data());
    const auto count = bytes.size() / io::elementSize(type);
    return tensor = mappedTensor(m_file, type, {std::int64_t(count)}, begin, begin + count * io::elementSize(type));
}

at::Tensor ArchiveReader::payload(std::string_view folder, const std::string& name, const io::ExportedPayload& payload)
{
    const auto& meta = payload.tensor;
    const auto fail = [&](const std::string& reason) { throw core::FormatError(fmt::format("{}: tensor {}: {}", m_name, name, reason)); };
    if (!meta.type)
        fail("expected a plain type of elements");
    if (payload.file.find('/') != std::string::npos)
        fail(fmt::format("expected the name of an entry, found {}", payload.file));
    if (meta.strides.size() != meta.sizes.size() || meta.offset < 0)
        fail("expected as many strides as sizes and an offset of at least 0");
    const auto bytes = io::checkedByteSize(meta.sizes, io::elementSize(*meta.type), m_name + ": tensor " + name);
    if (bytes == 0)
        return at::empty(meta.sizes, at::TensorOptions(io::toScalarType(*meta.type)));
    const auto flat = base(std::string(folder) + payload.file, *meta.type);
    std::int64_t last = meta.offset;
    for (std::size_t i = 0; i < meta.sizes.size(); ++i) {
        std::int64_t reach = 0;
        if (meta.strides[i] < 0 || __builtin_mul_overflow(meta.sizes[i] - 1, meta.strides[i], &reach) || __builtin_add_overflow(last, reach, &last))
            fail("expected strides that stay inside the entry");
    }
    if (last >= flat.numel())
        fail(fmt::format("expected at least {} elements in {}, found {}", last + 1, payload.file, flat.numel()));
    return flat.as_strided(meta.sizes, meta.strides, meta.offset);
}

void ArchiveReader::readPayloads(std::string_view folder, const std::string& config)
{
    if (!find(config))
        return;
    for (const auto& [name, description] : io::parseExportedPayloads(text(config), m_name + ": " + config)) {
        if (description.isPickle) {
            m_archive.notes.insert(fmt::format("{} is an object that was not read", name));
            continue;
        }
        m_archive.tensors.set(name, payload(folder, name, description));
    }
}

std::string_view ArchiveReader::stored(const std::string& entry) const
{
    const auto& member = at(entry);
    if (!member.isStored)
        throw core::FormatError(fmt::format("{}: {}: expected a stored entry, found a deflated one", m_name, entry));
    return member.packed;
}

void ArchiveReader::readStateDict(const std::string& entry)
{
    if (!find(entry))
        return;
    const auto weights = nestedStateDict(m_file, stored(entry), m_name + ": " + entry);
    for (const auto& [name, tensor] : weights.tensors())
        m_archive.tensors.set(name, tensor);
}

// An example is not worth failing for.
void ArchiveReader::readSamples(const std::string& entry)
{
    if (!find(entry) || at(entry).size == 0)
        return;
    try {
        m_archive.sampleInputs = nestedTensors(m_file, stored(entry), m_name + ": " + entry);
    } catch (const core::FormatError& error) {
        m_archive.notes.insert(fmt::format("the example inputs were not read: {}", error.what()));
    }
}

void ArchiveReader::readExtraFiles(std::string_view folder)
{
    for (const auto& [entry, member] : m_members)
        if (entry.starts_with(folder) && member.size <= kMaxExtraFile)
            m_archive.extraFiles[entry.substr(folder.size())] = io::unpackZipMember(member, m_name);
}

void ArchiveReader::readNew()
{
    const auto model = modelName();
    const auto entry = std::string(kModels) + model + ".json";
    m_archive.program = io::parseExportedProgram(text(entry), m_name + ": " + entry);
    readPayloads(kWeights, fmt::format("{}{}_weights_config.json", kWeights, model));
    readPayloads(kConstants, fmt::format("{}{}_constants_config.json", kConstants, model));
    // PyTorch 2.8 kept whole dictionaries.
    readStateDict(fmt::format("{}{}.pt", kWeights, model));
    readStateDict(fmt::format("{}{}.pt", kConstants, model));
    readSamples(fmt::format("{}{}.pt", kSamples, model));
    readExtraFiles(kExtra);
}

void ArchiveReader::readOld()
{
    m_archive.program = io::parseExportedProgram(text(std::string(kOldProgram)), m_name + ": " + std::string(kOldProgram));
    readStateDict("serialized_state_dict.pt");
    readStateDict("serialized_constants.pt");
    readSamples("serialized_example_inputs.pt");
    readExtraFiles(kOldExtra);
}

ExportedArchive ArchiveReader::read()
{
    find(std::string(kOldProgram)) ? readOld() : readNew();
    return std::move(m_archive);
}

}  // namespace

bool isExportedArchive(const std::vector<std::string>& names)
{
    return std::any_of(names.begin(), names.end(), [](const std::string& name) {
        const auto entry = withoutRoot(name);
        return entry == kOldProgram || (entry.starts_with(kModels) && entry.ends_with(".json"));
    });
}

ExportedArchive readExportedArchive(const Mapping& file, const std::string& name)
{
    return ArchiveReader(file, name).read();
}

}  // namespace orrery::models
