"""Named tuples of tensors, nested or not, taken as one: what a function of tensors is given, and what it gives."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

Tree = TypeVar("Tree")


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of nested tuples, in order; what else is in there is no leaf."""
    found: list[Tensor] = []
    _gather(tree, found)
    return found


def _gather(tree: Any, found: list[Tensor]) -> None:
    if isinstance(tree, tuple):
        for branch in tree:
            _gather(branch, found)
    elif isinstance(tree, Tensor):
        found.append(tree)


def shape_of(tree: Tree) -> Callable[[Iterator[Tensor]], Tree]:
    """A function that makes the same tree of other tensors, taken in the order of `leaves`; the rest stays."""
    if isinstance(tree, Tensor):
        return next  # pyright: ignore[reportReturnType]
    if not isinstance(tree, tuple) or not leaves(tree):
        return lambda _: tree
    branches = [shape_of(branch) for branch in tree]
    make: Any = getattr(tree, "_make", tuple)
    return lambda tensors: make([branch(tensors) for branch in branches])


def like(tree: Tree, tensors: Iterator[Tensor]) -> Tree:
    """The same tree with other tensors, taken in the order of `leaves`; what is no tensor stays."""
    return shape_of(tree)(tensors)


def each(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """The same tree with what `function` makes of each of its tensors."""
    return like(tree, map(function, leaves(tree)))


def cat(one: Tree, other: Tree, dim: int = 0) -> Tree:
    """Two trees of one shape, tensor by tensor one behind the other."""
    return like(one, (torch.cat(pair, dim) for pair in zip(leaves(one), leaves(other), strict=True)))


def rows(tree: Tree, index: Tensor) -> Tree:
    """The rows of each of the tensors that `index` [M] names, in its order."""
    return each(lambda x: x[index], tree)


def split(tree: Tree, size: int) -> Iterator[Tree]:
    """Trees of `size` rows each of the tensors; the last may be smaller. Indices lie with the rows innermost in memory.

    A compiled graph compares them with the numbers of bins or codes, many rows at a time; apart, it would collect them
    one by one for each of the numbers.
    """
    shape = shape_of(tree)
    for part in zip(*(x.split(size) for x in leaves(tree)), strict=True):
        yield shape(x if x.ndim == 1 or x.is_floating_point() else _rows_inside(x) for x in part)


def _rows_inside(x: Tensor) -> Tensor:
    return x.movedim(0, -1).contiguous().movedim(-1, 0)
