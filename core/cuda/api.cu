// The library's one symbol: its table of functions.
#include "functions.h"

using namespace orrery::cuda;

extern "C" const Api* orreryCudaApi()
{
    static const Api kApi{kApiVersion, hashForward, hashBackward, mlpBlocks,       mlpForward, mlpBackward,   compositeForward, compositeBackward, marchCount,
                          marchWrite,  directionEncode, project,  expand,          tileStarts, blend,         blendBackward,    projectBackward};
    return &kApi;
}
