# SPDX-License-Identifier: BSL-1.0
"""Sends messages of many sizes to a WebSocket echo server, on several connections at once: websocket_client.py PORT"""
import asyncio
import sys

import websockets

CONNECTIONS, ROUNDS, SIZES = 8, 25, (0, 1, 125, 126, 4096, 65535, 65536, 200000)


async def talk(port, number):
    async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as server:
        for _ in range(ROUNDS):
            for size in SIZES:
                sent = (f"{number}:" + "zsync " * (size // 6 + 1))[:size]
                await server.send(sent)
                if await server.recv() != sent:
                    sys.exit(f"a message of {size} bytes came back changed")
        await (await server.ping())
    return ROUNDS * len(SIZES)


async def main():
    counts = await asyncio.gather(*(talk(sys.argv[1], number) for number in range(CONNECTIONS)))
    print(f"websocket client: {sum(counts)} messages on {CONNECTIONS} connections came back as they were sent")


asyncio.run(main())
