"""Writes tests/cpp/image_goldens.h: what PIL's resize and timm's evaluation transform make of small generated images.

    python tests/parity/make_image_goldens.py > tests/cpp/image_goldens.h

Images come from `generate`, which tests/cpp/image_test.cpp has too, so that only checksums are kept. The transform is
timm's own; the parts of torchvision that it is composed of are given here, for PIL images, as torchvision documents them.
"""
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).parent / "torchvision_stub"))
import torchvision.transforms as transforms  # noqa: E402
import torchvision.transforms.functional as functional  # noqa: E402


def get_dimensions(image):
    return [len(image.getbands()), image.height, image.width]


def resize(image, size, interpolation):
    return image.resize((size[1], size[0]), Image.Resampling[interpolation.name])


def crop(image, top, left, height, width):
    return image.crop((left, top, left + width, top + height))


def pad(image, padding, fill=0, padding_mode="constant"):
    if isinstance(fill, (list, tuple)):
        fill = fill[0] if len(fill) == 1 else tuple(fill)
    return ImageOps.expand(image, tuple(padding), fill)


def to_tensor(image):
    samples = np.array(image).reshape(image.height, image.width, -1)
    return torch.from_numpy(samples).permute(2, 0, 1).contiguous().float().div(255)


class Compose:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, image):
        for step in self.steps:
            image = step(image)
        return image


class Resize:
    """With one number, the shorter edge becomes that long and the longer one keeps the ratio."""

    def __init__(self, size, interpolation):
        self.size = size
        self.interpolation = interpolation

    def __call__(self, image):
        if not isinstance(self.size, int):
            return resize(image, self.size, self.interpolation)
        short, long = sorted(image.size)
        edges = self.size, int(self.size * long / short)
        return resize(image, edges[::-1] if image.width <= image.height else edges, self.interpolation)


class CenterCrop:
    """An image that is too small is first padded with zeros, the odd pixel right and below."""

    def __init__(self, size):
        self.size = size

    def __call__(self, image):
        height, width = self.size
        missing_x, missing_y = max(width - image.width, 0), max(height - image.height, 0)
        if missing_x or missing_y:
            padding = [missing_x // 2, missing_y // 2, (missing_x + 1) // 2, (missing_y + 1) // 2]
            image = pad(image, padding)
        return crop(image, round((image.height - height) / 2), round((image.width - width) / 2), height, width)


class ToTensor:
    def __call__(self, image):
        return to_tensor(image)


class Normalize:
    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, tensor):
        return tensor.sub_(self.mean.view(-1, 1, 1)).div_(self.std.view(-1, 1, 1))


for name in ("Compose", "Resize", "CenterCrop", "ToTensor", "Normalize"):
    setattr(transforms, name, globals()[name])
for name in ("get_dimensions", "resize", "crop", "pad", "to_tensor"):
    setattr(functional, name, globals()[name])

from timm.data.transforms_factory import transforms_imagenet_eval  # noqa: E402


def generate(width, height, channels):
    """Samples [height, width, channels] that look like noise."""
    samples = np.arange(height * width * channels, dtype=np.uint32)
    samples = samples * np.uint32(2654435761)
    samples = (samples ^ (samples >> np.uint32(15))) * np.uint32(2246822519)
    return (samples >> np.uint32(24)).astype(np.uint8).reshape(height, width, channels)


def resize_channels(samples, width, height, interpolation):
    """PIL's resize: three channels as an RGB image, others one at a time."""
    filter = Image.Resampling[interpolation.upper()]
    if samples.shape[2] == 3:
        return np.array(Image.fromarray(samples).resize((width, height), filter))
    planes = [Image.fromarray(samples[:, :, c]).resize((width, height), filter) for c in range(samples.shape[2])]
    return np.stack([np.array(plane) for plane in planes], 2)


def preprocess(samples, mean, std, **options):
    """timm's transform: three channels as an RGB image, others one at a time, with the mean and std that wimm takes."""
    channels = samples.shape[2]
    if channels == 3:
        return transforms_imagenet_eval(mean=mean, std=std, **options)(Image.fromarray(samples))
    if channels == 1:
        mean, std = [sum(mean) / 3], [sum(std) / 3]
    planes = []
    for c in range(channels):
        statistics = {"mean": (mean[c % len(mean)],), "std": (std[c % len(std)],)}
        planes.append(transforms_imagenet_eval(**statistics, **options)(Image.fromarray(samples[:, :, c])))
    return torch.cat(planes)


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INCEPTION = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

# Width, height and channels of the image, width and height of the result.
RESIZES = [
    (1, 1, 3, 1, 1), (1, 1, 3, 5, 7), (2, 3, 3, 40, 50), (37, 53, 3, 16, 16), (53, 37, 3, 100, 20),
    (64, 64, 3, 64, 64), (64, 64, 3, 64, 31), (64, 64, 3, 31, 64), (64, 48, 3, 63, 49), (1, 1000, 3, 8, 8),
    (1000, 1, 3, 8, 8), (1000, 1, 3, 1, 100), (300, 200, 3, 7, 5), (5, 5, 3, 224, 224), (320, 240, 3, 298, 224),
    (37, 53, 1, 16, 20), (20, 20, 1, 45, 33), (37, 53, 2, 16, 20), (37, 53, 4, 16, 20), (31, 29, 5, 40, 11),
    (31, 29, 25, 11, 40), (2000, 3, 1, 17, 9),
]  # fmt: skip

# Width, height and channels of the image, height and width of the result, then timm's options.
PREPROCESSES = [
    (320, 240, 3, 224, 224, 0.875, "center", "bicubic", IMAGENET),
    (240, 320, 3, 224, 224, 0.875, "center", "bilinear", IMAGENET),
    (320, 240, 3, 32, 32, 0.9, "center", "bicubic", INCEPTION),
    (101, 67, 3, 33, 33, 0.95, "center", "bicubic", CLIP),
    (67, 101, 3, 32, 32, 0.887, "center", "nearest", IMAGENET),
    (50, 50, 3, 32, 32, 1.0, "center", "bicubic", IMAGENET),
    (50, 41, 3, 33, 33, 1.15, "center", "bicubic", IMAGENET),
    (41, 50, 3, 32, 48, 0.9, "center", "bicubic", IMAGENET),
    (200, 50, 3, 48, 32, 0.875, "center", "bilinear", IMAGENET),
    (1, 1, 3, 32, 32, 0.875, "center", "bicubic", IMAGENET),
    (1, 1000, 3, 16, 16, 0.875, "center", "bicubic", IMAGENET),
    (1000, 1, 3, 16, 16, 0.875, "center", "bilinear", IMAGENET),
    (320, 240, 3, 64, 64, 1.0, "squash", "bicubic", INCEPTION),
    (24, 32, 3, 64, 64, 0.9, "squash", "bicubic", INCEPTION),
    (40, 300, 3, 64, 64, 0.9, "squash", "bicubic", IMAGENET),
    (100, 60, 3, 48, 33, 0.875, "squash", "bilinear", IMAGENET),
    (320, 240, 3, 64, 64, 1.0, "border", "bicubic", CLIP),
    (24, 77, 3, 63, 63, 0.95, "border", "bicubic", IMAGENET),
    (77, 24, 3, 40, 63, 1.0, "border", "bilinear", INCEPTION),
    (320, 240, 1, 64, 64, 0.875, "center", "bicubic", IMAGENET),
    (77, 24, 1, 40, 40, 1.0, "border", "bilinear", IMAGENET),
    (77, 64, 4, 40, 40, 0.95, "center", "bicubic", IMAGENET),
    (77, 64, 25, 20, 20, 0.875, "border", "bicubic", CLIP),
]


def resize_rows():
    for width, height, channels, out_width, out_height in RESIZES:
        image = generate(width, height, channels)
        for interpolation in ("nearest", "bilinear", "bicubic"):
            crc = zlib.crc32(resize_channels(image, out_width, out_height, interpolation).tobytes())
            yield f'{{{width}, {height}, {channels}, {out_width}, {out_height}, "{interpolation}", 0x{crc:08x}}}'


def preprocess_rows():
    for width, height, channels, out_height, out_width, crop_pct, crop_mode, interpolation, statistics in PREPROCESSES:
        result = preprocess(
            generate(width, height, channels),
            *statistics,
            img_size=(out_height, out_width),
            crop_pct=crop_pct,
            crop_mode=crop_mode,
            interpolation=interpolation,
        ).numpy()
        assert result.shape == (channels, out_height, out_width) and result.dtype == np.float32
        mean, std = ("{" + ", ".join(map(str, values)) + "}" for values in statistics)
        spots = ", ".join(f"{value:#.9g}f" for value in result.ravel()[[0, result.size // 2, -1]])
        crc = zlib.crc32(result.astype("<f4").tobytes())
        yield (
            f'{{{width}, {height}, {channels}, {out_height}, {out_width}, {crop_pct}, "{crop_mode}", '
            f'"{interpolation}", {mean}, {std}, {{{spots}}}, 0x{crc:08x}}}'
        )


HEADER = """\
// Made by tests/parity/make_image_goldens.py: checksums of images resized by PIL, and preprocessed by timm.
// clang-format off
#pragma once

#include <array>
#include <cstdint>

// An image of `generate`, resized; the checksum is of [height, width, channels] 8-bit samples.
struct ResizeGolden {
  int64_t width, height, channels, out_width, out_height;
  const char* interpolation;
  uint32_t crc32;
};

// An image of `generate`, preprocessed; `spots` are the first, middle and last values, the checksum is of all [C, H, W].
struct PreprocessGolden {
  int64_t width, height, channels, out_height, out_width;
  double crop_pct;
  const char *crop_mode, *interpolation;
  std::array<double, 3> mean, std;
  std::array<float, 3> spots;
  uint32_t crc32;
};
"""


def main():
    print(HEADER)
    for type, name, rows in (
        ("ResizeGolden", "resize_goldens", resize_rows()),
        ("PreprocessGolden", "preprocess_goldens", preprocess_rows()),
    ):
        print(f"constexpr {type} {name}[] = {{")
        for row in rows:
            print(f"    {row},")
        print("};\n" if name == "resize_goldens" else "};")


main()
