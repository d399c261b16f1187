// Global pooling and classifier, as timm/layers/classifier.py.
#include "nn/head.h"

#include <string>
#include <vector>

#include "graph/overloaded.h"
#include "wimm/error.h"

namespace wimm::nn {
namespace {

PoolKind pool_kind(std::string_view pool) {
  if (pool == "avg") return PoolKind::avg;
  if (pool == "max") return PoolKind::max;
  if (pool == "avgmax") return PoolKind::avgmax;
  if (pool == "catavgmax") return PoolKind::catavgmax;
  throw Error(ErrorCode::invalid_argument,
              "global pool must be 'avg', 'max', 'avgmax', 'catavgmax' or '', got " + quote(pool));
}

// For heads that have a layer of their own between pooling and classifier.
void refuse_concatenation(std::string_view pool) {
  if (pool == "catavgmax")
    throw Error(ErrorCode::invalid_argument,
                "global pool 'catavgmax' gives twice the channels that this model's head takes");
}

template <class Layer>
void mark_classifier(Graph& graph, const Layer& layer) {
  graph.parameters[layer.weight].classifier = true;
  graph.parameters[layer.bias].classifier = true;
}

}  // namespace

std::string_view pool_of(const std::optional<std::string>& asked, std::initializer_list<std::string_view> known) {
  if (!asked) return *known.begin();
  std::string names;
  for (const std::string_view name : known) {
    if (name == *asked) return name;
    names += (names.empty() ? "" : name == *(known.end() - 1) ? " or " : ", ") + quote(name);
  }
  throw Error(ErrorCode::invalid_argument, "global pool must be " + names + ", got " + quote(*asked));
}

NodeId select_pool(const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes, bool keep_dims) {
  if (!pool.empty()) return scope.global_pool("global_pool", x, pool_kind(pool), keep_dims);
  if (num_classes == 0) return x;
  throw Error(ErrorCode::invalid_argument, "global pool '' leaves a feature map, but the classifier of " +
                                               std::to_string(num_classes) +
                                               " classes takes pooled features: set the number of classes to 0");
}

void linear_classifier(Network& network, const Scope& scope, std::string_view name, NodeId x, int64_t num_classes) {
  network.classifier = {scope[name].path()};
  network.pre_logits = network.logits = x;
  if (num_classes == 0) return;
  network.logits = scope.linear(name, x, num_classes);
  mark_classifier(network.graph, std::get<Linear>(network.graph.nodes[network.logits].op));
}

void linear_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x,
                            std::string_view pool, int64_t num_classes) {
  network.features = x;
  network.num_features = scope.channels(x);
  linear_classifier(network, scope, name, select_pool(scope, x, pool, num_classes), num_classes);
}

void token_classifier_head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes) {
  const int64_t channels = scope.channels(x);
  network.features = x;
  network.token_features = true;
  network.num_features = channels;
  const Scope place = scope["global_pool"];
  if (pool == "token") x = place.node(SelectToken{0}, {x}, channels);
  if (pool == "avg") x = scope.global_pool("global_pool", place.node(DropTokens{1}, {x}, channels), PoolKind::avg);
  linear_classifier(network, scope, "head", x, num_classes);
}

void distilled_classifier(Network& network, const Scope& scope, NodeId x, NodeId x_dist, int64_t num_classes) {
  network.classifier = {scope["head"].path(), scope["head_dist"].path()};
  network.pre_logits = network.logits = scope.scale(scope.add(x, x_dist), 0.5f);
  if (num_classes == 0) return;
  const NodeId logits = scope.linear("head", x, num_classes),
               logits_dist = scope.linear("head_dist", x_dist, num_classes);
  for (const NodeId id : {logits, logits_dist})
    mark_classifier(network.graph, std::get<Linear>(network.graph.nodes[id].op));
  network.logits = scope.scale(scope.add(logits, logits_dist), 0.5f);
}

void distilled_head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes) {
  network.features = x;
  network.num_features = scope.channels(x);
  x = select_pool(scope, x, pool, num_classes);
  distilled_classifier(network, scope, x, x, num_classes);
}

void distilled_norm_head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes,
                         bool distilled) {
  refuse_concatenation(pool);
  network.features = x;
  network.num_features = scope.channels(x);
  x = select_pool(scope, x, pool, num_classes);
  network.pre_logits = network.logits = x;
  std::vector<NodeId> results;
  for (const std::string_view name : {"head", "head_dist"}) {
    if (name == "head_dist" && !distilled) continue;
    network.classifier.push_back(scope[name]["l"].path());
    if (num_classes == 0) continue;
    results.push_back(scope[name].linear("l", scope[name].batch_norm("bn", x), num_classes));
    mark_classifier(network.graph, std::get<Linear>(network.graph.nodes[results.back()].op));
  }
  if (results.empty()) return;
  network.logits = distilled ? scope.scale(scope.add(results[0], results[1]), 0.5f) : results[0];
}

void classifier_head(Network& network, const Scope& head, NodeId x, std::string_view pool, int64_t num_classes) {
  linear_classifier_head(network, head, "fc", x, pool, num_classes);
}

void conv_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x, std::string_view pool,
                          int64_t num_classes) {
  network.features = x;
  network.num_features = scope.channels(x);
  network.classifier = {scope[name].path()};
  const auto flatten = [&](NodeId value) {
    return pool.empty() ? value : scope["flatten"].node(Flatten{}, {value}, scope.channels(value));
  };
  x = pool.empty() ? x : scope.global_pool("global_pool", x, pool_kind(pool), true);
  network.pre_logits = network.logits = flatten(x);
  if (num_classes == 0) return;
  const NodeId logits = scope.conv2d(name, x, {.out_channels = num_classes, .bias = true});
  mark_classifier(network.graph, std::get<Conv2d>(network.graph.nodes[logits].op));
  network.logits = flatten(logits);
}

void hidden_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x,
                            std::string_view pool, int64_t num_classes, const HiddenLayer& hidden) {
  refuse_concatenation(pool);
  network.features = x;
  network.num_features = scope.channels(x);
  x = select_pool(scope, x, pool, num_classes, true);
  x = scope.conv2d(hidden.name, x, {.out_channels = hidden.channels, .bias = hidden.bias});
  x = scope.activate("act2", x, hidden.activation);
  if (hidden.behind) x = hidden.behind(x);
  if (!pool.empty()) x = scope["flatten"].node(Flatten{}, {x}, scope.channels(x));
  linear_classifier(network, scope, name, x, num_classes);
}

void attention_pool_head(Network& network, const Scope& head, NodeId x, Size2d grid, std::string_view pool,
                         int64_t num_classes) {
  if (pool != "token" && !pool.empty())
    throw Error(ErrorCode::invalid_argument, "global pool must be 'token' or '', got " + quote(pool));
  const int64_t channels = head.channels(x);
  network.features = x;
  network.num_features = channels;
  const ParameterId positions = head.parameter("pos_embed", {grid[0] * grid[1] + 1, channels}, Init::token);
  const NodeId mean = head.global_pool("mean", x, PoolKind::avg, true);
  const auto tokens = [&](NodeId image) { return head.node(ToTokens{}, {image}, channels); };
  NodeId y = head["tokens"].node(ConcatTokens{}, {tokens(mean), tokens(x)}, channels);
  y = head["pos_embed"].node(AddPositions{positions, 1, grid}, {y, x}, channels);
  const NodeId q = head.linear("q", y, channels), k = head.linear("k", y, channels), v = head.linear("v", y, channels);
  y = attend(head["attn"], q, k, v, channels / 64, channels / 64);
  y = pool.empty() ? head.node(ToImage{}, {head.node(DropTokens{1}, {y}, channels), x}, channels)
                   : head.node(SelectToken{0}, {y}, channels);
  linear_classifier(network, head, "proj", y, num_classes);
}

void norm_mlp_classifier_head(Network& network, const Scope& head, NodeId x, std::string_view pool, int64_t num_classes,
                              const NormMlp& options) {
  refuse_concatenation(pool);
  network.features = x;
  network.num_features = head.channels(x);
  network.classifier = {head["fc"].path()};
  const auto layer = [&](const Scope& scope, NodeId value, int64_t out) {
    const bool conv = pool.empty() && !options.channels_last;
    return conv ? scope.conv2d("fc", value, {.out_channels = out, .bias = true}) : scope.linear("fc", value, out);
  };
  if (!pool.empty()) x = head.global_pool("global_pool", x, pool_kind(pool));
  x = options.norm ? token_norm(head, "norm", x, *options.norm) : head.batch_norm("norm", x);
  if (options.hidden > 0)
    x = head["pre_logits"].activate("act", layer(head["pre_logits"], x, options.hidden), options.activation);
  if (options.hidden_norm) x = token_norm(head["pre_logits"], "norm", x, *options.norm);
  network.pre_logits = network.logits = x;
  if (num_classes == 0) return;
  network.logits = layer(head, x, num_classes);
  Graph& graph = network.graph;
  std::visit(Overloaded{[&](const Conv2d& fc) { mark_classifier(graph, fc); },
                        [&](const Linear& fc) { mark_classifier(graph, fc); }, [](const auto&) {}},
             graph.nodes[network.logits].op);
}

}  // namespace wimm::nn
