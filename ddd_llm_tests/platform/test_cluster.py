"""The Kubernetes tags of GPU steps, judged by dagster-k8s' own parser: a typo in them passes loading otherwise."""

from __future__ import annotations

import json

import pytest
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job, get_user_defined_k8s_config

from ddd_llm.definitions import defs
from ddd_llm.platform.cluster import executor, gpu_tags


def test_dagster_k8s_reads_the_tags_and_makes_a_job_of_them() -> None:
    config = get_user_defined_k8s_config({name: json.dumps(value) for name, value in gpu_tags(gpus=2).items()})
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(job_image="image", dagster_home="/home"),
        ["dagster"],
        "step",
        user_defined_k8s_config=config,
    ).to_dict()
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert pod["containers"][0]["volume_mounts"][-1]["mount_path"] == "/dev/shm"
    assert pod["termination_grace_period_seconds"] == 300
    assert pod["restart_policy"] == "Never"
    assert job["spec"]["backoff_limit"] == 0


def test_only_training_and_sampling_ask_for_a_gpu() -> None:
    wanted = {
        asset.op.name
        for asset in defs.resolve_asset_graph().assets_defs
        if "dagster-k8s/config" in (asset.op.tags or {})
    }
    trained = {"sft_model", "dpo_model", "reward_models", "rlhf_model", "learning_curve"}
    assert wanted == trained | {"sampled_answers", "synthetic_candidates"}


def test_the_executor_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDD_LLM_EXECUTOR", raising=False)
    assert executor().name == "in_process"
    monkeypatch.setenv("DDD_LLM_EXECUTOR", "k8s")
    assert executor().name == "k8s"
    monkeypatch.setenv("DDD_LLM_EXECUTOR", "kubernetes")
    with pytest.raises(ValueError, match="in_process or k8s"):
        executor()
