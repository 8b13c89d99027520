"""Training by several processes, on one machine or many, through torch.distributed.

Every process holds the towers and the data, sees each global batch and takes its shard of it. What the loss needs of
the other shards is gathered. Gradients are summed, not averaged: each process weights its loss by its share of the
positions, so that the sum is the gradient of one process. ``DistributedDataParallel`` does neither. A single process
is a group too: its collectives return their input.

Shape legend: n rows of all processes together, m rows of this one, k the largest m.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import TCPStore  # type checkers do not find it in torch.distributed

from learn.errors import TrainingError

_Told = TypeVar("_Told")


class Group(Protocol):
    """Processes that see the same batches; each one does its part of every batch.

    Every method but :meth:`part` must be called by all processes, in the same order.
    """

    @property
    def rank(self) -> int:
        """This process's number; 0 measures, decides and writes."""

    @property
    def size(self) -> int:
        """The number of processes."""

    def shard(self, rows: int) -> slice:
        """Return which of this many rows belong to this process; none if there are too few."""

    def all_gather(self, own: Tensor, *, rows: int) -> Tensor:
        """Return the parts of all processes; the gradient of this one's part is summed over all processes.

        Args:
            own: (m, ...) the rows of :meth:`part`.
            rows: The total n over all processes.

        Returns:
            (n, ...).
        """

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place."""

    def broadcast(self, make: Callable[[], _Told]) -> _Told:
        """Return the value that process 0 computes; the others wait for it."""


@dataclass(frozen=True)
class SingleProcess:
    """One process."""

    rank: int = 0
    size: int = 1

    def shard(self, rows: int) -> slice:
        """All of them."""
        return slice(0, rows)

    def all_gather(self, own: Tensor, *, rows: int) -> Tensor:  # noqa: ARG002 - there are no others
        """Its own."""
        return own

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Nothing to add."""

    def broadcast(self, make: Callable[[], _Told]) -> _Told:
        """Its own."""
        return make()


SINGLE_PROCESS = SingleProcess()


_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Rendezvous:
    """The address at which the processes of one training find each other.

    Attributes:
        address: Address of the machine of process 0.
        port: Port on which process 0 listens until training ends.
        rank: This process's number.
        size: Number of processes.
        answer_seconds: How long to wait for the others, at the start and at each exchange.
    """

    address: str
    port: int
    rank: int
    size: int
    answer_seconds: int


@dataclass(frozen=True)
class Processes:
    """A :class:`~learn.model.distributed.Group` of several processes.

    Attributes:
        rank: This process's number.
        size: Number of processes.
    """

    rank: int
    size: int

    def shard(self, rows: int) -> slice:
        """Split into runs of equal length; the last ones may be shorter or empty."""
        most = -(-rows // self.size)
        return slice(min(rows, self.rank * most), min(rows, (self.rank + 1) * most))

    def all_gather(self, own: Tensor, *, rows: int) -> Tensor:
        """Gather in the forward pass, sum in the backward pass; in float32, which gloo and nccl both support."""
        return cast("Tensor", _AllGather.apply(own.float(), self, rows))  # type: ignore[no-untyped-call]  # torch's own

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Sum all tensors in one exchange."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _explain_lost_peers():
            dist.all_reduce(flat)
        for tensor, summed in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(summed.view_as(tensor))

    def broadcast(self, make: Callable[[], _Told]) -> _Told:
        """Broadcast the value of process 0, pickled: the processes run the same code and trust each other."""
        box: list[Any] = [make() if self.rank == 0 else None]
        with _explain_lost_peers():
            dist.broadcast_object_list(box, src=0)
        return cast("_Told", box[0])


class _AllGather(torch.autograd.Function):
    """Return the rows of all processes, in order of rank."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, group: Processes, rows: int) -> Tensor:
        ctx.part = group.shard(rows)
        most = -(-rows // group.size)
        padded = own.new_zeros(most, *own.shape[1:])  # (k, ...)
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(group.size)]
        with _explain_lost_peers():
            dist.all_gather(parts, padded)
        return torch.cat(parts)[:rows]  # (n, ...)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        summed = gradients[0].contiguous()
        with _explain_lost_peers():
            dist.all_reduce(summed)
        return summed[ctx.part], None, None  # (m, ...)


@contextmanager
def join_group(meeting: Rendezvous) -> Iterator[Processes]:
    """Join the group, and leave it at the end: ``nccl`` where each process has a GPU, else ``gloo``.

    Raises:
        TrainingError: The other processes did not connect in time, or the port is taken.
    """
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(meeting.rank % torch.cuda.device_count())
    if meeting.address == _LOOPBACK:
        # Otherwise gloo would listen at the machine's own name, which many containers cannot resolve.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    wait = timedelta(seconds=meeting.answer_seconds)
    with _join_rendezvous(meeting):
        store = _store(meeting, wait)
        dist.init_process_group(
            "nccl" if cuda else "gloo", store=store, rank=meeting.rank, world_size=meeting.size, timeout=wait
        )
    try:
        yield Processes(meeting.rank, meeting.size)
    finally:
        # If another process is lost, leaving the group in order would fail.
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _store(meeting: Rendezvous, wait: timedelta) -> TCPStore:
    if meeting.rank:
        return TCPStore(meeting.address, meeting.port, meeting.size, is_master=False, timeout=wait)
    # torch itself would listen on every address of the machine, even if all processes are on this one.
    listening = socket.create_server((_LOOPBACK if meeting.address == _LOOPBACK else "", meeting.port))
    return TCPStore(
        meeting.address,
        meeting.port,
        meeting.size,
        is_master=True,
        timeout=wait,
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )


@contextmanager
def _join_rendezvous(meeting: Rendezvous) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, OSError) as fault:
        raise TrainingError(
            f"The {meeting.size} processes of the training could not connect to each other: {_read_first_line(fault)}",
            where=f"process {meeting.rank}, at {meeting.address} port {meeting.port}",
            fix="find in the log above why a process ended or which program uses the port, then `resume` the run",
        ) from fault


@contextmanager
def _explain_lost_peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as fault:
        raise TrainingError(
            f"Another process of the training has ended, or does not answer: {_read_first_line(fault)}",
            where=f"process {dist.get_rank()} of {dist.get_world_size()}",
            fix="find in the log above why it ended, then `resume` the run: it continues after the last complete epoch",
        ) from fault


def _read_first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0]
