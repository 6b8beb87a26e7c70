"""A sweep whose storage is slow, stands still or refuses for a while: a mounted disk, and a stand-in for S3."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bistil_ray.run_storage import CACHE, storage_at

from ..tiny import TinySweep, wait_for_file, wait_until
from .mishaps import own_disk
from .scenarios import Bench, Row

STILL_SECONDS = 45.0
"""How long a disk takes no write."""
AWAY_SECONDS = 60.0
"""How long a bucket answers every request with 503."""
LATE_SECONDS = 0.5
"""By how much every answer of a slow bucket is late."""


@dataclass
class Bucket:
    """A stand-in for S3: the storage in it, how late it answers, whether it refuses, and what it was asked."""

    place: str = ""
    late: float = 0.0
    refusing: threading.Event = field(default_factory=threading.Event)
    requests: int = 0
    refused: int = 0


def disk_stands_still(bench: Bench) -> Row:
    """Freeze the disk when phase 1 saves, as a hung mount does: writes wait; let them go on after a while."""
    with own_disk(bench.work) as disk:
        tiny = bench.sweep("still")
        sweep = tiny.start()
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        before, events = tiny.finished(), tiny.events()
        subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
        try:
            time.sleep(STILL_SECONDS)
            during = tiny.events() - events
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)
        events = tiny.events()
        seconds = wait_until(lambda: tiny.events() > events + 1, sweep)
        seen = f"{during} figures in the {STILL_SECONDS:g} s in which nothing could be written"
        return bench.row("disk stands still", tiny, seconds, before, sweep, seen)


def bucket_slow(bench: Bench) -> Row:
    """Keep the run in a bucket whose every answer is late."""
    with stand_in() as bucket:
        bucket.late = LATE_SECONDS
        tiny = _sweep_in(bench, bucket)
        began = time.monotonic()
        sweep = tiny.start()
        seconds = wait_until(lambda: tiny.events() > 0, sweep)
        row = bench.row(f"every answer of the bucket {LATE_SECONDS:g} s late", tiny, seconds, {}, sweep)
        took = f"{bucket.requests} requests, {time.monotonic() - began:.0f} s in all"
        return Row(row.fault, f"{row.lost}; {took}", row.news_after, row.same)


def bucket_away(bench: Bench) -> Row:
    """Let the bucket refuse every request for a minute, from the moment that phase 1 has saved there."""
    with stand_in() as bucket:
        tiny = _sweep_in(bench, bucket)
        sweep = tiny.start()
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        before = tiny.finished()
        bucket.refusing.set()
        time.sleep(AWAY_SECONDS)
        bucket.refusing.clear()
        finished = len(tiny.finished())
        seconds = wait_until(lambda: len(tiny.finished()) > finished, sweep)
        row = bench.row(f"bucket answers 503 for {AWAY_SECONDS:g} s", tiny, seconds, before, sweep)
        return Row(row.fault, f"{row.lost}; {bucket.refused} requests refused", row.news_after, row.same)


@contextmanager
def stand_in() -> Iterator[Bucket]:
    """Serve an empty bucket on this machine."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from pyarrow.fs import S3FileSystem
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which would tell of every request
    told = Bucket()
    inner = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        told.requests += 1
        time.sleep(told.late)
        if told.refusing.is_set():
            told.refused += 1
            start("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b""]
        reply: Iterable[bytes] = inner(environ, start)
        return reply

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        at, name = f"127.0.0.1:{server.port}", f"bucket-{server.port}"  # all servers of a process have the same buckets
        os.environ |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
        S3FileSystem(endpoint_override=at, scheme="http", allow_bucket_creation=True).create_dir(name)
        told.place = f"s3://{name}/runs?endpoint_override={at}&scheme=http"
        yield told
    finally:
        server.shutdown()


def _sweep_in(bench: Bench, bucket: Bucket) -> TinySweep:
    """Give a run in the bucket, looked at where this machine works on it."""
    os.environ[CACHE] = str(bench.work / "working-copies")
    return TinySweep(storage_at(bucket.place).folder, bench.inputs, ("--storage", bucket.place))
