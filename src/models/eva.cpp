// EVA, EVA-02 and the vision transformers whose heads are turned by a patch's position: Perception Encoder, DINOv3,
// RoPE-ViT and their like (timm/models/eva.py).
// Papers: arXiv 2211.07636, 2303.11331, 2504.13181, 2508.10104, 2403.13298.
#include <algorithm>
#include <array>
#include <optional>

#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

// What a variant has beside what any vision transformer has; each function gives it one more property.
struct Eva {
  // no: positions are embedded alone.
  enum class Rope : uint8_t { no, grid, centered, mixed };
  VisionTransformer vit;
  Rope rope = Rope::no;
  double temperature = 10'000, offset = 0;
  int64_t reference = 0;  // side of the grid, in patches, on whose scale positions are; 0: none
  bool columns_first = false, halves = false;
  bool plain_qkv = false;  // timm's AttentionRope: qkv has one bias, not one of queries and one of values
  bool fused_qkv = true;   // one linear layer for all
  bool grouped = false;    // half as many heads of keys and values, but in the first and last 8 blocks
  bool gammas = false, gamma_2 = true;
  std::optional<bool> last_norm{};
  bool scale_mlp = false;  // a norm within the MLP
  int64_t align = 1;       // its hidden channels are a multiple of that

  constexpr Eva with(auto Eva::* member, auto value) const {
    Eva spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Eva of(VisionTransformer value) const { return with(&Eva::vit, value); }
  constexpr Eva at(int64_t size) const { return of(vit.at(size)); }
  constexpr Eva token() const { return of(vit.pool("token")); }
  constexpr Eva ls() const { return with(&Eva::gammas, true); }
  constexpr Eva no_qkv_bias() const { return of(vit.no_qkv_bias()); }
  constexpr Eva ape() const { return of(vit.no_embed().with(&VisionTransformer::pos_embed, true)); }
  constexpr Eva scale_attention() const { return of(vit.with(&VisionTransformer::scale_norm, true)); }
  constexpr Eva swiglu(int64_t aligned_to) const {
    return of(vit.with(&VisionTransformer::mlp, nn::Mlp::Kind::swiglu)).with(&Eva::align, aligned_to);
  }
};

constexpr VisionTransformer no_positions(const VisionTransformer& vit) {
  return vit.with(&VisionTransformer::pos_embed, false);
}
constexpr Eva eva(const VisionTransformer& vit) { return {vit.pool("avg")}; }
constexpr Eva eva_giant(int64_t size) { return eva(vit_giant(14)).at(size); }

// EVA-02: a gated MLP, positions on the scale of 16 × 16 patches. Larger ones have a norm in it.
constexpr Eva eva02(const VisionTransformer& vit) {
  Eva spec = eva(vit.ratio(8.0 / 3).with(&VisionTransformer::mlp, nn::Mlp::Kind::glu));
  spec.rope = Eva::Rope::grid;
  spec.reference = 16;
  return spec;
}
constexpr Eva eva02_large(const VisionTransformer& vit) {
  return eva02(vit).swiglu(1).with(&Eva::fused_qkv, false).with(&Eva::scale_mlp, true);
}

// timm's own, with registers.
constexpr Eva rope_reg(const VisionTransformer& vit, int64_t registers) {
  Eva spec = eva(no_positions(vit.no_class().reg(registers))).ls().at(256);
  spec.rope = Eva::Rope::grid;
  spec.reference = 16;
  return spec;
}

// Perception Encoder: core models pool by attention; others have no last norm.
constexpr Eva pe(const VisionTransformer& vit, int64_t size) {
  Eva spec{vit.clip().at(size).with(&VisionTransformer::pool_heads, int64_t{8})};
  spec.rope = Eva::Rope::grid;
  spec.reference = size / vit.patch_size;
  spec.offset = vit.class_token ? 1 : 0;
  spec.columns_first = spec.plain_qkv = true;
  return spec;
}
constexpr Eva pe_core(const VisionTransformer& vit, int64_t size) {
  const Eva spec = pe(vit, size);
  return spec.of(spec.vit.pool("map"));
}
constexpr Eva pe_other(const VisionTransformer& vit, int64_t size) {
  const Eva spec = pe(vit, size);
  return spec.of(spec.vit.pool("avg").with(&VisionTransformer::fc_norm, false)).with(&Eva::last_norm, false);
}
constexpr VisionTransformer pe_large(int64_t depth) { return vit(14, 1024, depth, 16); }
constexpr VisionTransformer pe_gigantic(int64_t depth) {
  return vit(14, 1536, depth, 16).ratio(8960.0 / 1536).no_class();
}

// RoPE-ViT.
constexpr Eva rope_vit(const VisionTransformer& vit) {
  Eva spec = eva(no_positions(vit)).token().ls();
  spec.rope = Eva::Rope::grid;
  spec.temperature = 100;
  spec.columns_first = spec.plain_qkv = true;
  return spec;
}
constexpr Eva rope_mixed(const VisionTransformer& vit) { return rope_vit(vit).with(&Eva::rope, Eva::Rope::mixed); }

// DINOv3: any image size.
constexpr Eva dinov3(const VisionTransformer& vit) {
  Eva spec = eva(no_positions(vit.reg(4).dynamic().eps(1e-5))).ls().at(256);
  spec.vit.fc_norm = false;
  spec.rope = Eva::Rope::centered;
  spec.temperature = 100;
  spec.halves = true;
  return spec;
}
constexpr Eva lingbot(const VisionTransformer& vit) { return dinov3(vit).token().at(512); }
constexpr Eva sapiens2(const VisionTransformer& vit) {
  Eva spec = dinov3(vit).token();
  spec.vit =
      spec.vit.reg(8).rms().with(&VisionTransformer::mlp, nn::Mlp::Kind::glu).with(&VisionTransformer::qk_norm, true);
  spec.plain_qkv = spec.grouped = true;
  spec.fused_qkv = spec.gamma_2 = false;
  return spec;
}

struct Variant {
  std::string_view name;
  Eva spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"eva_giant_patch14_224", eva_giant(224)},
    {"eva_giant_patch14_336", eva_giant(336)},
    {"eva_giant_patch14_560", eva_giant(560)},
    {"eva02_tiny_patch14_224", eva02(vit_tiny(14))},
    {"eva02_small_patch14_224", eva02(vit_small(14))},
    {"eva02_base_patch14_224", eva02_large(vit_base(14))},
    {"eva02_large_patch14_224", eva02_large(vit_large(14))},
    {"eva02_tiny_patch14_336", eva02(vit_tiny(14)).at(336)},
    {"eva02_small_patch14_336", eva02(vit_small(14)).at(336)},
    {"eva02_base_patch14_448", eva02_large(vit_base(14)).at(448)},
    {"eva02_large_patch14_448", eva02_large(vit_large(14)).at(448)},
    {"eva_giant_patch14_clip_224", eva_giant(224).token()},
    {"eva02_base_patch16_clip_224", eva02_large(vit_base(16)).scale_attention().token()},
    {"eva02_large_patch14_clip_224", eva02_large(vit_large(14)).scale_attention().token()},
    {"eva02_large_patch14_clip_336", eva02_large(vit_large(14)).scale_attention().token().at(336)},
    {"vit_medium_patch16_rope_reg1_gap_256", rope_reg(vit_medium(16), 1)},
    {"vit_mediumd_patch16_rope_reg1_gap_256", rope_reg(vit(16, 512, 20, 8), 1).no_qkv_bias()},
    {"vit_betwixt_patch16_rope_reg4_gap_256", rope_reg(vit_betwixt(16), 4)},
    {"vit_base_patch16_rope_reg1_gap_256", rope_reg(vit_base(16), 1)},
    {"vit_pe_core_tiny_patch16_384", pe_core(vit_tiny(16), 384)},
    {"vit_pe_core_small_patch16_384", pe_core(vit_small(16), 384)},
    {"vit_pe_core_base_patch16_224", pe_core(vit_base(16), 224)},
    {"vit_pe_core_large_patch14_336", pe_core(pe_large(24), 336)},
    {"vit_pe_lang_large_patch14_448", pe_other(pe_large(23), 448).ls()},
    {"vit_pe_lang_gigantic_patch14_448", pe_other(pe_gigantic(47), 448).ls()},
    {"vit_pe_spatial_tiny_patch16_512", pe_other(vit_tiny(16), 512)},
    {"vit_pe_spatial_small_patch16_512", pe_other(vit_small(16), 512)},
    {"vit_pe_spatial_base_patch16_512", pe_other(vit_base(16), 512)},
    {"vit_pe_spatial_large_patch14_448", pe_other(pe_large(24), 448)},
    {"vit_pe_spatial_gigantic_patch14_448", pe_other(pe_gigantic(50), 448).ls()},
    {"vit_small_patch16_rope_224", rope_vit(vit_small(16))},
    {"vit_base_patch16_rope_224", rope_vit(vit_base(16).with(&VisionTransformer::fc_norm, false))},
    {"vit_large_patch16_rope_224", rope_vit(vit_large(16))},
    {"vit_small_patch16_rope_mixed_224", rope_mixed(vit_small(16))},
    {"vit_base_patch16_rope_mixed_224", rope_mixed(vit_base(16))},
    {"vit_large_patch16_rope_mixed_224", rope_mixed(vit_large(16))},
    {"vit_small_patch16_rope_ape_224", rope_vit(vit_small(16)).ape()},
    {"vit_base_patch16_rope_ape_224", rope_vit(vit_base(16)).ape()},
    {"vit_large_patch16_rope_ape_224", rope_vit(vit_large(16)).ape()},
    {"vit_small_patch16_rope_mixed_ape_224", rope_mixed(vit_small(16)).ape()},
    {"vit_base_patch16_rope_mixed_ape_224", rope_mixed(vit_base(16)).ape()},
    {"vit_large_patch16_rope_mixed_ape_224", rope_mixed(vit_large(16)).ape()},
    {"vit_tiny_patch16_dinov3_qkvb", dinov3(vit_tiny(16))},
    {"vit_small_patch16_dinov3", dinov3(vit_small(16)).no_qkv_bias()},
    {"vit_small_patch16_dinov3_qkvb", dinov3(vit_small(16))},
    {"vit_small_plus_patch16_dinov3", dinov3(vit_small(16)).no_qkv_bias().swiglu(8)},
    {"vit_small_plus_patch16_dinov3_qkvb", dinov3(vit_small(16)).swiglu(8)},
    {"vit_base_patch16_dinov3", dinov3(vit_base(16)).no_qkv_bias()},
    {"vit_base_patch16_dinov3_qkvb", dinov3(vit_base(16))},
    {"vit_large_patch16_dinov3", dinov3(vit_large(16)).no_qkv_bias()},
    {"vit_large_patch16_dinov3_qkvb", dinov3(vit_large(16))},
    {"vit_huge_plus_patch16_dinov3", dinov3(vit(16, 1280, 32, 20)).no_qkv_bias().swiglu(8)},
    {"vit_huge_plus_patch16_dinov3_qkvb", dinov3(vit(16, 1280, 32, 20)).swiglu(8)},
    {"vit_small_patch16_lingbot", lingbot(vit_small(16))},
    {"vit_base_patch16_lingbot", lingbot(vit_base(16))},
    {"vit_large_patch16_lingbot", lingbot(vit_large(16))},
    {"vit_giant_patch16_lingbot", lingbot(vit(16, 1536, 40, 24).ratio(8.0 / 3)).no_qkv_bias().swiglu(8)},
    {"vit_base_patch16_sapiens2", sapiens2(vit_base(16)).with(&Eva::grouped, false)},
    {"vit_large_patch16_sapiens2", sapiens2(vit_large(16))},
    {"vit_huge_patch16_sapiens2", sapiens2(vit_huge(16))},
    {"vit_giant_patch16_sapiens2", sapiens2(vit(16, 1536, 40, 24))},
};
// clang-format on

class Blocks {
 public:
  explicit Blocks(const Eva& spec) : spec_(spec) {}

  NodeId operator()(const Scope& scope, NodeId x, const BlockPlace& place) {
    if (place.index == 0 && spec_.rope != Eva::Rope::no) table_ = declare_table(Scope(scope.graph())["rope"], place);
    const auto norm = [&](std::string_view name, NodeId value) {
      return nn::token_norm(scope, name, value, spec_.vit.norm);
    };
    const ParameterId gamma_1 = gamma(scope, "gamma_1", spec_.gammas),
                      gamma_2 = gamma(scope, "gamma_2", spec_.gammas && spec_.gamma_2);
    x = scope.add(x, scaled(scope, attention(scope["attn"], norm("norm1", x), place), gamma_1));
    return scope.add(x, scaled(scope, mlp(scope["mlp"], norm("norm2", x)), gamma_2));
  }

 private:
  NodeId declare_table(const Scope& scope, const BlockPlace& place) const {
    const auto& vit = spec_.vit;
    RotaryTable op{.kind = RotaryTable::Kind::index,
                   .depth = vit.embed_dim / vit.num_heads,
                   .temperature = spec_.temperature,
                   .offset = spec_.offset,
                   .columns_first = spec_.columns_first,
                   .halves = spec_.halves,
                   .reference = {spec_.reference, spec_.reference}};
    if (spec_.rope == Eva::Rope::centered) op.kind = RotaryTable::Kind::centered;
    if (spec_.rope == Eva::Rope::mixed) {
      op.kind = RotaryTable::Kind::mixed;
      op.sets = vit.depth * vit.num_heads;
      op.frequencies = scope.parameter("freqs", {2, vit.depth, vit.num_heads, op.depth / 2}, Init::token);
    }
    return scope.node(op, {place.image}, 2 * op.depth);
  }

  ParameterId gamma(const Scope& scope, std::string_view name, bool exists) const {
    return exists ? scope.parameter(name, {spec_.vit.embed_dim}, Init::layer_scale) : no_id;
  }

  static NodeId scaled(const Scope& scope, NodeId x, ParameterId weight) {
    return weight == no_id ? x : scope.node(Affine{.weight = weight}, {x}, scope.channels(x));
  }

  NodeId attention(const Scope& scope, NodeId x, const BlockPlace& place) const {
    const auto& vit = spec_.vit;
    const int64_t channels = vit.embed_dim, heads = vit.num_heads, depth = channels / heads;
    const bool grouped = spec_.grouped && place.index >= 8 && place.index < vit.depth - 8;
    Attention op = nn::attention_of(3 * channels, heads);
    std::vector<NodeId> inputs;
    if (spec_.fused_qkv && !vit.qk_norm) {
      inputs.assign(3, fused(scope, x));
    } else {
      op.kv_heads = grouped ? heads / 2 : heads;
      op.k.begin = op.v.begin = 0;
      const auto project = [&](std::string_view name, int64_t count, bool bias) {
        return scope.linear(name, x, count * depth, bias);
      };
      inputs = {project("q_proj", heads, vit.qkv_bias), project("k_proj", op.kv_heads, vit.qkv_bias && spec_.plain_qkv),
                project("v_proj", op.kv_heads, vit.qkv_bias)};
      if (vit.qk_norm) {
        inputs[0] = nn::head_norm(scope, "q_norm", inputs[0], depth, vit.norm);
        inputs[1] = nn::head_norm(scope, "k_norm", inputs[1], depth, vit.norm);
      }
    }
    if (table_ != no_id) {
      const bool mixed = spec_.rope == Eva::Rope::mixed;
      op.rotary = {
          .prefix = place.prefix, .first = mixed ? place.index * heads : 0, .each_head = mixed, .halves = spec_.halves};
      inputs.push_back(table_);
    }
    NodeId mixed = scope.node(op, inputs, channels);
    if (vit.scale_norm) mixed = nn::token_norm(scope, "norm", mixed, vit.norm);
    return scope.linear("proj", mixed, channels);
  }

  NodeId fused(const Scope& scope, NodeId x) const {
    const int64_t channels = spec_.vit.embed_dim;
    if (spec_.plain_qkv || !spec_.vit.qkv_bias) return scope.linear("qkv", x, 3 * channels, spec_.vit.qkv_bias);
    const ParameterId q_bias = scope.parameter("q_bias", {channels}, Init::zeros),
                      v_bias = scope.parameter("v_bias", {channels}, Init::zeros);
    Linear linear = scope.declare_linear("qkv", channels, 3 * channels, false);
    linear.bias_parts = {q_bias, no_id, v_bias};
    return scope["qkv"].node(linear, {x}, 3 * channels);
  }

  NodeId mlp(const Scope& scope, NodeId x) const {
    const auto& vit = spec_.vit;
    const auto hidden = static_cast<int64_t>(static_cast<double>(vit.embed_dim) * vit.mlp_ratio);
    nn::Mlp options{.kind = vit.mlp, .hidden = (hidden + spec_.align - 1) / spec_.align * spec_.align};
    if (vit.mlp != nn::Mlp::Kind::plain) options.activation = Activation::silu;
    if (vit.mlp == nn::Mlp::Kind::glu) options.hidden *= 2;
    if (spec_.scale_mlp) options.norm = vit.norm;
    return nn::mlp(scope, x, options);
  }

  const Eva& spec_;
  NodeId table_ = no_id;
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  nn::pool_of(options.global_pool, {"avg", "avgmax", "max", "token", "map", ""});
  const Eva& spec = find(variants, name).spec;
  VisionTransformer vit = spec.vit;
  const std::string_view pool = options.global_pool ? std::string_view(*options.global_pool) : vit.global_pool;
  vit.fc_norm = vit.fc_norm.value_or(pool == "avg");
  vit.final_norm = spec.last_norm.value_or(true);
  vit.pool_include_prefix = pool == "map";
  return build_vision_transformer(vit, options, Blocks(spec));
}

}  // namespace

extern constinit const Family eva_family{"eva", names_of(variants), build_variant};

}  // namespace wimm
