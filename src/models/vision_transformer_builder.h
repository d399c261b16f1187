// What the vision transformers of timm/models/vision_transformer.py, deit.py, vision_transformer_hybrid.py,
// vision_transformer_relpos.py, beit.py, eva.py and naflexvit.py share.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "models/families.h"
#include "nn/transformer.h"

namespace wimm {

// A variant; each function gives it one more property, named after timm's argument or suffix.
struct VisionTransformer {
  // pre: normalised before attention and MLP; res_post: after (Swin v2's); parallel_things: two of each at a time
  // (arXiv 2203.09795); parallel_scaling: attention beside MLP (2302.05442); diff_parallel_scaling: with differential
  // attention.
  enum class Block : uint8_t { pre, res_post, parallel_things, parallel_scaling, diff_parallel_scaling };
  int64_t patch_size, embed_dim, depth, num_heads;
  double mlp_ratio = 4;
  int64_t img_size = 224;
  bool qkv_bias = true, proj_bias = true, qk_norm = false;
  bool scale_norm = false;  // within attention and MLP, before their last layers (arXiv 2210.06423)
  bool layer_scale = false, diff_attention = false;
  bool class_token = true, dist_token = false, pos_embed = true, no_embed_class = false;
  int64_t reg_tokens = 0;
  bool embed_norm = false, pre_norm = false, final_norm = true;
  std::optional<bool> fc_norm{};  // the final norm follows the pool; else where that is a mean or maximum
  std::string_view global_pool = "token";
  bool pool_include_prefix = false, dynamic_img_size = false;
  bool embeds = false;     // tokens and patch embedding are in one module, timm's NaFlexEmbeds
  int64_t pool_heads = 0;  // of pooling by attention, with an MLP of four times the channels; 0: as the blocks'
  Block block = Block::pre;
  nn::Mlp::Kind mlp = nn::Mlp::Kind::plain;
  Activation activation = Activation::gelu;
  nn::TokenNorm norm{};
  Resampling resampling = Resampling::bicubic;

  constexpr VisionTransformer with(auto VisionTransformer::* member, auto value) const {
    VisionTransformer spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr VisionTransformer at(int64_t size) const { return with(&VisionTransformer::img_size, size); }
  constexpr VisionTransformer ratio(double value) const { return with(&VisionTransformer::mlp_ratio, value); }
  constexpr VisionTransformer eps(double value) const {
    return with(&VisionTransformer::norm, nn::TokenNorm{norm.kind, value});
  }
  constexpr VisionTransformer no_qkv_bias() const { return with(&VisionTransformer::qkv_bias, false); }
  constexpr VisionTransformer ls() const { return with(&VisionTransformer::layer_scale, true); }
  constexpr VisionTransformer no_embed() const { return with(&VisionTransformer::no_embed_class, true); }
  constexpr VisionTransformer reg(int64_t count) const { return with(&VisionTransformer::reg_tokens, count); }
  constexpr VisionTransformer pool(std::string_view kind) const { return with(&VisionTransformer::global_pool, kind); }
  constexpr VisionTransformer no_class() const { return with(&VisionTransformer::class_token, false); }
  constexpr VisionTransformer avg() const { return no_class().pool("avg"); }
  constexpr VisionTransformer map() const { return no_class().pool("map"); }
  constexpr VisionTransformer gap() const { return avg().with(&VisionTransformer::fc_norm, false); }
  constexpr VisionTransformer act(Activation value) const { return with(&VisionTransformer::activation, value); }
  constexpr VisionTransformer dynamic() const { return with(&VisionTransformer::dynamic_img_size, true); }
  constexpr VisionTransformer no_final_norm() const { return with(&VisionTransformer::final_norm, false); }
  constexpr VisionTransformer blocks(Block value) const { return with(&VisionTransformer::block, value); }
  constexpr VisionTransformer distilled() const { return with(&VisionTransformer::dist_token, true); }
  constexpr VisionTransformer clip() const { return with(&VisionTransformer::pre_norm, true).eps(1e-5); }
  constexpr VisionTransformer scale_norms() const { return with(&VisionTransformer::scale_norm, true); }
  constexpr VisionTransformer diff() const { return with(&VisionTransformer::diff_attention, true); }
  constexpr VisionTransformer glu() const {
    return with(&VisionTransformer::mlp, nn::Mlp::Kind::glu).act(Activation::silu);
  }
  constexpr VisionTransformer resample(Resampling value) const { return with(&VisionTransformer::resampling, value); }
  constexpr VisionTransformer xp() const {
    return with(&VisionTransformer::pre_norm, true)
        .with(&VisionTransformer::qk_norm, true)
        .no_embed()
        .rms()
        .no_qkv_bias()
        .blocks(Block::parallel_scaling);
  }
  constexpr VisionTransformer aim() const {
    return gap()
        .no_qkv_bias()
        .with(&VisionTransformer::proj_bias, false)
        .with(&VisionTransformer::embed_norm, true)
        .with(&VisionTransformer::mlp, nn::Mlp::Kind::swiglu)
        .act(Activation::silu)
        .rms(1e-5);
  }
  constexpr VisionTransformer rms(double epsilon = 1e-6) const {
    return with(&VisionTransformer::norm, nn::TokenNorm{nn::TokenNorm::Kind::rms, epsilon});
  }
};

constexpr VisionTransformer vit(int64_t patch_size, int64_t embed_dim, int64_t depth, int64_t num_heads) {
  return {.patch_size = patch_size, .embed_dim = embed_dim, .depth = depth, .num_heads = num_heads};
}
constexpr VisionTransformer vit_tiny(int64_t patch_size) { return vit(patch_size, 192, 12, 3); }
constexpr VisionTransformer vit_small(int64_t patch_size) { return vit(patch_size, 384, 12, 6); }
constexpr VisionTransformer vit_medium(int64_t patch_size) { return vit(patch_size, 512, 12, 8); }
constexpr VisionTransformer vit_betwixt(int64_t patch_size) { return vit(patch_size, 640, 12, 10); }
constexpr VisionTransformer vit_base(int64_t patch_size) { return vit(patch_size, 768, 12, 12); }
constexpr VisionTransformer vit_large(int64_t patch_size) { return vit(patch_size, 1024, 24, 16); }
constexpr VisionTransformer vit_so400m(int64_t patch_size) { return vit(patch_size, 1152, 27, 16).ratio(3.7362); }
constexpr VisionTransformer vit_huge(int64_t patch_size) { return vit(patch_size, 1280, 32, 16); }
constexpr VisionTransformer vit_giant(int64_t patch_size) { return vit(patch_size, 1408, 40, 16).ratio(48.0 / 11); }
constexpr VisionTransformer vit_giantopt(int64_t patch_size) { return vit(patch_size, 1536, 40, 16); }
constexpr VisionTransformer vit_gigantic(int64_t patch_size) { return vit(patch_size, 1664, 48, 16).ratio(64.0 / 13); }

// Makes patches of images: x → [N, H, W, embed_dim], each patch_size pixels high and wide. It declares what timm has in
// "patch_embed", or in "embeds" behind the tokens.
using PatchEmbed = std::function<NodeId(const nn::Scope& patch_embed, NodeId x)>;

// Makes the block `index` of tokens x, which are those of the patches `image`, a grid, behind others.
struct BlockPlace {
  int64_t index, prefix;
  NodeId image;
  Size2d grid;
};
using MakeBlock = std::function<NodeId(const nn::Scope& block, NodeId x, const BlockPlace& place)>;

// With the one linear projection of each patch, or with another embedding, and with blocks of the family's own.
Network build_vision_transformer(const VisionTransformer& spec, const BuildOptions& options);
Network build_vision_transformer(const VisionTransformer& spec, const BuildOptions& options, const PatchEmbed& embed,
                                 const MakeBlock& block = {});
Network build_vision_transformer(const VisionTransformer& spec, const BuildOptions& options, const MakeBlock& block);

}  // namespace wimm
