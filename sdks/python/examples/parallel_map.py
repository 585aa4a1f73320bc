"""A thousand items at once, each a journaled step of its own.

python examples/parallel_map.py 1000
"""

from __future__ import annotations

import hashlib
import sys

from everloop import aio, run, step, task


@step
async def digest(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


@task
async def digests(count: int) -> str:
    found = await aio.map(digest, range(count), concurrency=100)
    return hashlib.sha256("".join(found).encode()).hexdigest()


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(run(digests, count, key=f"digests-{count}"))
