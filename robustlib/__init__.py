"""Five adversarial-robustness papers, measured again: the library that makes every number of the book."""

__version__ = "0.1.0"
