// The operations of a graph. Values are channels-last: [N, H, W, C], [N, L, C] (tokens) or [N, C].
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace wimm {

using NodeId = int32_t;
using ParameterId = int32_t;
inline constexpr int32_t no_id = -1;

enum class Activation : uint8_t {
  identity,
  relu,
  relu6,
  squared_relu,
  sigmoid,
  hard_sigmoid,
  silu,
  hard_swish,
  gelu,
  gelu_tanh,
  quick_gelu,
  tanh,
  mish,
  leaky_relu,       // slope 0.01
  leaky_relu_1e_3,  // slope 0.001
};

using Size2d = std::array<int64_t, 2>;  // {height, width}

// Zeros (or reflections) around an image; a negative number takes rows or columns away (not for convolutions). `same`:
// TensorFlow's padding, computed from the input's size at run time; for convolutions only where the kernel is 1 or no
// smaller than the stride (XNNPACK's rule).
struct Padding {
  bool same = false;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
};

// The images that enter the model.
struct Input {
  int64_t channels;
  Size2d size{};                // the only height and width that the model takes; zeros: any
  Size2d multiple_of = {1, 1};  // what height and width must be multiples of
};

// A channel-wise normalisation or scale that a convolution may absorb: y = x · scale + shift.
// Batch norm: scale = weight / sqrt(var + eps), shift = bias - mean · scale. Layer scale: only `weight`. A parameter of
// one element is every channel's.
struct Affine {
  ParameterId weight = no_id, bias = no_id, mean = no_id, var = no_id;
  double eps = 0;
  Activation activation = Activation::identity;  // of the result, set by a pass
};

// weight [out, in/groups, kH, kW]; bias [out] where there is one.
struct Conv2d {
  int64_t out_channels;
  Size2d kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  Padding padding{};
  int64_t groups = 1;
  ParameterId weight = no_id, bias = no_id;
  // The eps of weight standardisation (arXiv 1903.10520), if any: each output's weights get mean 0 and variance 1.
  std::optional<double> standardize{};
  ParameterId gain = no_id;                      // [out, 1, 1, 1]: standardised weights are multiplied by it,
  double gain_scale = 1;                         // and by this
  std::vector<Affine> folded{};                  // set by a pass: applied to the weights, in order
  Activation activation = Activation::identity;  // set by a pass
  bool winograd = false;                         // set by a pass: computed by Winograd's algorithm
  bool int8 = false;                             // set by a pass: computed in integers
  // Set by a pass: convolutions of the same input, whose sum this is; its weights are theirs, added up. One without
  // weights has ones: a depthwise one is the identity.
  std::vector<Conv2d> branches{};
};

// 1×1, without padding: a matrix product.
inline bool is_pointwise(const Conv2d& op) {
  const Padding& p = op.padding;
  return op.kernel == Size2d{1, 1} && op.groups == 1 && p.top + p.left + p.bottom + p.right == 0;
}

// y = x · weightᵀ + bias over the last dimension; weight [out, in].
struct Linear {
  int64_t out_features;
  ParameterId weight = no_id, bias = no_id;
  std::vector<Affine> folded{};                  // set by a pass: applied to the weights, in order
  Activation activation = Activation::identity;  // set by a pass
  bool int8 = false;                             // set by a pass: computed in integers
};

struct Activate {
  Activation activation;
};

// scale · relu(x)² + bias, both [1].
struct StarRelu {
  ParameterId scale, bias;
};

// Group norm over H, W and the channels of each group; weight [C], and bias [C] where there is one.
struct GroupNorm {
  int64_t groups;
  double eps;
  ParameterId weight, bias;
  Activation activation = Activation::identity;  // of the result, set by a pass
};

// Layer norm over the last dimension, or over each part of it that is as long as the weight: a head's channels. A bias
// of that length, where there is one.
struct LayerNorm {
  double eps;
  ParameterId weight, bias;
};

// x · weight / √(mean(x²) + eps), over the same channels as LayerNorm; or, by `variance`, x · weight / √(variance +
// eps), that of a sample (timm's SimpleNorm).
struct RmsNorm {
  double eps;
  ParameterId weight;
  bool variance = false;
};

// Global response normalisation (arXiv 2301.00808): x + weight · x · n + bias, where n is a channel's norm over H and W
// divided by the mean of all channels' (plus eps).
struct GlobalResponseNorm {
  double eps;
  ParameterId weight, bias;
};

// EvoNorm-S0: x · sigmoid(v · x) / std over groups, then weight and bias (arXiv 2004.02967); without v no sigmoid.
struct EvoNormS0 {
  int64_t groups;
  double eps;
  ParameterId v = no_id, weight = no_id, bias = no_id;
};

// Filter response norm and its thresholded linear unit (arXiv 1911.09737): x / sqrt(mean of x² over H and W + eps),
// then weight and bias, and no less than tau; all [C].
struct FilterResponseNorm {
  double eps;
  ParameterId weight, bias, tau;
};

// Sum, difference or product of two values; the second may be [N, C] or [N, 1, 1, C], repeated over H and W.
struct Binary {
  enum class Kind : uint8_t { add, sub, mul } kind;
  Activation activation = Activation::identity;  // of the result, set by a pass
};

struct MaxPool {
  Size2d kernel, stride;
  Padding padding{};
  bool ceil_mode = false;
};

struct AvgPool {
  Size2d kernel, stride;
  Padding padding{};
  bool ceil_mode = false, count_include_pad = true;
};

// PyTorch's adaptive average pooling to one height and width. only_smaller: of images that are smaller alone.
struct AdaptiveAvgPool {
  Size2d size;
  bool only_smaller = false;
};

// PyTorch's adaptive max pooling to `size` cells, of images whose sides are multiples of their numbers.
struct AdaptiveMaxPool {
  Size2d size;
};

enum class PoolKind : uint8_t { avg, max, avgmax, catavgmax };

// [N, H, W, C] → [N, C] ([N, 2·C] for catavgmax), or → [N, 1, 1, C] with keep_dims. Tokens [N, L, C] → [N, C].
struct GlobalPool {
  PoolKind kind;
  bool keep_dims = false;
};

// Along channels (the last dimension).
struct Concat {};
struct Slice {
  int64_t begin, size;
};

struct Pad {
  Padding padding{};
  enum class Mode : uint8_t { zeros, reflect } mode;
};

// Nearest neighbours: each pixel becomes factor × factor of them.
struct Upsample {
  int64_t factor;
};

// Images of another size, as PyTorch's interpolate has it: that of the second input, or, where there is none, with
// height and width rounded up to a multiple. bilinear_aligned: corner onto corner.
struct Interpolate {
  enum class Mode : uint8_t { nearest, bilinear, bilinear_aligned } mode;
  Size2d multiple_of{1, 1};
};

// [N, H, W, C] → [N · area, H · W / area, C]: the pixels at the same place of every patch, patches in rows; and back,
// given the image (second input) whose H and W, rounded up to whole patches, it takes. H and W are multiples of the
// patch.
struct ToPatches {
  Size2d patch;
};
struct FromPatches {
  Size2d patch;
};

// [N, H, W, C] → [N, H/factor, W/factor, factor²·C]: of each square of pixels its rows, columns, channels. H and W are
// multiples of factor.
struct SpaceToDepth {
  int64_t factor;
};

// Efficient channel attention: a 1-D convolution along the channels of a pooled value, zero padded; weight [1, 1,
// kernel].
struct ChannelConv {
  int64_t kernel;
  ParameterId weight;
};

// [N, H, W, C] → [N, H·W, C], and back given the value whose H and W it takes (second input).
struct ToTokens {};
struct ToImage {};

// Learned tokens [1, L, C], the same for each image: x [N, …] → [N, L, C].
struct LearnedTokens {
  ParameterId tokens;
  int64_t count;  // L
};

// [N, L1, C], [N, L2, C], … → [N, L1 + L2 + …, C].
struct ConcatTokens {};

// [N, L, C] → [N, L - count, C], without the first tokens.
struct DropTokens {
  int64_t count;
};

// [N, L, C] → [N, count, C], the tokens from `begin` on.
struct SliceTokens {
  int64_t begin, count;
};

// y = weight · x + bias along the tokens, the same for every channel: x [N, L, C] → [N, out, C]; weight [out, L], bias
// [out].
struct MixTokens {
  int64_t tokens, out_tokens;  // L, out
  ParameterId weight, bias;
  Activation activation = Activation::identity;  // set by a pass
};

// [N, L, C] → [N, C], one token.
struct SelectToken {
  int64_t index;
};

// How position embeddings become those of another grid, as PyTorch's interpolate has it.
enum class Resampling : uint8_t {
  bicubic,           // with antialias
  bilinear,          // without
  bilinear_aligned,  // without, corner onto corner
};

// Adds learned position embeddings [1, prefix + height · width, C] to tokens [N, prefix + L, C]. With a second input,
// an image whose pixels the tokens were, the embeddings are resampled to its height and width.
struct AddPositions {
  ParameterId positions;
  int64_t prefix;  // tokens before those of the grid
  Size2d grid;
  bool planes = false;  // the embeddings are [1, C, height, width]
};

// Adds a projection of sines and cosines of each pixel's place, of 32 frequencies along rows and along columns, to
// images [N, H, W, C]; weight [C, 64, 1, 1], bias [C] (arXiv 2106.09681).
struct AddFourierPositions {
  ParameterId weight, bias;
};

// softmax(q · kᵀ · scale) · v; q [N, Lq, …], k and v [N, Lk, …] → [N, Lq, heads · v.depth], each kv head shared by
// heads/kv_heads heads. The three inputs may be one value.
struct Attention {
  // Where a token has its heads: head h is the `depth` channels from begin + h · stride on.
  struct Heads {
    int64_t begin, stride, depth;
  };
  int64_t heads, kv_heads;
  double scale;
  Heads q, k, v;
};

// Attention between the channels of each head (arXiv 2106.09681): x [N, L, 3·C], which holds q, k and v → [N, L, C]. v
// is mixed by softmax(qᵀ · k · temperature) of q and k normalised over the tokens; temperature [heads, 1, 1].
struct CrossCovariance {
  int64_t heads;
  ParameterId temperature;
};

// Linear attention by ReLU (arXiv 2205.14756): x [N, H, W, heads · 3 · depth], of each head its q, k and v → [N, H, W,
// heads · depth]: q · Σ kᵀ·v / (q · Σ k + eps) of q and k without what is negative, the sums over all pixels.
struct LinearAttention {
  int64_t depth;
  double eps;
};

// Separable self-attention (arXiv 2206.02680): x [N, H, W, 1 + 2·C], of each pixel a score, its key and its value →
// [N, H, W, C]: relu(value) · Σ key · softmax(score), over the pixels at the same place of every patch. H and W are
// multiples of the patch.
struct SeparableAttention {
  Size2d patch;
};

// a - λ · b, where λ = exp(q1 · k1) - exp(q2 · k2) + lambda_init: the difference of two attentions (arXiv 2410.05258).
struct DifferentialMix {
  ParameterId q1, k1, q2, k2;
  double lambda_init;
};

// The mean of x [N, H, W, C] over its pixels, weighted by the softmax of logits [N, H, W, 1] → [N, 1, 1, C].
struct AttentionPool {};

// Focal modulation's sum of contexts (arXiv 2203.11926): gates, of which the channels from `begin` on are meant, then
// contexts [N, H, W, C], the last one [N, 1, 1, C] → Σ context · its gate [N, H, W, C].
struct MixLevels {
  int64_t begin;
};

// BAT's bilinear transform: an image x of block × block cells becomes P · x · Q, in each group of channels, where the
// matrix P mixes the rows of cells and Q the columns, each pixel with those at its place in other cells. P is the
// sigmoid of the second input, its rows divided by their sums, Q of the third, its columns: [N, 1, 1, groups · block²].
struct BilinearTransform {
  int64_t block, groups;
};

// Conditional convolution's mixture: x [N, H, W, experts·C] (expert-major) and weights [N, experts] → [N, H, W, C].
struct MixExperts {
  int64_t experts;
};

// The mixture of split attention and selective kernels: x [N, H, W, radix·C] (radix-major), each split and channel
// weighted by the softmax over the radix of logits [N, 1, 1, radix·C] (group-major, then radix-major) → [N, H, W, C].
struct MixSplits {
  int64_t radix, groups;
};

// [N, H, W, C] → [N, C·H·W], in NCHW order as PyTorch's flatten.
struct Flatten {};

using Op =
    std::variant<Input, Affine, Conv2d, Linear, Activate, GroupNorm, LayerNorm, RmsNorm, GlobalResponseNorm, EvoNormS0,
                 FilterResponseNorm, Binary, MaxPool, AvgPool, AdaptiveAvgPool, GlobalPool, Concat, Slice, Pad,
                 ChannelConv, ToTokens, ToImage, LearnedTokens, ConcatTokens, DropTokens, SelectToken, AddPositions,
                 Attention, DifferentialMix, AttentionPool, MixExperts, MixSplits, Flatten, Upsample, SpaceToDepth,
                 SliceTokens, MixTokens, StarRelu, AddFourierPositions, CrossCovariance, MixLevels, Interpolate,
                 ToPatches, FromPatches, AdaptiveMaxPool, BilinearTransform, LinearAttention, SeparableAttention>;

}  // namespace wimm
