// CSATv2: convolutions of an image's frequencies, with attention in place and between pixels (timm/models/csatv2.py).
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  std::array<int64_t, 4> channels, depths, transformers;  // of a stage's blocks the last are transformers
};

// clang-format off
constexpr Variant variants[] = {
    {"csatv2", {32, 72, 168, 386}, {2, 2, 8, 6}, {0, 0, 2, 2}},
    {"csatv2_21m", {48, 96, 224, 448}, {3, 3, 10, 8}, {0, 0, 4, 3}},
};
// clang-format on

constexpr int64_t side = 8, frequencies = side * side;  // of the squares of pixels that are transformed

// Of the coefficients of Y, Cb and Cr in natural images, from the lowest frequency to the highest.
constexpr double coefficient_means[3][frequencies] = {
    {932.42657, -0.0026,  0.33415,  -0.0284,  0.00003,  -0.02792, -0.00183, 0.00006,  0.00032,  0.03402,  -0.00571,
     0.0002,    0.00006,  -0.00038, -0.00558, -0.00116, 0,        -0.00047, -0.00008, -0.0003,  0.00942,  0.00161,
     -0.00009,  -0.00006, -0.00014, -0.00035, 0.00001,  -0.0022,  0.00033,  -0.00002, -0.00003, -0.0002,  0.00007,
     0,         0.00005,  0.00293,  -0.00004, 0.00006,  0.00019,  0.00004,  0.00006,  -0.00015, -0.00002, 0.00007,
     0.0001,    -0.00004, 0.00008,  0,        0.00008,  -0.00001, 0.00015,  0.00002,  0.00007,  0.00003,  0.00004,
     -0.00001,  0.00004,  0,        0.00002,  0,        -0.00008, 0,        -0.00003, 0.00003},
    {962.34735, -0.00428, 0.09835,  0.00152, -0.00009, 0.00312,  -0.00141, -0.00001, -0.00013, 0.0105,  0.00065,
     0.00006,   0,        0.00003,  0.00264, 0,        0.00001,  0.00007,  -0.00006, 0.00003,  0.00341, 0.00163,
     0.00004,   0.00003,  -0.00001, 0.00008, 0,        0.0009,   0.00018,  -0.00006, -0.00001, 0.00007, -0.00003,
     -0.00001,  0.00006,  0.00084,  0,       -0.00001, 0,        0.00004,  -0.00001, -0.00002, 0,       0.00001,
     0.00002,   0.00001,  0.00004,  0.00011, 0,        -0.00003, 0.00011,  -0.00002, 0.00001,  0.00001, 0.00001,
     0.00001,   -0.00007, -0.00003, 0.00001, 0,        0.00001,  0.00002,  0.00001,  0},
    {1053.16101, -0.00213, -0.09207, 0.00186,  0.00013,  0.00034,  -0.00119, 0.00002, 0.00011,  -0.00984, 0.00046,
     -0.00007,   -0.00001, -0.00005, 0.0018,   0.00042,  0.00002,  -0.0001,  0.00004, 0.00003,  -0.00301, 0.00125,
     -0.00002,   -0.00003, -0.00001, -0.00001, -0.00001, 0.00056,  0.00021,  0.00001, -0.00001, 0.00002,  -0.00001,
     -0.00001,   0.00005,  -0.0007,  -0.00002, -0.00002, 0.00005,  -0.00004, 0,       0.00002,  -0.00002, 0.00001,
     0,          -0.00003, 0.00004,  0.00007,  0.00001,  0,        0.00013,  0,       0,        0.00002,  0,
     -0.00001,   -0.00004, -0.00003, 0,        0.00001,  -0.00001, 0.00001,  0,       0},
};
constexpr double coefficient_variances[3][frequencies] = {
    {270372.375, 6287.10645, 5974.94043, 1653.10889, 1463.91748, 1832.58997, 755.92468, 692.41528, 648.57184, 641.46881,
     285.79288,  301.621,    380.43405,  349.84027,  374.15891,  190.3096,   190.76746, 221.64578, 200.82646, 145.87979,
     126.92046,  62.14622,   67.75562,   102.42001,  129.74922,  130.04631,  103.12189, 97.76417,  53.17402,  54.81048,
     73.48712,   81.04342,   69.351,     49.06024,   33.96053,   37.03279,   20.48858,  24.9483,   33.90822,  44.54912,
     47.56363,   40.0316,    30.43313,   22.63899,   26.53739,   26.57114,   21.84404,  17.41557,  15.18253,  10.69678,
     11.24111,   12.97229,   15.08971,   15.31646,   8.90409,    7.44213,    6.66096,   6.97719,   4.17834,   3.83882,
     4.51073,    2.36646,    2.41363,    1.48266},
    {18839.21094, 321.70932, 300.15259, 77.4783,  76.02293, 89.04748, 33.99642, 34.74807, 32.12333, 28.19588, 12.04675,
     14.26871,    18.45779,  16.59588,  15.67892, 7.37718,  8.56312,  10.28946, 9.41013,  6.6909,   5.16453,  2.55186,
     3.03073,     4.66765,   5.85418,   5.74644,  4.33702,  3.66948,  1.95107,  2.26034,  3.0638,   3.50705,  3.06359,
     2.19284,     1.54454,   1.5786,    0.97078,  1.13941,  1.48653,  1.89996,  1.95544,  1.6495,   1.24754,  0.93677,
     1.09267,     1.09516,   0.94163,   0.78966,  0.72489,  0.50841,  0.50909,  0.55664,  0.63111,  0.64125,  0.38847,
     0.33378,     0.30918,   0.33463,   0.20875,  0.19298,  0.21903,  0.1338,   0.13444,  0.09554},
    {17127.39844, 292.81421, 271.45209, 66.64056, 63.60253, 76.35437, 28.06587, 27.84831, 25.96656, 23.6037, 9.99173,
     11.34992,    14.46955,  12.92553,  12.69353, 5.91537,  6.60187,  7.90891,  7.32825,  5.32785,  4.2966,  2.13459,
     2.44135,     3.66021,   4.50335,   4.38959,  3.34888,  2.97181,  1.60633,  1.7701,   2.35118,  2.69018, 2.38189,
     1.74596,     1.26014,   1.31684,   0.79327,  0.92046,  1.1767,   1.47609,  1.50914,  1.28725,  0.99898, 0.74832,
     0.85736,     0.858,     0.74663,   0.63508,  0.58748,  0.41098,  0.41121,  0.44663,  0.50277,  0.51519, 0.31729,
     0.27336,     0.25399,   0.27241,   0.17353,  0.16255,  0.1844,   0.11602,  0.11511,  0.0845},
};

// Places, row · side + column, from the lowest frequency to the highest: diagonal by diagonal, to and fro.
std::vector<int64_t> zigzag() {
  std::vector<int64_t> places;
  for (int64_t diagonal = 0; diagonal < 2 * side - 1; ++diagonal)
    for (int64_t i = 0; i <= diagonal; ++i) {
      const int64_t row = diagonal % 2 == 0 ? diagonal - i : i, column = diagonal - row;
      if (row < side && column < side) places.push_back(row * side + column);
    }
  return places;
}

// A 1×1 convolution whose weights [out, in / groups] and biases the model knows.
NodeId fixed_conv(const Scope& scope, NodeId x, int64_t groups, std::vector<float> weight, std::vector<float> bias) {
  const auto out = static_cast<int64_t>(bias.size());
  Conv2d conv{.out_channels = out, .groups = groups};
  conv.weight = scope.constant("weight", {out, scope.channels(x) / groups, 1, 1}, std::move(weight));
  conv.bias = scope.constant("bias", {out}, std::move(bias));
  return scope.node(std::move(conv), {x}, out);
}

// The normalised colours of x as Y, Cb and Cr in [0, 255].
NodeId to_ycbcr(const Scope& scope, NodeId x) {
  constexpr std::array mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225}, luma{0.299, 0.587, 0.114};
  constexpr double cb = 0.564, cr = 0.713;
  const std::array<double, 3> rows[] = {
      luma, {-cb * luma[0], -cb * luma[1], cb * (1 - luma[2])}, {cr * (1 - luma[0]), -cr * luma[1], -cr * luma[2]}};
  std::vector<float> weight, bias;
  for (const auto& row : rows) {
    double offset = bias.empty() ? 0 : 128;
    for (size_t c = 0; c < row.size(); ++c) {
      weight.push_back(static_cast<float>(255 * row[c] * std[c]));
      offset += 255 * row[c] * mean[c];
    }
    bias.push_back(static_cast<float>(offset));
  }
  return fixed_conv(scope, x, 1, std::move(weight), std::move(bias));
}

// Sorts the coefficients of each colour, which lie column · side + row, by frequency, and normalises them.
NodeId normalize_frequencies(const Scope& scope, NodeId x) {
  std::vector<float> weight(3 * frequencies * frequencies), bias;
  const std::vector<int64_t> places = zigzag();
  for (int64_t i = 0; i < 3 * frequencies; ++i) {
    const int64_t color = i / frequencies, frequency = i % frequencies, place = places[frequency];
    const double scale = 1 / std::sqrt(coefficient_variances[color][frequency]);
    weight[i * frequencies + place % side * side + place / side] = static_cast<float>(scale);
    bias.push_back(static_cast<float>(-coefficient_means[color][frequency] * scale));
  }
  return fixed_conv(scope, x, 3, std::move(weight), std::move(bias));
}

// timm's LearnableDct2d: [N, H, W, 3] → [N, H / 8, W / 8, channels]. A cosine transform along rows, then along columns;
// six eighths of the channels are of Y, one of Cb, one of Cr.
NodeId stem(const Scope& scope, NodeId x, int64_t channels) {
  const Scope transform = scope["transform"]["transform"];
  const ParameterId cosines = transform.parameter("weights", {side, side}, Init::cosines);
  const auto transformed = [&](NodeId value, Size2d kernel) {
    const int64_t in = scope.channels(value), out = in * side;
    return transform.node(
        Conv2d{.out_channels = out, .kernel = kernel, .stride = kernel, .groups = in, .weight = cosines, .repeats = in},
        {value}, out);
  };
  x = transformed(transformed(to_ycbcr(scope["ycbcr"], x), {1, side}), {side, 1});
  x = normalize_frequencies(scope["normalize"], x);

  const int64_t chroma = channels / 8;
  const auto color = [&](std::string_view name, int64_t index, int64_t out) {
    return scope.conv2d(name, scope.slice(x, index * frequencies, frequencies), {.out_channels = out, .bias = true});
  };
  const NodeId y = color("conv_y", 0, channels - 2 * chroma), cb = color("conv_cb", 1, chroma),
               cr = color("conv_cr", 2, chroma);
  return scope.concat({y, cb, cr});
}

// x + what `attend` makes of its normalised pixels, to which a depthwise convolution adds their surroundings; then an
// MLP.
template <class Attend>
NodeId transformer_block(const Scope& scope, NodeId x, Attend&& attend) {
  const int64_t channels = scope.channels(x);
  const Scope position = scope["pos_embed"]["proj"];
  const Conv2d conv = scope["pos_embed"].declare_conv2d(
      "proj", channels,
      {.out_channels = channels, .kernel = 3, .groups = channels, .padding = nn::padding(1), .bias = true});
  const NodeId normed = scope.layer_norm("norm1", x, 1e-5);
  x = scope.add(x, attend(scope.add(position.node(conv, {normed}, channels), normed)));
  return scope.add(x, nn::mlp(scope["mlp"], scope.layer_norm("norm2", x, 1e-5), {.hidden = 4 * channels}));
}

NodeId attention_block(const Scope& scope, NodeId x) {
  constexpr int64_t heads = 8, depth = 32;
  const Scope attn = scope["attn"];
  return transformer_block(scope, x, [&](NodeId image) {
    const NodeId qkv = attn.linear("qkv", nn::to_tokens(attn, image), 3 * heads * depth, false);
    return nn::to_image(attn, attn.linear("proj", nn::attend(attn, qkv, heads), scope.channels(x)), image);
  });
}

// timm's SpatialTransformerBlock, of one channel. Its product q · kᵀ is between the images of a batch, whose q, k and v
// are the same, as a norm of one channel leaves nothing but its bias: the attention gives v.
NodeId spatial_block(const Scope& scope, NodeId x) {
  return transformer_block(scope, x,
                           [&](NodeId image) { return scope.slice(scope.linear("qkv", image, 3, false), 2, 1); });
}

// A factor for each pixel, [N, H, W, 1]: from the mean and the largest of its channels, on a grid of 7 × 7.
NodeId spatial_attention(const Scope& scope, NodeId x) {
  constexpr int64_t grid = 7;
  NodeId y = scope["pool"].node(PoolChannels{}, {x}, 2);
  y = scope["avgpool"].node(AdaptiveAvgPool{.size = {grid, grid}}, {y}, 2);
  y = scope.conv2d("conv", y, {.out_channels = 1, .kernel = 7, .padding = nn::padding(3), .bias = true});
  y = spatial_block(scope["attn"], y);
  return scope["resize"].node(Interpolate{Interpolate::Mode::bilinear_aligned}, {y, x}, 1);
}

NodeId conv_block(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  NodeId y = scope.conv2d(
      "dwconv", x,
      {.out_channels = channels, .kernel = 7, .groups = channels, .padding = nn::padding(3), .bias = true});
  y = scope.linear("pwconv1", scope.layer_norm("norm", y), 4 * channels);
  y = scope.global_response_norm("grn", scope.activate("act", y, Activation::gelu));
  y = scope.linear("pwconv2", y, channels);
  return scope.add(x, scope.mul(y, spatial_attention(scope["attn"], y)));
}

Network build(std::string_view name, const BuildOptions& options) {
  if (options.in_chans != 3)
    throw Error(ErrorCode::invalid_argument, "CSATv2 takes images of 3 channels, red, green and blue, got in_chans " +
                                                 std::to_string(options.in_chans));
  const Variant& variant = find(variants, name);
  Network network;
  const Scope root(network.graph);
  network.input = root.input({.channels = 3, .multiple_of = {side, side}});
  NodeId x = stem(root["stem_dct"], network.input, variant.channels[0]);
  network.add_level(x, side, "stem_dct");

  for (size_t s = 0; s < 4; ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    const int64_t channels = variant.channels[s], convs = variant.depths[s] - variant.transformers[s];
    int64_t layer = 0;
    if (s > 0) {
      x = stage.conv2d("0", x, {.out_channels = channels, .kernel = 2, .stride = 2, .bias = true});
      ++layer;
    }
    for (int64_t i = 0; i < variant.depths[s]; ++i, ++layer) {
      const Scope block = stage[layer];
      x = i < convs ? conv_block(block, x) : attention_block(block, x);
    }
    if (s < 3) x = stage.layer_norm(std::to_string(layer), x);
    network.add_level(x, side << s, stage.path());
  }
  network.out_indices = {1, 2, 3, 4};
  nn::norm_mlp_classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family csatv2_family{"csatv2", names_of(variants), build};

}  // namespace wimm
