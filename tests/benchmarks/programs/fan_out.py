"""Many calls of the library at once. Arguments: base URL, model, how many. Prints {"wall": s, "failed": [...]}."""

import asyncio
import json
import sys
from contextlib import aclosing
from time import perf_counter

import agentcli


async def main(url: str, model: str, count: int) -> None:
    failed: list[str] = []

    async def ask() -> None:
        try:
            async with aclosing(agent.invoke("hi")) as items:
                said = [item.message.text async for item in items]
            if said != ["word "]:
                failed.append(f"it said {said}")
        except Exception as error:
            failed.append(repr(error))

    began = perf_counter()
    agent = agentcli.agent(f"openai/{model}", base_url=url)
    await asyncio.gather(*(ask() for _ in range(count)))
    print(json.dumps({"wall": perf_counter() - began, "failed": failed}))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
