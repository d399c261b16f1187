// The public model: options checked, network built, weights packed, parts of the graph run.
#include "wimm/model.h"

#include <algorithm>
#include <limits>

#include "graph/passes.h"
#include "graph/shapes.h"
#include "kernels/int8_gemm.h"
#include "models/families.h"
#include "runtime/parameters.h"
#include "runtime/parts.h"
#include "runtime/session.h"
#include "runtime/stopwatch.h"
#include "runtime/warm_up.h"
#include "wimm/error.h"

namespace wimm {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();  // milliseconds
constexpr int64_t max_channels = 65'536, max_classes = 1'048'576, max_threads = 64, max_image_side = 1 << 24;

void check_range(std::string_view option, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    throw Error(ErrorCode::invalid_argument, std::string(option) + " must be between " + std::to_string(low) + " and " +
                                                 std::to_string(high) + ", got " + std::to_string(value));
}

void check_options(const ModelOptions& options) {
  check_range("in_chans", options.in_chans, 1, max_channels);
  check_range("num_classes", options.num_classes, 0, max_classes);
  check_range("threads", options.threads, 1, max_threads);
  for (const int64_t side : options.image_size) check_range("image_size", side, 1, max_image_side);
  if (options.dtype != DType::float32 && options.dtype != DType::float16 && options.dtype != DType::int8)
    throw Error(ErrorCode::invalid_argument,
                "dtype must be float32, float16 or int8, got " + std::string(name_of(options.dtype)));
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
  std::vector<NodeId> outputs;
  if (options.features_only) {
    for (const FeatureInfo& level : select_levels(network, options)) outputs.push_back(level.node);
    return outputs;
  }
  if (network.features != no_id) outputs.push_back(network.features);
  outputs.insert(outputs.end(), {network.pre_logits, network.logits});
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

  void start(Call call, const FloatView& x) {
    if ((call == Call::forward_intermediates) != features_only)
      throw Error(ErrorCode::invalid_argument,
                  features_only ? "this model was made with features_only: it gives feature maps alone"
                                : "feature maps need a model made with features_only");
    const bool is_head = call == Call::forward_head || call == Call::pre_logits;
    if (network.features == no_id && (is_head || call == Call::forward_features))
      throw Error(
          ErrorCode::invalid_argument,
          "this model's features are several tensors, not one: embed the images, or make it with features_only");
    const NodeId source = is_head ? network.features : network.input;
    check_value(x, source);
    session->start(source, outputs_of(call), x);
  }

  std::vector<NodeId> outputs_of(Call call) const {
    switch (call) {
      case Call::forward:
      case Call::forward_head:
        return {network.logits};
      case Call::forward_features:
        return {network.features};
      case Call::pre_logits:
      case Call::embed:
        return {network.pre_logits};
      case Call::forward_intermediates:
        break;
    }
    std::vector<NodeId> outputs;
    for (const FeatureInfo& level : levels) outputs.push_back(level.node);
    return outputs;
  }

  // The first call that is expected, with images [N, H, W, C] of zeros: what it leaves is what each later one has.
  void warm_up(const Shape& images) {
    const std::vector<float> zeros(element_count(images));
    const Call call = features_only ? Call::forward_intermediates : Call::forward;
    start(call, {channels_first(images), zeros});
  }

  std::vector<FloatTensor> run(Call call, const FloatView& x) {
    start(call, x);
    session->advance(unlimited);
    return session->results();
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

FloatTensor Model::forward(const FloatView& x) { return std::move(impl_->run(Call::forward, x)[0]); }
FloatTensor Model::forward_features(const FloatView& x) { return std::move(impl_->run(Call::forward_features, x)[0]); }
FloatTensor Model::embed(const FloatView& x) { return std::move(impl_->run(Call::embed, x)[0]); }

FloatTensor Model::forward_head(const FloatView& features, bool pre_logits) {
  return std::move(impl_->run(pre_logits ? Call::pre_logits : Call::forward_head, features)[0]);
}

std::vector<FloatTensor> Model::forward_intermediates(const FloatView& x) {
  return impl_->run(Call::forward_intermediates, x);
}

std::vector<LayerProfile> Model::profile(const FloatView& x) {
  impl_->run(Call::forward, x);
  return layer_profile();
}

void Model::start(Call call, const FloatView& x) { impl_->start(call, x); }
bool Model::advance(double milliseconds) { return impl_->session->advance(milliseconds); }
std::vector<FloatTensor> Model::results() const { return impl_->session->results(); }

std::vector<LayerProfile> Model::layer_profile() const {
  const Session& session = *impl_->session;
  std::vector<LayerProfile> layers;
  for (size_t i = 0; i < session.times().size(); ++i) {
    const NodeId id = session.steps()[i];
    const Node& node = impl_->network.graph.nodes[id];
    std::vector<Shape> inputs;
    for (NodeId input : node.inputs) inputs.push_back(session.shape(input));
    const Shape& shape = session.shape(id);
    layers.push_back(
        {node.name, std::string(kind_of(node.op)), shape, session.times()[i], multiply_adds(node, inputs, shape)});
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

struct ModelLoad::Impl {
  ModelOptions options;
  std::unique_ptr<Model::Impl> model = std::make_unique<Model::Impl>();
  std::optional<Parameters> parameters{};
  struct Layer {
    NodeId node;
    Wanted wanted;
  };
  std::vector<Layer> layers{};  // in the order in which a file that arrives has them
  size_t loaded = 0;            // of the layers
  Kernels kernels{};            // by node
  std::vector<bool> needed{};   // by node
  std::vector<Shape> shapes{};  // by node, for the images that are expected; none where the model does not take those
  std::optional<WarmUp> warm_up{};
  size_t warm = 0;  // of the layers, all of them where that cannot be done

  void infer_shapes() {
    const Network& network = model->network;
    const Size2d fixed = std::get<Input>(network.graph.nodes[network.input].op).size;
    const auto [height, width] = fixed == Size2d{} ? options.image_size : fixed;
    try {
      shapes = wimm::infer_shapes(network.graph, needed, network.input, {1, height, width, options.in_chans});
    } catch (const Error&) {
    }
  }

  void list_layers() {
    const Graph& graph = model->network.graph;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      if (!needed[i]) continue;
      Wanted wanted{whole_file, 0};
      for (const ParameterId id : parameters_of(graph.nodes[i].op)) {
        const Wanted place = parameters->place(id);
        if (place.end > 0) wanted = {std::min(wanted.begin, place.begin), std::max(wanted.end, place.end)};
      }
      layers.push_back({static_cast<NodeId>(i), wanted});
    }
    std::ranges::stable_sort(layers, {}, [](const Layer& layer) { return layer.wanted.end; });
    for (size_t i = layers.size(); i-- > 1;)
      layers[i - 1].wanted.begin = std::min(layers[i - 1].wanted.begin, layers[i].wanted.begin);
    kernels.resize(graph.nodes.size());
  }

  void warm_up_next() {
    if (!warm_up) warm_up.emplace(model->network.graph, shapes, ThreadPool::shared(options.threads));
    const NodeId node = layers[warm++].node;
    if (kernels[node]) warm_up->run(node, *kernels[node]);
  }
};

ModelLoad::ModelLoad(std::string_view name, ModelOptions options)
    : impl_(std::make_unique<Impl>(Impl{.options = std::move(options)})) {
  Model::Impl& model = *impl_->model;
  const ModelOptions& chosen = impl_->options;
  Network& network = model.network;
  network = build(name, chosen);
  model.features_only = chosen.features_only;
  model.in_chans = chosen.in_chans;
  model.num_classes = chosen.num_classes;

  std::vector<NodeId> outputs = outputs_of(network, chosen);
  fuse(network, outputs);
  model.levels = select_levels(network, chosen);
  impl_->needed = needed_nodes(network.graph, outputs);
  impl_->infer_shapes();
  if (!chosen.exact) select_winograd(network.graph, impl_->shapes);
  if (chosen.dtype == DType::int8) select_int8(network.graph, Int8Gemm::has_fused_products());
  fuse_expansions(network.graph, outputs, impl_->shapes);
  impl_->needed = needed_nodes(network.graph, outputs);
  place_parts(network.graph, impl_->needed);
  impl_->parameters.emplace(network, chosen, needed_parameters(network.graph, impl_->needed));
  model.report = impl_->parameters->report();
  impl_->list_layers();
}

ModelLoad::~ModelLoad() = default;

uint64_t ModelLoad::bytes() const { return impl_->parameters->bytes(); }

ModelLoad::Wanted ModelLoad::wanted() const {
  if (impl_->loaded == impl_->layers.size()) return {0, 0};
  const auto [begin, end] = impl_->layers[impl_->loaded].wanted;
  return {begin == whole_file ? 0 : begin, end};
}

bool ModelLoad::advance(double milliseconds, uint64_t received) {
  const Stopwatch slice;
  const std::vector<Impl::Layer>& layers = impl_->layers;
  size_t& loaded = impl_->loaded;
  while (loaded < layers.size() && layers[loaded].wanted.end <= received) {
    const NodeId node = layers[loaded].node;
    impl_->kernels[node] = make_kernel(impl_->model->network.graph, node, *impl_->parameters);
    ++loaded;
    if (slice.milliseconds() >= milliseconds) break;
  }
  return loaded == layers.size();
}

bool ModelLoad::warm_up(double milliseconds) {
  const Stopwatch slice;
  if (impl_->shapes.empty()) impl_->warm = impl_->layers.size();
  try {
    while (impl_->warm < impl_->loaded) {
      impl_->warm_up_next();
      if (slice.milliseconds() >= milliseconds) break;
    }
  } catch (const std::exception&) {  // the load goes on without
    impl_->warm_up.reset();
    impl_->warm = impl_->layers.size();
  }
  return impl_->warm >= impl_->loaded;
}

std::unique_ptr<Model> ModelLoad::take() {
  Impl& load = *impl_;
  if (!load.model || load.loaded < load.layers.size())
    throw Error(ErrorCode::invalid_argument, "there is no model before it is loaded");
  load.model->session.emplace(load.model->network.graph, std::move(load.kernels), load.options.threads);
  if (load.warm_up) {
    load.warm_up.reset();  // its memory is where the activations go
    try {
      load.model->warm_up(load.shapes[load.model->network.input]);
    } catch (const std::exception&) {  // then the first call says so
    }
  }
  return std::unique_ptr<Model>(new Model(std::move(load.model)));
}

std::unique_ptr<Model> create_model(std::string_view name, const ModelOptions& options) {
  ModelLoad load(name, options);
  load.advance(unlimited);
  return load.take();
}

uint64_t check_model(std::string_view name, const ModelOptions& options) { return ModelLoad(name, options).bytes(); }

std::vector<std::string_view> list_buildable_models() { return list_variants(); }

}  // namespace wimm
