"""Assets of the release stage: a tuned model that passed the gate becomes a version in the model registry."""

from typing import Any

import dagster as dg

from ddd_llm.platform.lineage import lineage_asset, refuse
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.session import Held, Session

GROUP = "release"
OWNER = "ml-engineering"
REGISTERED = "registered"


def _registry_config(settings: Settings) -> Config:
    return {"name": settings.model_name}


def _register(step: Step | None, held: Held, session: Session, settings: Settings, context: Any) -> None:
    """Register the record's model in MLflow and say so in the store; a second call finds what the first one did."""
    from ddd_llm.release.publish import register_record
    from ddd_llm.release.registry import RegistryUnavailable
    from ddd_llm.release.round_trip import RoundTripError

    if session.store.verdicts(held.digest).get(REGISTERED):
        return
    try:
        context.log.info(register_record(session.store, held, settings))
    except RegistryUnavailable as error:
        raise refuse(error, retry=True) from error
    except RoundTripError as error:
        raise refuse(error) from error


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"mlflow"},
    inputs=["base_model", "sft_model", "delta_report", "memorisation_report"],
    config=_registry_config,
    after=_register,
    checks=(REGISTERED,),
    retry_policy=dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def model_version(step: Step) -> None:
    """A registered model version with the alias `champion`, in MLflow, tagged with the digest of its record.

    Exists only for a model whose `delta_report` passed the gate and whose `memorisation_report` found no more recited than
    allowed. Registration is repeatable (one version per model digest) and verified: what MLflow holds is downloaded, loaded, and
    must give the logits that the trainer saw.
    """
    from ddd_llm.release.publish import describe

    describe(step)
