"""Certificates: lower bounds on the margin over every point of a ball, from an ordinary nn.Module.

``certify(model, x, y, threat)`` proves; ``margins`` is the same bound with gradients, for training. ``estimate`` and
``estimated_margins`` put random projections in place of hidden bounds, and prove nothing.

**The statement.** A certificate is a statement about ``model(x)`` as it is called, for each row of x: at
every point of the ball (cut with the domain) the logit of the row's class exceeds every other by more than the stated
slack, in exact arithmetic with the model's own weights. The call itself is recorded where PyTorch dispatches its
operators, so that hooks, an overridden ``__call__``, operations in place and TorchScript count as they happen. Before
anything is claimed the recorded graph is compared with further calls of the model, in batches of one, three and five
rows of x and of random points of their balls, and two calls at the same points must agree. The model, its buffers and
modes, x and the random state are left as they were, also by a refusal.

**Operations with bounds**: :data:`SUPPORTED`, in float32 or float64.

What moves, copies, writes or leaves out values (slices, pads, ``cat``, ``permute``, ``x[:, 0] = ...``, indices that
are constant) is understood whatever its form; densely connected and shuffled networks, and shortcuts padded with
zeros, are bounded as they are.
Functions without corners (sigmoid, GELU, mish, exp, squares, ...) lie between parallel lines and products between
parallel planes, exact to first order in the radius; of these are made quotients, softmax, layer, group and instance
norm and attention. The batch may be any axis on the way, as ``nn.MultiheadAttention`` and
``nn.TransformerEncoder`` lay it, where an operation treats lines or numbers alike. So it is in every method but
``decide`` and ``optimum``, whose programs are of ReLUs and of what is made of them. A reciprocal, a root or a logarithm
is bounded where its argument is shown to be positive, as sums of squares and of exponentials are in every ball;
elsewhere margins are NaN, and nothing is certified.

**Refusals**, each in one line that names the reason: any other operation that the logits depend on (sorting, rounding,
steps); whatever mixes the examples of a batch; random numbers; memory read as it was found; a model whose calls differ,
that changes its buffers, depends on the size of the batch, reads values of the input (``item``, ``tolist``, ``numpy``,
a branch), lowers its precision on the way or has a layer in train mode; one logit (give two, or a fixed zero beside
it); logits that are not finite at x; outputs that are no (N, classes) tensor.
"""

from .cascade import Answer, Cascade, Judgement, uncertified, undermine
from .certificate import Certificate, Layer, certify, margins
from .exact import Decision, decide, optimum
from .polygon import outer_polygon
from .projection import ESTIMATORS, Estimate, estimate, estimated_margins
from .radius import detect, largest_certified_radius
from .rules import SUPPORTED

__all__ = [
    "ESTIMATORS",
    "SUPPORTED",
    "Answer",
    "Cascade",
    "Certificate",
    "Decision",
    "Estimate",
    "Judgement",
    "Layer",
    "certify",
    "decide",
    "detect",
    "estimate",
    "estimated_margins",
    "largest_certified_radius",
    "margins",
    "optimum",
    "outer_polygon",
    "uncertified",
    "undermine",
]
