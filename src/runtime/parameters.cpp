// Matching a checkpoint with a model, and random initialisation.
#include "runtime/parameters.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <unordered_map>

#include "graph/overloaded.h"
#include "kernels/resample.h"
#include "wimm/error.h"

namespace wimm {
namespace {

constexpr size_t names_in_message = 50;

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), names_in_message); ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > names_in_message) text += ", … (" + std::to_string(names.size()) + " in all)";
  return text;
}

bool is_batch_count(std::string_view name) { return name.ends_with("num_batches_tracked"); }

bool is_in_module(std::string_view name, const std::vector<std::string>& modules) {
  return std::ranges::any_of(modules, [&](const std::string& module) { return name.starts_with(module + "."); });
}

// The shape with its second dimension replaced.
Shape with_inputs(Shape shape, int64_t channels) {
  shape[1] = channels;
  return shape;
}

// Whether a first convolution's weight is one of 3 image channels where the model has another number of them.
bool is_of_three_channels(const Parameter& parameter, const Shape& shape, int64_t in_chans) {
  return parameter.takes_input && in_chans != 3 && shape.size() >= 2 && shape.size() == parameter.shape.size() &&
         with_inputs(shape, parameter.shape[1]) == parameter.shape && shape[1] * in_chans == 3 * parameter.shape[1];
}

// A linear layer's weight, which is a convolution's over its whole input: [O, C·H·W] for [O, C, H, W].
bool is_flattened(const Shape& shape, const Shape& weight) {
  return shape.size() == 2 && weight.size() == 4 && shape[0] == weight[0] &&
         shape[1] == weight[1] * weight[2] * weight[3];
}

Shape with_rows(Shape shape, int64_t rows) {
  shape[0] = rows;
  return shape;
}

// The grid of a checkpoint's position embeddings: the native one where it has as many positions, or else a square.
std::optional<Size2d> checkpoint_grid(const PositionGrid& positions, int64_t tokens) {
  const int64_t count = tokens - positions.prefix;
  if (count == positions.native[0] * positions.native[1]) return positions.native;
  const auto side = std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(count, 0))));
  return side > 0 && side * side == count ? std::optional(Size2d{side, side}) : std::nullopt;
}

// The side of the square window of a checkpoint's table of offsets, as timm takes it to be.
std::optional<int64_t> checkpoint_window(const OffsetGrid& offsets, int64_t rows) {
  const int64_t count = rows - offsets.more;
  const auto side = std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(count, 0))));
  return side % 2 == 1 && side * side == count ? std::optional((side + 1) / 2) : std::nullopt;
}

// A patch embedding's weight in the model's form: [O, I, H, W], where old checkpoints have [O, I·H·W].
Shape patch_shape(const Parameter& parameter, const Shape& shape) {
  if (!parameter.patches || shape.size() != 2 || shape[0] != parameter.shape[0]) return shape;
  const int64_t height = parameter.shape[2], width = parameter.shape[3];
  return shape[1] % (height * width) == 0 ? Shape{shape[0], shape[1] / (height * width), height, width} : shape;
}

// Whether it is of patches of another size.
bool is_of_other_patches(const Parameter& parameter, const Shape& shape) {
  return parameter.patches && shape.size() == 4 && shape[2] > 0 && shape[3] > 0 &&
         (shape[2] != parameter.shape[2] || shape[3] != parameter.shape[3]) && std::max(shape[2], shape[3]) <= 256;
}

Tensor tensor_of(std::span<const float> values, Shape shape, DType dtype) {
  const auto bytes = std::as_bytes(values);
  return cast({DType::float32, std::move(shape), {bytes.begin(), bytes.end()}}, dtype);
}

Tensor resample_patches(const Tensor& tensor, const Parameter& parameter) {
  const Shape shape{tensor.shape[0], tensor.shape[1], parameter.shape[2], parameter.shape[3]};
  const std::vector<float> values =
      resample_patch_weights(to_float32(tensor), shape[0] * shape[1], {tensor.shape[2], tensor.shape[3]},
                             {shape[2], shape[3]}, *parameter.patches);
  return tensor_of(values, shape, tensor.dtype);
}

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Numbers drawn from a seed and a name.
class Random {
 public:
  Random(uint64_t seed, std::string_view name) : state_(mix(seed)) {
    for (unsigned char c : name) state_ = (state_ ^ c) * 0x100000001b3u;
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Nearly normal, of variance 1: the sum of four uniform 16-bit numbers.
  double normal() {
    const uint64_t bits = next();
    const auto sum =
        static_cast<double>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
    return (sum - 131070.0) * 2.6429e-5;  // mean 4 · 65535 / 2, deviation 65536 / √3
  }

 private:
  uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15u); }

  uint64_t state_;
};

}  // namespace

std::vector<float> random_parameter(const Parameter& parameter, uint64_t seed) {
  const int64_t count = element_count(parameter.shape);
  std::vector<float> values(count);
  Random random(seed, parameter.name);
  switch (parameter.init) {
    case Init::zeros:
      break;
    case Init::ones:
      std::ranges::fill(values, 1.0f);
      break;
    case Init::conv: {  // normal, variance 2 / fan_out
      const double fan_out = static_cast<double>(count / std::max<int64_t>(1, parameter.shape[1]));
      const double deviation = std::sqrt(2 / fan_out);
      for (float& v : values) v = static_cast<float>(random.normal() * deviation);
      break;
    }
    case Init::linear: {  // uniform within ± 1/√fan_in
      const double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, parameter.shape.back())));
      for (float& v : values) v = static_cast<float>((2 * random.uniform() - 1) * bound);
      break;
    }
    case Init::token:
      for (float& v : values) v = static_cast<float>(random.normal() * 0.02);
      break;
    case Init::layer_scale:
      std::ranges::fill(values, 1e-5f);
      break;
    case Init::logit_scale:
      std::ranges::fill(values, std::log(10.0f));
      break;
    case Init::cosines: {
      const int64_t size = parameter.shape[0];
      for (int64_t i = 0; i < count; ++i) {
        const int64_t frequency = i / size, position = i % size;
        const double angle = std::numbers::pi * static_cast<double>((2 * position + 1) * frequency);
        const double scale = std::sqrt((frequency == 0 ? 1.0 : 2.0) / static_cast<double>(size));
        values[i] = static_cast<float>(scale * std::cos(angle / static_cast<double>(2 * size)));
      }
      break;
    }
    case Init::constant:
      return parameter.constant;
  }
  return values;
}

Parameters::Parameters(const Network& network, const ModelOptions& options, std::vector<bool> needed)
    : network_(network), options_(options), needed_(std::move(needed)) {
  const auto& parameters = network_.graph.parameters;
  source_.resize(parameters.size());
  fit_.assign(parameters.size(), Fit::none);
  was_read_.resize(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i)
    if (needed_[i]) bytes_total_ += element_count(parameters[i].shape) * sizeof(float);
  if (options_.weights) match();
}

Tensor Parameters::resample(const Tensor& tensor, const Parameter& parameter) const {
  const auto& [size, prefix, native, resampling] = *parameter.positions;
  const int64_t channels = parameter.shape[2];
  const Size2d from = *checkpoint_grid(*parameter.positions, tensor.shape.rbegin()[1]);
  if (!checkpoint_.cuts_positions || prefix > 0)
    return tensor_of(resample_positions(to_float32(tensor), prefix, from, size, channels, resampling), parameter.shape,
                     tensor.dtype);
  const int64_t side = std::max(size[0], size[1]);
  const std::vector<float> square = resample_grid(to_float32(tensor), from, {side, side}, channels, resampling);
  std::vector<float> cut;
  for (int64_t y = 0; y < size[0]; ++y) {
    const auto row = square.begin() + y * side * channels;
    cut.insert(cut.end(), row, row + size[1] * channels);
  }
  return tensor_of(cut, parameter.shape, tensor.dtype);
}

Parameters::Fit Parameters::fit(const Parameter& parameter, Shape shape) const {
  shape = patch_shape(parameter, shape);
  if (is_of_other_patches(parameter, shape)) std::copy_n(parameter.shape.begin() + 2, 2, shape.begin() + 2);
  const bool of_one_batch =
      parameter.init == Init::token || (parameter.shape.size() == 3 && element_count(shape) == parameter.shape[2]);
  if (of_one_batch)  // tokens, positions and scales [1, …], a dimension that some checkpoints leave out
    shape.insert(shape.begin(), parameter.shape.size() - std::min(parameter.shape.size(), shape.size()), 1);
  if (parameter.positions && shape.size() == 3 && shape[2] == parameter.shape[2]) {
    const std::optional<Size2d> grid = checkpoint_grid(*parameter.positions, shape[1]);
    if (grid) return *grid == parameter.positions->size ? Fit::as_is : Fit::resample;
  }
  if (parameter.offsets && shape.size() == 2 && shape[1] == parameter.shape[1]) {
    const std::optional<int64_t> side = checkpoint_window(*parameter.offsets, shape[0]);
    if (side && Size2d{*side, *side} != parameter.offsets->window) return Fit::resample_offsets;
  }
  if (shape == parameter.shape || is_flattened(shape, parameter.shape)) return Fit::as_is;
  if (shape.size() != parameter.shape.size() || shape.empty()) return Fit::none;
  if (is_of_three_channels(parameter, shape, options_.in_chans) && (shape[1] == 3 || options_.in_chans == 1))
    return Fit::adapt_input;
  if (parameter.classifier && options_.label_offset > 0 &&
      with_rows(shape, shape[0] - options_.label_offset) == parameter.shape)
    return Fit::drop_rows;
  return Fit::none;
}

std::string Parameters::mismatch(const Parameter& parameter, const TensorInfo& tensor) const {
  std::string text = parameter.name + ": expected " + to_string(parameter.shape) + ", got " +
                     std::string(name_of(tensor.dtype)) + " " + to_string(tensor.shape);
  if (is_of_three_channels(parameter, tensor.shape, options_.in_chans) && tensor.shape[1] != 3 &&
      options_.in_chans != 1)
    text += ", which cannot be adapted to " + std::to_string(options_.in_chans) +
            " input channels, only to 1, as it takes pixels in squares (space to depth)";
  return text;
}

void Parameters::match() {
  const auto& parameters = network_.graph.parameters;
  std::vector<std::string> parameter_names;
  for (const Parameter& parameter : parameters) parameter_names.push_back(parameter.name);
  checkpoint_ = filter_checkpoint(*options_.weights, parameter_names);
  const auto& tensors = checkpoint_.state_dict->tensors();
  std::unordered_map<std::string_view, size_t> by_name;
  for (size_t i = 0; i < tensors.size(); ++i) by_name.emplace(tensors[i].name, i);

  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    if (parameter.init == Init::constant) continue;
    const auto found = by_name.find(parameter.name);
    if (found == by_name.end()) {
      if (needed_[i] && !is_batch_count(parameter.name)) report_.missing.push_back(parameter.name);
      continue;
    }
    source_[i] = found->second;
    by_name.erase(found);
    const TensorInfo& tensor = tensors[source_[i]];
    if (!needed_[i] || is_batch_count(parameter.name)) continue;
    fit_[i] = is_floating_point(tensor.dtype) ? fit(parameter, tensor.shape) : Fit::none;
    if (fit_[i] == Fit::none && !(parameter.classifier && options_.reset_classifier))
      report_.mismatched.push_back(mismatch(parameter, tensor));
  }
  for (const auto& [name, dtype, shape] : tensors) {
    if (!by_name.contains(name) || is_in_module(name, network_.unused_modules)) continue;
    if (options_.num_classes == 0 && is_in_module(name, network_.classifier)) continue;
    report_.unexpected.push_back(name);
  }
  if (options_.strict) throw_mismatch();
}

void Parameters::throw_mismatch() const {
  if (report_.missing.empty() && report_.unexpected.empty() && report_.mismatched.empty()) return;
  std::vector<std::string> unexpected;
  for (const std::string& name : report_.unexpected) unexpected.push_back(quote(name));
  std::string message = "the weights do not fit the model.";
  if (!report_.missing.empty()) message += " Missing: " + list(report_.missing) + ".";
  if (!unexpected.empty()) message += " Unexpected: " + list(unexpected) + ".";
  if (!report_.mismatched.empty()) message += " Mismatched: " + list(report_.mismatched) + ".";
  Error error(ErrorCode::state_dict_mismatch, message + " Check the model's name, or load with strict: false");
  error.missing = report_.missing;
  error.unexpected = report_.unexpected;
  error.mismatched = report_.mismatched;
  throw error;
}

std::vector<float> Parameters::finish(std::vector<float> values, std::string_view name) const {
  if (options_.dtype == DType::float16)
    for (size_t i = 0; i < values.size(); ++i) {
      const float half = half_to_float(float_to_half(values[i]));
      if (std::isinf(half) && !std::isinf(values[i]))
        throw Error(ErrorCode::weights_nonfinite, "element " + std::to_string(i) + " of " + quote(name) + ", " +
                                                      std::to_string(values[i]) +
                                                      ", is beyond float16; use dtype 'float32'")
            .in_tensor(name);
      values[i] = half;
    }
  return values;
}

std::vector<float> Parameters::read_weights(ParameterId id) const {
  const Parameter& parameter = network_.graph.parameters[id];
  if (parameter.init == Init::constant || fit_[id] == Fit::none) return random_parameter(parameter, options_.seed);
  const TensorInfo& info = checkpoint_.state_dict->tensors()[source_[id]];
  if (fit_[id] == Fit::as_is && info.dtype == DType::float32 && info.shape == parameter.shape &&
      !options_.check_finite) {  // most of them
    std::vector<float> values(static_cast<size_t>(element_count(info.shape)));
    checkpoint_.state_dict->read_into(source_[id], std::as_writable_bytes(std::span(values)));
    return finish(std::move(values), parameter.name);
  }
  Tensor tensor = checkpoint_.state_dict->read(source_[id]);
  if (options_.check_finite) check_finite(tensor, parameter.name);
  tensor.shape = patch_shape(parameter, tensor.shape);
  if (is_of_other_patches(parameter, tensor.shape)) tensor = resample_patches(tensor, parameter);
  if (fit_[id] == Fit::resample) tensor = resample(tensor, parameter);
  if (fit_[id] == Fit::resample_offsets) {
    const int64_t side = *checkpoint_window(*parameter.offsets, tensor.shape[0]);
    const std::vector<float> table =
        resample_offsets(to_float32(tensor), {side, side}, parameter.offsets->window, tensor.shape[1]);
    tensor = tensor_of(table, parameter.shape, tensor.dtype);
  }
  if (fit_[id] == Fit::adapt_input) tensor = adapt_input_conv(tensor, options_.in_chans);
  if (fit_[id] == Fit::drop_rows) {
    const size_t row_bytes = tensor.data.size() / static_cast<size_t>(tensor.shape[0]);
    tensor.data.erase(
        tensor.data.begin(),
        tensor.data.begin() + static_cast<ptrdiff_t>(row_bytes * static_cast<size_t>(options_.label_offset)));
    tensor.shape = parameter.shape;
  }
  return finish(to_float32(tensor, parameter.name), parameter.name);
}

std::vector<float> Parameters::read(ParameterId id) {
  std::vector<float> values = read_weights(id);
  if (!was_read_[id]) bytes_done_ += values.size() * sizeof(float);
  was_read_[id] = true;
  if (options_.on_progress) options_.on_progress(bytes_done_, bytes_total_);
  return values;
}

ModelLoad::Wanted Parameters::place(ParameterId id) const {
  if (fit_[id] == Fit::none) return {0, 0};
  const uint64_t end = checkpoint_.state_dict->end(source_[id]);
  if (end == whole_file) return {0, end};
  const auto& [name, dtype, shape] = checkpoint_.state_dict->tensors()[source_[id]];
  const uint64_t bytes = static_cast<uint64_t>(element_count(shape)) * size_of(dtype);  // encoded, it has no more
  return {end - std::min(end, bytes), end};
}

std::vector<ParameterId> parameters_of(const Op& op) {
  std::vector<ParameterId> used;
  const auto use = [&](auto... ids) {
    for (ParameterId id : {ids...})
      if (id != no_id) used.push_back(id);
  };
  const auto use_all = [&](const std::vector<Affine>& affines) {
    for (const Affine& affine : affines) use(affine.weight, affine.bias, affine.mean, affine.var);
  };
  const auto use_conv = [&](const auto& self, const Conv2d& op) -> void {
    use(op.weight, op.bias, op.gain);
    use_all(op.folded);
    for (const Conv2d& branch : op.branches) self(self, branch);
    for (const Conv2d& expansion : op.expansion) self(self, expansion);
  };
  std::visit(Overloaded{
                 [&](const Conv2d& op) { use_conv(use_conv, op); },
                 [&](const Affine& op) { use(op.weight, op.bias, op.mean, op.var); },
                 [&](const Linear& op) {
                   use(op.weight, op.bias);
                   for (const ParameterId part : op.bias_parts) use(part);
                   use_all(op.folded);
                 },
                 [&](const AddFourierPositions& op) { use(op.weight, op.bias); },
                 [&](const CrossCovariance& op) { use(op.temperature); },
                 [&](const GatedAttention& op) { use(op.weight, op.gate); },
                 [&](const Lstm& op) {
                   for (const Lstm::Weights& each : {op.forward, op.backward})
                     use(each.weight_ih, each.weight_hh, each.bias_ih, each.bias_hh);
                 },
                 [&](const StarRelu& op) { use(op.scale, op.bias); },
                 [&](const MixTokens& op) { use(op.weight, op.bias); },
                 [&](const GroupNorm& op) { use(op.weight, op.bias); },
                 [&](const LayerNorm& op) { use(op.weight, op.bias); },
                 [&](const RmsNorm& op) { use(op.weight); },
                 [&](const GlobalResponseNorm& op) { use(op.weight, op.bias); },
                 [&](const LearnedTokens& op) { use(op.tokens); },
                 [&](const AddPositions& op) { use(op.positions); },
                 [&](const AddGrid& op) { use(op.positions, op.window); },
                 [&](const TalkingHeads& op) {
                   use(op.before_weight, op.before_bias, op.after_weight, op.after_bias);
                   if (op.bias) use(op.bias->table);
                 },
                 [&](const ConvTranspose2d& op) { use(op.weight, op.bias); },
                 [&](const LambdaLayer& op) { use(op.weight, op.bias); },
                 [&](const AdditivePool& op) { use(op.weight); },
                 [&](const RotaryTable& op) { use(op.frequencies); },
                 [&](const Attention& op) {
                   use(op.logit_scale);
                   if (op.bias) use(op.bias->table);
                   if (op.products) use(op.products->rows, op.products->columns);
                   if (op.bias && op.bias->mlp) {
                     const RelativeBias::Mlp& mlp = *op.bias->mlp;
                     use(mlp.weight1, mlp.bias1, mlp.weight2, mlp.bias2);
                   }
                 },
                 [&](const DifferentialMix& op) { use(op.q1, op.k1, op.q2, op.k2); },
                 [&](const EvoNormS0& op) { use(op.v, op.weight, op.bias); },
                 [&](const FilterResponseNorm& op) { use(op.weight, op.bias, op.tau); },
                 [&](const ChannelConv& op) { use(op.weight); },
                 [](const auto&) {},
             },
             op);
  return used;
}

std::vector<bool> needed_parameters(const Graph& graph, const std::vector<bool>& needed_nodes) {
  std::vector<bool> needed(graph.parameters.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!needed_nodes[i]) continue;
    for (const ParameterId id : parameters_of(graph.nodes[i].op)) needed[id] = true;
  }
  return needed;
}

}  // namespace wimm
