// Blocks of transformers on tokens [N, L, C], and of those on images [N, H, W, C].
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "nn/scope.h"

namespace wimm::nn {

// A normalisation of each token's channels, or of each head's.
struct TokenNorm {
  enum class Kind : uint8_t { layer, rms, simple } kind = Kind::layer;
  double eps = 1e-6;
};

NodeId token_norm(const Scope& scope, std::string_view name, NodeId x, const TokenNorm& norm);
// Of each part of `channels` channels, with the same weights.
NodeId head_norm(const Scope& scope, std::string_view name, NodeId x, int64_t channels, const TokenNorm& norm);

// The one linear projection of each square of patch_size pixels, timm's "proj": images → [N, H, W, channels].
NodeId patch_embed(const Scope& scope, NodeId x, int64_t channels, int64_t patch_size, bool bias = true,
                   Resampling resampling = Resampling::bicubic);

// Attention whose queries, keys and values are one value of so many channels, one behind the other.
Attention attention_of(int64_t channels, int64_t heads);

// A learned table of `bias`, and an MLP that computes one: its layers' names, its hidden channels, and whether the
// second layer has a bias.
ParameterId relative_bias_table(const Scope& scope, std::string_view name, const RelativeBias& bias, int64_t heads);
RelativeBias::Mlp offset_mlp(const Scope& scope, std::array<std::string_view, 2> layers, int64_t hidden, int64_t heads,
                             bool last_bias);

// Scaled dot-product attention between tokens whose channels are divided into heads of one size.
NodeId attend(const Scope& scope, NodeId q, NodeId k, NodeId v, int64_t heads, int64_t kv_heads);
// The same where one value holds q, k and v, one behind the other.
NodeId attend(const Scope& scope, NodeId qkv, int64_t heads);

// And where one holds k and v, or q and k.
NodeId attend_to(const Scope& scope, NodeId q, NodeId kv, int64_t heads);
NodeId attend_by(const Scope& scope, NodeId qk, NodeId v, int64_t heads);

// The first token, the others, and a first one with others: [N, L, C] ↔ [N, 1, C] and [N, L - 1, C].
NodeId first_token(const Scope& scope, NodeId x);
NodeId other_tokens(const Scope& scope, NodeId x);
NodeId join_tokens(const Scope& scope, NodeId first, NodeId others);

// The first token's attention to all (arXiv 2103.17239), by layers of these names and "proj": [N, L, C] → [N, 1, C].
NodeId class_attention(const Scope& scope, NodeId x, int64_t heads,
                       const std::array<std::string_view, 3>& layers = {"q", "k", "v"});

struct SelfAttention {
  int64_t heads;
  bool qkv_bias = false;
  std::optional<TokenNorm> qk_norm{};     // of each head's queries and keys
  std::optional<TokenNorm> scale_norm{};  // before the projection
  bool proj_bias = true;
};

// timm's Attention.
NodeId self_attention(const Scope& scope, NodeId x, const SelfAttention& options);

// Differential attention (arXiv 2410.05258): attention(q1, k1, v) - λ · attention(q2, k2, v) of a value [N, L, 3·C]
// that holds q, k and v; `depth` counts blocks. Its λ is declared first, its norm where timm has it.
DifferentialMix declare_differential_mix(const Scope& scope, int64_t head_channels, int64_t depth);
NodeId differential_attend(const Scope& scope, NodeId qkv, int64_t heads, const DifferentialMix& mix);
// "sub_norm", of each head, and the constant factor 1 - lambda_init.
NodeId differential_norm(const Scope& scope, NodeId x, int64_t heads, const DifferentialMix& mix);

// timm's DiffAttention, which takes no norms but its own.
NodeId differential_attention(const Scope& scope, NodeId x, const SelfAttention& options, int64_t depth);

struct Mlp {
  // plain: fc2(act(fc1(x))); glu: fc1 gives gate and value; glu_gate_last: value and gate; swiglu: "fc1_g" gives the
  // gate, "fc1_x" the value; normed_geglu: of the normalised x, "w0" gives the gate, "w1" the value, and "w2" ends it.
  enum class Kind : uint8_t { plain, glu, glu_gate_last, swiglu, normed_geglu } kind = Kind::plain;
  int64_t hidden;  // channels that fc1 gives
  Activation activation = Activation::gelu;
  bool bias = true;
  std::optional<TokenNorm> norm{};  // before fc2
  bool response_norm = false;       // before fc2, of an image: "grn"
  bool conv = false;                // 1×1 convolutions, which compute the same
};

NodeId mlp(const Scope& scope, NodeId x, const Mlp& options);

// A linear layer along `tokens` tokens, each channel by itself.
NodeId mix_tokens(const Scope& scope, std::string_view name, NodeId x, int64_t tokens, int64_t out_tokens);

// timm's Block: attention and MLP of normalised tokens, added to them.
NodeId transformer_block(const Scope& scope, NodeId x, const SelfAttention& attention, const Mlp& mlp,
                         const TokenNorm& norm = {});

// Images [N, H, W, C] as tokens [N, H·W, C], and tokens as an image of the height and width of another.
NodeId to_tokens(const Scope& scope, NodeId x);
NodeId to_image(const Scope& scope, NodeId x, NodeId like);

// A layer norm of each pixel's or token's channels, without bias.
NodeId unbiased_norm(const Scope& scope, std::string_view name, NodeId x, double eps = 1e-6);

// StarReLU (arXiv 2210.13452): scale · relu(x)² + bias.
NodeId star_relu(const Scope& scope, NodeId x);

// x · gamma.
NodeId layer_scale(const Scope& scope, std::string_view name, NodeId x);

// A query learned for all images attends to x, and passes an MLP: [N, L, C] → [N, C] (timm's AttentionPoolLatent).
NodeId attention_pool(const Scope& scope, NodeId x, int64_t heads, const Mlp& mlp, const TokenNorm& norm);

}  // namespace wimm::nn
