"""`make ui`: Dagster (webserver and daemon), MLflow and the report pages, all on loopback, until interrupted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ddd_llm.platform.home import prepare_home
from ddd_llm.platform.settings import CHECKOUT, Settings, load_settings

DAGSTER_PORT = int(os.environ.get("DDD_LLM_DAGSTER_PORT") or 3000)
MLFLOW_PORT = int(os.environ.get("DDD_LLM_MLFLOW_PORT") or 5000)


def commands(settings: Settings) -> dict[str, list[str]]:
    """The processes to start, by name."""
    tools = Path(sys.executable).parent
    workspace = ["-w", str(CHECKOUT / "workspace.yaml")]
    mlflow = [str(tools / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(MLFLOW_PORT), "--workers", "1"]
    return {
        "dagster": [str(tools / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(DAGSTER_PORT), *workspace],
        "daemon": [str(tools / "dagster-daemon"), "run", *workspace],
        "mlflow": [
            *mlflow, "--backend-store-uri", settings.tracking_uri, "--default-artifact-root",
            settings.mlflow_artifacts.as_uri(),
        ],
        "pages": [sys.executable, "-m", "ddd_llm.platform.pages"],
    }  # fmt: skip


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Start everything, say where it is, stop everything together."""
    settings = load_settings()
    environ = prepare_home(settings)
    ports = {"Dagster": DAGSTER_PORT, "MLflow": MLFLOW_PORT, "reports": settings.pages_port}
    for name, port in ports.items():
        if _taken(port):
            raise SystemExit(
                f"port {port} ({name}) is in use: stop what runs there, or set DDD_LLM_DAGSTER_PORT, "
                "DDD_LLM_MLFLOW_PORT or DDD_LLM_PAGES_PORT"
            )
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for name, command in commands(settings).items():
            with (logs / f"{name}.log").open("ab") as log:
                running[name] = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=CHECKOUT)
        print(f"Dagster  http://127.0.0.1:{DAGSTER_PORT}\nMLflow   http://127.0.0.1:{MLFLOW_PORT}")
        print(f"reports  http://127.0.0.1:{settings.pages_port}\nlogs in {logs}; Ctrl-C stops all", flush=True)
        while all(process.poll() is None for process in running.values()):
            time.sleep(0.5)
        ended = [name for name, process in running.items() if process.poll() is not None]
        raise SystemExit(f"{', '.join(ended)} ended: see {logs}/{ended[0]}.log")
    except KeyboardInterrupt:
        print("stopping")
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    main()
