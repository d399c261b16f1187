// The public model: options checked, network built, weights packed, parts of the graph run.
#include "wimm/model.h"

#include <algorithm>

#include "graph/passes.h"
#include "graph/shapes.h"
#include "models/families.h"
#include "runtime/parameters.h"
#include "runtime/session.h"
#include "wimm/error.h"

namespace wimm {
namespace {

constexpr int64_t max_channels = 65'536, max_classes = 1'048'576, max_threads = 64;

void check_range(std::string_view option, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    throw Error(ErrorCode::invalid_argument, std::string(option) + " must be between " + std::to_string(low) + " and " +
                                                 std::to_string(high) + ", got " + std::to_string(value));
}

void check_options(const ModelOptions& options) {
  check_range("in_chans", options.in_chans, 1, max_channels);
  check_range("num_classes", options.num_classes, 0, max_classes);
  check_range("threads", options.threads, 1, max_threads);
  if (options.dtype != DType::float32 && options.dtype != DType::float16)
    throw Error(ErrorCode::invalid_argument,
                "dtype must be float32 or float16, got " + std::string(name_of(options.dtype)));
}

// The levels of feature_info that `out_indices` name.
std::vector<FeatureInfo> select_levels(const Network& network, const ModelOptions& options) {
  const auto& indices = options.out_indices.empty() ? network.out_indices : options.out_indices;
  if (indices.empty()) return network.feature_info;
  const auto count = static_cast<int64_t>(network.feature_info.size());
  std::vector<FeatureInfo> levels;
  for (int64_t index : indices) {
    check_range("out_indices", index, -count, count - 1);
    const FeatureInfo& level = network.feature_info[index < 0 ? index + count : index];
    if (level.node == no_id)
      throw Error(ErrorCode::invalid_argument,
                  "out_indices: this model gives no feature map at level " + std::to_string(index));
    levels.push_back(level);
  }
  return levels;
}

Network build(std::string_view name, const ModelOptions& options) {
  check_options(options);
  return build_network(
      name, {options.in_chans, options.num_classes, options.global_pool, options.img_size, options.pretrained});
}

// The values that the model is asked for.
std::vector<NodeId> outputs_of(const Network& network, const ModelOptions& options) {
  if (!options.features_only) return {network.features, network.pre_logits, network.logits};
  std::vector<NodeId> outputs;
  for (const FeatureInfo& level : select_levels(network, options)) outputs.push_back(level.node);
  return outputs;
}

}  // namespace

struct Model::Impl {
  Network network;
  bool features_only;
  int64_t in_chans, num_classes;
  std::vector<FeatureInfo> levels;
  LoadReport report;
  std::optional<Session> session;

  FloatTensor run(NodeId source, NodeId output, const FloatView& value, const StepObserver& observer = {}) {
    if (output == no_id || features_only)
      throw Error(ErrorCode::invalid_argument, "this model was made with features_only: it gives feature maps alone");
    check_value(value, source);
    return std::move(session->run(source, std::span(&output, 1), value, observer)[0]);
  }

  void check_value(const FloatView& value, NodeId source) const {
    const Shape& shape = value.shape;
    const int64_t channels = network.graph.nodes[source].channels;
    const bool tokens = source == network.features && network.token_features;
    if (shape.size() != (tokens ? 3 : 4))
      throw Error(ErrorCode::input_shape, std::string("expected ") +
                                              (tokens ? "tokens [N, L, C]" : "images [N, C, H, W]") + ", got " +
                                              to_string(shape));
    if (std::ranges::any_of(shape, [](int64_t size) { return size < 1; }))
      throw Error(ErrorCode::input_shape, "expected a positive size in each dimension, got " + to_string(shape));
    if (shape[tokens ? 2 : 1] != channels) throw Error(ErrorCode::input_shape, wrong_channels(shape, channels, source));
    if (static_cast<uint64_t>(element_count(shape)) != value.data.size())
      throw Error(ErrorCode::input_shape, "the shape " + to_string(shape) + " needs " +
                                              std::to_string(element_count(shape)) + " values, got " +
                                              std::to_string(value.data.size()));
    if (source == network.input) check_image_size({shape[2], shape[3]});
  }

  void check_image_size(Size2d got) const {
    const auto text = [](Size2d size) { return std::to_string(size[0]) + " × " + std::to_string(size[1]); };
    const auto& [channels, size, multiple_of] = std::get<Input>(network.graph.nodes[network.input].op);
    if (size != Size2d{} && got != size)
      throw Error(ErrorCode::input_shape, "expected images of " + text(size) + " pixels (height × width), got " +
                                              text(got) + ". Resize them, or create the model with imgSize: [" +
                                              std::to_string(got[0]) + ", " + std::to_string(got[1]) + "]");
    if (got[0] % multiple_of[0] != 0 || got[1] % multiple_of[1] != 0)
      throw Error(ErrorCode::input_shape, "expected images of a height and a width that are multiples of " +
                                              text(multiple_of) + ", got " + text(got));
  }

  // What PyTorch says, and how to mend it.
  std::string wrong_channels(const Shape& shape, int64_t channels, NodeId source) const {
    if (source != network.input)
      return "expected features of " + std::to_string(channels) + " channels, got " + to_string(shape);
    std::string weight;
    for (const Parameter& parameter : network.graph.parameters)
      if (parameter.takes_input && weight.empty()) weight = to_string(parameter.shape);
    const std::string got = std::to_string(shape[1]);
    return "Given weight of size " + weight + ", expected input" + to_string(shape) + " to have " +
           std::to_string(channels) + " channels, but got " + got +
           " channels instead. Create the model with inChans: " + got + " to adapt its first layer.";
  }
};

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

FloatTensor Model::forward(const FloatView& x) { return impl_->run(impl_->network.input, impl_->network.logits, x); }
FloatTensor Model::forward_features(const FloatView& x) {
  return impl_->run(impl_->network.input, impl_->network.features, x);
}
FloatTensor Model::embed(const FloatView& x) { return impl_->run(impl_->network.input, impl_->network.pre_logits, x); }

FloatTensor Model::forward_head(const FloatView& features, bool pre_logits) {
  return impl_->run(impl_->network.features, pre_logits ? impl_->network.pre_logits : impl_->network.logits, features);
}

std::vector<FloatTensor> Model::forward_intermediates(const FloatView& x) {
  if (!impl_->features_only)
    throw Error(ErrorCode::invalid_argument, "feature maps need a model made with features_only");
  impl_->check_value(x, impl_->network.input);
  std::vector<NodeId> outputs;
  for (const FeatureInfo& level : impl_->levels) outputs.push_back(level.node);
  return impl_->session->run(impl_->network.input, outputs, x);
}

std::vector<LayerProfile> Model::profile(const FloatView& x) {
  std::vector<std::pair<NodeId, double>> times;
  const auto observer = [&](NodeId id, double milliseconds) { times.emplace_back(id, milliseconds); };
  impl_->run(impl_->network.input, impl_->network.logits, x, observer);
  std::vector<LayerProfile> layers;
  for (const auto& [id, milliseconds] : times) {
    const Node& node = impl_->network.graph.nodes[id];
    std::vector<Shape> inputs;
    for (NodeId input : node.inputs) inputs.push_back(impl_->session->shape(input));
    const Shape& shape = impl_->session->shape(id);
    layers.push_back(
        {node.name, std::string(kind_of(node.op)), shape, milliseconds, multiply_adds(node, inputs, shape)});
  }
  return layers;
}

std::vector<ParameterInfo> Model::parameters() const {
  std::vector<ParameterInfo> infos;
  for (const Parameter& parameter : impl_->network.graph.parameters)
    if (parameter.init != Init::constant) infos.push_back({parameter.name, parameter.dtype, parameter.shape});
  return infos;
}

const LoadReport& Model::load_report() const { return impl_->report; }
int64_t Model::in_chans() const { return impl_->in_chans; }
int64_t Model::num_classes() const { return impl_->num_classes; }
int64_t Model::num_features() const { return impl_->network.num_features; }
size_t Model::weight_bytes() const { return impl_->session->weight_bytes(); }
size_t Model::arena_bytes() const { return impl_->session->arena_bytes(); }

std::vector<Model::FeatureLevel> Model::feature_info() const {
  std::vector<FeatureLevel> levels;
  for (const FeatureInfo& level : impl_->levels) levels.push_back({level.module, level.channels, level.reduction});
  return levels;
}

std::unique_ptr<Model> create_model(std::string_view name, const ModelOptions& options) {
  auto impl = std::make_unique<Model::Impl>();
  Network& network = impl->network;
  network = build(name, options);
  impl->features_only = options.features_only;
  impl->in_chans = options.in_chans;
  impl->num_classes = options.num_classes;

  std::vector<NodeId> outputs = outputs_of(network, options);
  fuse(network, outputs);
  if (!options.exact) select_winograd(network.graph);
  impl->levels = select_levels(network, options);

  const std::vector<bool> needed = needed_nodes(network.graph, outputs);
  Parameters parameters(network, options, needed_parameters(network.graph, needed));
  Kernels kernels(network.graph.nodes.size());
  for (size_t i = 0; i < kernels.size(); ++i)
    if (needed[i]) kernels[i] = make_kernel(network.graph, static_cast<NodeId>(i), parameters);
  impl->report = parameters.report();
  impl->session.emplace(network.graph, std::move(kernels), options.threads);
  return std::unique_ptr<Model>(new Model(std::move(impl)));
}

uint64_t check_model(std::string_view name, const ModelOptions& options) {
  const Network network = build(name, options);
  const std::vector<bool> needed = needed_nodes(network.graph, outputs_of(network, options));
  return Parameters(network, options, needed_parameters(network.graph, needed)).bytes();
}

std::vector<std::string_view> list_buildable_models() { return list_variants(); }

}  // namespace wimm
