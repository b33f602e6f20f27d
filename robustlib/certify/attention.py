"""Rules of products of matrices that both depend on the input, as attention makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .builder import Call, Unbounded
from .moves import moved, numbers
from .norms import shares
from .operations import Linear

Side = tuple[int, Tensor, Tensor]
"""A node, the tensor that it is, and the numbers of that tensor's values as lines (..., lines, k)."""


def _side(call: Call, value: Tensor) -> Side:
    place = call.place_of(value)
    if place is None:
        raise Unbounded("multiplies by matrices that do not depend on the input; use Linear")
    return place, value, numbers(value)


def _turned(side: Side) -> Side:
    place, value, found = side
    return place, value, found.transpose(-1, -2)


def _products(call: Call, one: Side, other: Side) -> int:
    """(..., n, m) sums over k of the products of lines (..., n, k) and (..., m, k): every product, then their sums."""
    builder = call.builder
    (first, left, a), (second, right, b) = one, other
    whole = (*a.shape[:-1], *b.shape[-2:])
    pairs = builder.product(
        moved(call, first, a[..., :, None, :].expand(whole), left),
        moved(call, second, b[..., None, :, :].expand(whole), right),
        left,
    )
    ones = Linear(left.new_ones(1, whole[-1]), None)
    found = builder.note(ones, (pairs,), (*builder.nodes[pairs].shape[:-1], 1))
    return builder.reshape(found, builder.example(whole[:-1]))


def bmm(call: Call) -> int:
    """Matrices (n, k) times matrices (k, m)."""
    a = call.arguments
    return _products(call, _side(call, a["self"]), _turned(_side(call, a["mat2"])))


def attention(call: Call) -> list[int | None]:
    """softmax(q k' scale) v."""
    a, builder, like = call.arguments, call.builder, call.output[0]
    if a["dropout_p"] or a["is_causal"] or a["attn_mask"] is not None:
        raise Unbounded("has a mask or drops out")
    query, key, value = (_side(call, a[name]) for name in ("query", "key", "value"))
    scale = like.shape[-1] ** -0.5 if a["scale"] is None else a["scale"]
    scores = builder.scale(_products(call, query, key), scale, 0.0, like)
    scores_as = torch.empty((*like.shape[:-1], a["key"].shape[-2]), dtype=like.dtype, device=like.device)
    weights = shares(builder, scores, scores_as.shape[-1], like), scores_as, numbers(scores_as)
    return [_products(call, weights, _turned(value)), None]


PRODUCTS: dict[str, Callable[[Call], Any]] = {"bmm": bmm, "_scaled_dot_product_flash_attention_for_cpu": attention}
"""Rules by the name of the operator, as in :data:`robustlib.certify.rules.RULES`."""
