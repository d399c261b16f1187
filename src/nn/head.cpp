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

}  // namespace

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
  const auto& linear = std::get<Linear>(network.graph.nodes[network.logits].op);
  network.graph.parameters[linear.weight].classifier = true;
  network.graph.parameters[linear.bias].classifier = true;
}

void classifier_head(Network& network, const Scope& head, NodeId x, std::string_view pool, int64_t num_classes) {
  network.features = x;
  network.num_features = head.channels(x);
  linear_classifier(network, head, "fc", select_pool(head, x, pool, num_classes), num_classes);
}

}  // namespace wimm::nn
