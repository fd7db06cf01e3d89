#pragma once
#include <memory>

#include "array.h"
#include "pickle.h"

/// Files of `torch.save`: a pickle and the bytes of its storages. Free of libtorch.
namespace orrery::io {

/// Where the bytes of a storage lie in the file.
struct TorchStorage {
    ElementType type = ElementType::Float32;  ///< UInt8 for an untyped storage
    std::uint64_t begin = 0, end = 0;         ///< a multiple of the element size apart
};

/// A tensor that has been checked to lie inside its storage.
struct TorchTensor {
    std::uint32_t storage = 0;  ///< index into `TorchFile::storages`; two tensors of one storage may overlap
    ElementType type = ElementType::Float32;
    std::int64_t offset = 0;                   ///< in elements of `type`
    std::vector<std::int64_t> sizes, strides;  ///< strides in elements, not negative
    bool isParameter = false;
};

struct TorchFile {
    Pickle pickle;                                ///< its views point into `bytes` of the file or into `unpacked`
    std::vector<TorchStorage> storages;           ///< one a key
    std::vector<TorchTensor> tensors;             ///< as many as `pickle.tensors`
    bool isLegacy = false;                        ///< written before PyTorch 1.6
    bool isBigEndian = false;                     ///< elements have the other byte order
    std::shared_ptr<const std::string> unpacked;  ///< the pickle, where the archive keeps it deflated
};

/// True for the first bytes of either format (a ZIP archive with `NAME/data.pkl` and no TorchScript code; the magic number of the older one). Never throws.
bool isTorchFile(std::string_view bytes);

/// Reads the structure; of the storages nothing is read or copied, except that checksums are verified in archives of up to 64 MiB. `bytes` (usually a mapping) must outlive the result.
/// The zip format keeps storages as stored entries under any archive name; the older format is a row of pickles with the storages behind.
/// @throws core::FormatError naming `name` and the tensor or storage: what `parsePickle` refuses; a storage that is missing, deflated, too short or of a quantised type; tensors with negative
///         sizes, strides or offsets, or that reach outside their storage; files before 2017 (tar); damaged archives.
/// Source: PyTorch, torch/serialization.py and caffe2/serialize/inline_container.cc.
TorchFile parseTorchFile(std::string_view bytes, std::string_view name);

}  // namespace orrery::io
