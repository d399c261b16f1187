// Global pooling and classifier, as timm/layers/classifier.py.
#include "nn/head.h"

#include <string>

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

}  // namespace wimm::nn
