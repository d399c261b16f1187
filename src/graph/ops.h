// The operations of a graph. Values are channels-last: [N, H, W, C], [N, L, C] (tokens) or [N, C].
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
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
  int64_t repeats = 1;                           // weight and bias are those of out_channels / repeats, again and again
  std::vector<Affine> folded{};                  // set by a pass: applied to the weights, in order
  Activation activation = Activation::identity;  // set by a pass
  int64_t winograd_tile = 0;                     // set by a pass: pixels across, where Winograd's algorithm computes it
  bool int8 = false;                             // set by a pass: computed in integers
  // Set by a pass: convolutions of the same input, whose sum this is; its weights are theirs, added up. One without
  // weights has ones: a depthwise one is the identity.
  std::vector<Conv2d> branches{};
  // Set by a pass: at most one pointwise convolution of the input, whose result this one, which is depthwise, reads.
  std::vector<Conv2d> expansion{};
  std::string name{};  // of an expansion: timm's module path
};

// 1×1, without padding: a matrix product.
inline bool is_pointwise(const Conv2d& op) {
  const Padding& p = op.padding;
  return op.kernel == Size2d{1, 1} && op.groups == 1 && p.top + p.left + p.bottom + p.right == 0;
}

// One filter for each channel.
inline bool is_depthwise(const Conv2d& op, int64_t channels) {
  return op.groups == channels && op.out_channels == channels;
}

// y = x · weightᵀ + bias over the last dimension; weight [out, in].
struct Linear {
  int64_t out_features;
  ParameterId weight = no_id, bias = no_id;
  std::vector<ParameterId> bias_parts{};         // instead of bias: parts of one size, no_id for one of zeros
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

// x / |x| over the last dimension, PyTorch's normalize.
struct UnitNorm {};

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

// Sum, difference or product of two values; the second may be [N, C] or [N, 1, 1, C], repeated over H and W, or [N, H,
// W, 1], repeated over channels.
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

// [N, H, W, C] → [N, H, W, 2]: the mean and the largest of each pixel's channels.
struct PoolChannels {};

// Along channels (the last dimension).
struct Concat {};
struct Slice {
  int64_t begin, size;
};

struct Pad {
  Padding padding{};
  enum class Mode : uint8_t { zeros, reflect } mode = Mode::zeros;
  Size2d multiple_of{1, 1};  // of zeros below and to the right, also what makes height and width multiples of that
};

// The first rows and columns, as many as the second input has.
struct Crop {};

// PyTorch's bicubic interpolation, without antialias.
struct Resize {
  Size2d to;
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

// [N, H, W, C] → [N · windows, height, width, C], the windows of an image in rows; and back, given the image (second
// input) whose H and W they make. H and W are multiples of the windows' size.
struct ToWindows {
  Size2d size;
};
struct FromWindows {
  Size2d size;
};

// PyTorch's transposed convolution: weight [in, out/groups, kH, kW], bias [out]. Padding takes rows and columns away.
struct ConvTranspose2d {
  int64_t out_channels, kernel, stride, padding, groups;
  ParameterId weight, bias;
};

// [N, H, W, C] → [N, H/factor, W/factor, factor²·C]: of each square of pixels its rows, columns, channels. H and W are
// multiples of factor. columns_first: of each square its columns, rows, channels.
struct SpaceToDepth {
  int64_t factor;
  bool columns_first = false;
};

// Efficient channel attention: a 1-D convolution along the channels of a pooled value, zero padded; weight [1, 1,
// kernel].
struct ChannelConv {
  int64_t kernel;
  ParameterId weight;
};

// [N, H, W, C] → [N, H·W, C], and back to a given height and width, or those of a second input.
struct ToTokens {};
struct ToImage {
  Size2d size{};  // zeros: of the second input
};

// [N, H, W, C] → [N · patches, height, width, C]: squares of an image, row by row, as images of their own. H and W are
// multiples of theirs.
struct Patches {
  Size2d size;
};

// [N · patches, L, C] → [N, patches, L·C], each patch's tokens one behind the other: the first dimension of the second
// input is N.
struct JoinPatches {};

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

// [N, L, C] → [N, L / count, C]: the means of so many tokens at a time; a rest is left out.
struct PoolTokens {
  int64_t count;
};

// The softmax of each channel over the tokens.
struct SoftmaxTokens {};

// Products of two matrices for each image and head: a [N, L, heads · M], b [N, M, heads · C] → a · b [N, L, heads · C];
// transposed: b [N, L, heads · C] → aᵀ · b [N, M, heads · C].
struct MatMul {
  int64_t heads = 1;
  bool transposed = false;
};

// [N, L, C] → [N, C], one token.
struct SelectToken {
  int64_t index;
};

// How position embeddings become those of another grid, as PyTorch's interpolate has it.
enum class Resampling : uint8_t {
  bicubic,           // with antialias
  bicubic_sharp,     // without, and with the filter that PyTorch then takes
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

// Adds learned position embeddings of a grid to images [N, H, W, C], resampled to their height and width: [1, height,
// width, C], or channels first as a convolution has them. `window`, if any, [1, C, …], is added to them again and
// again.
struct AddGrid {
  ParameterId positions;
  Size2d grid;
  bool channels_first = false;
  Resampling resampling = Resampling::bicubic;
  ParameterId window = no_id;
  Size2d window_size{};
  Size2d block{};  // positions lie block by block, those of a block together; zeros: row by row
};

// A bias of attention for each head and offset of a key from its query in a grid, behind `prefix` (0 or 1) tokens that
// are in none: a table [(2 · height - 1) · (2 · width - 1) (+ 3 of the prefix: to the grid, from it, to itself),
// heads], or what an MLP makes of an offset's logarithms.
struct RelativeBias {
  Size2d grid;
  int64_t prefix = 0;
  ParameterId table = no_id;
  bool symmetric = false;  // a table [heads, height · width] of distances, or more heads whose first is `first_head`
  int64_t first_head = 0;
  int64_t stride = 1;       // queries are those of every so many rows and columns
  bool head_first = false;  // a table [heads, 2 · height - 1, 2 · width - 1], of keys from their query
  // fc2(relu(fc1(offset))), weights [hidden, 2] and [heads, hidden]. An offset is sign(d) · ln(1 + |d|), or where
  // `unit` says what counts as 8, log2 / 3 of that, and the bias 16 · sigmoid of the result.
  struct Mlp {
    ParameterId weight1, bias1, weight2, bias2 = no_id;
    Size2d unit{};
  };
  std::optional<Mlp> mlp{};
};

// A bias of attention that depends on the query: its products with what is learned for the offsets of rows and of
// columns, each [2 · most - 1, depth], `most` being the more of queries or keys along the axis; of another number, they
// are resampled.
struct OffsetProducts {
  ParameterId rows, columns;
  Size2d queries{}, keys{};  // grids of tokens behind `prefix` others; zeros: those of the windows
  int64_t prefix = 0;
  bool of_keys = false;  // offsets are those of keys from their query, both counted alike
};

// Windows of an image whose tokens attend to each other alone; zeros: all of it is one. The first `rolled` rows and
// columns are rolled up and left by `shift` before the image is divided; what then comes from another side is not seen.
// strided: of a window the tokens lie as far apart as they can, a grid over the image. halo: keys are also those of as
// many rows and columns around the window, zeros outside of the image.
struct Windows {
  Size2d size, shift{}, rolled{};
  bool shares_queries = false;  // those of one window, an image of that size, ask in all of them
  bool strided = false;
  int64_t halo = 0;
};

// The sines, then the cosines, of the angles by which rotary embeddings (arXiv 2104.09864) turn the `depth` channels of
// a head: [1, H · W, 2 · depth] for the image whose H and W it takes, or for each of `sets`.
struct RotaryTable {
  // index: a pixel's row and column, counted from `offset`, by powers of the temperature; centered: by their periods,
  // the image's sides being -1 and 1 (DINOv3); mixed: learned frequencies [2, …, depth / 2] whose sets are their middle
  // dimensions (arXiv 2403.13298).
  enum class Kind : uint8_t { index, centered, mixed } kind;
  int64_t depth;
  double temperature = 10'000, offset = 0;
  bool columns_first = false;  // a pixel is (x, y), else (y, x)
  bool halves = false;         // channels c and c + depth / 2 turn together, else 2 · c and 2 · c + 1
  Size2d reference{};          // the index counts as if the image had this size; zeros: its own
  ParameterId frequencies = no_id;
  int64_t sets = 1;
};

// softmax(q · kᵀ · scale) · v; q [N, Lq, …], k and v [N, Lk, …] → [N, Lq, heads · v.depth], each kv head shared by
// heads/kv_heads heads. The three inputs may be one value. With windows, they are images [N, H, W, …], H and W
// multiples of the windows' size; q may be smaller by a factor, as its windows then are.
struct Attention {
  // Where a token has its heads: head h is the `depth` channels from begin + h · stride on.
  struct Heads {
    int64_t begin, stride, depth;
  };
  int64_t heads, kv_heads;
  double scale;
  Heads q, k, v;
  bool interleaved = false;  // head h gives every heads-th channel, from h on
  std::optional<Windows> windows{};
  std::optional<RelativeBias> bias{};
  std::optional<OffsetProducts> products{};
  // Cosine attention (arXiv 2111.09883): q and k of length 1, scaled by e to the logit_scale of the head, at most 100.
  ParameterId logit_scale = no_id;
  // With a RotaryTable as fourth input: turns q and k of the tokens behind `prefix` by the set `first`, or by one set a
  // head from there on.
  struct Rotary {
    int64_t prefix = 0, first = 0;
    bool each_head = false, halves = false;
  };
  std::optional<Rotary> rotary{};
};

// Attention whose heads are mixed before and after the softmax (arXiv 2003.02436), by weights [heads, heads] and biases
// [heads]; q, k and v of as many tokens, or pixels, maybe of one value.
struct TalkingHeads {
  int64_t heads;
  double scale;
  Attention::Heads q, k, v;
  std::optional<RelativeBias> bias{};  // of the scores, before
  ParameterId before_weight = no_id, before_bias = no_id, after_weight = no_id, after_bias = no_id;
};

// Attention between the channels of a head: softmax(aᵀ · b · scale) · cᵀ, of x [N, …, 3 · C] whose thirds are a, b and
// c in the order given → [N, …, C]. Without a scale, it is 1 / √tokens.
struct ChannelAttention {
  int64_t heads;
  std::array<int64_t, 3> order;  // of the thirds that are a, b and c
  std::optional<double> scale{};
};

// Outlook attention (arXiv 2106.13112): around every second pixel of v [N, H, W, C], the 3 × 3 values that each of them
// gives for a head, mixed by the softmax of logits [N, ⌈H/2⌉, ⌈W/2⌉, heads · 9 · 9] · scale, are summed where they
// fall.
struct OutlookAttention {
  int64_t heads;
  double scale;
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

// Attention that each head's gate mixes with a softmax of offsets in a square grid, between what tokens have in common
// and where they are (arXiv 2103.10697): (1 - g) · softmax(q · kᵀ · scale) · v + g · softmax(weight · (dx, dy, dx² +
// dy²)) · v, g = sigmoid(gate); q and k [N, L, 2·C] one behind the other, v [N, L, C] → [N, L, C]; weight [heads, 3],
// gate [heads].
struct GatedAttention {
  int64_t heads, side;  // L = side²
  double scale;
  ParameterId weight, gate;
};

// Long short-term memory along rows, or columns, from both ends: x [N, H, W, C] → [N, H, W, 2 · hidden]. Weights and
// biases as PyTorch's LSTM has them.
struct Lstm {
  struct Weights {
    ParameterId weight_ih, weight_hh, bias_ih, bias_hh;
  };
  int64_t hidden;
  bool vertical;
  Weights forward, backward;
};

// a - λ · b, where λ = exp(q1 · k1) - exp(q2 · k2) + lambda_init: the difference of two attentions (arXiv 2410.05258).
struct DifferentialMix {
  ParameterId q1, k1, q2, k2;
  double lambda_init;
};

// A lambda layer (arXiv 2102.08602): queries [N, H, W, heads · depth], keys [N, H, W, depth] and values [N, H, W, C] →
// [N, H, W, heads · C]. A pixel's queries are multiplied by a matrix [depth, C]: Σ softmax(key over the pixels) ·
// value, and what a convolution of one channel to `depth` makes of the values of each channel. Its weight is [depth, 1,
// kH, kW, 1], its bias [depth]; with `last` the weight is [kH, kW, depth], without bias.
struct LambdaLayer {
  int64_t heads;
  Size2d kernel;
  ParameterId weight, bias = no_id;
  bool last = false;
};

// The sum of the pixels of x [N, H, W, C] → [N, C], weighted by x · weight over its length (arXiv 2303.15446); weight
// [C, 1].
struct AdditivePool {
  ParameterId weight;
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
                 ToPatches, FromPatches, AdaptiveMaxPool, BilinearTransform, LinearAttention, SeparableAttention, Crop,
                 Resize, AddGrid, RotaryTable, TalkingHeads, ChannelAttention, OutlookAttention, Patches, JoinPatches,
                 GatedAttention, Lstm, ToWindows, FromWindows, ConvTranspose2d, LambdaLayer, UnitNorm, AdditivePool,
                 PoolTokens, SoftmaxTokens, MatMul, PoolChannels>;

}  // namespace wimm
