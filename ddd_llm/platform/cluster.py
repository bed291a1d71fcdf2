"""Where steps run: in this process by default, as Kubernetes jobs in production, with a GPU where an asset asks for one.

`DDD_LLM_EXECUTOR=k8s` selects `k8s_job_executor` (it needs the instance's launcher to be `K8sRunLauncher`). GPU assets carry
`op_tags` that only that executor reads, so the same asset runs on a laptop.
"""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

GPU_POOL = "gpu"


def gpu_tags(gpus: int = 1, memory: str = "32Gi", cpu: str = "8") -> dict[str, Any]:
    """`op_tags` of a GPU step as `dagster-k8s` reads them.

    `backoffLimit: 0`: Kubernetes must not start a second trainer behind the lease; retries are Dagster's. The grace period
    lets the trainer write its checkpoint after SIGTERM.
    """
    wanted = {"nvidia.com/gpu": str(gpus), "memory": memory, "cpu": cpu}
    return {
        "dagster-k8s/config": {
            "container_config": {
                "resources": {"limits": wanted, "requests": wanted},
                "volume_mounts": [{"name": "shm", "mount_path": "/dev/shm"}],
            },
            "pod_spec_config": {
                "termination_grace_period_seconds": 300,
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "node_selector": {"nvidia.com/gpu.present": "true"},
                "volumes": [{"name": "shm", "empty_dir": {"medium": "Memory"}}],
            },
            "job_spec_config": {"backoff_limit": 0, "ttl_seconds_after_finished": 86_400},
        }
    }


def executor() -> dg.ExecutorDefinition:
    """The executor that `DDD_LLM_EXECUTOR` names: `in_process` (default) or `k8s`.

    Raises:
        ValueError: another name.
    """
    name = os.environ.get("DDD_LLM_EXECUTOR") or "in_process"
    if name == "in_process":
        return dg.in_process_executor
    if name == "k8s":
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor
    raise ValueError(f"DDD_LLM_EXECUTOR={name}: use in_process or k8s")
