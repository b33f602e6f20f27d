"""Towards deep learning models resistant to adversarial attacks (Madry et al. 2018)."""

from ...catalogue.base import Paper

PAPER = Paper(
    order=4,
    title="Towards deep learning models resistant to adversarial attacks (Madry et al. 2018)",
    chapter="notebooks/04_madry",
    idea="train on the worst example that projected gradient descent can find",
    curves=("madry2018/accuracy-vs-eps/mnist",),
)
