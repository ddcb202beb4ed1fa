"""Our copy of TFLM's planner gives the head that TFLM's recording allocator counts: chains, branches, scratch, floats, real files.

Run by the Python of the verify environment, with docker/ on PYTHONPATH, from the repository's root or with paths:
    python tests/images/verify/arena_agrees.py [MODEL.tflite ...]
Files are compared beside the nets that are built here. Exit code 1: some differ. A file that TFLM cannot allocate, as Vela's,
is no difference; a net that is built here is.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import stage
import tensorflow as tf

sys.path.insert(0, str(Path(stage.__file__).with_name("verify")))
from arena import record
from network import read_network
from planner import extent, plan

INPUT = (1, 61, 47, 5)  # odd, so that rounding up to 16 bytes shows
Layer = Callable[[Any], Any]
layers = tf.keras.layers


def main(paths: list[str]) -> int:
    """Compare every net; print one line each; 1 if any differs."""
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in [*map(Path, paths), *build_all(Path(folder))]:
            network, content = read_network(path), path.read_bytes()
            recording, ours = record(content, network), extent(plan(network))
            agree = recording.head == ours or bool(recording.problem and str(path) in paths)
            differing += not agree
            verdict = recording.problem or ("agree" if agree else f"DIFFER, TFLM counts {recording.head:,}")
            print(f"{path.name}: {ours:,} bytes, {len(network.operators)} operators: {verdict}", flush=True)
    return int(differing > 0)


def build_all(folder: Path) -> Iterator[Path]:
    """Write each net as int8, and one as float32."""
    for build in (chain, branches, shapes, reductions, upsampling, depthwise, dense):
        yield convert(build, folder / f"{build.__name__}.tflite", quantised=True)
    yield convert(branches, folder / "branches_float.tflite", quantised=False)
    for seed in range(6):
        yield convert(lambda x, seed=seed: drawn(x, seed), folder / f"drawn_{seed}.tflite", quantised=True)


def convert(build: Layer, path: Path, *, quantised: bool) -> Path:
    """Build a net with drawn weights and write it as TFLite."""
    tf.keras.utils.set_random_seed(1)
    start = tf.keras.Input(INPUT[1:], batch_size=INPUT[0])
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(start, build(start)))
    if quantised:
        samples = np.random.default_rng(1).random((2, *INPUT), dtype=np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    return path


def convolve(x: Any, channels: int, size: int = 3, strides: int = 1) -> Any:
    """A convolution as YOLOv8 has it: with x · sigmoid(x) behind it, three tensors alive at once."""
    x = layers.Conv2D(channels, size, strides, padding="same")(x)
    return x * tf.sigmoid(x)


def chain(x: Any) -> Any:
    """Three convolutions, one after the other."""
    return convolve(convolve(convolve(x, 16, strides=2), 32, strides=2), 8)


def branches(x: Any) -> list[Any]:
    """Residual sums and concatenations; two outputs, one of them read again."""
    x = convolve(x, 16, strides=2)
    left, right = tf.split(convolve(x, 24), 2, axis=3)
    right = right + convolve(convolve(right, 12), 12)
    x = tf.concat([left, right, convolve(x, 7, 1)], 3)
    return [x, convolve(x, 9, 1)]


def shapes(x: Any) -> list[Any]:
    """Reshapes, transposes and padding, between and at the end."""
    x = convolve(tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]]), 10, strides=2)
    flat = tf.reshape(x, (1, -1, 10))
    return [tf.transpose(flat, (0, 2, 1)), tf.nn.softmax(flat), tf.reshape(x, (1, 2, -1))]


def reductions(x: Any) -> Any:
    """Operators whose own kernels ask for scratch."""
    x = convolve(x, 20)
    return tf.concat([tf.reduce_mean(x, [1, 2]), tf.reduce_max(x, [1, 2]), tf.reduce_sum(x, [1, 2])], 1)


def upsampling(x: Any) -> Any:
    """The neck of a detector: down, up by doubling, up by a transposed convolution."""
    down = convolve(x[:, :48, :40], 16, strides=2)
    deep = convolve(layers.MaxPool2D(2)(down), 24)
    doubled = tf.image.resize(deep, (24, 20), method="nearest")
    learnt = layers.Conv2DTranspose(8, 3, 2, padding="same")(deep)
    return convolve(tf.concat([doubled, learnt, down], 3), 12)


def depthwise(x: Any) -> Any:
    """Depthwise convolutions, with one and with four outputs a channel."""
    x = layers.DepthwiseConv2D(3, 2, "same", activation="relu6")(convolve(x, 16))
    return layers.DepthwiseConv2D(5, 1, "valid", depth_multiplier=4)(x)


def dense(x: Any) -> Any:
    """A classifier."""
    x = layers.AveragePooling2D(4)(convolve(x, 8, strides=2))
    return layers.Dense(7, activation="softmax")(layers.Dense(33, activation="relu")(layers.Flatten()(x)))


def drawn(x: Any, seed: int) -> list[Any]:
    """A net in which each layer reads any of those before it, and every third is an output."""
    chance = np.random.default_rng(seed)
    made = [convolve(x, 8, strides=2)]
    for _ in range(12):
        one, other = (made[int(index)] for index in chance.integers(0, len(made), 2))
        x = tf.concat([one, other], 3) if chance.random() < 0.5 else one
        made.append(convolve(x, int(chance.integers(1, 40)), int(chance.choice([1, 3]))))
    return made[::-3]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
