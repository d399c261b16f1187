// The end of most models: global pooling by timm's name, then a linear classifier.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "nn/scope.h"

namespace wimm::nn {

// The pool that a caller asks for, else the first of those that the model knows.
// Errors: invalid_argument for one that it does not know.
std::string_view pool_of(const std::optional<std::string>& asked, std::initializer_list<std::string_view> known);

// timm's SelectAdaptivePool2d, "global_pool": `pool` is "avg", "max", "avgmax" or "catavgmax", or "" to keep the map.
// `num_classes` are those of the classifier that follows.
// Errors: invalid_argument for another name, and for "" where a classifier follows, which takes no maps.
NodeId select_pool(const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes, bool keep_dims = false);

// The classifier `name`, a linear layer on pooled features x (none where num_classes is 0). This and the four below
// set what the network says of its end.
void linear_classifier(Network& network, const Scope& scope, std::string_view name, NodeId x, int64_t num_classes);

// The features x, pooled, then that classifier.
void linear_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x,
                            std::string_view pool, int64_t num_classes);

// A classifier "head" on x and another, "head_dist", on x_dist, their results averaged (arXiv 2012.12877).
void distilled_classifier(Network& network, const Scope& scope, NodeId x, NodeId x_dist, int64_t num_classes);

// timm's ClassifierHead on the features x: pooling, then the classifier "fc".
void classifier_head(Network& network, const Scope& head, NodeId x, std::string_view pool, int64_t num_classes);

// Pooling of the features x, then the classifier `name`, a 1×1 convolution: with `pool` "" it gives a map of logits.
void conv_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x, std::string_view pool,
                          int64_t num_classes);

}  // namespace wimm::nn
