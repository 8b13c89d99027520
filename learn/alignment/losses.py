"""The losses that align the towers.

Shape legend: P positions, n candidates, d width, B users, G users of all processes, H history positions, K targets per
user.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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
    logits = logits.float()
    wanted = logits.gather(1, targets.unsqueeze(1))  # (P, 1)
    if log_weights is not None:
        logits = logits + log_weights
    if seen is not None:
        logits = logits.index_put(seen, logits.new_tensor(-torch.inf))
    if seen is not None or log_weights is not None:
        logits = logits.scatter(1, targets.unsqueeze(1), wanted)
    return functional.cross_entropy(logits, targets)


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
