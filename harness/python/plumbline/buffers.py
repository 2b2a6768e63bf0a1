"""Memory that is lent to a subject: at another place in every step, between guard bytes, poisoned where nobody wrote."""

from __future__ import annotations

from typing import Any

import numpy

GUARD = 256  # bytes before and behind
POISON = 0xFF  # NaN in every floating-point type
MOVEMENTS = 8


class Broken(Exception):
    """The subject wrote where it should not have: this process is not to be trusted any more."""


class HostBuffer:
    """Two places of `count` elements of `element` bytes; lend() moves from one to the other."""

    def __init__(self, what: str, count: int, element: int, alignment: int) -> None:
        self.what, self.count, self.element = what, count, element
        self.alignment = max(element, alignment)
        room = 2 * GUARD + count * element + (MOVEMENTS + 3) * self.alignment
        self.places = [numpy.full(room, POISON, numpy.uint8) for _ in range(2)]
        self.current, self.offset = 0, -1

    def lend(self, t: int, data: bytes) -> tuple[Any, int]:
        """Copies `data` to the place of step `t`: the memory, and the offset in it."""
        if self.offset >= 0:
            self.places[self.current][self.offset : self.offset + self.bytes] = POISON
        self.current = t % 2
        place = self.places[self.current]
        start = place.ctypes.data % self.alignment
        aligned = -(start + GUARD) % self.alignment + GUARD
        self.offset = aligned + (t // 2 + 1) % MOVEMENTS * self.alignment
        place[self.offset : self.offset + self.bytes] = numpy.frombuffer(data, numpy.uint8)
        return place, self.offset

    @property
    def bytes(self) -> int:
        return self.count * self.element

    def data(self) -> bytes:
        return self.places[self.current][self.offset : self.offset + self.bytes].tobytes()

    def check(self) -> None:
        for k, place in enumerate(self.places):
            if k != self.current:
                if (place != POISON).any():
                    raise Broken(f"wrote to where {self.what} was in the step before")
                continue
            before = numpy.flatnonzero(place[: self.offset] != POISON)
            if before.size:
                raise Broken(f"wrote outside: {self.offset - int(before[0])} bytes before {self.what}")
            behind = numpy.flatnonzero(place[self.offset + self.bytes :] != POISON)
            if behind.size:
                raise Broken(f"wrote outside: {int(behind[0]) + 1} bytes behind the end of {self.what}")


class DeviceBuffer:
    """The same in memory of a torch device."""

    def __init__(self, what: str, count: int, element: int, alignment: int, device: str) -> None:
        import torch

        self.torch, self.what, self.count, self.element = torch, what, count, element
        self.alignment = max(element, alignment)
        room = 2 * GUARD + count * element + (MOVEMENTS + 3) * self.alignment
        self.places = [torch.full((room,), POISON, dtype=torch.uint8, device=device) for _ in range(2)]
        self.current, self.offset = 0, -1

    @property
    def bytes(self) -> int:
        return self.count * self.element

    def lend(self, t: int, data: bytes) -> tuple[Any, int]:
        if self.offset >= 0:
            self.places[self.current][self.offset : self.offset + self.bytes] = POISON
        self.current = t % 2
        place = self.places[self.current]
        aligned = -(place.data_ptr() % self.alignment + GUARD) % self.alignment + GUARD
        self.offset = aligned + (t // 2 + 1) % MOVEMENTS * self.alignment
        place[self.offset : self.offset + self.bytes] = self.torch.frombuffer(bytearray(data), dtype=self.torch.uint8).to(place.device)
        return place, self.offset

    def data(self) -> bytes:
        return self.places[self.current][self.offset : self.offset + self.bytes].cpu().numpy().tobytes()

    def check(self) -> None:
        other = self.places[1 - self.current]
        place = self.places[self.current]
        if bool((other != POISON).any()):
            raise Broken(f"wrote to where {self.what} was in the step before")
        if bool((place[: self.offset] != POISON).any()):
            raise Broken(f"wrote outside: before {self.what}")
        if bool((place[self.offset + self.bytes :] != POISON).any()):
            raise Broken(f"wrote outside: behind the end of {self.what}")
