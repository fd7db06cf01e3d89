#pragma once
#include <string>

#include <core/graph/model.h>

#include "weight_file.h"

/// Weights whose architecture nobody knows, as a model to look at.
namespace orrery::models {

/// A model with the file's tensors as parameters, its names taken apart at the dots as the tree of modules, and no nodes: everything that looks at parameters works, and running it
/// says that there is nothing to run. Tensors that are the same elements of one storage are one parameter with aliases. Integer tensors, running statistics and what the
/// file itself calls so are buffers.
/// @param name  Of the graph: the file's name.
/// @throws core::FormatError naming the file for names that cannot be those of parameters.
graph::Model weightBrowser(WeightFile file, const std::string& name);

}  // namespace orrery::models
