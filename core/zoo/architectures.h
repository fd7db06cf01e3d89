#pragma once
#include "zoo.h"

/// What core/zoo/zoo.cpp lists: each architecture's description and factory, one file each.
namespace orrery::zoo {

/// Multi-layer perceptron on table rows [batch, feature]: (linear, batch norm, activation, dropout) a hidden layer, then a linear layer.
/// Parameters fc1.weight, fc1.bias, bn1.weight, ..., out.weight. Linear layers start as torch.nn.Linear.
core::Component mlpComponent();
graph::Model mlp(const core::Json& parameters);

/// LeNet-5 on images [batch, channel, height, width]: two convolutions with pooling, then fully connected layers. With the defaults 61,706
/// parameters: the widely used variant whose second convolution sees all maps of the first and whose last layer is linear (the paper connects
/// maps sparsely, its pooling has weights and its last layer computes radial basis functions). Names conv1, conv2, fc1, fc2, fc3 (bn1, bn2).
/// Source: LeCun, Bottou, Bengio & Haffner (1998), "Gradient-Based Learning Applied to Document Recognition", section II.B,
/// doi:10.1109/5.726791.
core::Component lenetComponent();
graph::Model lenet(const core::Json& parameters);

/// Residual networks. `layout` cifar: depth 6n+2, three stages of `width`, 2 `width`, 4 `width` maps (paper, section 4.2), shortcuts of option
/// A (subsampling and zero maps, no parameters; ResNet-20 has 269,722 parameters) or B (1x1 convolution and batch norm where the size changes;
/// 272,474). `layout` imagenet: depth 18, 34 (basic blocks) or 50 (bottlenecks with the stride in the 3x3 convolution), 11,689,512, 21,797,672
/// and 25,557,032 parameters. Names and initial values as torchvision: conv1, bn1, layer1.0.conv1, layer1.0.bn1, layer2.0.downsample.0, ...,
/// fc. Batch norm's num_batches_tracked is left out: nothing reads it while momentum is given.
/// Source: He, Zhang, Ren & Sun (2016), "Deep Residual Learning for Image Recognition", arXiv:1512.03385.
core::Component resnetComponent();
graph::Model resnet(const core::Json& parameters);

/// Densely connected network with bottlenecks and compression one half (DenseNet-BC). The defaults are DenseNet-121 as torchvision has it (7,978,856 parameters for 1,000
/// classes); names as there: features.conv0, .norm0, .denseblockN.denselayerM.{norm1, conv1, norm2, conv2}, .transitionN.{norm, conv}, .norm5 (whatever the number of
/// blocks), classifier. With `labels` chest_x_ray, `classes` 18 and `channels` 1 it is TorchXRayVision's classifier, whose files fit by name; its output is the logit before
/// their sigmoid and calibration.
/// Source: Huang, Liu, van der Maaten & Weinberger (2017), "Densely Connected Convolutional Networks", arXiv:1608.06993.
core::Component densenetComponent();
graph::Model densenet(const core::Json& parameters);

/// Vision transformer on images; the defaults are ViT-B/16 as torchvision has it (86,567,656 parameters, layer norm with epsilon 1e-6, the same
/// initial values). Our names (theirs): conv_proj, class_token, pos_embedding (encoder.pos_embedding), blocks.N.ln_1, .attn.qkv
/// (self_attention.in_proj_), .attn.proj (self_attention.out_proj), .ln_2, .mlp.fc (mlp.0), .mlp.proj (mlp.3) (all below
/// encoder.layers.encoder_layer_N), ln_f (encoder.ln), head (heads.head). Shapes and the order of rows are the same.
/// Source: Dosovitskiy et al. (2021), "An Image is Worth 16x16 Words", arXiv:2010.11929.
core::Component vitComponent();
graph::Model vit(const core::Json& parameters);

/// BERT with the head that says which token is hidden: the checkpoint family's own graph with its names (bert.encoder.layer.N..., cls.predictions...), so a BERT folder's weights fit,
/// and a trained one can be exported as such a folder. Defaults: BERT-base. Weights start normal with 0.02, biases at zero.
/// Source: Devlin et al. (2019), arXiv:1810.04805.
core::Component bertComponent();
graph::Model bert(const core::Json& parameters);

/// Decoder-only transformer with layer norm before attention and MLP; the defaults are GPT-2 small (124,439,808 parameters). Names (those of
/// GPT-2): wte, wpe, blocks.N (h.N), .ln_1, .attn.qkv (attn.c_attn), .attn.proj (attn.c_proj), .ln_2, .mlp.fc (mlp.c_fc), .mlp.proj
/// (mlp.c_proj), ln_f, lm_head. Matrices are [out, in] as in torch.nn.Linear (GPT-2's files hold them transposed). Weights start normal with
/// 0.02, those of the two projections into the residual stream with 0.02 / sqrt(2 layers). Any batch size and any length up to `block_length`
/// runs. `mlp` false leaves blocks.N.ln_2 and .mlp out: the attention-only transformer of Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits".
/// Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.3.
core::Component gptComponent();
graph::Model gpt(const core::Json& parameters);

/// Stacked LSTM on tokens, any length; names as torch.nn gives them: wte.weight, lstm.{weight_ih, weight_hh, bias_ih, bias_hh}_lN, lm_head.weight (tied to wte unless
/// `tied_head` is false). The state before the first token is zero. One node a layer, so that each layer's states [position, batch, feature] can be looked at; the gates cannot.
/// Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", doi:10.1162/neco.1997.9.8.1735; Zaremba et al. (2014), arXiv:1409.2329.
core::Component lstmComponent();
graph::Model lstm(const core::Json& parameters);

/// Encoder-decoder transformer: inputs `source` [batch, source position] and `target` [batch, position] (the target behind its begin mark), logits of the next
/// target token [batch, position, class]. Source positions that hold token 0 are masked out. Pre-layer-norm, ReLU, learned positions, source and target share
/// one token table. Parameters tokens.weight, source_embed.positions, encoder.N.{ln_1, attn.{q,k,v}_proj, attn.proj, ln_2, mlp.fc, mlp.proj}, ln_encoder,
/// target_embed.positions, decoder.N.{..., cross_attn, ln_3}, ln_f, lm_head. The canonical value `memory` is what the decoder reads of the source.
/// Source: Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762.
core::Component seq2seqComponent();
graph::Model seq2seq(const core::Json& parameters);

/// Two layers for each point, then points exchange messages over a graph of weights (added to what they were, layer norm), mean and maximum over the points, two
/// layers. Learned graph: softmax over all points of
/// -(distance / reach)^2 between places on the unit sphere of a learned space, so rows sum to 1 and the order of the points does not matter. Nearest graph: the
/// same weight for the nearest in the points' own coordinates. Values: canonical `points` [batch, point, feature], `coordinates`, `graph.N` [batch, point, point].
/// Where we deviate: weights reach all points (no radius cuts them off), and only the weighted mean is heard, not the maximum as well.
/// Source: Murnane (2023), "Graph Structure from Point Clouds: Geometric Attention is All You Need", arXiv:2307.16662; Qasim, Kieseler, Iiyama & Pierini (2019),
/// "Learning representations of irregular particle-detector geometry with distance-weighted graph networks", arXiv:1902.07987, section 3.
core::Component gravnetComponent();
graph::Model gravnet(const core::Json& parameters);

/// Neural radiance field with its renderer: rays [batch, 6] (origin and direction in a cube of edge 1 around 0) -> colours [batch, 3]. Frequencies, `depth` layers
/// of `width` with a skip into the middle, then a layer with the direction. One network serves both passes, as in Barron et al. (2021), "Mip-NeRF",
/// arXiv:2103.13415; the coarse pass carries no gradient, and densities are exp of the output where the paper has a rectifier. Canonical values: opacity,
/// depth, weights.
/// Source: Mildenhall et al. (2020), "NeRF: Representing Scenes as Neural Radiance Fields for View Synthesis", arXiv:2003.08934.
core::Component nerfComponent();
graph::Model nerf(const core::Json& parameters);

/// The hash grid field of instant-ngp with its renderer; inputs and outputs as `nerf`. Parameters table, density.N.weight, colour.N.weight, buffer occupancy. Layers
/// have no biases. Where we deviate: the grid is updated by a share of its cells in every step.
/// Source: Mueller, Evans, Schied & Keller (2022), "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", arXiv:2201.05989.
core::Component hashFieldComponent();
graph::Model hashField(const core::Json& parameters);

/// 3D Gaussians: rows of cameras [batch, 18] (core/scene/camera/camera_row.h) -> pictures [batch, height, width, 3]. Parameters means, scales (logarithms),
/// rotations, opacities (logits), harmonics, as the PLY files hold them. Canonical values: opacity, depth. How many there are changes in training: the graph is
/// then made anew. Source: Kerbl et al. (2023), "3D Gaussian Splatting for Real-Time Radiance Field Rendering", arXiv:2308.04079.
core::Component splatsComponent();
graph::Model splats(const core::Json& parameters);

/// A grid of cells, each with a tiny network of its own, and a renderer that skips empty space; inputs and outputs as `nerf`. Parameters geometry.N.weight [cell, out,
/// in], geometry.N.bias [cell, out], colour.N..., buffer occupancy. Meant to be distilled from a trained field (see core/scene/distill); it can be trained from
/// pictures as well. Where we deviate: directions are spherical harmonics, places are encoded in coordinates of their cell, the occupancy grid is instant-ngp's.
/// Source: Reiser, Peng, Liao & Geiger (2021), "KiloNeRF: Speeding up Neural Radiance Fields with Thousands of Tiny MLPs", arXiv:2103.13744.
core::Component kiloNerfComponent();
graph::Model kiloNerf(const core::Json& parameters);

}  // namespace orrery::zoo
