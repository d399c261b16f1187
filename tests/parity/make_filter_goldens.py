"""Writes filter_goldens.json: what timm computes from checkpoints in the layouts of other projects.

    python make_filter_goldens.py

A checkpoint has the names and shapes of its project, and the synthetic values of those names; timm's own filter makes it
the model's. Needs requirements.txt.
"""
import json
import re
import sys

import torch

from make_goldens import HERE, describe, skip_initialisation

import synthetic  # after make_goldens, whose stub of torchvision timm needs
import timm
from timm.models import vision_transformer, vision_transformer_hybrid

GAIN = 1.2
GAINS = {"ghostnetv3_050": 0.6}  # whose branches are added up, so that with more its activations grow from block to block


def renamed(shapes, rules, prefix=""):
    """timm's names → another project's, by (pattern, replacement) in order."""
    out = {}
    for name, shape in shapes.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        out[prefix + name] = shape
    return out


def clip(shapes, prefix="visual."):
    rules = [(r"^norm_pre\.", "ln_pre."), (r"^norm\.", "ln_post."), (r"norm(\d)\.", r"ln_\1."), (r"^blocks\.", "transformer.resblocks.")]
    rules += [(r"attn\.qkv\.", "attn.in_proj_"), (r"attn\.proj\.", "attn.out_proj."), (r"mlp\.fc1", "mlp.c_fc"), (r"mlp\.fc2", "mlp.c_proj")]
    rules += [(r"^patch_embed\.proj", "conv1"), ("^cls_token$", "class_embedding"), ("^pos_embed$", "positional_embedding")]
    out = renamed(shapes, rules, prefix)
    classes, features = out.pop(prefix + "head.weight")
    del out[prefix + "head.bias"]
    out[prefix + "proj"] = (features, classes)
    out[prefix + "class_embedding"] = out[prefix + "class_embedding"][2:]
    out[prefix + "positional_embedding"] = out[prefix + "positional_embedding"][1:]
    return out | {"text.logit_scale": (), "transformer.resblocks.0.ln_1.weight": (8,)}


def open_clip(shapes):
    out = renamed(shapes, [], "visual.trunk.")
    out["visual.head.proj.weight"] = out.pop("visual.trunk.head.weight")
    del out["visual.trunk.head.bias"]
    return out | {"text.ln_final.weight": (8,)}


def dinov2(shapes, prefix=""):
    out = renamed(shapes, [("^reg_token$", "register_tokens")], prefix)
    _, positions, channels = shapes["pos_embed"]
    out[prefix + "pos_embed"] = (1, positions + 1, channels)
    return out | {prefix + "mask_token": (1, channels)}


def tips(shapes):
    return dinov2(shapes, "vision_encoder.") | {"text_encoder.cls_token": (1, 8)}


def beit3(shapes):
    rules = [(r"attn\.norm\.", "self_attn.inner_attn_ln.A."), (r"attn\.proj\.", "self_attn.out_proj.A."), (r"^patch_embed\.", "vision_embed.")]
    rules += [(r"mlp\.norm\.", "ffn.A.ffn_layernorm."), (r"mlp\.", "ffn.A."), (r"norm1\.", "self_attn_layer_norm.A.")]
    rules += [(r"norm2\.", "final_layer_norm.A."), (r"^blocks\.", "encoder.layers."), ("^cls_token$", "vision_embed.cls_token")]
    out = {}
    for name, shape in renamed(shapes, rules, "beit3.").items():
        if "attn.qkv." in name:
            for part in "qkv":
                out[name.replace("attn.qkv.", f"self_attn.{part}_proj.A.")] = (shape[0] // 3, *shape[1:])
        elif name == "beit3.pos_embed":
            out["beit3.encoder.embed_positions.A.weight"] = (shape[1] + 2, shape[2])
        else:
            out[name] = shape
    out = {re.sub(r"^beit3\.(fc_norm|head|norm)\.", r"\1.", name): shape for name, shape in out.items()}
    return out | {"beit3.text_embed.weight": (8, 4), "beit3.vision_embed.mask_token": (1, 1, 4), "beit3.encoder.layers.0.ffn.B.fc1.weight": (4, 4)}


def radio(shapes, positions=20):
    prefix = "radio_model.model."
    out = {}
    for name, shape in shapes.items():
        if name.startswith("blocks."):
            out[prefix + name.replace(".gamma", ".grandma")] = shape
    outputs, inputs, height, width = shapes["patch_embed.proj.weight"]
    out[prefix + "patch_generator.embedder.weight"] = (outputs, inputs * height * width)
    out[prefix + "patch_generator.pos_embed"] = (1, positions**2, outputs)
    out[prefix + "patch_generator.cls_token.token"] = (1 + shapes["reg_token"][1], outputs)
    return out | {"radio_model.summary_idxs": (3,), prefix + "norm.weight": (8,)}


def mobile_clip(shapes):
    rules = [(r"^patch_embed\.backbone\.(\d+)\.conv\.", r"patch_emb.\1.block.conv."), (r"^patch_embed\.backbone\.(\d+)\.bn\.", r"patch_emb.\1.block.norm.")]
    rules += [(r"^norm\.", "post_transformer_norm."), (r"^blocks\.(\d+)\.norm1", r"transformer.\1.pre_norm_mha.0"), (r"^blocks\.", "transformer.")]
    rules += [(r"attn\.qkv\.", "pre_norm_mha.1.qkv_proj."), (r"attn\.proj\.", "pre_norm_mha.1.out_proj."), (r"norm2", "pre_norm_ffn.0")]
    rules += [(r"mlp\.fc1", "pre_norm_ffn.1"), (r"mlp\.fc2", "pre_norm_ffn.4"), ("^pos_embed$", "pos_embed.pos_embed.pos_embed")]
    prefix = "image_encoder.model."
    out = renamed(shapes, rules, prefix)
    positions = prefix + "pos_embed.pos_embed.pos_embed"
    out[positions] = (1, *out[positions])
    classes, features = out.pop(prefix + "head.weight")
    del out[prefix + "head.bias"]
    out[prefix + "classifier.proj"] = (features, classes)
    return out | {"text_encoder.projection": (8, 4)}


def patches(side):
    def layout(shapes):
        outputs, inputs, *_ = shapes["patch_embed.proj.weight"]
        return shapes | {"patch_embed.proj.weight": (outputs, inputs, side, side)}

    return layout


def flat_patches(shapes):
    outputs, inputs, height, width = shapes["patch_embed.proj.weight"]
    return shapes | {"patch_embed.proj.weight": (outputs, inputs * height * width)}


def res_mlp(shapes):
    out = renamed(shapes, [("^stem", "patch_embed"), ("linear_tokens", "attn"), ("mlp_channels", "mlp"), (r"\.ls(\d)", r".gamma_\1")])
    return {name: shape[-1:] if re.search("alpha|beta", name) else shape for name, shape in out.items()}


def pool_former(shapes):
    rules = [("^stem.conv", "patch_embed.proj"), ("^head.norm", "norm"), ("^head.fc", "head"), (r"layer_scale(\d).scale", r"layer_scale_\1")]
    rules += [(r"^stages\.(\d)\.blocks", lambda match: f"network.{2 * int(match[1])}")]
    rules += [(r"^stages\.(\d)\.downsample.conv", lambda match: f"network.{2 * int(match[1]) - 1}.proj")]
    return renamed(shapes, rules)


def meta_former(shapes):
    rules = [(r"^stem\.norm", "downsample_layers.0.post_norm"), (r"^stem\.", "downsample_layers.0."), ("^head.norm", "norm"), ("^head.fc", "head")]
    rules += [(r"^stages\.(\d)\.blocks", r"stages.\1"), (r"^stages\.(\d)\.downsample.norm", r"downsample_layers.\1.pre_norm")]
    rules += [(r"^stages\.(\d)\.downsample", r"downsample_layers.\1")]
    return {name: shape[:2] if "mlp.fc" in name else shape for name, shape in renamed(shapes, rules).items()}


def focal_net(shapes):
    rules = [(r"ls(\d).gamma", r"gamma_\1"), ("^stem", "patch_embed"), ("head.fc", "head")]
    rules += [(r"^layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) - 1}.downsample")]
    out = renamed(shapes, rules)
    return {name: shape[:2] if "mlp.fc" in name else shape for name, shape in out.items()}


def pvt(shapes):
    rules = [("^patch_embed", "patch_embed1"), (r"^stages\.(\d)\.downsample", lambda match: f"patch_embed{int(match[1]) + 1}")]
    rules += [(r"^stages\.(\d)\.blocks", lambda match: f"block{int(match[1]) + 1}"), ("dwconv", "dwconv.dwconv")]
    rules += [(r"^stages\.(\d)\.norm", lambda match: f"norm{int(match[1]) + 1}")]
    return renamed(shapes, rules)


def pit(shapes):
    return renamed(shapes, [(r"^transformers\.(\d)\.pool", lambda match: f"pools.{int(match[1]) - 1}")])


def xcit(shapes):
    out = renamed(shapes, [("^pos_embed", "pos_embeder")])
    fused = {}
    for name, shape in out.items():
        name, parts = re.subn(r"(cls_attn_blocks.*attn)\.[qkv]\.", r"\1.qkv.", name)
        fused[name] = (3 * shape[0], *shape[1:]) if parts else shape
    return fused


def fb_convnext(shapes):
    rules = [(r"^stages\.(\d+)\.downsample\.", r"downsample_layers.\1."), (r"^stages\.(\d+)\.blocks\.", r"stages.\1."), (r"^stem\.", "downsample_layers.0.")]
    rules += [("conv_dw", "dwconv"), (r"mlp\.grn\.bias", "grn.beta"), (r"mlp\.grn\.weight", "grn.gamma"), (r"mlp\.fc", "pwconv")]
    rules += [(r"^head\.norm\.", "norm."), (r"^head\.fc\.", "head.")]
    out = {}
    for name, shape in renamed(shapes, rules).items():
        if "grn" in name:
            shape = (1, 1, 1, *shape)
        out[name] = shape[:2] if "pwconv" in name else shape
    return out


def open_clip_convnext(shapes):
    out = renamed(shapes, [], "visual.trunk.")
    out["visual.head.proj.weight"] = out.pop("visual.trunk.head.fc.weight")
    del out["visual.trunk.head.fc.bias"]
    return out | {"text.ln_final.weight": (8,)}


def fb_mambaout(shapes):
    rules = [(r"^stages\.(\d+)\.downsample\.", r"downsample_layers.\1."), (r"^stages\.(\d+)\.blocks\.", r"stages.\1."), (r"^stem\.", "downsample_layers.0.")]
    rules += [(r"^head\.norm\.", "norm."), (r"^head\.fc\.", "head.fc2."), (r"^head\.pre_logits\.fc\.", "head.fc1."), (r"^head\.pre_logits\.norm\.", "head.norm.")]
    return renamed(shapes, rules)


def clip_resnet(shapes):
    rules = [(r"^stem\.conv(\d)\.conv\.", r"conv\1."), (r"^stem\.conv(\d)\.bn\.", r"bn\1.")]
    rules += [(rf"^stages\.{i}\.", f"layer{i + 1}.") for i in range(4)]
    rules += [(r"shortcut\.conv\.conv\.", "downsample.0."), (r"shortcut\.conv\.bn\.", "downsample.1.")]
    rules += [(r"conv(\d)_(?:1x1|kxk)\.(conv|bn)\.", r"\2\1."), (r"^head\.pos_embed", "attnpool.positional_embedding")]
    rules += [(r"^head\.([qkv])\.", r"attnpool.\1_proj."), (r"^head\.proj\.", "attnpool.c_proj.")]
    return renamed(shapes, rules, "visual.") | {"text_projection": (8, 4)}


def mobile_clip_fastvit(shapes):
    rules = [("^stem", "patch_embed"), ("conv_kxk", "rbr_conv"), ("conv_scale", "rbr_scale"), ("identity", "rbr_skip"), ("final_conv", "conv_exp")]
    rules += [("large_conv", "lkb_origin"), (r"\.mlp\.", ".convffn."), (r"se\.fc1", "se.reduce"), (r"se\.fc2", "se.expand"), (r"(layer_scale(?:_\d)?)\.gamma", r"\1")]
    rules += [(r"^stages\.3\.pos_emb\.pos_enc", "network.6.pe"), (r"^stages\.3\.blocks", "network.7")]
    rules += [(r"^stages\.(\d)\.blocks", lambda m: f"network.{2 * int(m[1])}"), (r"^stages\.(\d)\.downsample", lambda m: f"network.{2 * int(m[1]) - 1}")]
    prefix = "image_encoder.model."
    out = renamed(shapes, rules, prefix)
    classes, features = out.pop(prefix + "head.fc.weight")
    del out[prefix + "head.fc.bias"]
    return out | {prefix + "head.proj": (features, classes), "text_encoder.projection": (8, 4)}


def ghostnet_authors(shapes):
    return {re.sub(r"(\.ghost.*|\.dw_rpr_.*)bn1\.", r"\1bn.", name): shape for name, shape in shapes.items()}


def mmdet_cspnext(shapes):
    return renamed(shapes, [(rf"^stages\.{i}\.", f"stage{i + 1}.") for i in range(4)], "backbone.")


# layout, model, options of the model
CASES = [
    (clip, "vit_base_patch32_clip_224", dict(num_classes=512)),
    (open_clip, "vit_base_patch32_clip_224", dict(num_classes=512, in_chans=4)),
    (open_clip, "vit_base_patch32_clip_224", dict(num_classes=0)),
    (dinov2, "vit_small_patch14_reg4_dinov2", dict(img_size=(70, 70))),
    (tips, "vit_small_patch14_reg4_dinov2", dict(img_size=(70, 84), in_chans=1)),
    (beit3, "beit3_base_patch16_224", dict(img_size=(96, 96))),
    (radio, "vit_base_patch16_radio_v3", dict(img_size=(96, 64))),
    (mobile_clip, "vit_base_mci_224", dict(num_classes=512)),
    (patches(32), "vit_tiny_patch16_224", dict(in_chans=1)),
    (patches(8), "vit_tiny_patch16_224", {}),
    (patches(20), "vit_tiny_patch16_224", dict(img_size=(96, 80))),
    (res_mlp, "resmlp_12_224", dict(in_chans=1)),
    (pool_former, "poolformer_s12", dict(in_chans=4)),
    (meta_former, "poolformerv2_s12", {}),
    (meta_former, "convformer_s18", dict(in_chans=1, num_classes=1000)),
    (focal_net, "focalnet_tiny_srf", dict(in_chans=4)),
    (pvt, "pvt_v2_b0", dict(in_chans=1)),
    (pit, "pit_ti_224", {}),
    (xcit, "xcit_nano_12_p16_224", dict(in_chans=4)),
    (flat_patches, "vit_tiny_patch16_224", dict(in_chans=25)),
    (fb_convnext, "convnextv2_atto", dict(in_chans=1)),
    (fb_convnext, "convnext_tiny", {}),
    (open_clip_convnext, "convnext_atto", dict(num_classes=64)),
    (fb_mambaout, "mambaout_femto", dict(in_chans=4, num_classes=1000)),
    (clip_resnet, "resnet50_clip", dict(num_classes=64)),
    (clip_resnet, "resnet50_clip_gap", dict(num_classes=0)),
    (mobile_clip_fastvit, "fastvit_mci0", dict(num_classes=64)),
    (ghostnet_authors, "ghostnetv3_050", dict(num_classes=1000)),
    (mmdet_cspnext, "cspnext_tiny", dict(num_classes=0)),
    (open_clip, "vitamin_small_224", dict(img_size=(96, 128), num_classes=384)),
]


def run_case(layout, arch, options):
    model = timm.create_model(arch, **options).eval()
    native = {name: tuple(tensor.shape) for name, tensor in timm.create_model(arch, **{k: v for k, v in options.items() if k == "num_classes" and v}).state_dict().items()}
    shapes = layout(native)
    gain = GAINS.get(arch, GAIN)
    weights = {name: torch.from_numpy(synthetic.parameter(name, shape, gain)) for name, shape in shapes.items()}
    if arch.startswith("vit") and "mci" in arch:
        filtered = vision_transformer_hybrid.checkpoint_filter_fn(dict(weights), model)
    elif "radio" in arch:
        aligned = any(part in arch for part in vision_transformer._RADIO_ALIGN_CORNERS)
        filtered = vision_transformer.checkpoint_filter_fn(dict(weights), model, interpolation="bilinear", antialias=False, align_corners=aligned)
    else:
        filtered = sys.modules[type(model).__module__].checkpoint_filter_fn(dict(weights), model)
    in_chans = options.get("in_chans", 3)
    if in_chans != 3:
        name = model.pretrained_cfg["first_conv"] + ".weight"
        filtered[name] = timm.models.adapt_input_conv(in_chans, filtered[name])
    own = model.state_dict()
    missing = set(own) - set(filtered)
    assert not missing, (arch, layout.__name__, sorted(missing)[:9])
    model.load_state_dict({name: filtered[name] for name in own})
    size = options.get("img_size", model.pretrained_cfg["input_size"][1:])
    images = torch.from_numpy(synthetic.images((1, in_chans, *size)))
    return {
        "model": arch,
        "layout": layout.__name__,
        **options,
        "input": list(images.shape),
        "gain": gain,
        "tensors": [[name, list(shape)] for name, shape in shapes.items()],
        "logits": describe(model(images), 96),
    }


def main():
    torch.set_grad_enabled(False)
    skip_initialisation()
    lines = []
    for layout, arch, options in CASES:
        lines.append(json.dumps(run_case(layout, arch, options)))
        print(arch, layout.__name__, lines[-1][-150:], flush=True)
    (HERE / "filter_goldens.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
