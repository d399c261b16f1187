"""Exports timm's models for the benchmark, with one set of synthetic weights, in the format of each runtime.

    python bench/export/export.py FOLDER MODEL…

For each model, FOLDER receives MODEL.safetensors for wimm, MODEL.onnx for onnxruntime-web, MODEL.tflite for LiteRT.js,
MODEL.tfjs.json and MODEL.tfjs.bin for TensorFlow.js, and at last MODEL.json: its input's shape and its multiply-adds.
"""
import json
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/parity/torchvision_stub"), str(ROOT / "tests/parity")]

import litert_torch  # noqa: E402
import safetensors.torch  # noqa: E402
import synthetic  # noqa: E402
import tfjs_graph  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402


GAIN = 1.6  # of the synthetic weights: activations stay of order one


def multiply_adds(model, image):
    """Of the convolutions and linear layers, counted while the model runs."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        outputs_per_weight = output.numel() // module.weight.shape[0]
        total += outputs_per_weight * module.weight.numel()

    layers = [module for module in model.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model(image)
    for hook in hooks:
        hook.remove()
    return total


def export_tflite(model, image, path):
    """By Google's converter, with images channels last, as LiteRT's kernels have them."""
    channels_last = litert_torch.to_channel_last_io(model, args=[0])
    litert_torch.convert(channels_last, (image.permute(0, 2, 3, 1).contiguous(),)).export(str(path))


def export(name, folder):
    model = timm.create_model(name, exportable=True).eval()
    state = {
        key: torch.from_numpy(synthetic.parameter(key, tuple(tensor.shape), GAIN))
        for key, tensor in model.state_dict().items()
    }
    model.load_state_dict(state)
    shape = (1, *model.pretrained_cfg["input_size"])
    image = torch.from_numpy(synthetic.images(shape))

    safetensors.torch.save_file(state, folder / f"{name}.safetensors")
    torch.onnx.export(model, image, folder / f"{name}.onnx", opset_version=17, dynamo=False)
    tfjs_graph.write(torch.export.export(model, (image,)), folder / name)
    export_tflite(model, image, folder / f"{name}.tflite")
    facts = {"shape": shape, "multiplyAdds": multiply_adds(model, image)}
    (folder / f"{name}.json").write_text(json.dumps(facts) + "\n")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    for name in sys.argv[2:]:
        export(name, folder)


main()
