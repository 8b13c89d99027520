"""The losses that align the towers.

Shape legend: P positions, n candidates, d width, B users, G users of all processes, H history positions, K targets per
user.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def softmax_loss(
    states: Tensor,
    candidates: Tensor,
    targets: Tensor,
    *,
    scale: Tensor,
    seen: tuple[Tensor, Tensor] | None,
    log_weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy over the candidates at every position.

    Args:
        states: (P, d) unit user vectors.
        candidates: (n, d) unit item vectors, the whole catalogue or a sample of it.
        targets: (P,) int64, the candidate that came next.
        scale: () inverse temperature.
        seen: (S,) positions and (S,) candidates to leave out of the softmax, or None; a target always stays.
        log_weights: (n,) what a sampled candidate's logit is raised by where it is not the target (see
            :class:`~learn.alignment.candidates.CandidateSampler`); None: the candidates are the catalogue.

    Returns:
        () mean loss.
    """
    logits = (scale * states) @ candidates.T  # (P, n)
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch gives it no types
        logits, targets, seen, log_weights
    )
    return loss


class _CrossEntropy(torch.autograd.Function):
    """The mean cross-entropy, its gradient made of the same numbers.

    A step spends itself on passes over (P, n) numbers, not on arithmetic: one array is made of the logits and changed
    in place, first into what the softmax reads, then into its terms, last into the gradient. torch's own chain of
    operations makes a new one of each (measured: three times as long).
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        seen: tuple[Tensor, Tensor] | None,
        log_weights: Tensor | None,
    ) -> Tensor:
        """Return the () loss of logits (P, n); the other arguments as in :func:`softmax_loss`."""
        read = logits.to(torch.float32, copy=True)  # (P, n)
        wanted = read.gather(1, targets.unsqueeze(1))  # (P, 1)
        if log_weights is not None:
            read += log_weights
        if seen is not None:
            read.index_put_(seen, read.new_tensor(-torch.inf))
        read.scatter_(1, targets.unsqueeze(1), wanted)
        highest = read.amax(dim=1, keepdim=True)  # (P, 1)
        total = read.sub_(highest).exp_().sum(dim=1, keepdim=True)  # (P, 1)
        ctx.save_for_backward(read, total, targets)
        ctx.dtype = logits.dtype
        return (total.log() + highest - wanted).mean()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the logits (P, n)."""
        shares, total, targets = ctx.saved_tensors  # (P, n), (P, 1), (P,)
        each = upstream[0] / len(targets)
        shares.mul_(each / total).scatter_add_(1, targets.unsqueeze(1), -each.expand(len(targets), 1))
        return shares.to(ctx.dtype), None, None, None


def dense_all_action(
    users: Tensor, items: Tensor, real: Tensor, wanted: Tensor, *, temperature: float, first: int = 0
) -> Tensor:
    """Every sampled history position predicts every sampled target of its user (LEARN, section 3.3).

    Negatives are the other users' targets in the batch; a user's own other targets are none.

    Args:
        users: (B, H, d) unit user vectors at the sampled history positions.
        items: (G, K, d) unit vectors of the sampled targets of these users and of any others, G at least B.
        real: (B, H) bool, False where a user has fewer positions than H.
        wanted: (G, K) bool, False where a user has fewer targets than K.
        temperature: Of the cosine.
        first: Where the targets of these users begin among those of all.

    Returns:
        () mean over all (position, target) pairs.
    """
    batch, everybody, width = len(users), len(items), users.shape[-1]
    rows = slice(first, first + batch)
    scores = (users.reshape(-1, width) @ items.reshape(-1, width).T).float() / temperature  # (B H, G K)
    scores = scores.view(batch, users.shape[1], everybody, items.shape[1])  # (B, H, G, K)
    own = torch.eye(everybody, dtype=torch.bool, device=users.device)[rows].view(batch, 1, everybody, 1)
    hidden = own | ~wanted.view(1, 1, everybody, -1)
    negatives = scores.masked_fill(hidden, -torch.inf).flatten(2).logsumexp(dim=-1, keepdim=True)  # (B, H, 1)
    positives = scores[:, :, rows].diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (B, H, K)
    losses = torch.logaddexp(positives, negatives) - positives
    pairs = real.unsqueeze(2) & wanted[rows].unsqueeze(1)  # (B, H, K)
    return losses[pairs].mean()
