"""Requests that chance makes of good and bad parts, as bytes on sockets: 300 by default, 10,000 under `make fuzz`."""

import asyncio
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from examples import examples

REQUESTS = examples(300, 10_000)
AT_ONCE = 100
HANGS_SECONDS = 30
STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.MULTILINE)
SWITCHED = re.compile(rb"^HTTP/1\.1 101 ", re.MULTILINE)
REFUSALS = {400, 404, 405, 408, 413, 426, 431}
"""What the server itself says of a request that it does not take."""

METHODS = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"G\x00T",
    b"",
    b"X" * 300,
]
TARGETS = [
    b"/",
    b"/early",
    b"/livez",
    b"*",
    b"http://t/x",
    b"//x",
    b"/%00",
    b"/%zz",
    b"/\xff",
    b"/?a=%",
    b"t:80",
    b"",
    b"/a b",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/9", b"HTTP/1.1 ", b"http/1.1", b""]
HOSTS = [
    b"Host: t",
    b"Host: t",
    b"Host: t",
    b"",
    b"Host:",
    b"Host: a, b",
    b"Host: t\r\nHost: t",
    b"Host : t",
    b"Host: \x00",
]
FIELDS = [
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Upgrade",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Version: 8",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Expect: 100-continue",
    b"Expect: more",
    b"Content-Length: 0",
    b"Content-Length: 3",
    b"Content-Length: 3, 3",
    b"Content-Length: +3",
    b"Content-Length: -1",
    b"Content-Length: 1e3",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 40000000",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"X: y",
    b" folded",
    b"X\x00: y",
    b": y",
    b"X",
    b"X: " + b"y" * 70_000,
    b"\r\n".join([b"A: b"] * 120),
    b"Cookie: \xff\xfe",
    b"X-Forwarded-For: 1.1.1.1",
    b"X: a\nb",
    b"X: a\rb",
]
BODIES = [
    b"",
    b"abc",
    b"abcdef",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"-1\r\n",
    b"zz\r\n",
    b"3;x=y\r\nabc\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"3\nabc\n0\n\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"\x81\x85\x00\x00\x00\x00hello",
    b"\x00" * 50,
    b"x" * 40_000,
]


@dataclass(frozen=True)
class Good:
    """What a server understands: requests are made of it and of what it must refuse."""

    lines: Sequence[bytes]
    """Request lines without the version."""
    fields: Sequence[bytes] = ()
    bodies: Sequence[bytes] = ()


def request(random: Random, good: Good) -> bytes:
    """One request, mostly a good one with something odd about it."""
    targets = [*TARGETS, *(line.split()[1] for line in good.lines)]
    line = b" ".join((random.choice(METHODS), random.choice(targets), random.choice(VERSIONS)))
    if random.random() < 0.7:
        line = random.choice(good.lines) + b" HTTP/1.1"
    fields = [
        random.choice(HOSTS) if random.random() < 0.3 else b"Host: t",
        *random.choices([*FIELDS, *good.fields], k=random.randrange(5)),
    ]
    end = b"\r\n" if random.random() < 0.95 else random.choice((b"\n", b"\r", b"\r\r\n"))
    whole = end.join([line, *filter(None, fields), b"", b""]) + random.choice([*BODIES, *good.bodies])
    if random.random() < 0.2:
        place = random.randrange(len(whole) + 1)
        whole = whole[:place] + random.randbytes(random.randrange(4)) + whole[place + random.randrange(3) :]
    return whole[: random.randrange(len(whole))] if random.random() < 0.15 else whole


def packets(seed: int, good: Good) -> list[bytes]:
    """What one client sends: requests behind each other, cut anywhere."""
    random = Random(seed)
    whole = b"".join(request(random, good) for _ in range(random.choice((1, 1, 1, 2, 5))))
    cuts = sorted(random.randrange(len(whole) + 1) for _ in range(random.randrange(3)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


async def statuses(port: int, seed: int, good: Good) -> list[int]:
    """The statuses of all responses until the server closed, or spoke WebSocket.

    Raises:
        TimeoutError: it never did.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    response = b""
    try:
        async with asyncio.timeout(HANGS_SECONDS):
            for packet in packets(seed, good):
                writer.write(packet)
                await writer.drain()
                await asyncio.sleep(0.002)
            while not SWITCHED.search(response) and (part := await reader.read(65536)):
                response += part
    except ConnectionError:
        pass  # closed while we were sending
    finally:
        writer.transport.abort()
    return [int(status) for status in STATUS.findall(response)]


async def fuzz(port: int, good: Good, documented: Collection[int]) -> list[str]:
    """What went wrong, with the seed that shows it: a status that is not documented, or a connection that hangs."""
    gate, wrong = asyncio.Semaphore(AT_ONCE), []

    async def one(seed: int) -> None:
        async with gate:
            try:
                odd = set(await statuses(port, seed, good)).difference(documented)
            except TimeoutError:
                wrong.append(f"seed {seed}: hangs")
            else:
                wrong.extend(f"seed {seed}: {status}" for status in odd)

    async with asyncio.TaskGroup() as tasks:
        for seed in range(REQUESTS):
            tasks.create_task(one(seed))
    return wrong
