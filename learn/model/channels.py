"""Channels: fixed item vectors next to the trained ones, and a fixed rule from a history to a user vector.

The towers learn what generalises; a channel remembers what has a closed form. Both sides are appended to the towers'
vectors, so a score stays one inner product.

Shape legend: n items, B users, T history positions, r width of a channel, c width of a content vector.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import correlate1d
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn
from torch.nn import functional

from learn.data import Histories


def count_transitions(histories: Histories, *, window: int, fade: float, backward: float) -> sparse.csr_array:
    """Count how often one item came soon after another in somebody's training history.

    Args:
        histories: All histories; only the training part is read.
        window: Longest distance that counts.
        fade: Weight of a pair one step further apart.
        backward: Weight of a pair in the other direction.

    Returns:
        (n, n) float32; the row is the earlier item.
    """
    users, items = histories.read_training_pairs()
    before, after, weights = [], [], []
    for distance in range(1, window + 1):
        together = users[distance:] == users[:-distance]
        before.append(items[:-distance][together])
        after.append(items[distance:][together])
        weights.append(np.full(int(together.sum()), fade ** (distance - 1), dtype=np.float32))
    earlier, later, weight = (np.concatenate(parts) for parts in (before, after, weights))
    index = (np.concatenate([earlier, later]), np.concatenate([later, earlier]))
    values = np.concatenate([weight, np.float32(backward) * weight])
    counts = sparse.csr_array((values, index), shape=(histories.item_count, histories.item_count))
    counts.eliminate_zeros()
    return counts


_Floats = NDArray[np.float64]

# How co-occurrence is counted: the values that won on validation for the transitions baseline.
_WINDOW, _FADE = 10, 0.8
# Counts are divided by popularity to this power on both sides: at 0 the factors describe only the few best sellers.
_POPULARITY_POWER = 0.25
# Up to this many training interactions the pairs are counted into a matrix of at most 2 GB. Beyond, the matrix is
# never made: the eigenvalues need only its products with vectors, which need no more memory than a vector.
_COUNTED_AT_MOST = 4_000_000
# Ridge of the regression from text to factors, as a share of the text's variance: .001 to 10 worked equally well.
_RIDGE = 1.0
# Items read at a time by that regression: 8,192 x 384 x 8 bytes are 25 MB.
_BLOCK_ITEMS = 8_192


class Channel(nn.Module):
    """One channel: an item's vector, and a user vector that is the faded sum over the newest items.

    Args:
        dimension: Width r.
        last: How many of the newest items are read.
        fade: Weight of an item one step older.
        learned: Whether the weight is learned with the towers, so that they need not learn what the channel says.
            Validation may choose another weight in the end.
    """

    signs: Tensor
    weight: Tensor

    def __init__(self, dimension: int, *, last: int, fade: float, learned: bool = False) -> None:
        super().__init__()
        self.dimension, self.last, self.fade, self.learned = dimension, last, fade, learned
        self.register_buffer("signs", torch.ones(dimension))
        # It starts at 0: an untuned channel changes no score.
        if learned:
            self.weight = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("weight", torch.zeros(()))

    def encode_items(self, inputs: Tensor) -> Tensor:
        """Map (n, r) inputs to the (n, r) side that is compared with users."""
        return self.weight * self.signs * inputs

    def encode_users(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """Return (B, r) unit vectors after histories (B, T, r) of ``lengths`` (B,) real positions."""
        return functional.normalize(self._sum_histories(histories, lengths), dim=-1)

    def _sum_histories(self, histories: Tensor, lengths: Tensor) -> Tensor:
        ages = lengths.unsqueeze(1) - 1 - torch.arange(histories.shape[1], device=lengths.device)  # (B, T)
        read = (ages >= 0) & (ages < self.last)
        weights = torch.where(read, self.fade ** ages.clamp_min(0).float(), 0.0)  # (B, T)
        return torch.einsum("bt,btr->br", weights, histories)  # (B, r)


class Cooccurrence(Channel):
    """Items chosen together: factors of the normalised, symmetric co-occurrence matrix.

    An item without training interactions gets the factors that a linear regression predicts from its text. They are
    scaled to the mean length of the others, because a regression shrinks uncertain predictions and new items would rank
    below all others.

    Args:
        id_count: Items with training interactions.
        dimension: Rank r of the factorisation.
        content_dimension: Width c of the content vectors.
    """

    factors: Tensor
    expected: Tensor

    def __init__(self, id_count: int, dimension: int, *, content_dimension: int) -> None:
        super().__init__(dimension, last=10, fade=0.7)
        self.register_buffer("factors", torch.zeros(id_count, dimension))
        self.register_buffer("expected", torch.zeros(content_dimension, dimension))

    @torch.no_grad()
    def fit(self, histories: Histories, whitened: Tensor) -> None:
        """Count pairs on the training part, factorise them, and fit the regression from texts to factors.

        The same histories and vectors give the same factors.

        Args:
            histories: The split data; only its training part is read.
            whitened: (n, c) float32 whitened content vectors of the items with training interactions, in their order.
        """
        popularity = histories.count_popularity()
        trained = np.flatnonzero(popularity)
        scale = popularity[trained].astype(np.float64) ** -_POPULARITY_POWER
        if popularity.sum() > _COUNTED_AT_MOST:
            matrix = build_normalised_operator(histories, trained=trained, scale=scale)
        else:
            counts = count_transitions(histories, window=_WINDOW, fade=_FADE, backward=1.0)[trained][:, trained]
            matrix = sparse.diags_array(scale) @ counts @ sparse.diags_array(scale)
        values, vectors = _find_leading_factors(matrix, self.dimension)
        self.factors.copy_(torch.from_numpy(vectors * np.sqrt(np.abs(values))))
        self.signs.copy_(torch.from_numpy(np.sign(values)))
        self.expected.copy_(_fit_regression(whitened.cpu(), self.factors.cpu()))

    def compute_inputs(self, ids: Tensor, whitened: Tensor) -> Tensor:
        """Return the factors of items.

        Args:
            ids: (n,) int64 rows; -1 for items without training interactions.
            whitened: (n, c) their whitened content vectors.

        Returns:
            (n, r).
        """
        known = (ids >= 0).unsqueeze(-1)  # (n, 1)
        return torch.where(known, functional.embedding(ids.clamp_min(0), self.factors), whitened @ self.expected)


class TextNeighbours(Channel):
    """The whitened text itself: it favours items whose texts are similar to those of the newest ones.

    Args:
        dimension: Width of the content vectors.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension, last=5, fade=0.7)

    def compute_inputs(self, whitened: Tensor) -> Tensor:
        """Return (n, r) unit vectors of whitened content vectors (n, r)."""
        return functional.normalize(whitened, dim=-1)


class Repeats(Channel):
    """The items that the user has taken already: a random direction for each item, summed over the history.

    An item scores ``weight`` more for each time that it was taken. Other items get noise of about ``weight /
    sqrt(dimension)`` for each item of the history, because random directions are almost orthogonal (Johnson and
    Lindenstrauss, 1984). The weight is learned with the towers: below 0 if people do not take the same again, above
    0 if they do. Validation then chooses, because what holds within a basket need not hold for the next one.

    Args:
        id_count: Items with training interactions; others have no direction.
        dimension: Width r.
        last: How many of the newest items are read.
    """

    directions: Tensor

    def __init__(self, id_count: int, dimension: int, *, last: int) -> None:
        super().__init__(dimension, last=last, fade=1.0, learned=True)
        # Drawn from a separate generator, so that the towers start as they do without this channel.
        drawn = torch.randn(id_count, dimension, generator=torch.Generator().manual_seed(0))
        self.register_buffer("directions", functional.normalize(drawn, dim=-1))

    def compute_inputs(self, ids: Tensor) -> Tensor:
        """Return (n, r) directions of the items with these rows (n,); zeros for -1."""
        known = (ids >= 0).unsqueeze(-1)  # (n, 1)
        return functional.embedding(ids.clamp_min(0), self.directions) * known

    def encode_users(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """Return (B, r) sums, not of unit length: each item taken counts as much in a long history."""
        return self._sum_histories(histories, lengths)

    def encode_positions(self, rows: Tensor) -> Tensor:
        """Return the user side after every position of the items with these rows (B, T): (B, T, r)."""
        return functional.embedding(rows, self.directions).cumsum(dim=1)


def build_normalised_operator(histories: Histories, *, trained: NDArray[np.int64], scale: _Floats) -> LinearOperator:
    """Return the normalised co-occurrence matrix as its products with vectors, read from the histories each time.

    Args:
        histories: The split data; only the training part is read.
        trained: (n,) int64 items with training interactions, ascending.
        scale: (n,) float64, what rows and columns are multiplied by.
    """
    place = np.zeros(histories.item_count, np.int64)
    place[trained] = np.arange(len(trained))
    nearer = _FADE ** np.arange(_WINDOW, dtype=np.float64)
    weights = np.concatenate([nearer[::-1], [0.0], nearer])

    def multiply(vector: _Floats) -> _Floats:
        scaled, found = scale * vector.ravel(), np.zeros(len(trained))
        for users, items in histories.iterate_training_blocks():
            rows = place[items]
            # As many zeros between two users as the window is wide, so that no user's items pair with another's.
            gaps = np.cumsum(np.diff(users, prepend=users[:1]) != 0) * _WINDOW
            spread = np.zeros(len(rows) + (int(gaps[-1]) if len(gaps) else 0))
            positions = np.arange(len(rows)) + gaps
            spread[positions] = scaled[rows]
            together = correlate1d(spread, weights, mode="constant")[positions]
            found += np.bincount(rows, weights=together, minlength=len(trained))
        return scale * found

    return LinearOperator((len(trained), len(trained)), matvec=multiply, dtype=np.float64)


def _find_leading_factors(matrix: sparse.csr_array | LinearOperator, rank: int) -> tuple[_Floats, _Floats]:
    """Return the ``rank`` eigenvalues of largest size (r,), and vectors (n, r); zeros where the matrix has fewer."""
    size = matrix.shape[0]
    if rank < size - 1:
        # A fixed start makes the Lanczos iteration repeatable.
        values, vectors = eigsh(matrix, k=rank, which="LM", v0=np.random.default_rng(0).standard_normal(size))
    else:
        values, vectors = np.linalg.eigh(matrix @ np.eye(size))
    order = np.argsort(-np.abs(values), kind="stable")[:rank]
    padding = rank - len(order)
    return np.pad(values[order], (0, padding)), np.pad(vectors[:, order], ((0, 0), (0, padding)))


def _fit_regression(whitened: Tensor, factors: Tensor) -> Tensor:
    """Return (c, r): the ridge regression from texts (n, c) to factors (n, r), of these factors' mean length."""
    width = whitened.shape[1]
    squares = torch.zeros(width, width, dtype=torch.float64)
    products = torch.zeros(width, factors.shape[1], dtype=torch.float64)
    blocks = [slice(begin, begin + _BLOCK_ITEMS) for begin in range(0, len(whitened), _BLOCK_ITEMS)]
    for block in blocks:
        text = whitened[block].double()
        squares += text.T @ text  # (c, c)
        products += text.T @ factors[block].double()  # (c, r)
    ridge = (_RIDGE * squares.trace() / width).clamp_min(1e-12)
    found: Tensor = torch.linalg.solve(squares + ridge * torch.eye(width, dtype=torch.float64), products).float()
    shrunk = sum(float((whitened[block] @ found).norm(dim=1).sum()) for block in blocks)
    return found * (float(factors.norm(dim=1).sum()) / shrunk) if shrunk else found  # (c, r)
