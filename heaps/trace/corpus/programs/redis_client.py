"""Loads each Redis server that listens at a Unix socket with the same commands, has it save once, and ends it.

Strings, hashes, lists and sorted sets are filled and then changed at random, 50 commands a round trip. Half-way there
is one BGSAVE: the server forks, and its child writes while the load goes on.
"""

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from connecting import servers

BATCH = 50


def command(*words: object) -> bytes:
    """In Redis' protocol."""
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def commands(fill: int, changes: int) -> Iterator[bytes]:
    """Each has a reply of one line."""
    chance = random.Random(1)
    for key in range(fill):
        yield command("SET", f"string:{key}", "v" * chance.randrange(20, 200))
        if key % 4 == 0:
            yield command("HSET", f"hash:{key // 40}", f"field:{key % 40}", chance.randrange(10**9))
        if key % 8 == 0:
            yield command("ZADD", "scores", chance.random(), f"member:{key}")
    for number in range(changes):
        # A cache: some keys much more often than others.
        key = int(fill * chance.random() ** 3)
        match number % 8:
            case 0 | 1 | 2:
                yield command("SET", f"string:{key}", "w" * chance.randrange(20, 200))
            case 3:
                yield command("STRLEN", f"string:{key}")
            case 4:
                yield command("HINCRBY", f"hash:{key // 40}", f"field:{key % 40}", 1)
            case 5:
                yield command("ZINCRBY", "scores", chance.random(), f"member:{key // 8 * 8}")
            case 6:
                yield command("RPUSH", f"list:{key % 500}", f"item {number}")
            case _:
                yield command("DEL", f"string:{key}")
        if number == changes // 2:
            yield command("BGSAVE")


def load(connection: socket.socket, fill: int, changes: int) -> None:
    """All commands, and SHUTDOWN at the end."""
    # Under the usual name the next server would begin by reading what this one saves.
    pending = [command("CONFIG", "SET", "dbfilename", "saved.rdb")]
    for each in commands(fill, changes):
        pending.append(each)
        if len(pending) == BATCH:
            exchange(connection, pending)
            pending.clear()
    exchange(connection, pending)
    connection.sendall(command("SHUTDOWN", "NOSAVE"))
    while connection.recv(1 << 16):
        pass


def exchange(connection: socket.socket, pending: list[bytes]) -> None:
    """Send some commands, and wait for as many replies: all are lines."""
    connection.sendall(b"".join(pending))
    seen = 0
    while seen < len(pending):
        received = connection.recv(1 << 16)
        if not received:
            raise ConnectionError("the server has gone")
        if received.startswith(b"-"):
            raise SystemExit(f"Redis refused a command: {received[:200]!r}")
        # ZINCRBY replies with a string, which has its length on a line before it.
        seen += received.count(b"\r\n") - received.count(b"$")


if __name__ == "__main__":
    for server in servers(Path(sys.argv[1])):
        # It may have been the last one, on its way out.
        with suppress(ConnectionError):
            load(server, int(sys.argv[2]), int(sys.argv[3]))
