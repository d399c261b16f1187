"""Writes filter_goldens.json: what timm computes from checkpoints in the layouts of other projects.

    python make_filter_goldens.py

A checkpoint has the names and shapes of its project, and the synthetic values of those names; timm's own filter makes it
the model's. Needs requirements.txt.
"""
import json
import re

import torch

from make_goldens import HERE, describe, skip_initialisation

import synthetic  # after make_goldens, whose stub of torchvision timm needs
import timm
from timm.models import vision_transformer, vision_transformer_hybrid

GAIN = 1.2


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
    (flat_patches, "vit_tiny_patch16_224", dict(in_chans=25)),
]


def run_case(layout, arch, options):
    model = timm.create_model(arch, **options).eval()
    native = {name: tuple(tensor.shape) for name, tensor in timm.create_model(arch, **{k: v for k, v in options.items() if k == "num_classes" and v}).state_dict().items()}
    shapes = layout(native)
    weights = {name: torch.from_numpy(synthetic.parameter(name, shape, GAIN)) for name, shape in shapes.items()}
    if "mci" in arch:
        filtered = vision_transformer_hybrid.checkpoint_filter_fn(dict(weights), model)
    elif "radio" in arch:
        aligned = any(part in arch for part in vision_transformer._RADIO_ALIGN_CORNERS)
        filtered = vision_transformer.checkpoint_filter_fn(dict(weights), model, interpolation="bilinear", antialias=False, align_corners=aligned)
    else:
        filtered = vision_transformer.checkpoint_filter_fn(dict(weights), model)
    in_chans = options.get("in_chans", 3)
    for name in (model.pretrained_cfg["first_conv"] + ".weight", "patch_embed.proj.weight"):
        if name in filtered and name == model.pretrained_cfg["first_conv"] + ".weight" and in_chans != 3:
            filtered[name] = timm.models.adapt_input_conv(in_chans, filtered[name])
            break
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
        "gain": GAIN,
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
