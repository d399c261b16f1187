"""Synthetic checkpoints and inputs: every tensor follows from its name and shape alone.

Element i of the tensor `name` takes z = splitmix64(h + (i + 1) · 0x9E3779B97F4A7C15), h being the 64-bit FNV-1a hash of
the name, and u = (z >> 40) / 2^23 - 1 in [-1, 1). It becomes:

    running_var             1 + 0.25 u
    running_mean            0.1 u
    num_batches_tracked     0
    rank ≤ 1, "…weight"     0.9 + 0.2 u         (scales of normalisations)
    other tensors, rank ≤ 1 0.1 u               (biases)
    rank ≥ 2                u · sqrt(3 · gain / fan_in), fan_in = size / shape[0]
    inputs                  1.7 u, under the name "input"

The gain belongs to a model: one for which activations neither vanish nor explode. Computed in float64 and cast to
float32 at the end; `synthetic.cpp` gives the same bits.
"""
import math

import numpy as np


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def random_bits(name: str, count: int) -> np.ndarray:
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(fnv1a(name))
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def uniform(name: str, count: int) -> np.ndarray:
    """`count` numbers u in [-1, 1)."""
    return (random_bits(name, count) >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1


def parameter(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """A parameter or buffer of a model under timm's name."""
    count = math.prod(shape)
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    u = uniform(name, count)
    if leaf == "running_var":
        values = 1 + 0.25 * u
    elif leaf == "running_mean":
        values = 0.1 * u
    elif len(shape) >= 2:
        values = u * math.sqrt(3 * gain / (count // shape[0]))
    elif leaf.endswith("weight"):
        values = 0.9 + 0.2 * u
    else:
        values = 0.1 * u
    return values.astype(np.float32).reshape(shape)


def images(shape: tuple[int, ...]) -> np.ndarray:
    """What the models are given."""
    return (1.7 * uniform("input", math.prod(shape))).astype(np.float32).reshape(shape)
