"""Weights of 8 bits: every matrix and every embedding of an ONNX graph, a quarter of the bytes."""

from __future__ import annotations

from pathlib import Path

from .graph import silenced

QUANTISED = ("MatMul", "Gemm", "Gather")
"""The operators whose constant operands become int8; Gather is the look-up of embeddings, most of a small student."""


def quantise(file: Path, out: Path) -> None:
    """Write ``file`` with weights of 8 bits to ``out`` (onnxruntime's dynamic quantisation).

    A matrix has one scale per output, so that a large weight costs its own column its precision and no other. What a
    matrix is multiplied with is rounded when it is known, by its own range; everything else stays in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model, operators = onnx.load(file), list(QUANTISED)
    # Shapes inferred at export, which are wrong as soon as a head's Gemm is turned into a product with its transpose.
    model.graph.ClearField("value_info")
    with silenced():
        quantize_dynamic(model, out, op_types_to_quantize=operators, weight_type=QuantType.QInt8, per_channel=True)
