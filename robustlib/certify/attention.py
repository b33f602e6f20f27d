"""Rules of each line with each: products of stacks of matrices, as in attention, and distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .builder import Call, Unbounded
from .moves import moved, numbers
from .norms import shares
from .operations import Conv, Linear
from .rows import Kernel, Shape

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
    )
    ones = Linear(left.new_ones(1, whole[-1]), None)
    found = builder.note(ones, (pairs,), (*builder.nodes[pairs].shape[:-1], 1))
    return builder.reshape(found, builder.example(whole[:-1]))


def distances(call: Call) -> int:
    """(..., n, m) l_1 or l_2 distances of lines (..., n, k) from lines (..., m, k), either of which may be constant."""
    a, builder, like = call.arguments, call.builder, call.output
    one, other, order = a["x1"], a["x2"], call.get("p")
    rest = torch.broadcast_shapes(one.shape[:-2], other.shape[:-2])
    whole = (*rest, one.shape[-2], *other.shape[-2:])

    def laid(value: Tensor, axis: int) -> int | Tensor:
        place = call.place_of(value)
        if place is None:
            return call.constant(value.unsqueeze(axis).expand(whole), whole)
        return moved(call, place, numbers(value).unsqueeze(axis).expand(whole), value)

    left, right = laid(one, -2), laid(other, -3)
    if isinstance(left, int) and isinstance(right, int):
        apart = builder.sum(left, builder.scale(right, -1.0, 0.0, like))
    else:
        # Either end of a distance may come first.
        place, constant = (left, right) if isinstance(left, int) else (right, left)
        assert isinstance(place, int)
        assert isinstance(constant, Tensor)
        apart = builder.scale(place, torch.ones_like(constant), -constant, like)
    if order not in (1, 2, None):
        raise Unbounded(f"is another distance than l_1 and l_2: {order}")
    terms = builder.leak(apart, -1.0, like) if order == 1 else builder.curve(apart, "square")
    total = Linear(like.new_ones(1, whole[-1]), None)
    found = builder.note(total, (terms,), (*builder.nodes[terms].shape[:-1], 1))
    return builder.reshape(found if order == 1 else builder.curve(found, "sqrt"), builder.example(like.shape))


def _by_constants(call: Call, side: Side, constant: Tensor) -> int:
    """Lines (..., n, k) times constant matrices (..., k, m), which may differ within an example."""
    builder = call.builder
    place, value, found = side
    rows, shape = builder.rows, (*builder.example(constant.shape[:1]), *constant.shape[1:])
    same = constant.view(rows, -1, *constant.shape[1:])
    if not bool((same == same[:1]).all()):
        raise Unbounded("multiplies by matrices that differ from row to row of a batch")
    heads, k, m = shape
    if bool((same == same[:1, :1]).all()):
        lines = moved(call, place, found, value)
        return builder.note(Linear(constant[0].t(), None), (lines,), (*builder.nodes[lines].shape[:-1], m))
    # A matrix for each part of an example: a convolution of one cell that keeps the parts apart.
    map_of = moved(call, place, found.transpose(1, 2).reshape(rows, heads * k, -1, 1), value)
    kernel = Kernel(same[0].transpose(1, 2).reshape(heads * m, k, 1, 1), groups=heads)
    n = builder.nodes[map_of].shape[1]
    made = builder.note(Conv(kernel, None), (map_of,), (heads * m, n, 1))
    laid = torch.empty((rows, heads, m, n), dtype=value.dtype, device=value.device)
    return moved(call, made, numbers(laid).transpose(2, 3), laid)


def _back(call: Call, place: int, *, turned: bool) -> int:
    """The result (..., n, m) of matrices; or of (..., m, n), turned."""
    like = call.output
    if turned:
        now = torch.empty_like(like.transpose(1, 2))
        return moved(call, place, numbers(now).transpose(1, 2), like)
    return call.builder.reshape(place, call.builder.example(like.shape))


def bmm(call: Call) -> int:
    """Matrices (n, k) times matrices (k, m), of which the ones or the others may be constant."""
    one, other = call.arguments["self"], call.arguments["mat2"]
    if call.place_of(one) is None:
        return _back(call, _by_constants(call, _turned(_side(call, other)), one.transpose(1, 2)), turned=True)
    if call.place_of(other) is None:
        return _back(call, _by_constants(call, _side(call, one), other), turned=False)
    return _products(call, _side(call, one), _turned(_side(call, other)))


def _mask(call: Call, shape: Shape) -> tuple[Tensor, Tensor] | None:
    """(what is added to the scores, 1 where a query looks and 0 where it does not), as one example has them."""
    mask = call.get("attn_mask", "attn_bias")
    if call.arguments["is_causal"]:
        none = call.first.new_full(tuple(shape[-2:]), -torch.inf).triu(1)
        mask = none if mask is None else mask + none
    if mask is None:
        return None
    seen = (mask != -torch.inf).expand(shape)
    return call.constant(torch.where(seen, mask, 0.0), shape), call.constant(seen.to(mask.dtype), shape)


def attention(call: Call) -> list[int | None]:
    """softmax(q k' scale) v."""
    a, builder, like = call.arguments, call.builder, call.output[0]
    if a["dropout_p"]:
        raise Unbounded("drops out")
    query, key, value = (_side(call, a[name]) for name in ("query", "key", "value"))
    scale = like.shape[-1] ** -0.5 if a["scale"] is None else a["scale"]
    scores = builder.scale(_products(call, query, key), scale, 0.0, like)
    scores_as = torch.empty((*like.shape[:-1], a["key"].shape[-2]), dtype=like.dtype, device=like.device)
    seen = None
    if (mask := _mask(call, scores_as.shape)) is not None:
        more, seen = (part.expand(builder.nodes[scores].shape) for part in mask)
        scores = builder.scale(scores, torch.ones_like(more), more, like)
    weights = shares(builder, scores, scores_as.shape[-1], like, seen), scores_as, numbers(scores_as)
    return [_products(call, weights, _turned(value)), None]


FUSED = ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention")
PRODUCTS: dict[str, Callable[[Call], Any]] = {
    "bmm": bmm,
    **dict.fromkeys(FUSED, attention),
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), distances),
}
"""Rules by the name of the operator, as in :data:`robustlib.certify.rules.RULES`."""
