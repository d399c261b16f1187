"""Writes goldens/<module>.json: what timm computes for every architecture of a module, from synthetic checkpoints.

    python make_goldens.py resnet efficientnet mobilenetv3 hardcorenas
    python make_goldens.py resnet --models ecaresnet18 ecaresnet50 -o resnet-0.3.4     # beside timm 0.3.4

Needs requirements.txt. A tensor of the result is kept as its shape, its mean and standard deviation, its largest
magnitude, and some of its elements (`sample_indices`).
"""
import argparse
import collections.abc
import functools
import json
import math
import re
import sys
import types
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "torchvision_stub"))

import torch  # noqa: E402

# timm 0.3.4 takes this from a module that torch has dropped.
sys.modules["torch._six"] = types.SimpleNamespace(container_abcs=collections.abc)


def inplace_abn(x, weight, bias, mean, var, training, momentum, eps, activation, slope):
    """What timm 0.3.4 takes from the package inplace_abn: batch norm and its activation."""
    y = torch.nn.functional.batch_norm(x, mean, var, weight, bias, eps=eps)
    return torch.nn.functional.leaky_relu(y, slope) if activation == "leaky_relu" else y


sys.modules["inplace_abn"] = types.ModuleType("inplace_abn")
sys.modules["inplace_abn.functions"] = types.SimpleNamespace(inplace_abn=inplace_abn, inplace_abn_sync=inplace_abn)

import timm  # noqa: E402

import synthetic  # noqa: E402

if timm.__version__.startswith("0."):  # whose hybrids fetch the weights of their backbones, unasked
    timm.models.helpers.load_pretrained = lambda *args, **kwargs: None

# Beside the plain case that every architecture has.
MORE_CASES = {
    "resnet34": [dict(in_chans=n, dtype=t) for t in ("float32", "float16", "bfloat16") for n in (1, 2, 3, 4, 8, 25)]
    + [dict(batch=2), dict(size=(64, 160))],
    "tf_efficientnet_lite0": [dict(in_chans=n, dtype=t) for t in ("float32", "float16", "bfloat16") for n in (1, 2, 3, 4, 8, 25)]
    + [dict(batch=2), dict(size=(64, 160))],
}
for name in ("resnet18", "seresnet50", "resnet50_gn", "efficientnet_b0", "mobilenetv3_large_100", "hardcorenas_a"):
    MORE_CASES[name] = [dict(num_classes=0), dict(num_classes=10), dict(num_classes=0, global_pool="")]
    MORE_CASES[name] += [dict(global_pool=pool) for pool in ("max", "avgmax", "catavgmax")]
# The models of timm's guide, at channel counts that take each path of the adaptation; resnet34 is above.
for name in ("inception_v3", "cspdarknet53", "cspdarknet53_iabn", "cspresnet50", "cspresnet50d", "cspresnext50", "densenet121", "resnet50d"):
    MORE_CASES[name] = [dict(in_chans=n) for n in (1, 4, 8, 25)]
for name in ("res2net50_26w_4s", "resnest14d"):
    MORE_CASES[name] = [dict(in_chans=n) for n in (1, 4, 8, 25)]
    MORE_CASES[name] += [dict(num_classes=0), dict(num_classes=10), dict(global_pool="max"), dict(batch=2)]
# Sides that are multiples of 4, as its stem needs; its checkpoints of 3 channels can be adapted to 1 alone.
MORE_CASES["tresnet_m"] = [dict(in_chans=1), dict(in_chans=1, dtype="float16"), dict(size=(100, 76)), dict(batch=2)]
MORE_CASES["tresnet_m"] += [dict(num_classes=0), dict(num_classes=10), dict(num_classes=0, global_pool="")]
MORE_CASES["tresnet_m"] += [dict(global_pool=pool) for pool in ("avg", "max", "avgmax", "catavgmax")]
MORE_CASES["tresnet_v2_l"] = [dict(in_chans=1)]
# A classifier that is a convolution takes maps too.
MORE_CASES["dla46_c"] = [dict(num_classes=0), dict(num_classes=10), dict(global_pool="")]
MORE_CASES["dla46_c"] += [dict(global_pool="catavgmax"), dict(in_chans=1), dict(in_chans=25)]
MORE_CASES["resnetv2_50x1_bit"] = [dict(in_chans=n) for n in (1, 4, 8, 25)] + [dict(batch=2), dict(size=(64, 160))]
MORE_CASES["resnetv2_50x1_bit"] += [dict(num_classes=0), dict(num_classes=10), dict(global_pool="")]
MORE_CASES["resnetv2_50x1_bit"] += [dict(global_pool=pool) for pool in ("max", "avgmax", "catavgmax")]
# Families with a stem or an end of their own: first convolutions of other channels, and ends of every kind.
for name in ("regnety_002", "regnetv_040", "regnetz_005", "legacy_seresnet18", "legacy_senet154", "skresnet18"):
    MORE_CASES[name] = [dict(in_chans=n) for n in (1, 4, 8, 25)] + [dict(num_classes=0), dict(num_classes=10)]
    MORE_CASES[name] += [dict(num_classes=0, global_pool=""), dict(global_pool="catavgmax"), dict(batch=2)]
# Vision transformers pool tokens, and are made for an image size.
for name in ("vit_tiny_patch16_224", "deit3_small_patch16_224"):
    MORE_CASES[name] = [dict(in_chans=n) for n in (1, 4, 8, 25)] + [dict(num_classes=n) for n in (0, 10)]
    MORE_CASES[name] += [dict(global_pool=pool) for pool in ("avg", "max", "avgmax", "token", "map", "prr", "")]
    MORE_CASES[name] += [dict(batch=2), dict(img_size=True, size=(96, 160)), dict(img_size=True, size=(112, 448))]
for name in ("vit_base_mci_224", "vit_tiny_r_s16_p8_224", "vit_small_resnet26d_224"):  # a stem of each kind
    MORE_CASES[name] = [dict(in_chans=n) for n in (1, 4, 25)] + [dict(num_classes=0)]
MORE_CASES["vit_small_r26_s32_224"] = [dict(img_size=True, size=(128, 192))]
MORE_CASES["deit_tiny_distilled_patch16_224"] = [dict(num_classes=n) for n in (0, 10)]
MORE_CASES["deit_tiny_distilled_patch16_224"] += [dict(batch=2), dict(img_size=True, size=(256, 160))]
for name in ("test_vit", "test_vit2", "test_vit4"):  # of any image size
    MORE_CASES[name] = [dict(size=(96, 208)), dict(img_size=True, size=(128, 96))]
for name in ("vit_small_patch8_224", "vit_base_patch14_dinov2", "vit_base_patch16_siglip_512"):  # many tokens
    MORE_CASES[name] = [dict()]

# A small model of every other family: first convolutions of other channels, and ends of every kind.
CHANNELS = [dict(in_chans=n) for n in (1, 4, 25)]
ENDS = [dict(num_classes=n) for n in (0, 10)] + [dict(num_classes=0, global_pool="")]
ENDS += [dict(global_pool=pool) for pool in ("max", "catavgmax")]
for name in ("dpn68b", "hrnet_w18_small", "inception_resnet_v2", "inception_v4", "lcnet_050", "rexnet_100", "selecsls42", "vgg11"):
    MORE_CASES[name] = CHANNELS + ENDS
for name in ("ese_vovnet19b_dw", "legacy_xception", "xception41", "gluon_xception65", "nasnetalarge", "pnasnet5large"):
    MORE_CASES[name] = CHANNELS + ENDS
MORE_CASES["hardcorenas_a"] += CHANNELS
for name in ("poolformer_s12", "poolformerv2_s12", "caformer_s18"):  # whose pools keep the number of channels
    MORE_CASES[name] = CHANNELS + ENDS[:-1] + [dict(batch=2), dict(size=(64, 160))]
for name in ("inception_v3", "densenet121", "cspresnet50"):
    MORE_CASES[name] += ENDS

for name in ("mixer_s32_224", "resmlp_12_224"):
    MORE_CASES[name] = CHANNELS + [dict(num_classes=n) for n in (0, 10)] + [dict(num_classes=0, global_pool=""), dict(batch=2)]
    MORE_CASES[name] += [dict(img_size=True, size=(64, 96))]
MORE_CASES["xcit_nano_12_p16_224"] = CHANNELS + [dict(num_classes=n) for n in (0, 10)] + [dict(batch=2), dict(size=(96, 160))]
MORE_CASES["xcit_nano_12_p16_224"] += [dict(num_classes=0, global_pool=""), dict(global_pool="avg")]
for name in ("pvt_v2_b0", "visformer_tiny"):
    MORE_CASES[name] = CHANNELS + [dict(num_classes=n) for n in (0, 10)] + [dict(num_classes=0, global_pool=""), dict(batch=2)]
MORE_CASES["pvt_v2_b0"] += [dict(size=(64, 160))]
MORE_CASES["pvt_v2_b2_li"] = [dict(size=(320, 224))]  # of 10 × 7 pixels in the last stage
MORE_CASES["visformer_tiny"] += [dict(img_size=True, size=(96, 160)), dict(global_pool="max")]
MORE_CASES["focalnet_tiny_srf"] = CHANNELS + ENDS + [dict(batch=2), dict(size=(64, 160))]
for name in ("pit_ti_224", "pit_ti_distilled_224"):
    MORE_CASES[name] = CHANNELS + [dict(num_classes=n) for n in (0, 10)] + [dict(batch=2), dict(img_size=True, size=(96, 160))]
MORE_CASES["pit_ti_224"] += [dict(num_classes=0, global_pool="")]
MORE_CASES["vitamin_small_224"] = CHANNELS + [dict(num_classes=0), dict(img_size=True, size=(96, 160))]
for name in ("test_maxvit", "test_coatnet", "maxxvitv2_nano_rw_256", "gcvit_xxtiny", "nest_tiny"):
    MORE_CASES[name] = CHANNELS[:2] + [dict(num_classes=0), dict(num_classes=0, global_pool=""), dict(global_pool="max")]
MORE_CASES["test_maxvit"] += [dict(batch=2), dict(img_size=True, size=(96, 160)), dict(in_chans=25)]
MORE_CASES["gcvit_xxtiny"] += [dict(batch=2), dict(img_size=True, size=(128, 192))]
MORE_CASES["nest_tiny"] += [dict(batch=2), dict(img_size=True, size=(96, 96))]
for name in ("levit_128s", "levit_conv_128s", "twins_svt_small", "convit_tiny", "tnt_s_patch16_224"):
    MORE_CASES[name] = CHANNELS + [dict(num_classes=n) for n in (0, 10)] + [dict(num_classes=0, global_pool=""), dict(batch=2)]
for name in ("levit_128s", "twins_svt_small"):
    MORE_CASES[name] += [dict(img_size=True, size=(96, 160))]
for name in ("convit_tiny", "tnt_s_patch16_224"):
    MORE_CASES[name] += [dict(global_pool="avg")]
MORE_CASES["sequencer2d_s"] = [
    dict(size=(56, 84), **options)
    for options in CHANNELS[:2] + [dict(num_classes=0), dict(num_classes=0, global_pool=""), dict(batch=2)]
]
MORE_CASES["efficientformer_l1"] = CHANNELS[:2] + [dict(num_classes=0), dict(num_classes=0, global_pool=""), dict(batch=2)]

# Convolutional families. What timm itself refuses of these is left out: a head that cannot concatenate poolings, say.
for name in ("convnext_atto", "convnext_atto_ols", "convnextv2_atto", "convnext_tiny_hnf", "test_convnext", "test_convnext3"):
    MORE_CASES[name] = CHANNELS + ENDS
for name in ("gernet_s", "repvgg_a0", "mobileone_s0", "resnet51q", "test_byobnet", "lambda_resnet26t"):
    MORE_CASES[name] = CHANNELS + ENDS
for name in ("nf_regnet_b0", "nf_resnet26", "test_nfnet", "repvit_m0_9", "fastvit_t8", "fastvit_mci0", "mobilevit_xxs", "mobilevitv2_050"):
    MORE_CASES[name] = CHANNELS + ENDS
for name in ("ghostnet_050", "ghostnetv2_100", "ghostnetv3_050", "repghostnet_050", "hgnet_tiny", "hgnetv2_b0", "efficientvit_b0"):
    MORE_CASES[name] = CHANNELS + ENDS
for name in ("edgenext_xx_small", "inception_next_atto", "starnet_s050", "fasternet_t0", "test_mambaout", "cspnext_tiny", "lcnetv2_small"):
    MORE_CASES[name] = CHANNELS + ENDS
for name in ("rdnet_tiny", "shvit_s1", "convmixer_768_32", "mobilenetv5_base", "nextvit_small", "cpubone_nano", "lowformer_b0"):
    MORE_CASES[name] = CHANNELS + ENDS
for name in ("iformer_t", "iformer_m_distilled", "csatv2"):
    MORE_CASES[name] = CHANNELS + ENDS
MORE_CASES["csatv2"] += [dict(batch=2)]  # between whose images timm's attention is, to no effect
for name in ("botnet26t_256", "resnet50_clip", "efficientvit_m0", "efficientformerv2_s0", "swiftformer_xs"):
    MORE_CASES[name] = CHANNELS + ENDS  # of one image size

# A vision transformer whose gain suits larger ones.
SMALL = "vit_small_patch16_224"

# Families of one image size, whose own would take long: the sizes of their plain cases, and the model whose gain suits
# larger ones.
HIERARCHICAL, PATCHES = [(112, 112), (96, 128)], [(112, 112), (224, 112)]
PLAIN = {
    "swin_transformer": (HIERARCHICAL, "swin_tiny_patch4_window7_224"),
    "swin_transformer_v2": (HIERARCHICAL, "swinv2_tiny_window8_256"),
    "swin_transformer_v2_cr": (HIERARCHICAL, "swinv2_cr_tiny_ns_224"),
    "beit": (PATCHES, "beit_base_patch16_224"),
    "eva": (PATCHES, "eva02_tiny_patch14_224"),
    "vision_transformer_relpos": (PATCHES, "vit_relpos_small_patch16_224"),
    "cait": (PATCHES, "cait_xxs24_224"),
    "volo": (HIERARCHICAL, "volo_d1_224"),
    "hiera": ([(96, 96), (96, 128)], "hiera_tiny_224"),
    "vision_transformer_sam": ([(256, 256), (256, 128)], "samvit_base_patch16_224"),
    "mvitv2": ([(96, 96), (128, 128)], "mvitv2_tiny"),
    "maxxvit": ([(96, 96), (128, 128)], "coatnet_pico_rw_224"),
    "vitamin": ([(96, 96), (96, 128)], "vitamin_small_224"),
}
# Those whose filters fit a checkpoint to another size; of others, it is of the model's own.
RESAMPLED = ("swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr", "beit", "eva", "vision_transformer_relpos")
RESIZED = [dict(batch=2), dict(img_size=True, size=(64, 192))]
for name in ("swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_cr_tiny_ns_224"):
    MORE_CASES[name] = CHANNELS + ENDS + RESIZED
POOLS = [dict(num_classes=n) for n in (0, 10)] + [dict(num_classes=0, global_pool="")]
POOLS += [dict(global_pool=pool) for pool in ("avg", "token")]
MORE_CASES["beit_base_patch16_224"] = [dict(img_size=True, size=(96, 96), **case) for case in CHANNELS + POOLS]
MORE_CASES["vit_relpos_medium_patch16_cls_224"] = POOLS
MORE_CASES["test_vit_relpos"] = CHANNELS + POOLS[:3] + RESIZED
MORE_CASES["eva02_tiny_patch14_224"] = CHANNELS + POOLS + [dict(global_pool="map"), dict(batch=2)]
MORE_CASES["vit_tiny_patch16_dinov3_qkvb"] = [dict(size=(96, 208), num_classes=10), dict(batch=2)]
MORE_CASES["vit_pe_core_tiny_patch16_384"] = [dict(img_size=True, size=(64, 96), global_pool=pool) for pool in ("avg", "map")]
MORE_CASES["vit_small_patch16_rope_mixed_224"] = [dict()]
SMALL_SIZE = dict(img_size=True, size=(96, 96))
for name in ("cait_xxs24_224", "volo_d1_224", "mvitv2_small_cls"):
    MORE_CASES[name] = [case | SMALL_SIZE for case in CHANNELS + POOLS]
MORE_CASES["mvitv2_tiny"] = [case | SMALL_SIZE for case in CHANNELS + POOLS[:3] + [dict(batch=2)]]
for name in ("hiera_tiny_224", "samvit_base_patch16_224"):
    MORE_CASES[name] = [case | SMALL_SIZE for case in CHANNELS + ENDS[:-1] + [dict(batch=2)]]
MORE_CASES["samvit_base_patch16"] = [dict(size=(96, 160))]
for name in ("davit_tiny", "tiny_vit_5m_224"):
    MORE_CASES[name] = CHANNELS + ENDS[:-1] + [dict(batch=2), dict(size=(224, 224)), dict(size=(100, 136))]
MORE_CASES["davit_base_fl"] = [dict(size=(160, 96))]
for name in ("test_maxvit", "test_coatnet"):
    MORE_CASES[name] = CHANNELS + ENDS + [dict(batch=2), dict(img_size=True, size=(96, 96))]
MORE_CASES["maxvit_tiny_tf_224"] = [dict(img_size=True, size=(64, 64), num_classes=n) for n in (0, 10)]
MORE_CASES["halonet26t"] = [case | dict(size=(256, 256)) for case in CHANNELS + ENDS[:3]]  # of whole blocks
MORE_CASES["haloregnetz_b"] = [dict(size=(224, 224), in_chans=4)]
MORE_CASES["crossvit_tiny_240"] = CHANNELS + [dict(num_classes=n) for n in (0, 10)] + [dict(global_pool="avg"), dict(batch=2)]
MORE_CASES["crossvit_9_dagger_240"] = CHANNELS
MORE_CASES["naflexvit_base_patch16_gap"] = [dict(num_classes=10), dict(num_classes=0, global_pool=""), dict(global_pool="map")]
MORE_CASES["naflexvit_base_patch16_gap"] += [dict(batch=2, size=(96, 208))]
for name in ("efficientvim_m1", "efficientvim_m1_dist"):
    MORE_CASES[name] = CHANNELS + [dict(num_classes=n) for n in (0, 10)] + [dict(batch=2), dict(size=(64, 160))]
for name in ("coat_tiny", "coat_lite_tiny"):
    MORE_CASES[name] = [case | dict(img_size=True, size=(96, 96)) for case in CHANNELS]
    MORE_CASES[name] += [dict(img_size=True, size=(96, 128), **case) for case in POOLS[:2] + POOLS[3:] + [dict(batch=2)]]
MORE_CASES["hieradet_small"] = CHANNELS + ENDS[:-1] + [dict(batch=2), dict(size=(128, 224))]


# Families whose architectures differ in size alone: all but the smallest take the gain that suits a small one.
ONE_GAIN = {"mlp_mixer", "metaformer", "xcit", "pvt_v2", "focalnet", "pit", "visformer", "vitamin", "maxxvit", "levit"}
ONE_GAIN |= {"twins", "nest", "gcvit", "convit", "tnt", "sequencer", "efficientformer"}
ONE_GAIN |= {"cpubone", "edgenext", "lowformer", "nextvit", "swiftformer"}
# Architectures that take images of other sizes than the one that timm calls fixed.
ANY_SIZE = ("xcit", "sequencer")
# Architectures whose large variants are proven at a small image size.
SMALLER = ("maxvit", "maxxvit", "coatnet")


def skip_initialisation():
    """Parameters are filled afterwards, so torch need not draw random ones."""
    for name in dir(torch.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)


def shapes_of(model):
    """Without tables of indices, which models compute themselves."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() or name.endswith("num_batches_tracked")
    }


def describe_state_dict(shapes):
    """A digest of the names and shapes in order; `goldens.cpp` computes the same."""
    lines = "".join(f"{name} {list(shape)}\n" for name, shape in shapes.items())
    elements = sum(math.prod(shape) for shape in shapes.values())
    return {"entries": len(shapes), "elements": elements, "digest": f"{synthetic.fnv1a(lines):016x}"}


def describe(tensor, samples):
    values = tensor.numpy().astype(np.float64).ravel()
    indices = synthetic.random_bits("samples", samples) % np.uint64(values.size)
    return {
        "shape": list(tensor.shape),
        "mean": round_to(values.mean()),
        "std": round_to(values.std()),
        "max": round_to(np.abs(values).max()),
        "samples": [round_to(value) for value in values[indices]],
    }


def round_to(value):
    return float(f"{value:.7g}")


def features_of(features):
    """Those of the last branch, where timm gives a list of several."""
    return features[-1] if isinstance(features, list) else features


def describe_features(model, features):
    """None where they are several tensors, which wimm does not give."""
    return None if isinstance(features, list) else describe(channels_first(model, features), 32)


def choose_gain(model, shapes, size):
    """The smallest gain at which the output follows the input: with less, biases drown it; with much more, activations
    grow from block to block, and rounding errors with them."""
    images = torch.from_numpy(synthetic.images((1, 3, *size)))
    inputs = torch.cat([images, -images])
    fill(model, shapes, 1.0)
    unit = {name: tensor.clone() for name, tensor in model.state_dict().items() if tensor.ndim > 1 and name in shapes}

    def grows(gain):
        scale = math.sqrt(gain)
        model.load_state_dict({name: tensor * scale for name, tensor in unit.items()}, strict=False)
        return features_of(model.forward_features(inputs)).std() > 30

    best = (0.0, 1.0)
    for gain in np.arange(0.8, 4.0, 0.1).round(1).tolist():
        if grows(gain):
            break
        outputs = model(inputs)
        change = ((outputs[0] - outputs[1]).abs().max() / outputs.abs().max()).item()
        if change > 0.05:
            return gain
        best = max(best, (change, gain))
    else:
        return best[1]
    if best[0] > 0:
        return best[1]
    # Branches that are added up, or depth, make them grow with any of these.
    return next(gain for gain in np.arange(0.7, 0.0, -0.1).round(1).tolist() if not grows(gain) or gain == 0.1)


def adapt_input_conv(in_chans, weight):
    if hasattr(timm.models, "adapt_input_conv"):
        return timm.models.adapt_input_conv(in_chans, weight)
    if in_chans == 1:  # what timm 0.3.4 does within load_pretrained
        return weight.sum(dim=1, keepdim=True)
    return weight.repeat(1, math.ceil(in_chans / 3), 1, 1)[:, :in_chans] * (3 / in_chans)


def fill(model, shapes, gain, dtype="float32"):
    """Gives a model the checkpoint of these shapes, adapted as timm adapts it: one tensor at a time, in place."""
    cfg = getattr(model, "pretrained_cfg", None) or model.default_cfg
    first_convs = [cfg["first_conv"]] if isinstance(cfg["first_conv"], str) else cfg["first_conv"]
    for name, target in model.state_dict().items():
        if name not in shapes:
            continue
        tensor = torch.from_numpy(synthetic.parameter(name, shapes[name], gain))
        if dtype != "float32" and tensor.is_floating_point():
            tensor = tensor.to(getattr(torch, dtype))
        if name.removesuffix(".weight") in first_convs and tensor.shape != target.shape:
            tensor = adapt_input_conv(3 * target.shape[1] // tensor.shape[1], tensor)
        if name == "pos_embed" and isinstance(model, timm.models.VisionTransformer):
            tensor = filter_positions(model, tensor)
        elif tensor.shape != target.shape or name.endswith("relative_position_bias_table"):
            tensor = sys.modules[type(model).__module__].checkpoint_filter_fn({name: tensor}, model)[name]
        target.copy_(tensor)
    model.train().eval()  # forgets biases that attention keeps


def channels_first(model, tensor):
    """What wimm gives where timm's model has its channels last."""
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 and getattr(model, "output_fmt", None) == "NHWC" else tensor


def filter_positions(model, positions):
    """As `pretrained_filter_fn` of timm's _create_vision_transformer."""
    arch, options = getattr(model, "pretrained_cfg", {}).get("architecture", ""), {}
    if "flexivit" in arch or "radio" in arch:
        options = dict(interpolation="bilinear", antialias=False)
    if "radio" in arch:
        vit = timm.models.vision_transformer
        options["align_corners"] = any(part in arch for part in vit._RADIO_ALIGN_CORNERS)
    if not hasattr(timm.models.vision_transformer, "checkpoint_filter_fn") or not hasattr(model, "patch_embed"):
        return positions
    projection = {name: tensor for name, tensor in model.state_dict().items() if name == "patch_embed.proj.weight"}
    weights = {"pos_embed": positions, **projection}
    return timm.models.vision_transformer.checkpoint_filter_fn(weights, model, **options)["pos_embed"]


def takes_other_sizes(model):
    """Whether a checkpoint of another image size is fitted to the model."""
    module = type(model).__module__.rpartition(".")[2]
    return isinstance(model, timm.models.vision_transformer.VisionTransformer) or module in RESAMPLED


def feature_levels(arch, indices, **kwargs):
    """timm's feature_info, as (module, channels, reduction) of each level."""
    with torch.device("meta"):
        info = timm.create_model(arch, features_only=True, out_indices=indices, **kwargs).feature_info
    return list(zip(info.module_name(), info.channels(), info.reduction()))


def run_case(
    arch, gain, size, batch=1, in_chans=3, num_classes=None, global_pool=None, dtype="float32", img_size=False
):
    kwargs = {} if num_classes is None else {"num_classes": num_classes}
    if global_pool is not None:
        kwargs["global_pool"] = global_pool
    changes = {} if in_chans == 3 else {"in_chans": in_chans}
    if img_size:
        changes["img_size"] = size
    model = timm.create_model(arch, **kwargs, **changes).eval()
    shapes = shapes_of(model)
    sized = img_size and not takes_other_sizes(model)
    if changes:
        with torch.device("meta" if img_size else "cpu"):
            shapes = shapes_of(timm.create_model(arch, **kwargs, **({"img_size": size} if sized else {})))
    gain = gain or choose_gain(model, shapes, size)
    fill(model, shapes, gain, dtype)

    images = torch.from_numpy(synthetic.images((batch, in_chans, *size)))
    case = {
        "model": arch,
        "in_chans": in_chans,
        "num_classes": model.num_classes,
        **({} if global_pool is None else {"global_pool": global_pool}),
        **({"img_size": list(size)} if img_size else {}),
        **({"sized_checkpoint": True} if sized else {}),
        "dtype": dtype,
        "gain": gain,
        "input": list(images.shape),
        "state_dict": describe_state_dict(shapes),
    }
    if not hasattr(model, "forward_intermediates"):  # old releases
        tokens = []  # a vision transformer pools them before it gives its features
        if hasattr(model, "pos_embed"):
            model.norm.register_forward_hook(lambda module, inputs, output: tokens.append(output))
        features = model.forward_features(images)
        features = tokens[0] if tokens else features
        return case | {"logits": describe(model(images), 96), "features": describe_features(model, features), "levels": []}
    features, intermediates = model.forward_intermediates(images)
    logits = model.forward_head(features)
    named = [index for index, level in enumerate(model.feature_info) if level["module"]]
    info = feature_levels(arch, named, **changes)
    levels = [
        {"module": module, "channels": channels, "reduction": reduction} | describe(intermediates[index], 16)
        for (module, channels, reduction), index in zip(info, named, strict=True)
    ]
    return case | {"logits": describe(channels_first(model, logits), 96), "features": describe_features(model, features), "levels": levels}


def fixed_size_case(index, arch):
    """The plain case of an architecture of one image size: that, or a smaller one where its own would take long, to
    which its checkpoint's position embeddings are resampled. Large ones have the gain of a small one."""
    with torch.device("meta"):
        model = timm.create_model(arch)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = model.pretrained_cfg["input_size"][1:]
    if not takes_other_sizes(model):
        if arch.startswith(ANY_SIZE):
            return run_case(arch, known_gain(arch), (96, 128))
        if arch.startswith(SMALLER) and (parameters > 1e8 or size[0] > 256):
            return run_case(arch, known_gain(arch), (64, 96), img_size=True)
        return run_case(arch, known_gain(arch), size)
    patch = model.patch_embed.feat_ratio()
    resized = parameters > 4e8 or math.prod(model.patch_embed.grid_size) > 600
    if resized:
        size = (6 * patch, 5 * patch if index % 4 == 3 else 6 * patch)
    gain = known_gain(arch) or (small_gain() if parameters > 2e8 else None)
    return run_case(arch, gain, size, img_size=resized)


@functools.cache
def small_gain(arch=SMALL, size=(224, 224)):
    return run_case(arch, None, size, img_size=size != (224, 224))["gain"]


def small_size_case(index, arch, sizes, small):
    """The plain case at one of these sizes."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in timm.create_model(arch).parameters())
    size = sizes[index % len(sizes)]
    return run_case(arch, small_gain(small, sizes[0]) if parameters > 4e7 else None, size, img_size=True)


@functools.cache
def parameters_of(arch):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(arch).parameters())


@functools.cache
def smallest_gain(module):
    """That of the module's smallest architecture."""
    arch = min(timm.list_models(module=module), key=parameters_of)
    cfg = timm.models.get_pretrained_cfg(arch)
    return run_case(arch, None, cfg.input_size[1:] if cfg.fixed_input_size else (96, 96))["gain"]


def known_gain(arch):
    """A gain that need not be searched for, or None."""
    if not hasattr(timm.models, "model_entrypoint"):
        return None
    module = timm.models.model_entrypoint(arch).__module__.rpartition(".")[2]
    if module in ONE_GAIN:
        return smallest_gain(module) if parameters_of(arch) > 1e7 else None
    return gain_of_sibling(module, re.match("[a-z]+", arch)[0]) if parameters_of(arch) > 1e8 else None


@functools.cache
def gain_of_sibling(module, kin):
    """That of the smallest architecture of a module whose name begins so."""
    return first_case(min(timm.list_models(kin + "*", module=module), key=parameters_of), [(96, 96)])["gain"]


def first_case(arch, sizes):
    """At the first of these sizes that the model takes: some take only multiples of 32, the vision transformers of old
    releases only their own. Large ones have the gain of a small sibling."""
    for size in sizes:
        try:
            return run_case(arch, known_gain(arch), size)
        except (RuntimeError, AssertionError):
            pass
    return run_case(arch, known_gain(arch), timm.create_model(arch).default_cfg["input_size"][1:])


def more_cases(arch, gain, size):
    for options in MORE_CASES.get(arch, []):
        try:
            yield run_case(arch, gain, **{"size": size, **options}) | {"levels": []}
        except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            print(f"  timm refuses {options}: {error!r}", flush=True)


def cases_of(index, arch):
    """The plain case, at an odd size for every fourth architecture, then the others with the same gain."""
    cfg = timm.models.get_pretrained_cfg(arch) if hasattr(timm.models, "get_pretrained_cfg") else None
    if cfg and cfg.fixed_input_size:
        small = PLAIN.get(timm.models.model_entrypoint(arch).__module__.rpartition(".")[2])
        plain = small_size_case(index, arch, *small) if small else fixed_size_case(index, arch)
        yield plain
        yield from more_cases(arch, plain["gain"], cfg.input_size[1:])
        return
    plain = first_case(arch, [(97, 75) if index % 4 == 3 else (96, 96), (96, 96)])
    yield plain
    yield from more_cases(arch, plain["gain"], (96, 96))


def write(path, cases):
    """JSON that a diff can show: a line for each key of a case."""
    blocks = []
    for case in cases:
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in case.items())
        blocks.append("{\n" + lines + "\n}")
    path.write_text(f'{{"timm": "{timm.__version__}", "cases": [\n' + ",\n".join(blocks) + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--models", nargs="+", help="instead of every architecture of the module")
    parser.add_argument("-o", "--output", help="file name, instead of the module's")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    skip_initialisation()
    for module in args.modules:
        cases = []
        for index, arch in enumerate(args.models or timm.list_models(module=module)):
            print(arch, flush=True)
            cases += cases_of(index, arch)
        write(HERE / "goldens" / f"{args.output or module}.json", cases)


if __name__ == "__main__":
    main()
