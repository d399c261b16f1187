// Vision transformers: ViT, and those of CLIP, DINOv2, SigLIP, AIMv2, BEiT-3, RADIO and others
// (timm/models/vision_transformer.py).
// Papers: ViT arXiv 2010.11929, how to train it 2106.10270, scaling 2106.04560, CLIP 2103.00020, parallel blocks
// 2203.09795 and 2302.05442, FlexiViT 2212.08013, DINOv2 2304.07193, registers 2309.16588, SigLIP 2303.15343, SoViT
// 2305.13035, BEiT-3 2208.10442, differential attention 2410.05258, AIMv2 2411.14402, RADIO 2312.06709.
#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"

namespace wimm {
namespace {

using Block = VisionTransformer::Block;

struct Variant {
  std::string_view name;
  VisionTransformer spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"vit_tiny_patch16_224", vit_tiny(16)},
    {"vit_tiny_patch16_384", vit_tiny(16).at(384)},
    {"vit_small_patch32_224", vit_small(32)},
    {"vit_small_patch32_384", vit_small(32).at(384)},
    {"vit_small_patch16_224", vit_small(16)},
    {"vit_small_patch16_384", vit_small(16).at(384)},
    {"vit_small_patch8_224", vit_small(8)},
    {"vit_base_patch32_224", vit_base(32)},
    {"vit_base_patch32_384", vit_base(32).at(384)},
    {"vit_base_patch16_224", vit_base(16)},
    {"vit_base_patch16_384", vit_base(16).at(384)},
    {"vit_base_patch8_224", vit_base(8)},
    {"vit_large_patch32_224", vit_large(32)},
    {"vit_large_patch32_384", vit_large(32).at(384)},
    {"vit_large_patch16_224", vit_large(16)},
    {"vit_large_patch16_384", vit_large(16).at(384)},
    {"vit_large_patch14_224", vit_large(14)},
    {"vit_huge_patch14_224", vit_huge(14)},
    {"vit_giant_patch14_224", vit_giant(14)},
    {"vit_gigantic_patch14_224", vit_gigantic(14)},
    {"vit_base_patch16_224_miil", vit_base(16).no_qkv_bias()},
    {"vit_medium_patch16_gap_240", vit_medium(16).at(240).no_qkv_bias().ls().gap()},
    {"vit_medium_patch16_gap_256", vit_medium(16).at(256).no_qkv_bias().ls().gap()},
    {"vit_medium_patch16_gap_384", vit_medium(16).at(384).no_qkv_bias().ls().gap()},
    {"vit_betwixt_patch16_gap_256", vit_betwixt(16).at(256).no_qkv_bias().ls().gap()},
    {"vit_base_patch16_gap_224", vit(16, 768, 12, 16).gap()},
    {"vit_huge_patch14_gap_224", vit_huge(14).gap()},
    {"vit_huge_patch16_gap_448", vit_huge(16).at(448).gap()},
    {"vit_giant_patch16_gap_224", vit_giant(16).gap()},
    {"vit_xsmall_patch16_clip_224", vit(16, 256, 10, 4).clip()},
    {"vit_medium_patch32_clip_224", vit_medium(32).clip()},
    {"vit_medium_patch16_clip_224", vit_medium(16).clip()},
    {"vit_betwixt_patch32_clip_224", vit_betwixt(32).clip()},
    {"vit_base_patch32_clip_224", vit_base(32).clip()},
    {"vit_base_patch32_clip_256", vit_base(32).at(256).clip()},
    {"vit_base_patch32_clip_384", vit_base(32).at(384).clip()},
    {"vit_base_patch32_clip_448", vit_base(32).at(448).clip()},
    {"vit_base_patch16_clip_224", vit_base(16).clip()},
    {"vit_base_patch16_clip_384", vit_base(16).at(384).clip()},
    {"vit_base_patch16_plus_clip_240", vit(16, 896, 12, 14).at(240).clip()},
    {"vit_large_patch14_clip_224", vit_large(14).clip()},
    {"vit_large_patch14_clip_336", vit_large(14).at(336).clip()},
    {"vit_huge_patch14_clip_224", vit_huge(14).clip()},
    {"vit_huge_patch14_clip_336", vit_huge(14).at(336).clip()},
    {"vit_huge_patch14_clip_378", vit_huge(14).at(378).clip()},
    {"vit_giant_patch14_clip_224", vit_giant(14).clip()},
    {"vit_gigantic_patch14_clip_224", vit_gigantic(14).clip()},
    {"vit_gigantic_patch14_clip_378", vit_gigantic(14).at(378).clip()},
    {"vit_base_patch32_clip_quickgelu_224", vit_base(32).clip().act(Activation::quick_gelu)},
    {"vit_base_patch16_clip_quickgelu_224", vit_base(16).clip().act(Activation::quick_gelu)},
    {"vit_large_patch14_clip_quickgelu_224", vit_large(14).clip().act(Activation::quick_gelu)},
    {"vit_large_patch14_clip_quickgelu_336", vit_large(14).at(336).clip().act(Activation::quick_gelu)},
    {"vit_huge_patch14_clip_quickgelu_224", vit_huge(14).clip().act(Activation::quick_gelu)},
    {"vit_huge_patch14_clip_quickgelu_378", vit_huge(14).at(378).clip().act(Activation::quick_gelu)},
    {"vit_gigantic_patch14_clip_quickgelu_224", vit_gigantic(14).clip().act(Activation::quick_gelu)},
    {"vit_base_patch32_plus_256", vit(32, 896, 12, 14).at(256).ls()},
    {"vit_base_patch16_plus_240", vit(16, 896, 12, 14).at(240).ls()},
    {"vit_base_patch16_rpn_224", vit_base(16).no_qkv_bias().avg().blocks(Block::res_post)},
    {"vit_small_patch16_36x1_224", vit(16, 384, 36, 6).ls()},
    {"vit_small_patch16_18x2_224", vit(16, 384, 18, 6).ls().blocks(Block::parallel_things)},
    {"vit_base_patch16_18x2_224", vit(16, 768, 18, 12).ls().blocks(Block::parallel_things)},
    {"eva_large_patch14_196", vit_large(14).at(196).pool("avg")},
    {"eva_large_patch14_336", vit_large(14).at(336).pool("avg")},
    {"flexivit_small", vit_small(16).at(240).no_embed().resample(Resampling::bilinear)},
    {"flexivit_base", vit_base(16).at(240).no_embed().resample(Resampling::bilinear)},
    {"flexivit_large", vit_large(16).at(240).no_embed().resample(Resampling::bilinear)},
    {"vit_base_patch16_xp_224", vit_base(16).xp()},
    {"vit_large_patch14_xp_224", vit_large(14).xp()},
    {"vit_huge_patch14_xp_224", vit_huge(14).xp()},
    {"vit_small_patch14_dinov2", vit_small(14).at(518).ls()},
    {"vit_base_patch14_dinov2", vit_base(14).at(518).ls()},
    {"vit_large_patch14_dinov2", vit_large(14).at(518).ls()},
    {"vit_giant_patch14_dinov2", vit(14, 1536, 40, 24).ratio(5.33334).at(518).ls().glu()},
    {"vit_small_patch14_reg4_dinov2", vit_small(14).at(518).ls().reg(4).no_embed()},
    {"vit_base_patch14_reg4_dinov2", vit_base(14).at(518).ls().reg(4).no_embed()},
    {"vit_large_patch14_reg4_dinov2", vit_large(14).at(518).ls().reg(4).no_embed()},
    {"vit_giant_patch14_reg4_dinov2", vit(14, 1536, 40, 24).ratio(5.33334).at(518).ls().reg(4).no_embed().glu()},
    {"vit_base_patch14_reg1_tipsv2", vit_base(14).at(448).ls().reg(1).no_embed()},
    {"vit_large_patch14_reg1_tipsv2", vit_large(14).at(448).ls().reg(1).no_embed()},
    {"vit_so400m_patch14_reg1_tipsv2", vit(14, 1152, 27, 16).ratio(4304.0 / 1152).at(448).ls().reg(1).no_embed()},
    {"vit_giant_patch14_reg1_tipsv2", vit(14, 1536, 40, 24).ratio(5.33334).at(448).ls().reg(1).no_embed().glu()},
    {"vit_base_patch32_siglip_256", vit_base(32).at(256).map().act(Activation::gelu_tanh)},
    {"vit_base_patch16_siglip_224", vit_base(16).map()},
    {"vit_base_patch16_siglip_256", vit_base(16).at(256).map()},
    {"vit_base_patch16_siglip_384", vit_base(16).at(384).map()},
    {"vit_base_patch16_siglip_512", vit_base(16).at(512).map()},
    {"vit_large_patch16_siglip_256", vit_large(16).at(256).map()},
    {"vit_large_patch16_siglip_384", vit_large(16).at(384).map()},
    {"vit_large_patch16_siglip_512", vit_large(16).at(512).map().act(Activation::gelu_tanh)},
    {"vit_so400m_patch14_siglip_224", vit_so400m(14).map()},
    {"vit_so400m_patch14_siglip_378", vit_so400m(14).at(378).map()},
    {"vit_so400m_patch14_siglip_384", vit_so400m(14).at(384).map()},
    {"vit_so400m_patch16_siglip_256", vit_so400m(16).at(256).map().act(Activation::gelu_tanh)},
    {"vit_so400m_patch16_siglip_384", vit_so400m(16).at(384).map().act(Activation::gelu_tanh)},
    {"vit_so400m_patch16_siglip_512", vit_so400m(16).at(512).map().act(Activation::gelu_tanh)},
    {"vit_giantopt_patch16_siglip_256", vit_giantopt(16).at(256).map().act(Activation::gelu_tanh)},
    {"vit_giantopt_patch16_siglip_384", vit_giantopt(16).at(384).map().act(Activation::gelu_tanh)},
    {"vit_base_patch32_siglip_gap_256", vit_base(32).at(256).gap().act(Activation::gelu_tanh)},
    {"vit_base_patch16_siglip_gap_224", vit_base(16).gap()},
    {"vit_base_patch16_siglip_gap_256", vit_base(16).at(256).gap()},
    {"vit_base_patch16_siglip_gap_384", vit_base(16).at(384).gap()},
    {"vit_base_patch16_siglip_gap_512", vit_base(16).at(512).gap()},
    {"vit_large_patch16_siglip_gap_256", vit_large(16).at(256).gap()},
    {"vit_large_patch16_siglip_gap_384", vit_large(16).at(384).gap()},
    {"vit_large_patch16_siglip_gap_512", vit_large(16).at(512).gap().act(Activation::gelu_tanh)},
    {"vit_so400m_patch14_siglip_gap_224", vit_so400m(14).gap()},
    {"vit_so400m_patch14_siglip_gap_378", vit_so400m(14).at(378).gap()},
    {"vit_so400m_patch14_siglip_gap_384", vit_so400m(14).at(384).gap()},
    {"vit_so400m_patch14_siglip_gap_448", vit_so400m(14).at(448).gap()},
    {"vit_so400m_patch14_siglip_gap_896", vit_so400m(14).at(896).gap()},
    {"vit_so400m_patch16_siglip_gap_256", vit_so400m(16).at(256).gap().act(Activation::gelu_tanh)},
    {"vit_so400m_patch16_siglip_gap_384", vit_so400m(16).at(384).gap().act(Activation::gelu_tanh)},
    {"vit_so400m_patch16_siglip_gap_512", vit_so400m(16).at(512).gap().act(Activation::gelu_tanh)},
    {"vit_giantopt_patch16_siglip_gap_256", vit_giantopt(16).at(256).gap().act(Activation::gelu_tanh)},
    {"vit_giantopt_patch16_siglip_gap_384", vit_giantopt(16).at(384).gap().act(Activation::gelu_tanh)},
    {"vit_wee_patch16_reg1_gap_256", vit(16, 256, 14, 4).ratio(5).at(256).ls().reg(1).no_embed().avg()},
    {"vit_dwee_patch16_reg1_gap_256", vit(16, 256, 14, 4).ratio(5).at(256).ls().reg(1).no_embed().avg().diff()},
    {"vit_pwee_patch16_reg1_gap_256", vit(16, 256, 16, 4).ratio(5).at(256).ls().reg(1).no_embed().avg().blocks(Block::parallel_scaling)},
    {"vit_dpwee_patch16_reg1_gap_256", vit(16, 256, 16, 4).ratio(5).at(256).ls().reg(1).no_embed().avg().blocks(Block::diff_parallel_scaling)},
    {"vit_little_patch16_reg1_gap_256", vit(16, 320, 14, 5).ratio(5.6).at(256).ls().reg(1).no_embed().avg()},
    {"vit_dlittle_patch16_reg1_gap_256", vit(16, 320, 14, 5).ratio(5.6).at(256).ls().reg(1).no_embed().avg().diff()},
    {"vit_little_patch16_reg4_gap_256", vit(16, 320, 14, 5).ratio(5.6).at(256).ls().reg(4).no_embed().avg()},
    {"vit_medium_patch16_reg1_gap_256", vit_medium(16).at(256).ls().reg(1).no_embed().avg()},
    {"vit_medium_patch16_reg4_gap_256", vit_medium(16).at(256).ls().reg(4).no_embed().avg()},
    {"vit_mediumd_patch16_reg4_gap_256", vit(16, 512, 20, 8).at(256).ls().reg(4).no_embed().avg()},
    {"vit_mediumd_patch16_reg4_gap_384", vit(16, 512, 20, 8).at(384).ls().reg(4).no_embed().avg()},
    {"vit_betwixt_patch16_reg1_gap_256", vit_betwixt(16).at(256).ls().reg(1).no_embed().avg()},
    {"vit_betwixt_patch16_reg4_gap_256", vit_betwixt(16).at(256).ls().reg(4).no_embed().avg()},
    {"vit_betwixt_patch16_reg4_gap_384", vit_betwixt(16).at(384).ls().reg(4).no_embed().avg()},
    {"vit_base_patch16_reg4_gap_256", vit_base(16).at(256).reg(4).no_embed().avg()},
    {"vit_so150m_patch16_reg4_map_256", vit(16, 896, 18, 14).ratio(2.572).at(256).reg(4).map()},
    {"vit_so150m_patch16_reg4_gap_256", vit(16, 896, 18, 14).ratio(2.572).at(256).reg(4).gap()},
    {"vit_so150m_patch16_reg4_gap_384", vit(16, 896, 18, 14).ratio(2.572).at(384).reg(4).gap()},
    {"vit_so150m2_patch16_reg1_gap_256", vit(16, 832, 21, 13).ratio(34.0 / 13).at(256).no_qkv_bias().ls().reg(1).avg()},
    {"vit_so150m2_patch16_reg1_gap_384", vit(16, 832, 21, 13).ratio(34.0 / 13).at(384).no_qkv_bias().ls().reg(1).avg()},
    {"vit_so150m2_patch16_reg1_gap_448", vit(16, 832, 21, 13).ratio(34.0 / 13).at(448).no_qkv_bias().ls().reg(1).avg()},
    {"vit_intern300m_patch14_448", vit_large(14).at(448).ls().dynamic().no_final_norm()},
    {"aimv2_large_patch14_224", vit(14, 1024, 24, 8).ratio(2.75).aim()},
    {"aimv2_huge_patch14_224", vit(14, 1536, 24, 12).ratio(2.6667).aim()},
    {"aimv2_1b_patch14_224", vit(14, 2048, 24, 16).ratio(2.75).aim()},
    {"aimv2_3b_patch14_224", vit(14, 3072, 24, 24).ratio(2.6667).aim()},
    {"aimv2_large_patch14_336", vit(14, 1024, 24, 8).ratio(2.75).at(336).aim()},
    {"aimv2_huge_patch14_336", vit(14, 1536, 24, 12).ratio(2.6667).at(336).aim()},
    {"aimv2_1b_patch14_336", vit(14, 2048, 24, 16).ratio(2.75).at(336).aim()},
    {"aimv2_3b_patch14_336", vit(14, 3072, 24, 24).ratio(2.6667).at(336).aim()},
    {"aimv2_large_patch14_448", vit(14, 1024, 24, 8).ratio(2.75).at(448).aim()},
    {"aimv2_huge_patch14_448", vit(14, 1536, 24, 12).ratio(2.6667).at(448).aim()},
    {"aimv2_1b_patch14_448", vit(14, 2048, 24, 16).ratio(2.75).at(448).aim()},
    {"aimv2_3b_patch14_448", vit(14, 3072, 24, 24).ratio(2.6667).at(448).aim()},
    {"test_vit", vit(16, 64, 6, 2).ratio(3).at(160).dynamic()},
    {"test_vit2", vit(16, 64, 8, 2).ratio(3).at(160).ls().reg(1).dynamic().avg()},
    {"test_vit3", vit(16, 96, 9, 3).ratio(2).at(160).ls().reg(1).map().with(&VisionTransformer::pool_include_prefix, true)},
    {"test_vit4", vit(16, 96, 9, 3).ratio(3).at(160).ls().rms().reg(1).dynamic().avg()},
    {"beit3_base_patch16_224", vit_base(16).eps(1e-5).scale_norms().pool("avg")},
    {"beit3_large_patch16_224", vit_large(16).eps(1e-5).scale_norms().pool("avg")},
    {"beit3_giant_patch14_224", vit(14, 1408, 40, 16).ratio(4.3637).eps(1e-5).scale_norms().pool("avg")},
    {"beit3_giant_patch14_336", vit(14, 1408, 40, 16).ratio(4.3637).at(336).eps(1e-5).scale_norms().pool("avg")},
    {"vit_base_patch16_radio_v3", vit_base(16).at(512).ls().reg(7).no_embed().no_final_norm().resample(Resampling::bilinear_aligned)},
    {"vit_large_patch16_radio_v3", vit_large(16).at(512).ls().reg(7).no_embed().no_final_norm().resample(Resampling::bilinear)},
    {"vit_huge_patch16_radio_v3", vit_huge(16).at(512).reg(7).no_embed().no_final_norm().resample(Resampling::bilinear_aligned)},
    {"vit_giant_patch16_radio_v3", vit(16, 1536, 40, 24).at(512).reg(7).no_embed().no_final_norm().resample(Resampling::bilinear)},
    {"vit_so400m_patch16_radio_v4", vit(16, 1152, 27, 16).ratio(4304.0 / 1152).at(512).reg(9).no_embed().no_final_norm().resample(Resampling::bilinear)},
    {"vit_huge_patch16_radio_v4", vit_huge(16).at(512).reg(9).no_embed().no_final_norm().resample(Resampling::bilinear)},
    // Those of timm 0.3.4 that later releases no longer name.
    {"vit_huge_patch16_224", vit_huge(16).no_qkv_bias().eps(1e-5)},
    {"vit_huge_patch32_384", vit_huge(32).at(384).no_qkv_bias().eps(1e-5)},
};
// clang-format on

std::vector<std::string_view> list() { return names_of(variants); }

Network build_variant(std::string_view name, const BuildOptions& options) {
  const VisionTransformer& spec = find(variants, name).spec;
  Network network = build_vision_transformer(spec, options);
  // SigLIP's checkpoints have it whether the model pools by it or not.
  if (name.find("siglip") != name.npos && options.global_pool.value_or(std::string(spec.global_pool)) != "map")
    network.unused_modules.push_back("attn_pool");
  return network;
}

}  // namespace

Family vision_transformer_family() { return {"vision_transformer", list, build_variant}; }

}  // namespace wimm
