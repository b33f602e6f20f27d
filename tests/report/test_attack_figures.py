"""The cards and paths of the chapter on attacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from robustlib.attacks import fgsm
from robustlib.errors import RobustlibError
from robustlib.report.plots import attacks as drawn
from robustlib.report.plots import images, style
from robustlib.threat import LinfBall
from tests.report.legible import faults

AXIS = np.linspace(0, 1, 5)
REGION = (AXIS, AXIS, np.subtract.outer(AXIS, AXIS))
START = np.array([0.5, 0.75])


def network() -> torch.nn.Module:
    """Three classes on 4 x 4 images; class k reads pixel k."""
    linear = torch.nn.Linear(16, 3, bias=False)
    linear.weight.data = torch.eye(3, 16)
    return torch.nn.Sequential(torch.nn.Flatten(), linear).eval()


def digit() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = 0.6
    return x, torch.tensor([0])


def words(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_a_card_says_what_the_network_tells_and_how_far_the_image_moved() -> None:
    x, y = digit()
    attacked = x.clone()
    attacked[0, 0, 0, :2] = torch.tensor([0.3, 0.7])
    card = drawn.card("swap", network(), x, attacked, y)
    assert card.predicted == 1
    assert card.margin == pytest.approx(-0.4)
    assert card.norms == (2, pytest.approx(0.58**0.5), pytest.approx(0.7))
    shown = words(drawn.attack_cards([card]))
    assert shown == ["swap", "predicted 1, margin \N{MINUS SIGN}0.4", "ℓ₀ 2   ℓ₂ 0.76   ℓ∞ 0.70"]


def test_cards_show_the_image_the_change_and_the_attacked_image() -> None:
    x, y = digit()
    attacked = x + 0.1
    ax = drawn.attack_cards([drawn.card(name, network(), x, attacked, y) for name in "abc"]).axes[0]
    pictures: list[Any] = [image.get_array() for image in ax.images]
    assert len(pictures) == 9
    # Coarse images are interpolated within the range of their values; changes never are.
    for picture, image in ((pictures[0], x), (pictures[2], attacked)):
        middles = picture[len(picture) // 8 :: len(picture) // 4, len(picture) // 8 :: len(picture) // 4]
        np.testing.assert_allclose(middles, image[0, 0], atol=0.05)
        assert float(image.min()) <= picture.min() <= picture.max() <= float(image.max())
    np.testing.assert_allclose(pictures[1], 1.0, atol=1e-6)


def test_only_coarse_images_are_interpolated() -> None:
    x = np.random.default_rng(0).random((28, 28, 1))
    repeated = images.enlarged(x, smooth=True)
    np.testing.assert_array_equal(repeated[:: len(repeated) // 28, :: len(repeated) // 28], x)
    coarse = images.enlarged(x[:8, :8])
    np.testing.assert_array_equal(coarse[:: len(coarse) // 8, :: len(coarse) // 8], x[:8, :8])


def test_an_image_left_as_it_was_has_a_grey_change() -> None:
    x, y = digit()
    card = drawn.card("nothing", network(), x, x, y)
    assert card.norms == (0, 0.0, 0.0)
    np.testing.assert_allclose(drawn.attack_cards([card]).axes[0].images[1].get_array(), 0.5)


def test_inputs_are_recorded_and_no_hook_is_left() -> None:
    model, (x, y) = network(), digit()
    with drawn.recorded_inputs(model) as points:
        fgsm(model, x, y, LinfBall(0.1))
    seen = len(points)
    assert seen >= 1
    np.testing.assert_array_equal(points[0], x)
    model(x)
    assert len(points) == seen


def test_paths_end_in_a_star_and_boxes_have_the_budget() -> None:
    path = np.array([[0.5, 0.75], [0.4, 0.5], [0.3, 0.2]])
    figure = drawn.attack_paths({"one": [path], "two": [path, path + 0.1]}, REGION, start=START, eps=0.2)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["one", "two"]
    stars = [line for line in figure.axes[1].lines if line.get_marker() == "*"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in stars] == [tuple(path[-1]), tuple(path[-1] + 0.1)]
    (box,) = figure.axes[0].patches
    assert box.get_bbox().bounds == pytest.approx((0.3, 0.55, 0.4, 0.4))


def test_letters_are_legible_and_the_bytes_the_same() -> None:
    x, y = digit()
    for make in (
        lambda: drawn.attack_cards([drawn.card("noise", network(), x, x, y)]),
        lambda: drawn.attack_paths({"one": [[[0.5, 0.5], [0.4, 0.4]]]}, REGION, start=START, eps=0.1),
    ):
        assert style.png(make()) == style.png(make())
        texts: list[Any] = [text for text in make().findobj(Text) if text.get_text().strip()]
        assert min(text.get_fontsize() for text in texts) >= 9
        phone = style.narrowed(make())
        assert phone is not None
        assert faults(make()) == faults(phone) == []


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(RobustlibError, match="nothing to draw"):
        drawn.attack_cards([])
    with pytest.raises(RobustlibError, match="nothing to draw"):
        drawn.attack_paths({}, REGION, start=START, eps=0.1)
    with pytest.raises(RobustlibError, match=r"'one': a path of shape \(3,\)"):
        drawn.attack_paths({"one": [[1.0, 2.0, 3.0]]}, REGION, start=START, eps=0.1)
