// CLIP: a tower for pictures, a tower for texts, and the cosines between what they give.
// Source: Radford et al. (2021), "Learning Transferable Visual Models From Natural Language Supervision", arXiv:2103.00020, figure 3.
#include <cmath>

#include "clip_tower.h"

namespace orrery::models::families {
namespace {

/// The state at the end token: the first one of that number; files with the old number 2 mean the largest number.
Var endState(Assembly& assembly, Var x, std::int64_t endToken)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("end_token", "EndToken");
    const Var marks = endToken == 2
                          ? assembly.tokens
                          : builder.op("aten::to.other", {builder.op("aten::eq.Scalar", {assembly.tokens, endToken}), assembly.tokens}, "marks");
    const Var place = builder.op("aten::unsqueeze", {builder.op("aten::argmax", {marks, -1, true}), -1});
    const Var index = builder.op("aten::expand_as", {place, builder.op("aten::slice.Tensor", {x, 1, 0, 1, 1})});
    return builder.op("aten::squeeze.dim", {builder.op("aten::gather", {x, 1, index}), 1});
}

Var textTower(Assembly& assembly, const Config& config)
{
    Builder& builder = assembly.builder;
    const TowerSettings tower("text", config, 512, 8);
    const Var tokens = assembly.tokenInput();
    const Builder::Scope scope = builder.module("text_model", "CLIPTextTransformer");
    Var x = clipTextEmbeddings(assembly, tokens, tower, {config.count("vocab_size", 49408), config.count("max_position_embeddings", 77)});
    const Masks masks{zoo::causalMask(builder, x, assembly.sizes.position), assembly.paddingMask(x)};
    x = clipEncoder(assembly, x, assembly.sizes, masks, tower);
    x = builder.layerNorm("final_layer_norm", x, tower.features, tower.epsilon);
    return endState(assembly, x, config.number("eos_token_id").value_or(49407));
}

Var visionTower(Assembly& assembly, const Config& config)
{
    Builder& builder = assembly.builder;
    const TowerSettings tower("vision", config, 768, 12);
    const PatchGrid grid(config, 32);
    const Var image = assembly.imageInput(grid.channels, grid.size, grid.size);
    const Builder::Scope scope = builder.module("vision_model", "CLIPVisionTransformer");
    Var x;
    {
        const Builder::Scope inner = builder.module("embeddings", "CLIPVisionEmbeddings");
        const Var first = builder.parameter("class_embedding", {tower.features}, zoo::normalInit(0.02));
        const Var map = builder.conv2d("patch_embedding", image, grid.channels, tower.features, grid.patch, grid.patch, 0, false);
        const Var patches = builder.transpose(builder.flatten(map, 2, 3), 1, 2);
        const Var classes = builder.op("aten::expand", {first, builder.shape({builder.size(patches, 0), 1, -1})}, "class_token");
        const Var sequence = builder.op("aten::cat", {builder.list({classes, patches}), 1}, "patches");
        const Builder::Scope table = builder.module("position_embedding", "Embedding");
        const Var places = builder.parameter("weight", {grid.patches() + 1, tower.features}, zoo::normalInit(0.02));
        x = builder.add(sequence, places);
    }
    const zoo::TransformerSizes sizes{builder.size(x, 0), builder.size(x, 1)};
    x = builder.layerNorm("pre_layrnorm", x, tower.features, tower.epsilon);  // the checkpoints' own spelling
    x = clipEncoder(assembly, x, sizes, {}, tower);
    const Var first = builder.op("aten::select.int", {x, 1, 0}, "class_state");
    return builder.layerNorm("post_layernorm", first, tower.features, tower.epsilon);
}

graph::Model buildClip(const Request& request)
{
    const Config text = request.config.section("text_config"), vision = request.config.section("vision_config");
    const auto width = request.config.count("projection_dim", 512);
    Assembly assembly(request, "clip");
    Builder& builder = assembly.builder;
    const Var sentence = textTower(assembly, text), picture = visionTower(assembly, vision);
    const Var imageEmbeds =
        unitLength(builder, builder.linear("visual_projection", picture, vision.count("hidden_size", 768), width, false), "image_embeds");
    const Var textEmbeds =
        unitLength(builder, builder.linear("text_projection", sentence, text.count("hidden_size", 512), width, false), "text_embeds");
    const Var scale = builder.op("aten::exp", {builder.parameter("logit_scale", {}, {{"kind", "constant"}, {"value", std::log(1 / 0.07)}})});
    const Var cosines = builder.op("aten::matmul", {textEmbeds, builder.op("aten::t", {imageEmbeds})}, "cosines");
    const Var perText = builder.op("aten::mul.Tensor", {cosines, scale}, "logits_per_text");
    const Var perImage = builder.op("aten::t", {perText}, "logits_per_image");
    return assembly.finish({{"logits_per_image", perImage}, {"logits_per_text", perText}, {"text_embeds", textEmbeds}, {"image_embeds", imageEmbeds}},
                           "CLIP", "");
}

}  // namespace

Family clipFamily()
{
    return {"clip",
            "CLIP",
            "Radford et al. (2021), \"Learning Transferable Visual Models From Natural Language Supervision\", arXiv:2103.00020",
            {"clip"},
            {Head::Base},
            "",
            buildClip,
            {"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"}};
}

}  // namespace orrery::models::families
