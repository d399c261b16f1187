// Shape inference.
#include "graph/shapes.h"

#include <algorithm>

#include "graph/overloaded.h"
#include "wimm/error.h"

namespace wimm {
namespace {

// Both sides of one axis.
struct Sides {
  int64_t before, after;
};

// Output positions of a window along one axis, as PyTorch counts them.
int64_t output_size(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, Sides sides, bool ceil_mode) {
  const int64_t span = dilation * (kernel - 1) + 1, slack = size + sides.before + sides.after - span;
  if (slack < 0) return 0;
  int64_t positions = (slack + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (positions - 1) * stride >= size + sides.before) --positions;  // a window must start inside
  return positions;
}

Sides resolve_axis(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, Sides sides, bool same,
                   bool ceil_mode) {
  const int64_t span = dilation * (kernel - 1) + 1;
  if (same) {
    const int64_t total = std::max<int64_t>(0, ((size + stride - 1) / stride - 1) * stride + span - size);
    return {total / 2, total - total / 2};
  }
  if (ceil_mode) {
    const int64_t positions = output_size(size, kernel, stride, dilation, sides, true);
    sides.after = std::max(sides.after, (positions - 1) * stride + span - size - sides.before);
  }
  return sides;
}

Size2d spatial(const Shape& shape) { return {shape[1], shape[2]}; }

Size2d round_up(Size2d size, Size2d multiple) {
  return {(size[0] + multiple[0] - 1) / multiple[0] * multiple[0],
          (size[1] + multiple[1] - 1) / multiple[1] * multiple[1]};
}

// Pooled or token values have no height and width of their own.
const Shape& image(const Shape& shape, const Node& node) {
  if (shape.size() != 4)
    throw Error(ErrorCode::input_shape, node.name + " expects images [N, H, W, C], got " + to_string(shape));
  return shape;
}

template <class Window>
Shape window_shape(const Node& node, const Shape& input, const Window& op, Size2d dilation, bool ceil_mode) {
  const Size2d out =
      window_output_size(spatial(image(input, node)), op.kernel, op.stride, dilation, op.padding, ceil_mode, node.name);
  return {input[0], out[0], out[1], node.channels};
}

Shape with_channels(Shape shape, int64_t channels) {
  shape.back() = channels;
  return shape;
}

const Shape& tokens(const Shape& shape, const Node& node) {
  if (shape.size() != 3)
    throw Error(ErrorCode::input_shape, node.name + " expects tokens [N, L, C], got " + to_string(shape));
  return shape;
}

int64_t checked_tokens(int64_t count, const Node& node) {
  if (count < 1) throw Error(ErrorCode::input_shape, node.name + " gets too few tokens");
  return count;
}

bool is_pixel(const Shape& shape) { return shape.size() == 4 && shape[1] * shape[2] == 1; }

// Values that meet must have the same height and width.
void check_same_size(const Node& node, std::span<const Shape> inputs) {
  for (const Shape& shape : inputs)
    if (shape.size() != inputs[0].size() || !std::equal(shape.begin(), shape.end() - 1, inputs[0].begin()))
      throw Error(ErrorCode::input_shape, "the image's size does not suit: in " + node.name + ", " +
                                              to_string(inputs[0]) + " meets " + to_string(shape) +
                                              "; use a height and a width that are multiples of 32");
}

// An image's height (axis 0) or width must be a multiple of `divisor`.
void check_multiple(const Node& node, const Shape& image, int64_t divisor, size_t axis) {
  if (image[axis + 1] % divisor != 0)
    throw Error(ErrorCode::input_shape, "the image's size does not suit: " + node.name + " gets " +
                                            std::to_string(image[1]) + " × " + std::to_string(image[2]) +
                                            "; use a height and a width that are multiples of " +
                                            std::to_string(divisor));
}

void check_windows(const Node& node, const Shape& shape, Size2d size) {
  if (shape[1] % size[0] != 0 || shape[2] % size[1] != 0)
    throw Error(ErrorCode::input_shape, "the image's size does not suit: " + node.name + " divides " +
                                            to_string(shape) + " into windows of " + std::to_string(size[0]) + " × " +
                                            std::to_string(size[1]));
}

}  // namespace

Shape channels_last(const Shape& shape) {
  return shape.size() == 4 ? Shape{shape[0], shape[2], shape[3], shape[1]} : shape;
}

Shape channels_first(const Shape& shape) {
  return shape.size() == 4 ? Shape{shape[0], shape[3], shape[1], shape[2]} : shape;
}

Padding resolve_padding(Size2d size, Size2d kernel, Size2d stride, Size2d dilation, const Padding& padding,
                        bool ceil_mode) {
  const Sides rows =
      resolve_axis(size[0], kernel[0], stride[0], dilation[0], {padding.top, padding.bottom}, padding.same, ceil_mode);
  const Sides columns =
      resolve_axis(size[1], kernel[1], stride[1], dilation[1], {padding.left, padding.right}, padding.same, ceil_mode);
  return {.top = rows.before, .left = columns.before, .bottom = rows.after, .right = columns.after};
}

Size2d window_output_size(Size2d size, Size2d kernel, Size2d stride, Size2d dilation, const Padding& padding,
                          bool ceil_mode, std::string_view layer) {
  const Padding p = resolve_padding(size, kernel, stride, dilation, padding, ceil_mode);
  const Size2d out{output_size(size[0], kernel[0], stride[0], dilation[0], {p.top, p.bottom}, false),
                   output_size(size[1], kernel[1], stride[1], dilation[1], {p.left, p.right}, false)};
  if (out[0] < 1 || out[1] < 1)
    throw Error(ErrorCode::input_shape, "the input is too small: " + std::string(layer) + " gets " +
                                            std::to_string(size[0]) + " × " + std::to_string(size[1]) +
                                            ", less than its kernel " + std::to_string(kernel[0]) + " × " +
                                            std::to_string(kernel[1]) + "; use a larger image");
  return out;
}

Shape infer_shape(const Node& node, std::span<const Shape> inputs) {
  Shape shape = std::visit(
      Overloaded{
          [&](const Input&) { return inputs[0]; },
          [&](const Conv2d& op) { return window_shape(node, inputs[0], op, op.dilation, false); },
          [&](const MaxPool& op) { return window_shape(node, inputs[0], op, {1, 1}, op.ceil_mode); },
          [&](const AvgPool& op) { return window_shape(node, inputs[0], op, {1, 1}, op.ceil_mode); },
          [&](const AdaptiveAvgPool& op) {
            const Shape& in = image(inputs[0], node);
            return op.only_smaller ? Shape{in[0], std::max(in[1], op.size[0]), std::max(in[2], op.size[1]), in[3]}
                                   : Shape{in[0], op.size[0], op.size[1], in[3]};
          },
          [&](const AdaptiveMaxPool& op) {
            Shape shape = image(inputs[0], node);
            for (const size_t axis : {0, 1}) {
              check_multiple(node, shape, op.size[axis], axis);
              shape[axis + 1] = op.size[axis];
            }
            return shape;
          },
          [&](const BilinearTransform& op) {
            for (const size_t axis : {0, 1}) check_multiple(node, image(inputs[0], node), op.block, axis);
            return inputs[0];
          },
          [&](const GlobalPool& op) {
            const int64_t batch = inputs[0].size() == 3 ? inputs[0][0] : image(inputs[0], node)[0];
            return op.keep_dims ? Shape{batch, 1, 1, node.channels} : Shape{batch, node.channels};
          },
          [&](const Pad& op) {
            const Shape& in = image(inputs[0], node);
            if (op.mode == Pad::Mode::reflect && (std::max(op.padding.top, op.padding.bottom) >= in[1] ||
                                                  std::max(op.padding.left, op.padding.right) >= in[2]))
              throw Error(ErrorCode::input_shape,
                          "the input is too small: " + node.name + " reflects more than it has; use a larger image");
            const auto up = [](int64_t size, int64_t of) { return (size + of - 1) / of * of; };
            return Shape{in[0], up(in[1] + op.padding.top + op.padding.bottom, op.multiple_of[0]),
                         up(in[2] + op.padding.left + op.padding.right, op.multiple_of[1]), in[3]};
          },
          [&](const Crop&) {
            const Shape &in = image(inputs[0], node), &size = image(inputs[1], node);
            return Shape{in[0], size[1], size[2], in[3]};
          },
          [&](const Resize& op) {
            const Shape& in = image(inputs[0], node);
            return Shape{in[0], op.to[0], op.to[1], in[3]};
          },
          [&](const Upsample& op) {
            const Shape& in = image(inputs[0], node);
            return Shape{in[0], in[1] * op.factor, in[2] * op.factor, in[3]};
          },
          [&](const Interpolate& op) {
            const Shape& in = image(inputs[0], node);
            const Size2d size =
                inputs.size() > 1 ? spatial(image(inputs[1], node)) : round_up(spatial(in), op.multiple_of);
            return Shape{in[0], size[0], size[1], in[3]};
          },
          [&](const ToPatches& op) {
            const Shape& in = image(inputs[0], node);
            const int64_t area = op.patch[0] * op.patch[1];
            return Shape{in[0] * area, in[1] * in[2] / area, in[3]};
          },
          [&](const FromPatches& op) {
            const Size2d size = round_up(spatial(image(inputs[1], node)), op.patch);
            return Shape{inputs[1][0], size[0], size[1], inputs[0][2]};
          },
          [&](const ToWindows& op) {
            const Shape& in = image(inputs[0], node);
            check_windows(node, in, op.size);
            return Shape{in[0] * in[1] / op.size[0] * in[2] / op.size[1], op.size[0], op.size[1], in[3]};
          },
          [&](const FromWindows&) { return with_channels(inputs[1], node.channels); },
          [&](const ConvTranspose2d& op) {
            const Shape& in = image(inputs[0], node);
            const int64_t more = op.kernel - op.stride - 2 * op.padding;
            return Shape{in[0], in[1] * op.stride + more, in[2] * op.stride + more, op.out_channels};
          },
          [&](const AdditivePool&) { return Shape{inputs[0][0], node.channels}; },
          [&](const PoolTokens& op) {
            const Shape& in = tokens(inputs[0], node);
            return Shape{in[0], checked_tokens(in[1] / op.count, node), in[2]};
          },
          [&](const MatMul& op) {
            const Shape &a = tokens(inputs[0], node), &b = tokens(inputs[1], node);
            const int64_t columns = a[2] / op.heads;
            if (b[1] != (op.transposed ? a[1] : columns))
              throw Error(ErrorCode::input_shape, node.name + " multiplies " + to_string(a) + " by " + to_string(b));
            return Shape{a[0], op.transposed ? columns : a[1], node.channels};
          },
          [&](const SpaceToDepth& op) {
            const Shape& in = image(inputs[0], node);
            for (const size_t axis : {0, 1}) check_multiple(node, in, op.factor, axis);
            return Shape{in[0], in[1] / op.factor, in[2] / op.factor, node.channels};
          },
          [&](const Binary&) {
            if (inputs[1].size() == inputs[0].size() && !is_pixel(inputs[1])) check_same_size(node, inputs);
            return inputs[0];
          },
          [&](const Concat&) {
            check_same_size(node, inputs);
            return with_channels(inputs[0], node.channels);
          },
          [&](const ToTokens&) {
            const Shape& in = image(inputs[0], node);
            return Shape{in[0], in[1] * in[2], in[3]};
          },
          [&](const LearnedTokens& op) { return Shape{inputs[0][0], op.count, node.channels}; },
          [&](const ConcatTokens&) {
            Shape sum = tokens(inputs[0], node);
            for (const Shape& more : inputs.subspan(1)) sum[1] += tokens(more, node)[1];
            return sum;
          },
          [&](const DropTokens& op) {
            const Shape& in = tokens(inputs[0], node);
            return Shape{in[0], checked_tokens(in[1] - op.count, node), in[2]};
          },
          [&](const SliceTokens& op) {
            const Shape& in = tokens(inputs[0], node);
            checked_tokens(in[1] - op.begin - op.count + 1, node);
            return Shape{in[0], op.count, in[2]};
          },
          [&](const MixTokens& op) {
            const Shape& in = tokens(inputs[0], node);
            if (in[1] != op.tokens)
              throw Error(ErrorCode::input_shape,
                          node.name + " mixes " + std::to_string(op.tokens) + " tokens, got " + to_string(in));
            return Shape{in[0], op.out_tokens, in[2]};
          },
          [&](const SelectToken& op) {
            const Shape& in = tokens(inputs[0], node);
            checked_tokens(in[1] - op.index, node);
            return Shape{in[0], in[2]};
          },
          [&](const AddPositions& op) {
            const Shape& in = tokens(inputs[0], node);
            const Size2d grid = inputs.size() > 1 ? spatial(inputs[1]) : op.grid;
            if (in[1] != op.prefix + grid[0] * grid[1])
              throw Error(ErrorCode::input_shape, node.name + " has positions for " +
                                                      std::to_string(op.prefix + grid[0] * grid[1]) + " tokens, got " +
                                                      to_string(in));
            return in;
          },
          [&](const MixLevels&) {
            check_same_size(node, inputs.first(inputs.size() - 1));
            return inputs[1];
          },
          [&](const RotaryTable& op) {
            const Shape& in = image(inputs[0], node);
            return Shape{op.sets, in[1] * in[2], node.channels};
          },
          [&](const Attention& op) {
            if (op.windows && op.windows->size != Size2d{})
              check_windows(node, image(inputs[1], node), op.windows->size);
            return with_channels(inputs[op.windows && op.windows->shares_queries ? 1 : 0], node.channels);
          },
          [&](const AttentionPool&) { return Shape{inputs[0][0], 1, 1, node.channels}; },
          [&](const ToImage& op) {
            const Size2d size = inputs.size() > 1 ? spatial(inputs[1]) : op.size;
            return Shape{inputs[0][0], size[0], size[1], inputs[0].back()};
          },
          [&](const Patches& op) {
            const Shape& in = image(inputs[0], node);
            if (in[1] % op.size[0] != 0 || in[2] % op.size[1] != 0)
              throw Error(ErrorCode::input_shape, "the image's size does not suit: " + node.name + " divides " +
                                                      to_string(in) + " into patches of " + std::to_string(op.size[0]) +
                                                      " × " + std::to_string(op.size[1]));
            return Shape{in[0] * (in[1] / op.size[0]) * (in[2] / op.size[1]), op.size[0], op.size[1], in[3]};
          },
          [&](const JoinPatches&) {
            const Shape& in = tokens(inputs[0], node);
            const int64_t images = inputs[1][0];
            return Shape{images, in[0] / std::max<int64_t>(images, 1), in[1] * in[2]};
          },
          [&](const GatedAttention& op) {
            if (tokens(inputs[0], node)[1] != op.side * op.side)
              throw Error(ErrorCode::input_shape, node.name + " expects " + std::to_string(op.side * op.side) +
                                                      " tokens, got " + to_string(inputs[0]));
            return with_channels(inputs[0], node.channels);
          },
          [&](const Lstm&) { return with_channels(image(inputs[0], node), node.channels); },
          [&](const Flatten&) {
            const Shape& in = inputs[0];
            return Shape{in[0], element_count(in) / std::max<int64_t>(in[0], 1)};
          },
          [&](const auto&) { return with_channels(inputs[0], node.channels); },
      },
      node.op);
  element_count(shape);  // refuses what overflows
  return shape;
}

std::vector<Shape> infer_shapes(const Graph& graph, const std::vector<bool>& needed, NodeId input, const Shape& shape) {
  std::vector<Shape> shapes(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!needed[i]) continue;
    std::vector<Shape> inputs;
    for (const NodeId id : graph.nodes[i].inputs) inputs.push_back(shapes[id]);
    shapes[i] = static_cast<NodeId>(i) == input ? shape : infer_shape(graph.nodes[i], inputs);
  }
  return shapes;
}

double multiply_adds(const Node& node, std::span<const Shape> inputs, const Shape& output) {
  const double elements = static_cast<double>(element_count(output));
  return std::visit(
      Overloaded{
          [&](const Conv2d& op) {
            const auto taps = static_cast<double>(op.kernel[0] * op.kernel[1]);
            if (op.expansion.empty()) return elements * static_cast<double>(inputs[0].back() / op.groups) * taps;
            return elements * taps + static_cast<double>(element_count(inputs[0]) * op.groups);
          },
          [&](const Linear&) { return elements * static_cast<double>(inputs[0].back()); },
          [&](const MixTokens& op) { return elements * static_cast<double>(op.tokens); },
          [&](const MatMul& op) { return elements * static_cast<double>(op.transposed ? inputs[0][1] : inputs[1][1]); },
          [&](const GatedAttention& op) { return elements * static_cast<double>(2 * op.side * op.side); },
          [&](const Lstm& op) { return elements * static_cast<double>(4 * (inputs[0].back() + op.hidden)); },
          [&](const ConvTranspose2d& op) {
            const int64_t taps = op.kernel * op.kernel / (op.stride * op.stride);
            return elements * static_cast<double>(inputs[0].back() / op.groups * taps);
          },
          [&](const LambdaLayer& op) {
            const auto lambdas = static_cast<double>(element_count(inputs[1]) * inputs[2].back());
            return lambdas * static_cast<double>(op.kernel[0] * op.kernel[1] + op.heads);
          },
          [&](const Attention& op) {
            const auto depth = static_cast<double>(op.q.depth + op.v.depth) / static_cast<double>(op.v.depth);
            const Size2d window = op.windows ? op.windows->size : Size2d{};
            const int64_t keys =
                window != Size2d{} ? window[0] * window[1] : element_count(inputs[1]) / inputs[1][0] / inputs[1].back();
            return elements * depth * static_cast<double>(keys);
          },
          [&](const auto&) { return 0.0; },
      },
      node.op);
}

std::string_view kind_of(const Op& op) {
  static constexpr std::string_view names[] = {"input",
                                               "affine",
                                               "conv2d",
                                               "linear",
                                               "activate",
                                               "group_norm",
                                               "layer_norm",
                                               "rms_norm",
                                               "global_response_norm",
                                               "evo_norm_s0",
                                               "filter_response_norm",
                                               "binary",
                                               "max_pool",
                                               "avg_pool",
                                               "adaptive_avg_pool",
                                               "global_pool",
                                               "concat",
                                               "slice",
                                               "pad",
                                               "channel_conv",
                                               "to_tokens",
                                               "to_image",
                                               "learned_tokens",
                                               "concat_tokens",
                                               "drop_tokens",
                                               "select_token",
                                               "add_positions",
                                               "attention",
                                               "differential_mix",
                                               "attention_pool",
                                               "mix_experts",
                                               "mix_splits",
                                               "flatten",
                                               "upsample",
                                               "space_to_depth",
                                               "slice_tokens",
                                               "mix_tokens",
                                               "star_relu",
                                               "add_fourier_positions",
                                               "cross_covariance",
                                               "mix_levels",
                                               "interpolate",
                                               "to_patches",
                                               "from_patches",
                                               "adaptive_max_pool",
                                               "bilinear_transform",
                                               "linear_attention",
                                               "separable_attention",
                                               "crop",
                                               "resize",
                                               "add_grid",
                                               "rotary_table",
                                               "talking_heads",
                                               "channel_attention",
                                               "outlook_attention",
                                               "patches",
                                               "join_patches",
                                               "gated_attention",
                                               "lstm",

                                               "to_windows",
                                               "from_windows",
                                               "conv_transpose2d",
                                               "lambda_layer",
                                               "unit_norm",
                                               "additive_pool",
                                               "pool_tokens",
                                               "softmax_tokens",
                                               "mat_mul",
                                               "pool_channels"};
  static_assert(std::size(names) == std::variant_size_v<Op>);
  return names[op.index()];
}

}  // namespace wimm
