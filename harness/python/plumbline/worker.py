"""python -m plumbline.worker SOCKET MEMORY TARGET: runs one Python subject for a driver.

The driver (``plumbline verify --subject python:TARGET``) starts this program and hands over a socket of packets and
shared memory. TARGET is ``package.module:Name`` or ``path/to/file.py:Name``, and may go on with settings:
``torch.optim:Adafactor?dialect="torch"&foreach=true``.

Messages are 64 bytes (harness/live/protocol.h); texts begin at offset 0 of the memory, tensors lie behind them.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import struct
import sys
import threading
import traceback
from typing import Any, Optional

from plumbline.subjects import Broken, Cannot, Subject, adapt, load_target

PROTOCOL = 0x31424C50
TEXT_CAPACITY = 256 << 10
HELLO, START, STEP, STATE, RELOAD, FINISH, REPLY = range(1, 8)
OK, CANNOT, FAILED, BROKEN = range(4)
MESSAGE = struct.Struct("<IIqqqqqqq")  # protocol, kind, status, text, t, state_at, memory, skipped, reserved


def in_one_line(error: BaseException) -> str:
    """The error's type and words, and the line of the subject's own code that raised it."""
    words = " ".join(str(error).split())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if os.path.basename(os.path.dirname(f.filename)) != "plumbline"]
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {words}{where}"[:1000]


class Worker:
    def __init__(self, connection: socket.socket, memory_file: int) -> None:
        self.connection = connection
        self.file = memory_file
        self.memory = mmap.mmap(memory_file, os.fstat(memory_file).st_size)
        self.session: Optional[Any] = None

    def answer(self, kind: int, status: int, text: str, needed: int = 0, skipped: int = 0) -> None:
        sys.stdout.flush()  # what the subject printed is seen with the step that printed it
        sys.stderr.flush()
        data = text.encode("utf-8", "replace")[:TEXT_CAPACITY]
        self.memory[: len(data)] = data
        self.connection.send(MESSAGE.pack(PROTOCOL, kind, status, len(data), 0, 0, needed, skipped, 0))

    def serve(self, target: str) -> None:
        try:
            subject = adapt(*load_target(target))
            description = json.dumps(subject.describe())
        except Exception as error:  # whatever an import may raise
            self.answer(HELLO, FAILED, in_one_line(error))
            return
        self.answer(HELLO, OK, description)
        while True:
            packet = self.connection.recv(MESSAGE.size)
            if len(packet) != MESSAGE.size:
                return
            _, kind, _, text, t, state_at, memory, _, _ = MESSAGE.unpack(packet)
            if memory > len(self.memory):
                self.memory = mmap.mmap(self.file, memory)
            try:
                status, said, needed, skipped = self.handle(subject, kind, text, t, state_at)
            except Cannot as error:
                status, said, needed, skipped = CANNOT, str(error) or "without a reason", 0, 0
            except Broken as error:
                status, said, needed, skipped = BROKEN, str(error), 0, 0
            except Exception as error:
                call = {START: "start", STEP: "step", STATE: "state", RELOAD: "save or load"}.get(kind, "finish")
                status, said, needed, skipped = FAILED, f"{call} raised {in_one_line(error)}", 0, 0
            self.answer(REPLY, status, said, needed, skipped)

    def handle(self, subject: Subject, kind: int, text: int, t: int, state_at: int) -> tuple[int, str, int, int]:
        if kind == START:
            self.session = None
            problem = json.loads(self.memory[:text])
            self.session = subject.start(problem, self.memory)
            return OK, "", 0, 0
        if kind == FINISH:
            self.session = None
            return OK, "", 0, 0
        if self.session is None:
            return FAILED, "no session", 0, 0
        if kind == RELOAD:
            self.session.reload()
            return OK, "", 0, 0
        if kind == STEP:
            absent = json.loads(self.memory[:text])["absent"] if text else []
            self.session.step(t, absent, self.memory)
        return self.show(state_at)

    def show(self, state_at: int) -> tuple[int, str, int, int]:
        assert self.session is not None
        listed, at, copies = [], state_at, []
        for name, type_name, shape, data, tensor in self.session.state():
            listed.append({"name": name, "type": type_name, "shape": list(shape), "at": at, "tensor": tensor})
            copies.append((at, data))
            at += (len(data) + 63) // 64 * 64
        if at <= len(self.memory):
            for offset, data in copies:
                self.memory[offset : offset + len(data)] = data
        return OK, json.dumps(listed), at, 0


def end_with_driver(connection: socket.socket) -> None:
    """A worker whose driver is gone is of no use, wherever it hangs."""
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    while not any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll()):
        pass
    os._exit(0)


def main(arguments: list[str]) -> int:
    if len(arguments) != 3 or not (arguments[0].isdigit() and arguments[1].isdigit()):
        print(__doc__, file=sys.stderr if arguments not in (["--help"], ["-h"]) else sys.stdout)
        return 0 if arguments in (["--help"], ["-h"]) else 2
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=int(arguments[0]))
    threading.Thread(target=end_with_driver, args=(connection,), daemon=True).start()
    Worker(connection, int(arguments[1])).serve(arguments[2])
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
