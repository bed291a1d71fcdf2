"""The pinned base model, which comes before everything that a model does."""

from ddd_llm.platform.inputs import load_section
from ddd_llm.platform.lineage import lineage_asset, refuse
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.training.steps import OWNER

GROUP = "base"
"""Of its own: instructions and training both need it, and groups that lead to each other are no pipeline to look at."""


def _base_config(settings: Settings) -> Config:
    from ddd_llm.training.recipe import BaseModelSpec

    return load_section(settings.recipe, "base_model", BaseModelSpec).model_dump(mode="json")


@lineage_asset(group=GROUP, owner=OWNER, kinds={"huggingface", "safetensors"}, config=_base_config)
def base_model(step: Step) -> None:
    """The open-weight model that fine-tuning starts from, pinned by revision or file hash, with its licence.

    Kept in the store as safetensors, tokenizer and chat template, so that a file changed upstream under the same name is refused
    and training never downloads. The recipe's `base_model` section names another one.
    """
    from ddd_llm.training.base_model import BaseModelError, prepare
    from ddd_llm.training.recipe import BaseModelSpec

    spec = BaseModelSpec.model_validate(step.config)
    folder = step.scratch() / "model"
    try:
        with step.timed("prepare"):
            info = prepare(spec, folder, step.log.info)
    except BaseModelError as error:
        raise refuse(error) from error
    step.put_folder("model/", folder)
    step.sources = [{"name": spec.id, "licence": spec.licence, "kind": spec.kind}]
    step.summary |= {"model": spec.id, "licence": spec.licence, **info.summary()}
