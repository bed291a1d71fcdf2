"""The folder that is logged: the adapter's files, what base they need, and how a person loads them.

Here belongs its content. Here does not belong MLflow (`registry`). The same inputs give the same bytes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
BASE_FILE = "base.json"
_PLAIN = frozenset({".json", ".safetensors", ".jinja", ".txt", ".md", ".model"})

_README = """# {name}

A LoRA adapter. Its base model is not in this folder; `base.json` says which one it needs, by digest.

```python
import mlflow
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = mlflow.artifacts.download_artifacts("models:/{name}@champion")
base = AutoModelForCausalLM.from_pretrained(BASE_FOLDER)
model = PeftModel.from_pretrained(base, folder).eval()
tokenizer = AutoTokenizer.from_pretrained(BASE_FOLDER)
```

Model digest: `{digest}`. Every claim about how it was made can be checked: `ddd-llm audit trace {name}/VERSION`.
"""


class PackageError(ValueError):
    """An adapter folder that must not be released."""


def build_package(adapter_dir: Path, target: Path, name: str, model_digest: str, base_identity: dict[str, Any]) -> None:
    """Copy the adapter into `target` and add `MLmodel`, `base.json` and `README.md`.

    `MLmodel` names the flavour `peft`, which MLflow stores and shows but never unpickles.

    Raises:
        PackageError: weights or config are missing, or a file is of a kind that may hold code.
    """
    import yaml

    files = sorted(path for path in adapter_dir.rglob("*") if not path.is_dir())
    refused = [path.name for path in files if path.suffix not in _PLAIN or path.is_symlink()]
    if refused:
        raise PackageError(f"the adapter folder holds files that are not released: {', '.join(refused)}")
    if not {WEIGHTS, CONFIG} <= {path.name for path in files if path.parent == adapter_dir}:
        raise PackageError(f"the adapter folder lacks {WEIGHTS} or {CONFIG}")
    for path in files:
        copy = target / path.relative_to(adapter_dir)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    flavour = {"adapter": ".", "weights": WEIGHTS, "base": BASE_FILE}
    described = {"flavors": {"peft": flavour}, "metadata": {"model_digest": model_digest}}
    (target / "MLmodel").write_text(yaml.safe_dump(described, sort_keys=True), encoding="utf-8")
    (target / BASE_FILE).write_text(json.dumps(base_identity, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    (target / "README.md").write_text(_README.format(name=name, digest=model_digest), encoding="utf-8")
