"""Writes hub_goldens.json: of every module, a checkpoint as timm saves it for the Hugging Face Hub.

    python make_hub_goldens.py [MODULE…]

For the smallest architecture of a module that has weights of this layout, timm saves a model of synthetic values
(`save_for_hf`), and creates the model of that tag with `pretrained=True`, for which it is given this file in place of what
it would download. The entry has the address that it asked for, and a digest of the tensors of the file, as the safetensors
library lists them. The logits are those of the architecture's golden, whose values the file has; where that is of a
checkpoint for another image size, the entry has its own.

The weights of gcvit, senet and xception are not on the Hub, but PyTorch's files on GitHub, of the same tensors. Those of
cspnext, rdnet and vitamin are in repositories of others, whose files may have a layout of theirs as well: filter_goldens.json
has those of MMDetection's CSPNeXt and OpenCLIP's ViTamin. Needs requirements.txt.
"""
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import huggingface_hub
import safetensors
import torch

from make_goldens import HERE, channels_first, describe, shapes_of, skip_initialisation

import synthetic  # after make_goldens, whose stub of torchvision timm needs
import timm
from timm.models import _builder, _hub

CATALOGUE = HERE.parents[1] / "src/catalogue"
BACKGROUND = 9  # values of the classifier's rows that timm drops


def read_goldens():
    """Of checkpoints of timm's own layout: by architecture and number of classes, the plain cases."""
    goldens = {}
    for path in (HERE / "goldens").glob("*.json"):
        if path.stem.endswith("-0.3.4"):
            continue
        for case in json.loads(path.read_text())["cases"]:
            if (case["in_chans"], case["dtype"]) == (3, "float32") and "global_pool" not in case:
                goldens.setdefault((case["model"], case["num_classes"]), []).append(case)
    return goldens


def choose(module, goldens):
    """The architecture, tag and goldens of the module's smallest checkpoint: first of those on the Hub that have classes."""
    left_out = json.loads((CATALOGUE / "left_out.json").read_text())
    candidates = []
    for name in timm.list_models(module=module, pretrained=True, include_tags=True):
        arch, _, tag = name.partition(".")
        cfg = timm.models.get_pretrained_cfg(name)
        cases = goldens.get((arch, cfg.num_classes))
        native = not cfg.hf_hub_filename and (cfg.hf_hub_id or not cfg.custom_load)
        if cases and arch not in left_out and native:
            millions = cases[0]["state_dict"]["elements"] // 10**6
            order = (cfg.num_classes == 0, not cfg.hf_hub_id, millions, cfg.input_size, name)
            candidates.append((order, arch, tag, cases))
    return min(candidates, default=(None,) * 4)[1:]


def save(name, cfg, gain, folder):
    """Has timm save the model's checkpoint of synthetic values. Gives the tensors that are not parameters."""
    model = timm.create_model(name, num_classes=cfg.num_classes + (cfg.label_offset or 0))
    parameters = shapes_of(model)
    classifiers = [cfg.classifier] if isinstance(cfg.classifier, str) else cfg.classifier or []
    for key, tensor in model.state_dict().items():
        if key not in parameters:
            continue
        offset = (cfg.label_offset or 0) if key.rpartition(".")[0] in classifiers else 0
        if offset:
            tensor[:offset] = BACKGROUND
            tensor = tensor[offset:]
        tensor.copy_(torch.from_numpy(synthetic.parameter(key, tuple(tensor.shape), gain)))
    tensors = {key: tensor.clone() for key, tensor in model.state_dict().items()}  # which modules may share
    model.state_dict = lambda: tensors
    _hub.save_for_hf(model, folder, safe_serialization="both")
    return set(tensors) - set(parameters)


def load(name, folder, **changes):
    """The model as timm creates it with pretrained weights, and what it asked for."""
    asked = []

    def download(repo_id, filename, revision=None, cache_dir=None):
        asked.append(huggingface_hub.hf_hub_url(repo_id, filename, revision=revision))
        return str(Path(folder) / filename)

    def download_url(url, **kwargs):
        asked.append(url)
        return torch.load(Path(folder) / "pytorch_model.bin", weights_only=True)

    _hub.hf_hub_download, _builder.load_state_dict_from_url = download, download_url
    model = timm.create_model(name, pretrained=True, **changes).train().eval()  # forgets biases that attention keeps
    assert len(asked) == 1, asked
    return model, asked[0]


def read_layout(path):
    """name, dtype and shape of the tensors, in the file's order."""
    with safetensors.safe_open(path, "pt") as file:
        slices = [(name, file.get_slice(name)) for name in file.offset_keys()]
        return [(name, tensor.get_dtype(), list(tensor.get_shape())) for name, tensor in slices]


def check(name, logits, golden):
    indices = synthetic.random_bits("samples", len(golden["samples"])) % logits.numel()
    error = max(abs(float(logits.flatten()[int(i)]) - sample) for i, sample in zip(indices, golden["samples"]))
    assert error <= 1e-4 * golden["max"], (name, error, golden["max"])


def entry_of(module, goldens):
    arch, tag, cases = choose(module, goldens)
    if not arch:
        return None
    name = f"{arch}.{tag}"
    cfg = timm.models.get_pretrained_cfg(name)
    golden = next((case for case in cases if "sized_checkpoint" not in case), None)
    gain = cases[0]["gain"]
    size = golden["input"] if golden else [1, *cfg.input_size]
    sized = {"img_size": golden["img_size"]} if golden and "img_size" in golden else {}
    with tempfile.TemporaryDirectory() as folder:
        ignored = save(name, cfg, gain, folder)
        layout = read_layout(Path(folder) / "model.safetensors")
        model, url = load(name, folder, **sized)
    logits = channels_first(model, model(torch.from_numpy(synthetic.images(tuple(size)))))
    if golden:
        check(name, logits, golden["logits"])
    lines = "".join(f"{key} {dtype} {json.dumps(shape, separators=(',', ':'))}\n" for key, dtype, shape in layout)
    return {
        "module": module,
        "model": arch,
        "tag": tag,
        "url": url,
        "tensors": len(layout),
        "digest": hashlib.sha256(lines.encode()).hexdigest(),
        **({"ignored": [tensor for tensor in layout if tensor[0] in ignored]} if ignored else {}),
        "gain": gain,
        "input": size,
        **sized,
        **({} if golden else {"logits": describe(logits, 96)}),
    }


def main():
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    skip_initialisation()
    goldens = read_goldens()
    path = HERE / "hub_goldens.json"
    modules = json.loads((CATALOGUE / "modules.json").read_text())
    entries = {entry["module"]: entry for entry in json.loads(path.read_text())} if path.exists() else {}
    for module in sys.argv[1:] or modules:
        entry = entry_of(module, goldens)
        print(module, entry and json.dumps(entry)[:200], flush=True)
        entries |= {module: entry} if entry else {}
        lines = [json.dumps(entries[module]) for module in sorted(entries) if module in modules]
        path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
