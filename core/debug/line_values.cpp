#include "line_values.h"

#include <map>
#include <set>

namespace orrery::debug {

std::string canonicalOperator(const graph::Node& node)
{
    static const std::map<std::string, std::string> kNames = {
        {"aten::view", "reshape"},
        {"aten::_unsafe_view", "reshape"},
        {"aten::reshape", "reshape"},
        {"aten::flatten", "reshape"},
        {"aten::unflatten", "reshape"},
        {"aten::squeeze", "reshape"},
        {"aten::unsqueeze", "reshape"},
        {"aten::permute", "permute"},
        {"aten::transpose", "permute"},
        {"aten::t", "permute"},
        {"aten::numpy_T", "permute"},
        {"aten::mm", "matmul"},
        {"aten::bmm", "matmul"},
        {"aten::matmul", "matmul"},
        {"aten::_softmax", "softmax"},
        {"aten::softmax", "softmax"},
        {"aten::_log_softmax", "log_softmax"},
        {"aten::log_softmax", "log_softmax"},
        {"aten::native_layer_norm", "layer_norm"},
        {"aten::layer_norm", "layer_norm"},
        {"aten::native_group_norm", "group_norm"},
        {"aten::group_norm", "group_norm"},
        {"aten::max_pool2d_with_indices", "max_pool2d"},
        {"aten::max_pool2d", "max_pool2d"},
        {"aten::_adaptive_avg_pool2d", "adaptive_avg_pool2d"},
        {"aten::adaptive_avg_pool2d", "adaptive_avg_pool2d"},
        {"aten::native_batch_norm", "batch_norm"},
        {"aten::_native_batch_norm_legit", "batch_norm"},
        {"aten::_native_batch_norm_legit_no_training", "batch_norm"},
        {"aten::batch_norm", "batch_norm"},
    };
    const auto it = kNames.find(node.op);
    return it == kNames.end() ? node.op : it->second;
}

bool isCopy(const graph::Node& node)
{
    static const std::set<std::string> kCopies = {"aten::dropout",    "aten::feature_dropout", "aten::alpha_dropout",
                                                  "aten::contiguous", "aten::clone",           "aten::alias",
                                                  "aten::detach",     "aten::native_dropout",  "aten::lift_fresh_copy"};
    return kCopies.count(node.op) > 0;
}

}  // namespace orrery::debug
