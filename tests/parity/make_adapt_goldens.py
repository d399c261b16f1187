"""Writes tests/cpp/adapt_goldens.h: what timm's adapt_input_conv makes of small generated weights.

    python tests/parity/make_adapt_goldens.py > tests/cpp/adapt_goldens.h

Weights come from `generate`, which tests/cpp/weights_adapt_test.cpp has too, so that only checksums are kept.
"""
import sys
import zlib
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent / "torchvision_stub"))
from timm.models._manipulate import adapt_input_conv  # noqa: E402

CASES = [((8, 3, 7, 7), (1, 2, 3, 4, 5, 8, 25)), ((4, 3, 1, 1), (1, 4)), ((4, 12, 3, 3), (1,)), ((4, 1, 3, 3), (1,))]
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def generate(shape):
    index = np.arange(np.prod(shape))
    values = ((index * 7919) % 257 - 128).astype(np.float32) / np.float32(97)
    return torch.from_numpy(values.reshape(shape))


def main():
    print("""\
// Made by tests/parity/make_adapt_goldens.py: checksums of what timm's adapt_input_conv gives.
// clang-format off
#pragma once

#include <array>
#include <cstdint>

#include "wimm/tensor.h"

// A weight of `generate`, cast to `dtype` and adapted; the checksum is of the result's bytes.
struct AdaptGolden {
  std::array<int64_t, 4> shape;
  wimm::DType dtype;
  int64_t in_chans, out_in_chans;
  uint32_t crc32;
};

constexpr AdaptGolden adapt_goldens[] = {""")
    for shape, counts in CASES:
        for dtype in DTYPES:
            for in_chans in counts:
                adapted = adapt_input_conv(in_chans, generate(shape).to(dtype))
                checksum = zlib.crc32(adapted.contiguous().view(torch.uint8).numpy().tobytes())
                name = str(dtype).removeprefix("torch.")
                print(f"    {{{{{', '.join(map(str, shape))}}}, wimm::DType::{name}, {in_chans}, {adapted.shape[1]}, {checksum:#010x}}},")
    print("};")


if __name__ == "__main__":
    main()
