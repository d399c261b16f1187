// The end of most models: global pooling by timm's name, then a linear classifier.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "nn/scope.h"
#include "nn/transformer.h"

namespace wimm::nn {

// The pool that a caller asks for, else the first of those that the model knows.
// Errors: invalid_argument for one that it does not know.
std::string_view pool_of(const std::optional<std::string>& asked, std::initializer_list<std::string_view> known);

// timm's SelectAdaptivePool2d, "global_pool": `pool` is "avg", "max", "avgmax" or "catavgmax", or "" to keep the map.
// `num_classes` are those of the classifier that follows.
// Errors: invalid_argument for another name, and for "" where a classifier follows, which takes no maps.
NodeId select_pool(const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes, bool keep_dims = false);

// The classifier `name`, a linear layer on pooled features x (none where num_classes is 0). This and those below
// set what the network says of its end.
void linear_classifier(Network& network, const Scope& scope, std::string_view name, NodeId x, int64_t num_classes);

// The features x, pooled, then that classifier.
void linear_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x,
                            std::string_view pool, int64_t num_classes);

// The features x, tokens behind a class token, pooled ("token": that one, "avg": the others), then the classifier
// "head".
void token_classifier_head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes);

// A classifier "head" on x and another, "head_dist", on x_dist, their results averaged (arXiv 2012.12877).
void distilled_classifier(Network& network, const Scope& scope, NodeId x, NodeId x_dist, int64_t num_classes);

// The features x, pooled, and those two classifiers on them.
void distilled_head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes);

// The features x, pooled, then batch norm "head.bn" and a linear layer "head.l"; where it is distilled, averaged with
// those of "head_dist".
void distilled_norm_head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes,
                         bool distilled);

// timm's ClassifierHead on the features x: pooling, then the classifier "fc".
void classifier_head(Network& network, const Scope& head, NodeId x, std::string_view pool, int64_t num_classes);

// Pooling of the features x, then the classifier `name`, a 1×1 convolution: with `pool` "" it gives a map of logits.
void conv_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x, std::string_view pool,
                          int64_t num_classes);

// timm's AttentionPool2d on the features x, of 64 channels a head: their mean attends to them all, positions of a map
// of `grid` added; then the classifier "proj". With `pool` "" what they attend to, without the mean's. Errors:
// invalid_argument where `pool` is neither "token" nor "".
void attention_pool_head(Network& network, const Scope& head, NodeId x, Size2d grid, std::string_view pool,
                         int64_t num_classes);

// Pooling of the features x, a hidden 1×1 convolution, its activation, then the classifier; with `pool` "" the map,
// which no classifier takes.
struct HiddenLayer {
  std::string_view name = "conv_head";
  int64_t channels = 1280;
  bool bias = false;
  Activation activation = Activation::relu;
  std::function<NodeId(NodeId)> behind{};  // what follows the activation, if anything
};
void hidden_classifier_head(Network& network, const Scope& scope, std::string_view name, NodeId x,
                            std::string_view pool, int64_t num_classes, const HiddenLayer& hidden = {});

struct NormMlp {
  std::optional<TokenNorm> norm = TokenNorm{};  // else batch norm
  int64_t hidden = 0;                           // channels of a layer "pre_logits.fc" before the classifier; 0: none
  Activation activation = Activation::gelu;
  bool channels_last = false;  // timm's ClNormMlpClassifierHead, whose layers are linear for maps too
  bool hidden_norm = false;    // behind the hidden layer's activation: "pre_logits.norm"
};

// timm's NormMlpClassifierHead on the features x: pooling, normalisation, the hidden layer, then the classifier "fc";
// with `pool` "" they keep the map.
void norm_mlp_classifier_head(Network& network, const Scope& head, NodeId x, std::string_view pool, int64_t num_classes,
                              const NormMlp& options = {});

}  // namespace wimm::nn
