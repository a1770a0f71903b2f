"""Named tuples of tensors, nested or not, taken as one: what a function of tensors is given, and what it gives."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import Tensor

Tree = TypeVar("Tree")


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of nested tuples, in order; what else is in there is no leaf."""
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for branch in tree for leaf in leaves(branch)] if isinstance(tree, tuple) else []


def like(tree: Tree, tensors: Iterator[Tensor]) -> Tree:
    """The same tree with other tensors, taken in the order of `leaves`; what is no tensor stays."""
    if isinstance(tree, Tensor):
        return next(tensors)  # pyright: ignore[reportReturnType]
    if not isinstance(tree, tuple):
        return tree
    branches = [like(branch, tensors) for branch in tree]
    return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)  # pyright: ignore[reportReturnType]


def each(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """The same tree with what `function` makes of each of its tensors."""
    return like(tree, map(function, leaves(tree)))


def rows(tree: Tree, index: Tensor) -> Tree:
    """The rows of each of the tensors that `index` [M] names, in its order."""
    return each(lambda x: x[index], tree)


def split(tree: Tree, size: int) -> Iterator[Tree]:
    """Trees of `size` rows each of the tensors; the last may be smaller. Indices lie with the rows innermost in memory.

    A compiled graph compares them with the numbers of bins or codes, many rows at a time; apart, it would collect them
    one by one for each of the numbers.
    """
    for part in zip(*(x.split(size) for x in leaves(tree)), strict=True):
        yield like(tree, (x if x.ndim == 1 or x.is_floating_point() else _rows_inside(x) for x in part))


def _rows_inside(x: Tensor) -> Tensor:
    return x.movedim(0, -1).contiguous().movedim(-1, 0)
