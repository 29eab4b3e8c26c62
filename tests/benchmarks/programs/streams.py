"""The floor of many calls at once: bare asyncio streams, nothing parsed. Arguments and output are those of fan_out.py."""

import asyncio
import json
import sys
from time import perf_counter
from urllib.parse import urlsplit


async def main(url: str, model: str, count: int) -> None:
    place = urlsplit(url)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True})
    head = f"POST {place.path}/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    failed: list[str] = []

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write((head + body).encode())
        if b"word " not in await reader.readuntil(b"data: [DONE]"):
            failed.append("no answer")
        writer.close()

    began = perf_counter()
    await asyncio.gather(*(ask() for _ in range(count)))
    print(json.dumps({"wall": perf_counter() - began, "failed": failed}))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
