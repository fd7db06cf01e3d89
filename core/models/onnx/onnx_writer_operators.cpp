// The operators of libtorch as operators of ONNX: all families.
#include "onnx_writer.h"

namespace orrery::models::onnx {

const OperatorWriter* findOperatorWriter(const std::string& op)
{
    static const WriterTable kWriters = [] {
        WriterTable table;
        for (const auto addFamily :
             {addLayerWriters, addMathWriters, addShapeWriters, addIndexWriters, addRecurrentWriters, addFurtherWriters, addImportedWriters})
            addFamily(table);
        return table;
    }();
    const auto found = kWriters.find(op);
    return found == kWriters.end() ? nullptr : &found->second;
}

}  // namespace orrery::models::onnx
