"""Attention in bf16 on CPUs: torch's fused kernel forwards, its gradients a few sequences at a time.

The fused kernel is the quickest way forwards and keeps no map; its own way back takes several times that of plain
attention on CPUs, so there the maps are made again, part by part, in the processor's caches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from ..losses.attention import attention_map, gradients_through_map
from ..losses.by_parts import rows_at_once


def attend(
    query_BHTd: Tensor, key_BHTd: Tensor, value_BHTd: Tensor, mask_B1TT: Tensor | None, scale: float | None
) -> Tensor:
    """Give values BHTd mixed by attention without dropout; ``mask_B1TT`` is True where a query may look.

    ``scale`` of the products is by default one over the root of d. Can be differentiated once.
    """
    if mask_B1TT is not None:
        mask_B1TT = mask_B1TT.expand(len(query_BHTd), -1, -1, -1)
    mixed_BHTd: Tensor = _Attention.apply(query_BHTd, key_BHTd, value_BHTd, mask_B1TT, scale)
    return mixed_BHTd


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        query_BHTd: Tensor,
        key_BHTd: Tensor,
        value_BHTd: Tensor,
        mask_B1TT: Tensor | None,
        scale: float | None,
    ) -> Tensor:
        ctx.save_for_backward(query_BHTd, key_BHTd, value_BHTd, mask_B1TT)
        ctx.scale = scale
        return scaled_dot_product_attention(query_BHTd, key_BHTd, value_BHTd, mask_B1TT, scale=scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BHTd: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        query, key, value, mask = ctx.saved_tensors
        found = tuple(torch.empty_like(vectors) for vectors in (query, key, value))
        rows = rows_at_once(query.device, query.shape[1] * query.shape[2] ** 2)
        for part in (slice(start, start + rows) for start in range(0, len(query), rows)):
            allowed = None if mask is None else mask[part]
            map_BHTT = attention_map(query[part], key[part], allowed, ctx.scale, query.dtype)
            of_map_BHTT = torch.matmul(gradient_BHTd[part], value[part].transpose(2, 3))
            of_vectors = gradients_through_map(map_BHTT, of_map_BHTT, query[part], key[part], ctx.scale)
            of_values = torch.matmul(map_BHTT.transpose(2, 3), gradient_BHTd[part])
            for whole, gradient in zip(found, (*of_vectors, of_values), strict=True):
                whole[part] = gradient
        return *found, None, None
