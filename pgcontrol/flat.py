"""Modules whose weights are views of one flat vector."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters


class Flat(nn.Module):
    """A module whose weights are views of one flat vector `theta` [P].

    So an update rule is a function from vectors to vectors, and a checkpoint is restored by one copy. Assign to `theta`
    only in place. Subclasses call `flatten_weights` when they have all their modules.

    Attributes:
        rates: [P], factors of each weight's steps; None if all are 1.
    """

    rates: Tensor | None
    theta: Tensor

    def flatten_weights(self) -> None:
        """Make the weights views of `theta`. Gradients are taken with respect to theta, not to the weights."""
        self.requires_grad_(False)
        self.theta = parameters_to_vector(self.parameters())
        vector_to_parameters(self.theta, self.parameters())
        self._shapes = {name: p.shape for name, p in self.named_parameters()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a deep copy or an unpickled module, make the weights views of its own theta again."""
        super().__setstate__(state)
        vector_to_parameters(self.theta, self.parameters())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move everything to another device (`to`); the weights stay views of theta."""
        super()._apply(fn, recurse)
        self.theta = fn(self.theta.detach())
        vector_to_parameters(self.theta, self.parameters())
        return self

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """A flat vector [P] -> weights by name, as views."""
        parts = theta.split([shape.numel() for shape in self._shapes.values()])
        return {n: part.view(s) for (n, s), part in zip(self._shapes.items(), parts, strict=True)}

    def at(self, theta: Tensor, *inputs: Tensor) -> Any:
        """`forward` with the weights `theta` [P], differentiable in them."""
        return torch.func.functional_call(self, self.unflatten(theta), inputs)
