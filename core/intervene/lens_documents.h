#pragma once
#include "lens_methods.h"
#include "soft_prompt.h"

/// Results of lenses as JSON documents and arrays: what lens_methods.cpp puts together.
namespace orrery::intervene {

core::Json gridDocument(const LensGrid& grid, const graph::ModelCard& card);
at::Tensor gridArray(const LensGrid& grid);
/// The grid's, with the context, and in each cell the tokens written on.
core::Json transplantDocument(const Transplant& made, const graph::ModelCard& card);
/// The loss at each place before and after.
core::Json promptDocument(const SoftPrompts& learned, const std::vector<StreamPlace>& places);
core::Json scoreDocument(const FutureLensScore& score, const std::vector<StreamPlace>& places);
core::Json directDocument(const DirectLogitAttribution& made, const graph::ModelCard& card);
core::Json headsDocument(const HeadScores& scores);
at::Tensor headsArray(const HeadScores& scores);
core::Json inductionDocument(const InductionScores& scores);
core::Json memorisationDocument(const Memorisation& made);
/// Numbers of a tensor as nested lists; NaN becomes null.
core::Json nested(const at::Tensor& tensor);

}  // namespace orrery::intervene
