"""Requests that are under way at one moment, answered by one product of matrices instead of one each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from learn.errors import RequestError
from learn.serving.recommender import Recommendation, Wanted

# Of one product. More would make the first of them wait for longer than the others gain.
_AT_MOST = 32
# A turn of the event loop that brings no request takes microseconds; a request takes about so many turns from its first
# byte to here, so that those that came with another are not left for the next product.
_QUIET_TURNS = 4


class RecommendsTogether(Protocol):
    """A model that answers many at once."""

    def recommend_together(self, wanted: Sequence[Wanted]) -> list[Recommendation | RequestError]:
        """Return an answer or a refusal for each."""
        ...


class Gathering:
    """Answers what is asked while the event loop still brings more, together.

    To be used from one event loop alone. Nobody waits for a clock: where the loop brings nothing more, what there is
    is answered.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[RecommendsTogether, Wanted, asyncio.Future[Recommendation]]] = []

    async def recommend(self, model: RecommendsTogether, wanted: Wanted) -> Recommendation:
        """Recommend items to one user.

        Raises:
            RequestError: A filter does not fit the catalogue.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Recommendation] = loop.create_future()
        self._waiting.append((model, wanted, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._look, 1, 0)
        return await answer

    def _look(self, seen: int, quiet: int) -> None:
        count = len(self._waiting)
        quiet = quiet + 1 if count == seen else 0
        if count < _AT_MOST and quiet < _QUIET_TURNS:
            asyncio.get_running_loop().call_soon(self._look, count, quiet)
            return
        now, self._waiting = self._waiting[:_AT_MOST], self._waiting[_AT_MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._look, len(self._waiting), 0)
        for model in dict.fromkeys(model for model, _, _ in now):
            _answer(model, [(wanted, answer) for asked, wanted, answer in now if asked is model])


def _answer(model: RecommendsTogether, asked: Sequence[tuple[Wanted, asyncio.Future[Recommendation]]]) -> None:
    # Who has gone away in the meantime has cancelled the answer.
    left = [(wanted, answer) for wanted, answer in asked if not answer.done()]
    try:
        found = model.recommend_together([wanted for wanted, _ in left])
    except Exception as fault:
        for _, answer in left:
            answer.set_exception(fault)
        return
    for (_, answer), each in zip(left, found, strict=True):
        if isinstance(each, RequestError):
            answer.set_exception(each)
        else:
            answer.set_result(each)
