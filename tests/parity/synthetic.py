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

BLOCK = 2**15  # elements at a time, which stay in cache


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def random_bits(name: str, count: int, first: int = 0) -> np.ndarray:
    z = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(fnv1a(name))
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def uniform(name: str, count: int) -> np.ndarray:
    """`count` numbers u in [-1, 1), exact in float32."""
    u = np.empty(count, np.float32)
    for first in range(0, count, BLOCK):
        part = u[first : first + BLOCK]
        part[:] = (random_bits(name, len(part), first) >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1
    return u


def scale(u: np.ndarray, offset: float, factor: float) -> np.ndarray:
    """offset + factor · u, computed in float64, in place."""
    for first in range(0, len(u), BLOCK):
        part = u[first : first + BLOCK]
        part[:] = offset + factor * part.astype(np.float64)
    return u


def parameter(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """A parameter or buffer of a model under timm's name."""
    count = math.prod(shape)
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    u = uniform(name, count)
    if leaf == "running_var":
        values = scale(u, 1, 0.25)
    elif leaf == "running_mean":
        values = scale(u, 0, 0.1)
    elif len(shape) >= 2:
        values = scale(u, 0, math.sqrt(3 * gain / (count // shape[0])))
    elif leaf.endswith("weight"):
        values = scale(u, 0.9, 0.2)
    else:
        values = scale(u, 0, 0.1)
    return values.reshape(shape)


def images(shape: tuple[int, ...]) -> np.ndarray:
    """What the models are given."""
    return scale(uniform("input", math.prod(shape)), 0, 1.7).reshape(shape)
