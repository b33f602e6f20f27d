"""What is bounded is what ``model(x)`` does: models as people bring them, bounded as they run or refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from robustlib.certify import (
    Cascade,
    certify,
    decide,
    detect,
    estimate,
    estimated_margins,
    largest_certified_radius,
    margins,
    optimum,
    outer_polygon,
    uncertified,
    undermine,
)
from robustlib.certify.dual import SLOPES, carried
from robustlib.certify.trace import trace
from robustlib.errors import RobustlibError
from robustlib.threat import LinfBall

FEATURES = 6


class Model(nn.Module):
    """Two linear layers and what a function makes of them: ``body(self, x)``."""

    def __init__(self, body: Callable[[Any, Tensor], Any], *, hidden: int = FEATURES, classes: int = 3) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(FEATURES, hidden), nn.Linear(hidden, classes)
        self.register_buffer("count", torch.zeros(1))
        self.body = body
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        return self.body(self, x)


def hooked(kind: str) -> nn.Module:
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 3))
    if kind == "before":
        model.register_forward_pre_hook(lambda module, inputs: ((inputs[0] - 0.4) / 0.2,))
    elif kind == "after":
        model.register_forward_hook(lambda module, inputs, output: 3 - output)
    elif kind == "inside":
        model[1].register_forward_hook(lambda module, inputs, output: output * 2 - inputs[0])
    else:
        model[0].register_forward_pre_hook(lambda module, inputs: (inputs[0].clamp(0.3, 0.6),))
    return model


class Called(nn.Module):
    """Another ``__call__`` than PyTorch's."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 3))

    def __call__(self, x: Tensor) -> Tensor:
        return 1 - 2 * self.inner(4 * x - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def _alias(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    other = h
    h -= F.relu(x)
    return m.b(F.relu(other) + h)


def _input_in_place(m: Any, x: Tensor) -> Tensor:
    x.mul_(3).sub_(1)
    return m.b(F.relu(m.a(x)))


def _view_in_place(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    flat = h.view(-1)
    flat.relu_()
    return m.b(h)


def _column_in_place(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h[:, 0] = 0
    return m.b(F.relu(h))


def _written_into(m: Any, x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    out[:, :3] = x[:, :3]
    return m.b(F.relu(m.a(out)))


def _columns_in_place(m: Any, x: Tensor) -> Tensor:
    x = x.clone()
    for i, (mean, std) in enumerate([(0.4, 0.5), (0.3, 0.2)]):
        x[:, i] = (x[:, i] - mean) / std
    x[:, 2:4] *= 2
    return m.b(F.relu(m.a(x)))  # type: ignore[no-any-return]


def _steps_written(m: Any, x: Tensor) -> Tensor:
    out = x.new_zeros(x.shape[0], 3, FEATURES)
    state = x
    for i in range(3):
        state = torch.tanh(m.a(state))
        out[:, i] = state + 0.1 * out[:, i - 1]
    return m.b(out.sum(1) / 3)  # type: ignore[no-any-return]


def _written_twice(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    even, front = h[:, ::2], h[:, :3]
    kept = front + 1
    front.relu_()
    even.mul_(0.5)
    h[:, 4] = 1 - h[:, 0]
    h[:, 5].zero_()
    front[:, 0].fill_(0.2)
    return m.b(F.relu(h)) + even[:, :3] + kept  # type: ignore[no-any-return]


def _written_by_places(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h[:, [0, 3]] = F.relu(h[:, [4, 1]])
    h[:, torch.arange(FEATURES) == 5] = 0.25
    h = torch.slice_scatter(h, 2 * x[:, :2], 1, 2, 4)
    return m.b(_scattered(h, x)) + h.index_copy(1, torch.tensor([1]), x[:, :1])[:, :3]  # type: ignore


def _scattered(h: Tensor, x: Tensor, **options: str) -> Tensor:
    return h.scatter(1, torch.tensor([[1, 0]]).expand(x.shape[0], 2), x[:, 4:], **options)  # type: ignore


def _unset(m: Any, x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    out[:, :3] = x[:, :3]
    return m.b(out)  # type: ignore[no-any-return]


def _into_weights(m: Any, x: Tensor) -> Tensor:
    out = m.a.bias.expand(x.shape[0], FEATURES).clone()
    out[:, :3] = x[:, :3]
    return m.b(out)  # type: ignore[no-any-return]


def _added_at_places(m: Any, x: Tensor) -> Tensor:
    return m.b(m.a(x).index_put((torch.arange(x.shape[0]), torch.tensor(1)), x[:, 0], accumulate=True))  # type: ignore


def _batch_in_the_middle(m: Any, x: Tensor) -> Tensor:
    out = x.new_zeros(2, x.shape[0], FEATURES)
    out[1] = F.relu(m.a(x))
    return m.b(out.sum(0))  # type: ignore[no-any-return]


def _by_numpy(m: Any, x: Tensor) -> Tensor:
    return m.b(F.relu(m.a(x))) + torch.from_numpy(x.detach().cpu().numpy() ** 2).sum(1, keepdim=True).to(x)


def _by_list(m: Any, x: Tensor) -> Tensor:
    return m.b(F.relu(m.a(x))) * torch.tensor(x.tolist()).to(x).mean(1, keepdim=True)


def _by_data(m: Any, x: Tensor) -> Tensor:
    return m.b(F.relu(m.a(x.data * 2)) + x.data)


def _stateful(m: Any, x: Tensor) -> Tensor:
    m.calls += 1
    return m.b(F.relu(m.a(x))) * (1 if m.calls % 2 else -1)


def _counting(m: Any, x: Tensor) -> Tensor:
    m.count += 1
    return m.b(F.relu(m.a(x)))


def _attend(m: Any, x: Tensor, *, by_hand: bool = False, **options: Any) -> Tensor:
    """Three places of two values, one head."""
    query, key, value = (3 * part.view(-1, 1, 3, 2) for part in (m.a(x), x, m.a(x) + x))
    if by_hand:
        found = (query @ key.transpose(-1, -2) * 2**-0.5).softmax(-1) @ value
    else:
        found = F.scaled_dot_product_attention(query, key, value, **options)
    return m.b(found.flatten(1))  # type: ignore[no-any-return]


def _many(h: Tensor) -> Tensor:
    """Nine places of two values, whose products are far more than they are."""
    places = h.view(-1, 1, 9, 2)
    return F.scaled_dot_product_attention(places, 2 * places, places).flatten(1)


def _block(m: Any, x: Tensor) -> Tensor:
    """A transformer's block on three tokens of two values."""
    tokens = m.a(x).view(-1, 1, 3, 2)
    normed = F.layer_norm(tokens, (2,), eps=0.1)
    tokens = tokens + F.scaled_dot_product_attention(normed, 2 * normed, normed)
    return m.b((tokens + F.gelu(F.layer_norm(tokens, (2,), eps=0.1))).flatten(1))  # type: ignore[no-any-return]


_WAVES = torch.arange(36.0).sin().view(6, 6)


def _weights(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape))).add(1).mul(0.7).cos().view(shape)


def _multi_head(tokens: Tensor, *, need_weights: bool = True) -> Tensor:
    """PyTorch's own on (places, batch, 4), two heads."""
    found = F.multi_head_attention_forward(
        tokens,
        tokens,
        2 * tokens,
        4,
        2,
        _weights(12, 4),
        _weights(12),
        None,
        None,
        False,
        0.0,
        _weights(4, 4),
        _weights(4),
        training=False,
        need_weights=need_weights,
    )
    return found[0]


def _heads(m: Any, x: Tensor, **options: Any) -> Tensor:
    """Three tokens of four values."""
    tokens = torch.cat([m.a(x), x], 1).view(-1, 3, 4)
    return m.b(_multi_head(tokens.transpose(0, 1), **options).transpose(0, 1)[..., :2].flatten(1))  # type: ignore[no-any-return]


def _second(m: Any, x: Tensor, *, token: bool = False) -> Tensor:
    """A block that has its tokens (places, batch, 4) from beginning to end."""
    tokens = torch.cat([m.a(x), x], 1).view(-1, 3, 4).transpose(0, 1)
    if token:
        tokens = torch.cat([_weights(1, 1, 4).expand(-1, x.shape[0], -1), tokens[1:]])
    tokens = F.layer_norm(tokens + 0.1 * _weights(3, 1, 4), (4,), eps=0.1)
    tokens = tokens + _multi_head(tokens)
    tokens = F.gelu(tokens) * torch.stack([tokens, tokens.softmax(0)], 1).mean(1).sigmoid()
    pooled = tokens.mean(0) + tokens[0] + tokens.amax(0) + tokens.logsumexp(0)
    return m.b(torch.cat([pooled, tokens.var(0)[:, :2]], 1))  # type: ignore[no-any-return]


def _columns(m: Any, x: Tensor) -> Tensor:
    """Arithmetic on what has its examples along the last axis."""
    turned = m.a(x).t()
    turned = (2 - turned / 3).clamp(max=2.1) * torch.arange(6.0)[:, None]
    return m.b(F.relu(turned.sub(0.3)).t() + x)  # type: ignore[no-any-return]


def _turned_in_place(m: Any, x: Tensor) -> Tensor:
    tokens = m.a(x).view(-1, 3, 2) + x.view(-1, 3, 2)
    softer = tokens.softmax(1).flatten(1)
    tokens.transpose_(1, 2).unsqueeze_(1)
    return m.b(F.relu(tokens.squeeze_(1).flatten(1)) + softer)  # type: ignore[no-any-return]


def _channels_last(m: Any, x: Tensor) -> Tensor:
    maps = m.a(x).view(-1, 3, 2, 1).to(memory_format=torch.channels_last)
    return m.b(torch.cat([F.adaptive_avg_pool2d(F.relu(maps), 1).flatten(1), x[:, 3:]], 1))  # type: ignore[no-any-return]


def _part_in_place(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    one, other = h[:, :3], h[:, 3:]
    one.relu_()
    return m.b(torch.cat([one, other], 1))  # type: ignore[no-any-return]


class _Recurrent(nn.Module):
    """PyTorch's own recurrent layer over three steps of two values."""

    def __init__(self, kind: str, *, batch_first: bool = False, **options: Any) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(2, 3, batch_first=batch_first, **options)
        self.last = nn.LazyLinear(3)
        self.batch_first = batch_first
        with torch.no_grad():
            self(torch.zeros(1, FEATURES))

    def forward(self, x: Tensor) -> Any:
        steps = x.view(-1, 3, 2)
        if self.batch_first:
            return self.last(self.layer(steps)[0][:, -1])
        return self.last(self.layer(steps.transpose(0, 1))[0][-1])


class _Encoder(nn.Module):
    """PyTorch's own encoder, two layers on three tokens."""

    def __init__(self, *, batch_first: bool = False, norm_first: bool = False) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            4, 2, 8, batch_first=batch_first, norm_first=norm_first, layer_norm_eps=0.1, activation=F.gelu
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 3)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Any:
        tokens = self.first(x.view(-1, 3, 2))
        if self.batch_first:
            return self.last(self.encoder(tokens).mean(1))
        return self.last(self.encoder(tokens.transpose(0, 1))[0])


def of(body: Callable[[Any, Tensor], Any], **sizes: int) -> Callable[[], nn.Module]:
    return lambda: Model(body, **sizes)


def _sequential(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


def _normed() -> nn.Module:
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(FEATURES, 8)), nn.ReLU(), parametrizations.spectral_norm(nn.Linear(8, 3))
    )


BOUNDED: dict[str, Callable[[], nn.Module]] = {
    "plain": of(lambda m, x: m.b(F.relu(m.a(x)))),
    "relu in place, its result dropped": of(lambda m, x: (h := m.a(x), h.relu_(), m.b(h))[-1]),
    "module in place": _sequential(nn.Linear(FEATURES, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)),
    "an alias changed in place": of(_alias),
    "the input changed in place": of(_input_in_place),
    "a view changed in place": of(_view_in_place),
    "a column changed in place": of(_column_in_place),
    "written into zeros": of(_written_into),
    "columns normalised in place": of(_columns_in_place),
    "steps written one by one": of(_steps_written),
    "written twice": of(_written_twice),
    "written by places": of(_written_by_places),
    "circular padding": of(lambda m, x: m.b(F.relu(m.a(F.pad(x[:, None, :4], (1, 1), mode="circular")[:, 0])))),
    "clamp in place": of(lambda m, x: m.b(m.a(x).clamp_(-0.2, 0.3))),
    "data of a tensor": of(_by_data),
    "hook before": lambda: hooked("before"),
    "hook after": lambda: hooked("after"),
    "hook inside": lambda: hooked("inside"),
    "hook before a layer": lambda: hooked("layer"),
    "own call": Called,
    "parametrised weights": _normed,
    "twice": of(lambda m, x: (h := F.relu(m.a(x)), m.b(h + h))[-1]),
    "three times": of(lambda m, x: (h := F.relu(m.a(x)), m.b(torch.add(h, h, alpha=2)))[-1]),
    "minus itself": of(lambda m, x: (h := F.relu(m.a(x)), m.b(h - h) + m.b(h))[-1]),
    "branches by subtraction": of(lambda m, x: m.b(F.relu(m.a(x)) - x)),
    "alpha": of(lambda m, x: m.b(torch.sub(F.relu(m.a(x)), x, alpha=0.5))),
    "a constant minus it": of(lambda m, x: m.b(1 - F.relu(m.a(x)))),
    "greater of it and constants": of(lambda m, x: m.b(torch.maximum(m.a(x), torch.linspace(-0.3, 0.3, FEATURES)))),
    "lesser of it and a number": of(lambda m, x: m.b(m.a(x).clamp(max=0.1))),
    "smooth": _sequential(nn.Linear(FEATURES, 8), nn.GELU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)),
    "a clipped line": _sequential(nn.Linear(FEATURES, 8), nn.Hardsigmoid(), nn.Linear(8, 3)),
    "prelu": _sequential(nn.Linear(FEATURES, 8), nn.PReLU(8), nn.Linear(8, 3)),
    "a checkpoint": of(lambda m, x: m.b(checkpoint(lambda v: F.relu(m.a(v)), x, use_reentrant=False))),
    "unused branch without a bound": of(lambda m, x: (z := m.b(F.relu(m.a(x))), z.softmax(1), z)[-1]),
    "constants of the batch's size": of(lambda m, x: m.b(F.relu(m.a(x)) + torch.ones(x.shape[0], 1))),
    "own autograd": of(lambda m, x: m.b(F.relu(m.a(x).detach()))),
    "halves exchanged": of(lambda m, x: m.b(torch.cat(F.relu(m.a(x)).chunk(2, 1)[::-1], 1))),
    "taken apart and put together": of(lambda m, x: m.b(torch.stack(F.relu(m.a(x)).unbind(1)[::-1], 1))),
    "beside constants": of(lambda m, x: m.b(torch.cat([F.relu(m.a(x))[:, 2:], torch.ones(x.shape[0], 2)], 1))),
    "places listed, one twice": of(lambda m, x: m.b(F.relu(m.a(x))[:, [5, 0, 0, 3, 1, 2]])),
    "zeros around": of(lambda m, x: m.b(F.relu(m.a(F.pad(x[:, 1:5], (2, 0)))))),
    "a constant around": of(lambda m, x: m.b(F.relu(m.a(F.pad(x[:, 1:5], (1, 1), value=0.3))))),
    "some places filled": of(lambda m, x: m.b(F.relu(m.a(x).masked_fill(torch.arange(FEATURES) > 3, -0.2)))),
    "one of two, by place": of(lambda m, x: m.b(torch.where(torch.arange(FEATURES) > 3, F.relu(m.a(x)), x))),
    "a constant by place": of(lambda m, x: m.b(torch.where(torch.arange(FEATURES) > 3, 0.4, F.relu(m.a(x))))),
    "without its mean": of(lambda m, x: m.b(F.relu(m.a(x - x.mean(1, keepdim=True))))),
    "plus its sum": of(lambda m, x: m.b(F.relu(m.a(x + 0.1 * x.sum(1, keepdim=True))))),
    "sums of pairs": of(lambda m, x: m.b(F.relu(m.a(x)).view(-1, 3, 2).sum(2).repeat(1, 2))),
    "a product": of(lambda m, x: m.b(m.a(x) * x)),
    "a square": of(lambda m, x: m.b((h := m.a(x)) * h + m.a(x) ** 2 + torch.square(x) + x**1)),
    "a gate for all": of(lambda m, x: m.b(m.a(x) * x.mean(1, keepdim=True).sigmoid())),
    "a quotient": of(lambda m, x: m.b(1 / (2 + F.relu(m.a(x))))),
    "a quotient of two": of(lambda m, x: m.b(x / (2 + F.relu(m.a(x))) + m.a(x) / 3)),
    "softmax": of(lambda m, x: m.b(m.a(x)).softmax(1)),
    "softmax over an axis in front": of(lambda m, x: m.b(m.a(x).view(-1, 2, 3).softmax(1).flatten(1))),
    "log softmax": of(lambda m, x: m.b(F.relu(m.a(x))).log_softmax(1)),
    "own softmax": of(lambda m, x: m.b((e := m.a(x).exp()) / e.sum(1, keepdim=True))),
    "logarithm and roots": of(lambda m, x: m.b((1 + x).log() + (0.5 + x).sqrt() + (0.5 + x).rsqrt() * m.a(x))),
    "layer norm": _sequential(nn.Linear(FEATURES, 8), nn.LayerNorm(8), nn.Linear(8, 3)),
    "layer norm of pairs": of(lambda m, x: m.b(F.layer_norm(m.a(x).view(-1, 3, 2), (2,), eps=0.1).flatten(1))),
    "group norm": _sequential(nn.Linear(FEATURES, 8), nn.GroupNorm(2, 8, affine=False), nn.Linear(8, 3)),
    "group norm of maps": of(
        lambda m, x: m.b(F.group_norm(m.a(x).view(-1, 2, 3), 2, torch.tensor([0.5, -2.0])).flatten(1))
    ),
    "layer norm of lines that are almost constant": of(
        lambda m, x: m.b(F.layer_norm(3e-3 * m.a(x), (FEATURES,)) + m.a(x))
    ),
    "root mean square": of(lambda m, x: m.b(F.rms_norm(m.a(x), (FEATURES,), eps=0.1))),
    "mish and softplus": _sequential(
        nn.Linear(FEATURES, 8), nn.Mish(), nn.Linear(8, 8), nn.Softplus(3), nn.Linear(8, 3)
    ),
    "selu and celu": _sequential(nn.Linear(FEATURES, 8), nn.SELU(), nn.Linear(8, 8), nn.CELU(0.4), nn.Linear(8, 3)),
    "elu with a corner": _sequential(nn.Linear(FEATURES, 8), nn.ELU(0.3), nn.Linear(8, 3)),
    "hardswish": _sequential(nn.Linear(FEATURES, 8), nn.Hardswish(), nn.Linear(8, 3)),
    "gated": _sequential(nn.Linear(FEATURES, 8), nn.GLU(1), nn.Linear(4, 3)),
    "log sigmoid and soft sign": _sequential(
        nn.Linear(FEATURES, 8), nn.LogSigmoid(), nn.Linear(8, 8), nn.Softsign(), nn.Linear(8, 3)
    ),
    "error function": of(lambda m, x: m.b(0.5 * (h := m.a(x)) * (1 + torch.erf(h / 2**0.5)) + torch.atan(x))),
    "attention by hand": of(lambda m, x: _attend(m, x, by_hand=True)),
    "attention": of(lambda m, x: _attend(m, x)),
    "attention of many": of(lambda m, x: m.b(_many(m.a(x))), hidden=18),
    "softmax of one": of(lambda m, x: m.b(m.a(x) * m.a(x)[:, :, None].softmax(2)[..., 0])),
    "attention that looks back": of(lambda m, x: _attend(m, x, is_causal=True)),
    "attention with a mask": of(lambda m, x: _attend(m, x, attn_mask=torch.arange(9.0).view(3, 3).cos())),
    "attention to some": of(lambda m, x: _attend(m, x, attn_mask=torch.arange(9).view(3, 3) % 4 < 2)),
    "multi-head attention": of(lambda m, x: _heads(m, x)),
    "multi-head attention without weights": of(lambda m, x: _heads(m, x, need_weights=False)),
    "the batch second": of(lambda m, x: _second(m, x)),
    "a token beside, the batch second": of(lambda m, x: _second(m, x, token=True)),
    "an encoder": lambda: _Encoder(batch_first=True),
    "an encoder, the batch second": lambda: _Encoder(norm_first=True),
    "einsum": of(lambda m, x: m.b(torch.einsum("nld,de->nle", m.a(x).view(-1, 3, 2), _WAVES[:2, :2]).flatten(1))),
    "einsum by place": of(
        lambda m, x: m.b(torch.einsum("nld,lde->nle", m.a(x).view(-1, 3, 2), _WAVES[:6, :2].view(3, 2, 2)).flatten(1))
    ),
    "einsum from the left": of(
        lambda m, x: m.b(torch.einsum("ij,njd->nid", _WAVES[:3, :3], m.a(x).view(-1, 3, 2)).flatten(1))
    ),
    "a matrix from the right": of(lambda m, x: m.b((m.a(x).view(-1, 3, 2) @ _WAVES[:2, :2]).flatten(1))),
    "a matrix from the left": of(lambda m, x: m.b((_WAVES[:3, :3] @ m.a(x).view(-1, 3, 2)).flatten(1))),
    "a matrix for each head": of(
        lambda m, x: m.b((m.a(x).view(-1, 3, 1, 2) @ _WAVES[:6, :2].view(3, 2, 2)).flatten(1))
    ),
    "a matrix for each head from the left": of(
        lambda m, x: m.b((_WAVES[:4, :6].reshape(2, 3, 4)[..., :3] @ m.a(x).view(-1, 2, 3, 1)).flatten(1))
    ),
    "instance norm": _sequential(
        nn.Linear(FEATURES, 8),
        nn.Unflatten(1, (2, 4)),
        nn.InstanceNorm1d(2, eps=0.1, affine=True),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
    "maximum over an axis": of(lambda m, x: m.b(F.relu(m.a(x) - x.max(1, keepdim=True)[0]))),
    "greatest and least": of(
        lambda m, x: m.b(m.a(x) * 0.1 + x.amax(1, keepdim=True) - x.view(-1, 2, 3).amin((1, 2))[:, None])
    ),
    "std_mean": of(lambda m, x: m.b(F.relu((x - torch.std_mean(x, 1, keepdim=True)[1]) / 2))),
    "standard scores": of(lambda m, x: m.b((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 0.1))),
    "variance": of(lambda m, x: m.b(F.relu(m.a(x) / (0.2 + x.var(1, keepdim=True))))),
    "norm": of(lambda m, x: m.b(F.normalize(1 + m.a(x)) + F.normalize(x, p=1))),
    "cosines": of(lambda m, x: m.b(F.cosine_similarity((1 + m.a(x))[:, None], _WAVES, dim=-1))),
    "log of a sum": of(lambda m, x: m.b(m.a(x) - torch.logsumexp(m.a(x), 1, keepdim=True))),
    "shrinking": _sequential(nn.Linear(FEATURES, 8), nn.Softshrink(0.1), nn.Tanhshrink(), nn.Linear(8, 3)),
    "powers": of(lambda m, x: m.b(m.a(x) ** 3 + x**5 + (1 + x) ** 1.3 + (1 + x) ** -2 + x**0 + (1 + x) ** 0.5)),
    "local response norm": of(lambda m, x: m.b(F.local_response_norm(m.a(x).view(-1, 3, 2), 3).flatten(1))),
    "columns": of(lambda m, x: _columns(m, x)),
    "recurrent": lambda: _Recurrent("RNN", batch_first=True),
    "recurrent, the batch second": lambda: _Recurrent("RNN", nonlinearity="relu", num_layers=2),
    "lstm": lambda: _Recurrent("LSTM", batch_first=True),
    "lstm both ways": lambda: _Recurrent("LSTM", bidirectional=True),
    "gru": lambda: _Recurrent("GRU"),
    "gru without gradients": lambda: _Recurrent("GRU", batch_first=True).requires_grad_(False),
    "lstm without gradients": lambda: _Recurrent("LSTM").requires_grad_(False),
    "a view in its place": of(_turned_in_place),
    "channels last": of(_channels_last),
    "one part changed in place": of(_part_in_place),
    "a constant written to": of(
        lambda m, x: (h := torch.ones(x.shape[0], FEATURES), h.mul_(m.a(x)), m.b(h.relu_()))[-1]
    ),
    "a transformer's block": of(_block),
    "same type again": of(lambda m, x: m.b(F.relu(m.a(x)).float().to(x.dtype))),
}


def _by_function(m: Any, x: Tensor) -> Tensor:
    return m.b(m.a(x).detach().apply_(lambda value: 2 * value if value > 3 else value))  # type: ignore[no-any-return]


def _by_data(m: Any, x: Tensor) -> Tensor:
    z = m.a(x)
    z.data = torch.relu(z.detach())
    return m.b(z)  # type: ignore[no-any-return]


def _by_error(m: Any, x: Tensor) -> Tensor:
    try:
        torch.linalg.cholesky(-x[:, :1, None])
    except RuntimeError:
        return m.b(m.a(x))  # type: ignore[no-any-return]
    return m.b(x)  # type: ignore[no-any-return]


def _by_shape(m: Any, x: Tensor) -> Tensor:
    try:
        return x @ torch.zeros(99, 3)
    except RuntimeError:
        return m.b(m.a(x))  # type: ignore[no-any-return]


def _by_exchange(m: Any, x: Tensor) -> Tensor:
    z, other = m.a(x), torch.zeros(len(x.shape), 2)
    torch.utils.swap_tensors(z, other)
    return m.b(m.a(x))  # type: ignore[no-any-return]


def _by_array(m: Any, x: Tensor) -> Tensor:
    held = np.zeros(tuple(x.shape), np.float32)
    torch.from_numpy(held).copy_(torch.relu(m.a(x).detach()))
    return m.b(m.a(x) + torch.as_tensor(held.tolist()))  # type: ignore[no-any-return]


NOWHERE = ("standard scores",)
"""Models with roots or quotients whose arguments may be zero in a large ball."""
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "memory as it was found": (of(_unset), "two calls of the model|not finite"),
    "a constant with gradients, written to": (of(_into_weights), "changed in part"),
    "added at places": (of(_added_at_places), "adds to what is there"),
    "added at places listed": (of(lambda m, x: m.b(_scattered(m.a(x), x, reduce="add"))), "adds to what is there"),
    "the batch in the middle": (of(_batch_in_the_middle), "mixes the examples"),
    "numpy": (of(_by_numpy), "numpy takes values of the input out of PyTorch"),
    "a list": (of(_by_list), "tolist takes values of the input out of PyTorch"),
    "item": (of(lambda m, x: m.b(m.a(x)) * x.sum().item()), "branch on no values"),
    "a branch": (of(lambda m, x: m.b(m.a(x)) if bool((x > 0).all()) else m.b(x)), "branch on no values"),
    "the places of some values": (of(lambda m, x: m.b(m.a(x)) + (x > 0.97).nonzero().shape[0]), "branch on no"),
    "how many values": (of(lambda m, x: m.b(m.a(x)) + x[x > 0.97].shape[0]), "branch on no values"),
    "how many differ": (of(lambda m, x: m.b(m.a(x)) + x.unique().shape[0]), "branch on no values"),
    "repeats by value": (
        of(lambda m, x: m.b(m.a(x)) + x[:, 0].repeat_interleave((x[:, 0] > 0.9) + 0).shape[0]),
        "on no",
    ),
    "a function in Python": (of(_by_function), "apply_ changes values"),
    "other data": (of(_by_data), "an assignment to .data changes values"),
    "as text": (of(lambda m, x: m.b(m.a(x)) + len(str(x))), "takes values of the input out of PyTorch"),
    "an error at some values": (of(_by_error), "fails at some values of the input"),
    "an error that is caught": (of(_by_shape), "an error that the model catches"),
    "exchanged tensors": (of(_by_exchange), "exchanged under its name"),
    "NumPy's random numbers": (of(lambda m, x: m.b(m.a(x)) + (np.random.rand() < 1e-9)), "draws random numbers"),
    "an array's memory": (of(_by_array), "memory that is not PyTorch's"),
    "filled by value": (of(lambda m, x: m.b(m.a(x).masked_fill(x > 0.5, 0.0))), "masked_fill|gt"),
    "filled with a value": (of(lambda m, x: m.b(m.a(x).masked_fill(torch.arange(FEATURES) > 3, x[0, 0]))), r"\w"),
    "places by value": (of(lambda m, x: m.b(m.a(x).gather(1, x.argsort(1)))), "gather|argsort|sort"),
    "one example for all": (of(lambda m, x: m.b(F.relu(m.a(x[:1]))).expand(x.shape[0], -1)), "slice"),
    "minimum over all": (of(lambda m, x: m.b(F.relu(m.a(x) - x.amin()))), "amin"),
    "the places of maxima": (of(lambda m, x: m.b(F.relu(m.a(x) + x.max(1, keepdim=True)[1]))), "max"),
    "a variance of one value": (
        of(lambda m, x: m.b(m.a(x)) + x[:, :1].var(1, keepdim=True)),
        "divides by 0, of 1 values",
    ),
    "another norm": (of(lambda m, x: m.b(m.a(x) / x.norm(p=3, dim=1, keepdim=True))), "another norm"),
    "batch norm of the batch": (lambda: nn.Sequential(nn.BatchNorm1d(FEATURES, track_running_stats=False)), "running"),
    "sort": (of(lambda m, x: m.b(F.relu(m.a(x.sort(1)[0])))), "sort"),
    "topk": (of(lambda m, x: m.b(F.relu(m.a(x))) + x.topk(3, 1).values), "topk"),
    "argmax": (of(lambda m, x: m.b(F.relu(m.a(x))) + F.one_hot(x[:, :3].argmax(1), 3)), "branch on no values"),
    "softmax over the batch": (of(lambda m, x: m.b(m.a(x)).softmax(0)), "mixes the examples"),
    "softplus with a jump": (_sequential(nn.Linear(FEATURES, 3), nn.Softplus(threshold=1)), "jumps at threshold=1"),
    "hard shrinking": (_sequential(nn.Linear(FEATURES, 3), nn.Hardshrink()), r"1 \(Hardshrink\)"),
    "cumprod": (of(lambda m, x: m.b(F.relu(m.a(x)).cumprod(1))), "cumprod"),
    "floor division": (of(lambda m, x: m.b(torch.div(m.a(x), 0.1, rounding_mode="floor"))), "rounds"),
    "rounding": (of(lambda m, x: m.b(m.a(x).round())), "round"),
    "sign": (of(lambda m, x: m.b(m.a(x).sign())), "sign"),
    "where": (of(lambda m, x: m.b(torch.where(x > 0.5, m.a(x), x))), "where|gt"),
    "mean of the batch": (of(lambda m, x: m.b(F.relu(m.a(x) - x.mean(0)))), "mean"),
    "mean of all": (of(lambda m, x: m.b(F.relu(m.a(x) - x.mean()))), "mean"),
    "neighbours in the batch": (of(lambda m, x: m.b(F.relu(m.a(x.roll(1, 0))))), "roll"),
    "a neighbour in the batch beside it": (of(lambda m, x: m.b(x + F.relu(m.a(x.roll(1, 0))))), "mixes the examples"),
    "values of the batch in a line": (of(lambda m, x: m.b((x.t().softmax(1)).t())), "mixes the examples"),
    "the batch along a map": (
        of(lambda m, x: m.b(F.conv1d(x.t()[:, None], torch.ones(1, 1, 3), padding=1)[:, 0].t())),
        "another axis",
    ),
    "matrices for each example": (
        of(lambda m, x: m.b((x[:, None] @ torch.arange(x.shape[0] * 36.0).view(-1, 6, 6))[:, 0])),
        "from row to row",
    ),
    "a turned batch": (of(lambda m, x: m.b(F.relu(m.a(x.flip(0))))), "flip"),
    "functional dropout": (of(lambda m, x: m.b(F.dropout(m.a(x), 0.3))), "random"),
    "noise": (of(lambda m, x: m.b(m.a(x) + 0.1 * torch.randn_like(x))), "random"),
    "seeded noise": (of(lambda m, x: (torch.manual_seed(0), m.b(m.a(x) + torch.rand(FEATURES)))[-1]), "random"),
    "noise from elsewhere": (of(lambda m, x: m.b(m.a(x)) + 0.1 * next(DRAWS)), "two calls of the model"),
    "every other call": (of(_stateful), "two calls of the model"),
    "a counting buffer": (of(_counting), "changes its buffer count"),
    "another type": (of(lambda m, x: m.b(m.a(x.half().float()))), "float16"),
    "lower precision inside": (of(lambda m, x: _low(m, x)), "bfloat16"),
    "depends on the batch's size": (of(lambda m, x: m.b(F.relu(m.a(x))) / x.shape[0]), "off by"),
    "position in the batch": (of(lambda m, x: m.b(F.relu(m.a(x)) + torch.arange(x.shape[0])[:, None])), "row to row"),
    "a constant": (of(lambda m, x: torch.ones(x.shape[0], 3)), "do not depend on x"),
    "one logit": (of(lambda m, x: m.b(F.relu(m.a(x))), classes=1), "one logit; give two"),
    "no axis of classes": (of(lambda m, x: m.b(F.relu(m.a(x)))[:, 0]), r"expected \(3, classes\)"),
    "a tuple": (of(lambda m, x: (m.b(m.a(x)), x)), "tuple.*logits"),
    "a dictionary": (of(lambda m, x: {"logits": m.b(m.a(x))}), "dict.*logits"),
    "nothing": (of(lambda m, x: None), "NoneType.*logits"),
    "not finite": (of(lambda m, x: m.b(m.a(x)) / 0), "not finite"),
    "another shape": (of(lambda m, x: m.b(m.a(x[:, :2]))), "cannot be called|slice"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), "no shape yet"),
    "its own error": (of(lambda m, x: {}["key"]), "cannot be called.*KeyError"),
    "random leaks": (lambda: nn.Sequential(nn.Linear(FEATURES, 3), nn.RReLU()).train(), r"1 \(RReLU\) is in train"),
}


def _draws() -> Iterator[float]:
    value = 0.1
    while True:
        value = (value * 7.3) % 1
        yield value


DRAWS = _draws()


def _low(m: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return m.b(F.relu(m.a(x))).to(x.dtype)


def build(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        if not any(module.training and isinstance(module, nn.RReLU) for module in model.modules()):
            model.eval()
        for parameter in model.parameters():
            if not torch.nn.parameter.is_lazy(parameter) and parameter.requires_grad and parameter.is_leaf:
                nn.init.normal_(parameter, std=1 / math.sqrt(max(1, parameter.shape[-1])))
    return model


def batch(n: int = 4, seed: int = 0) -> Tensor:
    return torch.rand(n, FEATURES, generator=torch.Generator().manual_seed(seed))


def lead(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """(N, K) logit[label] - logit[k] of the model as it is called."""
    with torch.no_grad():
        logits = model(x.clone())
    return logits.gather(1, labels[:, None]) - logits


@pytest.mark.parametrize("name", BOUNDED)
def test_a_bound_is_of_the_model_as_it_is_called(name: str) -> None:
    proven = 0
    for seed in range(6):
        model, x = build(BOUNDED[name], seed), batch(seed=seed)
        exact = certify(model, x, None, LinfBall(0.0))
        own = lead(model, x, exact.labels)
        torch.testing.assert_close(exact.margins, own, rtol=1e-4, atol=1e-5)
        assert (own >= 0).all()
        for eps in (0.02, 0.2):
            found = certify(model, x, None, LinfBall(eps, None))
            proven += int(found.certified.sum())
            # Where the argument of a root, or of a quotient, may be zero nothing is known: in large balls alone.
            assert found.margins[found.certified].isfinite().all()
            assert (eps > 0.1 and name in NOWHERE) or found.margins.isfinite().all()
            generator = torch.Generator().manual_seed(seed)
            for corner in (False, True) * 20:
                side = 2 * torch.rand(x.shape, generator=generator) - 1
                moved = x + eps * (side.sign() if corner else side)
                assert not (lead(model, moved, found.labels) < found.margins - found.slack - 1e-5).any(), seed
    assert proven > 0


class _InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        h[:, 0] = 2 * h[:, 1]
        h.relu_()
        found: Tensor = self.b(h)
        return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_torchscript_that_writes_in_place_is_followed() -> None:
    model, x = build(_InPlace, 0), batch()
    found = certify(model, x, None, LinfBall(0.05)).margins
    for other in (torch.jit.script(model), torch.jit.trace(model, x)):
        torch.testing.assert_close(certify(other, x, None, LinfBall(0.05)).margins, found)


def test_bounds_of_many_products_are_those_of_their_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = build(BOUNDED["attention of many"], 0).double(), batch().double()
    y = model(x).argmax(1)
    graph = trace(model, x)
    factors = {place for i in graph.relaxed for place in graph.nodes[i].inputs}
    assert any(carried(graph, place) != {place} for place in factors)

    def lost(eps: float) -> Tensor:
        with torch.no_grad():
            return lead(model, x, y) - margins(model, x, y, LinfBall(eps, None))

    near, far = lost(1e-6), lost(0.02)
    monkeypatch.setattr("robustlib.certify.dual.carried", lambda graph, at: {at})
    # Exact to first order, and not looser by much in a ball where the second counts.
    torch.testing.assert_close(near, lost(1e-6), rtol=1e-4, atol=1e-12)
    assert (far <= 1.2 * lost(0.02) + 1e-12).all()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_in_one_line(name: str) -> None:
    make, words = REFUSED[name]
    model, x = build(make, 0), batch()
    before = {key: value.clone() for key, value in model.state_dict().items() if not torch.nn.parameter.is_lazy(value)}
    modes, kept, random = [module.training for module in model.modules()], x.clone(), torch.random.get_rng_state()
    seeded = name == "seeded noise"
    with pytest.raises(RobustlibError, match=words) as error:
        certify(model, x, None, LinfBall(0.1))
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items() if key in before)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(x, kept)
    assert seeded or torch.equal(random, torch.random.get_rng_state())


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


BALL = LinfBall(0.1)
ENTRIES: dict[str, Callable[[nn.Module, Tensor, Tensor], object]] = {
    "certify": lambda m, x, y: certify(m, x, y, BALL),
    "certify, predicted": lambda m, x, y: certify(m, x, None, BALL),
    "margins": lambda m, x, y: margins(m, x, y, BALL),
    "radius": lambda m, x, y: largest_certified_radius(m, x, y),
    "radius, predicted": lambda m, x, y: largest_certified_radius(m, x),
    "detect": lambda m, x, y: detect(m, x, BALL),
    "decide": lambda m, x, y: decide(m, x, y, BALL, nodes=1, seconds=1.0),
    "optimum": lambda m, x, y: optimum(m.double(), x.double(), y, BALL),
    "estimate": lambda m, x, y: estimate(m, x, None, BALL, generator=_generator()),
    "estimated margins": lambda m, x, y: estimated_margins(m, x, y, BALL, generator=_generator()),
    "cascade": lambda m, x, y: Cascade((m, m), BALL).answer(x),
    "judgement": lambda m, x, y: Cascade((m, m), BALL).judge(x, y),
    "search against a cascade": lambda m, x, y: undermine(Cascade((m, m), BALL), x, y, steps=1),
    "uncertified": lambda m, x, y: uncertified(m, x, BALL),
    "polygon": lambda m, x, y: outer_polygon(m, x[:1], BALL),
    "trace": lambda m, x, y: trace(m, x),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("case", ["in train mode", "a tuple", "cumprod", "seeded noise", "a branch"])
def test_every_way_in_refuses_alike_and_leaves_the_model(entry: str, case: str) -> None:
    if case == "in train mode":
        model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).train()
    else:
        model = build(REFUSED[case][0], 0)
    if entry == "optimum":
        model = model.double()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(RobustlibError):
        ENTRIES[entry](model, batch(), torch.tensor([0, 1, 0, 1]))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_way_in_names_a_model_and_inputs_of_two_types(entry: str) -> None:
    model, y = build(BOUNDED["plain"], 0), torch.tensor([0, 1, 0, 1])
    inputs = batch() if entry != "optimum" else batch().double()
    if entry == "optimum":
        call = lambda: optimum(model, inputs, y, BALL)  # noqa: E731
    else:
        call = lambda: ENTRIES[entry](model, inputs.double(), y)  # noqa: E731
    with pytest.raises(RobustlibError, match=r"float32.*float64"):
        call()


@pytest.mark.parametrize("context", ["no_grad", "inference_mode", "autocast", "float64 by default"])
def test_the_callers_modes_change_no_bound(context: str) -> None:
    model, x, y = build(BOUNDED["plain"], 0), batch(), torch.tensor([0, 1, 2, 0])
    expected = certify(model, x, y, BALL).margins
    radii = largest_certified_radius(model, x, y)
    default = torch.get_default_dtype()
    if context == "autocast":
        # A model that switches it off for itself is in full precision; so must its bounds be.
        inner = build(BOUNDED["plain"], 0)

        def whole(m: Any, v: Tensor) -> Tensor:
            with torch.autocast("cpu", enabled=False):
                return inner(v)

        model = Model(whole).eval()
    try:
        if context == "float64 by default":
            torch.set_default_dtype(torch.float64)
        contexts = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
        with contexts[context]() if context in contexts else torch.autocast("cpu", enabled=context == "autocast"):
            found = certify(model, x.clone(), y, BALL).margins
            again = largest_certified_radius(model, x.clone(), y)
    finally:
        torch.set_default_dtype(default)
    assert torch.equal(found, expected)
    assert torch.equal(again, radii)


def test_a_model_under_autocast_is_not_the_one_that_bounds_are_of() -> None:
    with torch.autocast("cpu"), pytest.raises(RobustlibError, match="bfloat16"):
        certify(build(BOUNDED["plain"], 0), batch(), None, BALL)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_verdicts_do_not_depend_on_the_logits_units(scale: float) -> None:
    """All layers' units are those of the logits: another scale of the last layer is the same classifier."""
    for seed in range(3):
        model, x = build(of(lambda m, v: m.b(F.relu(m.a(v))), hidden=10), seed), batch(6, seed)
        threat, y = LinfBall(0.15), model(x).argmax(1)
        before = (
            certify(model, x, y, threat).certified,
            largest_certified_radius(model, x, y),
            decide(model, x, y, threat, nodes=1000, seconds=60),
        )
        with torch.no_grad():
            model.b.weight.mul_(scale)
            model.b.bias.mul_(scale)
        assert torch.equal(certify(model, x, y, threat).certified, before[0])
        torch.testing.assert_close(largest_certified_radius(model, x, y), before[1], rtol=2e-3, atol=1e-6)
        found = decide(model, x, y, threat, nodes=1000, seconds=60)
        assert torch.equal(found.proven, before[2].proven)
        assert torch.equal(found.broken, before[2].broken)
        assert bool((found.proven | found.broken).any())


def test_a_small_difference_from_the_model_is_seen_at_any_scale_of_its_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    for scale in (1e-6, 1.0, 1e6):
        model = build(BOUNDED["plain"], 0)
        with torch.no_grad():
            model.b.weight.mul_(scale)
            model.b.bias.mul_(scale)
        with monkeypatch.context() as patch:
            patch.setattr("robustlib.certify.operations.Relu.forward", lambda self, z: z.clamp_min(-0.01))
            with pytest.raises(RobustlibError, match="off by"):
                certify(model, batch(), None, BALL)
        certify(model, batch(), None, BALL)


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("slopes", ["fixed", "adaptive"])
def test_a_linear_layer_along_the_last_axis_is_its_block_matrix(shape: tuple[int, ...], slopes: str) -> None:
    places = math.prod(shape[:-1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second, last = nn.Linear(5, 3), nn.Linear(3, 2), nn.Linear(2 * places, 4)
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), last).double().eval()
    wide = []
    for layer in (first, second):
        block = nn.Linear(places * layer.in_features, places * layer.out_features).double()
        with torch.no_grad():
            block.weight.copy_(torch.block_diag(*[layer.weight] * places))
            block.bias.copy_(layer.bias.repeat(places))
        wide.append(block)
    flat = nn.Sequential(nn.Flatten(), wide[0], nn.ReLU(), wide[1], nn.ReLU(), last).eval()
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.tensor([0, 1, 2])
    for method in ("dual", "interval", "hybrid"):
        ours, theirs = (certify(net, x, y, LinfBall(0.1), slopes=slopes, method=method) for net in (model, flat))
        torch.testing.assert_close(ours.margins, theirs.margins, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(optimum(model, x, y, BALL), optimum(flat, x, y, BALL), rtol=1e-6, atol=1e-7)


def test_weights_keep_their_place_in_autograds_graph() -> None:
    model, x = build(_normed, 0), batch()
    loss = margins(model, x, torch.tensor([0, 1, 2, 0]), BALL).sum()
    gradients = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients)


def test_the_certificate_speaks_of_the_batch_that_is_given() -> None:
    class Crowd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(FEATURES, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).flip(1) if x.shape[0] > 6 else self.inner(x)  # type: ignore[no-any-return]

    model = build(Crowd, 0)
    certify(model, batch(5), None, LinfBall(0.01))
    with pytest.raises(RobustlibError, match="on 8 points, the first inputs in one batch"):
        certify(model, batch(8), None, LinfBall(0.01))


def test_a_bound_that_is_no_number_certifies_nothing() -> None:
    # The rows of the second layer overflow, the logits do not: at a corner of the ball the other class wins.
    model = nn.Sequential(
        nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False), nn.ReLU(), nn.Linear(1, 2)
    ).eval()
    with torch.no_grad():
        model[0].weight.copy_(1e20 * torch.eye(2))
        model[2].weight.copy_(torch.tensor([[1e20, -1e20]]))
        model[4].weight.copy_(torch.tensor([[0.0], [1e-37]]))
        model[4].bias.copy_(torch.tensor([0.5, 0.0]))
    x, threat = torch.full((1, 2), 0.001), LinfBall(0.0009)
    corner = x + 0.0009 * torch.tensor([[1.0, -1.0]])
    assert model(x).argmax() != model(corner).argmax()
    for slopes in SLOPES:
        assert not certify(model, x, None, threat, slopes=slopes).certified.any()


def test_numbers_of_python_keep_their_digits_in_float64() -> None:
    class Threshold(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([0.7 - x, torch.zeros_like(x)], 1)

    x, threat = torch.full((1, 1), 0.9, dtype=torch.float64), LinfBall(0.2 + 1e-8)
    assert Threshold()(x - threat.eps).argmax() != Threshold()(x).argmax()
    assert not certify(Threshold(), x, None, threat).certified.any()


def test_rounding_of_hidden_bounds_is_in_the_slack() -> None:
    # A first layer of tiny weights: its bounds, at 1, are off by more than the region is wide, and the last one's
    # terms are of that size.
    model = nn.Sequential(nn.Linear(5, 4), nn.Hardtanh(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        model[0].weight.copy_(5e-6 * torch.linspace(-1, 1, 20).view(4, 5))
        model[0].bias.copy_(torch.tensor([0.3, -0.7, 0.9, 0.2]))
        model[2].weight.copy_(400 * torch.linspace(-1, 1, 8).view(2, 4))
    x, y = torch.rand(4, 5, generator=torch.Generator().manual_seed(0)), torch.zeros(4, dtype=torch.int64)
    wide = model.double()
    for method in ("interval", "hybrid", "dual"):
        exactly = certify(wide, x.double(), y, LinfBall(2e-5), method=method)
        found = certify(model.float(), x, y, LinfBall(2e-5), method=method)
        assert ((found.margins - exactly.margins).abs() <= found.slack).all()
        model.double()
