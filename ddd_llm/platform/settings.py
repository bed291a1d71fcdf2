"""Where things live, read once from the environment. Belongs here: paths and addresses. Does not: what a stage does with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

CHECKOUT = Path(__file__).resolve().parents[2]


class Settings(BaseModel):
    """Folders, input files and loopback addresses of one installation.

    Environment: `DDD_LLM_HOME` (all that is written; default `.ddd_llm/` in the checkout), `DDD_LLM_STORE` (default
    `<home>/store`), `DDD_LLM_KEYS` (default `ddd_llm/keys` in the user's config folder), `DDD_LLM_SOURCES` and
    `DDD_LLM_RECIPE` (files), `DDD_LLM_ASSETS` (folder with policies and expectations), `DDD_LLM_MODEL_NAME` (registered
    name), `MLFLOW_TRACKING_URI`, `DDD_LLM_PAGES_PORT`, `DDD_LLM_SPARK_MASTER` (deduplicate on Spark: `local[*]`,
    `spark://host:7077`, ...; empty: in this process).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    store: str
    keys: Path
    assets: Path
    sources: Path
    recipe: Path
    model_name: str
    tracking_uri: str
    pages_port: int
    spark_master: str = ""

    @property
    def work(self) -> Path:
        """Scratch: training checkpoints and checked-out models. May be deleted at any time between runs."""
        return self.home / "work"

    @property
    def mlflow_artifacts(self) -> Path:
        """Folder of MLflow's artifacts in the embedded default."""
        return self.home / "mlflow" / "artifacts"

    def page_url(self, record: str) -> str:
        """Address of a record's report page on this machine."""
        return f"http://127.0.0.1:{self.pages_port}/records/{record}"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from environment variables (default: this process's)."""
    env = os.environ if environ is None else environ
    home = Path(env.get("DDD_LLM_HOME") or CHECKOUT / ".ddd_llm").expanduser().absolute()
    config_home = Path(env.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    assets = Path(env.get("DDD_LLM_ASSETS") or CHECKOUT / "assets").absolute()
    return Settings(
        home=home,
        store=env.get("DDD_LLM_STORE") or str(home / "store"),
        keys=Path(env.get("DDD_LLM_KEYS") or config_home / "ddd_llm" / "keys").expanduser().absolute(),
        assets=assets,
        sources=Path(env.get("DDD_LLM_SOURCES") or assets / "sources.yaml").absolute(),
        recipe=Path(env.get("DDD_LLM_RECIPE") or assets / "recipes" / "demo.yaml").absolute(),
        model_name=env.get("DDD_LLM_MODEL_NAME") or "ddd-llm-demo",
        tracking_uri=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
        pages_port=int(env.get("DDD_LLM_PAGES_PORT") or 3070),
        spark_master=env.get("DDD_LLM_SPARK_MASTER") or "",
    )
