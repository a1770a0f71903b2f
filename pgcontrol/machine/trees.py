"""Nested (named) tuples of tensors, used as arguments and results of functions of tensors."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

Tree = TypeVar("Tree")


def leaves(tree: Any) -> list[Tensor]:
    """The tensors in nested tuples, in order; other values are ignored."""
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
    """A function that makes the same tree from other tensors in the order of `leaves`; other values are kept."""
    if isinstance(tree, Tensor):
        return next  # pyright: ignore[reportReturnType]
    if not isinstance(tree, tuple) or not leaves(tree):
        return lambda _: tree
    branches = [shape_of(branch) for branch in tree]
    make: Any = getattr(tree, "_make", tuple)
    return lambda tensors: make([branch(tensors) for branch in branches])


def like(tree: Tree, tensors: Iterator[Tensor]) -> Tree:
    """The same tree with other tensors, in the order of `leaves`; other values are kept."""
    return shape_of(tree)(tensors)


def each(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """The same tree with `function` applied to each tensor."""
    return like(tree, map(function, leaves(tree)))


def cat(one: Tree, other: Tree, dim: int = 0) -> Tree:
    """Two trees of one shape, tensor by tensor one behind the other."""
    return like(one, (torch.cat(pair, dim) for pair in zip(leaves(one), leaves(other), strict=True)))


def rows(tree: Tree, index: Tensor) -> Tree:
    """The rows `index` [M] of each tensor, or those of a mask of its leading dimensions."""
    return each(lambda x: x[index], tree)


def split(tree: Tree, size: int) -> Iterator[Tree]:
    """Parts with `size` rows of each tensor; the last may be smaller. In integer tensors, rows are innermost in memory.

    Compiled code compares them with the numbers of bins or codes, many rows at a time. In the other layout, it would
    collect them one by one for each number.
    """
    shape = shape_of(tree)
    for part in zip(*(x.split(size) for x in leaves(tree)), strict=True):
        yield shape(x if x.ndim == 1 or x.is_floating_point() else _rows_inside(x) for x in part)


def _rows_inside(x: Tensor) -> Tensor:
    return x.movedim(0, -1).contiguous().movedim(-1, 0)
