"""Writes the BERT encoder of MiniLM as an int8 ONNX model, from its weights and without torch.

The graph is small because ONNX Runtime's own fused operators do the work
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md): eight per layer.
Weights are int8 with one scale per output column; activations are quantised while running, with
one scale per call (``DynamicQuantizeMatMul``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

LAYERS, HEADS, WIDTH, EPSILON = 6, 12, 384, 1e-12
FUSED = "com.microsoft"
LARGEST_WEIGHT = 63
"""Seven bits: on processors without VNNI a product of eight-bit pairs overflows 16 bits."""


def int8_model(weights: Callable[[str], NDArray[np.float32]]) -> bytes:
    """The model as bytes: ``ids`` (1, l) int64 → ``vector`` (1, 384) float32, mean over tokens.

    It takes one text a call. The scale of the activations is then that text's own, nothing is
    padded, and a text's vector cannot depend on its neighbours; larger calls are not faster
    (119 texts a second of 128 tokens one by one, 98 by eight, one thread).

    Args:
        weights: a tensor of the checkpoint by its name, as transformers' ``BertModel`` names them.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []

    def constant(name: str, values: NDArray[np.generic]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(kind: str, inputs: list[str], output: str, domain: str = "", **options: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **options))
        return output

    def linear(name: str, *xs: str) -> str:
        """One product for each of ``xs``, each with a scale of its own, joined along the tokens."""
        weight = weights(f"{name}.weight").T  # (in, out)
        scale = np.abs(weight).max(axis=0) / LARGEST_WEIGHT
        parameters = [
            constant(f"{name}.weight", np.round(weight / scale).astype(np.int8)),
            constant(f"{name}.scale", scale.astype(np.float32)),
            "",  # no zero point: symmetric
            constant(f"{name}.bias", weights(f"{name}.bias")),
        ]
        outs = [
            node("DynamicQuantizeMatMul", [x, *parameters], f"{name}.out{i}", FUSED)
            for i, x in enumerate(xs)
        ]
        return outs[0] if len(outs) == 1 else node("Concat", outs, f"{name}.out", axis=1)

    def norm(name: str) -> list[str]:
        return [constant(f"{name}.{p}", weights(f"{name}.{p}")) for p in ("weight", "bias")]

    def add_and_norm(x: str, y: str, name: str) -> str:
        inputs = [x, y, *norm(name)]
        return node("SkipLayerNormalization", inputs, f"{name}.out", FUSED, epsilon=EPSILON)

    words = constant("words", weights("embeddings.word_embeddings.weight").astype(np.float16))
    places = constant(
        "places",
        weights("embeddings.position_embeddings.weight")
        + weights("embeddings.token_type_embeddings.weight")[0],
    )
    zero, one = constant("zero", np.array([0])), constant("one", np.array([1]))
    length = node("Shape", ["ids"], "length", start=1, end=2)
    word = node("Cast", [node("Gather", [words, "ids"], "word16")], "word", to=TensorProto.FLOAT)
    place = node("Slice", [places, zero, length, zero], "place")
    first = "embeddings.LayerNorm"
    x = node(
        "LayerNormalization",
        [node("Add", [word, place], "placed"), *norm(first)],
        f"{first}.out",
        epsilon=EPSILON,
    )
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        heads = [linear(f"{at}.attention.self.{part}", x) for part in ("query", "key", "value")]
        attended = node("MultiHeadAttention", heads, f"{at}.heads", FUSED, num_heads=HEADS)
        out = linear(f"{at}.attention.output.dense", attended)
        x = add_and_norm(out, x, f"{at}.attention.output.LayerNorm")
        inner = node("Gelu", [linear(f"{at}.intermediate.dense", x)], f"{at}.gelu", FUSED)
        # [CLS] has values here that are ten times those of all other tokens and would take their
        # precision: with a scale of its own the mean cosine with fp32 rises from .991 to .994.
        first_token = node("Slice", [inner, zero, one, one], f"{at}.first")
        others = node("Slice", [inner, one, length, one], f"{at}.others")
        out = linear(f"{at}.output.dense", first_token, others)
        x = add_and_norm(out, x, f"{at}.output.LayerNorm")
    node("ReduceMean", [x], "vector", axes=[1], keepdims=0)

    graph = helper.make_graph(
        nodes,
        "minilm",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "tokens"])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, WIDTH])],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
