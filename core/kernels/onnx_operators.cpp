// The one registration of what ONNX models need: functions of tensors, registered for all keys, so that each records its own backward pass.
#include "onnx_operators.h"

namespace orrery::kernels {

TORCH_LIBRARY_FRAGMENT(orrery, library)
{
    registerOnnxIndices(library);
    registerOnnxQuantised(library);
    registerOnnxRecurrent(library);
    registerOnnxResize(library);
    registerOnnxShapes(library);
    registerOnnxVision(library);
    registerOnnxWindows(library);
}

}  // namespace orrery::kernels
