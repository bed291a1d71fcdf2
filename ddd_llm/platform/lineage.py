"""How a plain function becomes a Dagster asset of the lineage, and how a check's verdict becomes part of it.

`@lineage_asset` wraps `function(step)`: it takes the run's snapshot, reads verified inputs, skips work whose fingerprint is
already the head's, holds a lease, writes the record, and shows it. `@lineage_check` attests what a check found.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any

import dagster as dg
from dagster_shared.utils.warnings import PreviewWarning

from ddd_llm.platform.code_version import code_version
from ddd_llm.platform.cores import release
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.metadata import materialisation_metadata
from ddd_llm.platform.nodes import GRAPH, Config, Input, Node, expect, status
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.canonical import file_digest
from ddd_llm.store.errors import StoreError
from ddd_llm.store.leases import hold
from ddd_llm.store.session import Held, Session, check_diamond

BATCHES = dg.DynamicPartitionsDefinition(name="batch")
FORCE_TAG = "ddd_llm/force"
Verdict = tuple[bool, str, dict[str, Any]]


class Lineage(dg.ConfigurableResource):
    """The artifact store and settings of this installation, read from the environment."""

    def settings(self) -> Settings:
        """Settings as the environment names them."""
        return load_settings()

    def store(self) -> ArtifactStore:
        """The artifact store the settings name."""
        return open_store(self.settings().store)


def refuse(error: Exception, retry: bool = False) -> dg.Failure:
    """An error as a Dagster failure whose first line is the sentence to read."""
    return dg.Failure(description=str(error), allow_retries=retry)


def lineage_asset(
    *,
    group: str,
    owner: str,
    kinds: set[str],
    inputs: Sequence[str | Input] = (),
    partitioned: bool = False,
    variants: Sequence[str] = (),
    sealed: bool = False,
    config: Callable[[Settings], Config] | None = None,
    baselines: Callable[[Session, Settings], list[Held]] | None = None,
    after: Callable[[Step | None, Held, Session, Settings, Any], None] | None = None,
    checks: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    op_tags: Mapping[str, Any] | None = None,
    pool: str | None = None,
    retry_policy: dg.RetryPolicy | None = None,
) -> Callable[[Callable[..., None]], dg.AssetsDefinition]:
    """Make `function(step)` (or `function(step, context)`) an asset; its docstring is the description people read.

    `after` runs once the record is there, also when an equal record was there already: for what must follow a commit
    and be repeatable (registration).
    """

    def decorate(function: Callable[..., None]) -> dg.AssetsDefinition:
        node = GRAPH.add(
            Node(
                name=function.__name__,
                group=group,
                function=function,
                inputs=tuple(i if isinstance(i, Input) else Input(i) for i in inputs),
                partitioned=partitioned,
                variants=tuple(variants),
                sealed=sealed,
                config=config,
                baselines=baselines,
                after=after,
                checks=tuple(checks),
                columns=dict(columns or {}),
            )
        )
        takes_context = "context" in function.__code__.co_varnames[: function.__code__.co_argcount]

        @dg.asset(
            name=node.name,
            group_name=group,
            owners=[f"team:{owner}"],
            kinds=kinds,
            description=cleandoc(function.__doc__ or ""),
            deps=[_dependency(i, node) for i in node.inputs if i.asset != node.name],
            partitions_def=_partitions(node),
            code_version=node.code_version,
            op_tags=op_tags,
            pool=pool,
            retry_policy=retry_policy,
        )
        def compute(context: dg.AssetExecutionContext, lineage: Lineage) -> dg.MaterializeResult:
            settings, partition = lineage.settings(), context.partition_key if _partitions(node) else None
            try:
                session = Session.begin(lineage.store(), context.run_id)
                now = status(session, node, settings, partition, verify=True, verdicts=False)
                forced = FORCE_TAG in context.run.tags
                if now.state == "current" and now.head is not None and not forced:
                    context.log.info(f"{node.name}: up to date, nothing to do")
                    held, step = now.head, None
                else:
                    for reason in now.why:
                        context.log.info(f"{node.name}: materialising, because {reason}")
                    step, held = _make(session, node, settings, partition, context, takes_context)
                if after is not None:
                    after(step, held, session, settings, context)
            except (StoreError, InputError) as error:
                raise refuse(error) from error
            return dg.MaterializeResult(
                data_version=dg.DataVersion(held.record.data_version),
                metadata=materialisation_metadata(session.store, node, held, settings, reused=step is None),
            )

        return compute

    return decorate


def _make(
    session: Session,
    node: Node,
    settings: Settings,
    partition: str | None,
    context: dg.AssetExecutionContext,
    takes_context: bool,
) -> tuple[Step, Held]:
    """Compute and commit one record under a lease."""
    name = node.name if partition is None else f"{node.name}[{partition}]"
    expected = expect(session, node, settings, partition)
    check_diamond(session, node.name, expected.pins)  # before the work, which may take a GPU for hours
    with hold(session.store, name, [p.record for p in expected.pins]) as lease:
        step = Step(session, node, settings, expected, partition, context.log)
        try:
            if takes_context:
                node.function(step, context)
            else:
                node.function(step)
            lease.check()
            return step, step.commit()
        finally:
            step.clean()
            release()


def _partitions(node: Node) -> dg.PartitionsDefinition | None:
    if node.variants:
        return dg.StaticPartitionsDefinition(list(node.variants))
    return BATCHES if node.partitioned else None


def _dependency(item: Input, node: Node) -> dg.AssetDep:
    above = GRAPH[item.asset]
    every = (above.partitioned and not node.partitioned) or bool(above.variants)
    return dg.AssetDep(item.asset, partition_mapping=dg.AllPartitionMapping() if every else None)


def lineage_check(
    *, asset: str, checks: Mapping[str, str], files: Sequence[str] = ()
) -> Callable[[Callable[[Held, ArtifactStore, Settings], Mapping[str, Verdict]]], dg.AssetChecksDefinition]:
    """Make `function(held, store, settings)` a Dagster check whose verdicts are attested on the record.

    A verdict that the asset requires blocks what comes after; any other only warns.

    `checks` maps each verdict's name to its description; the function returns name -> (passed, sentence, metadata), and a
    name it leaves out counts as failed. A verdict by the same code (and `files` below `assets/`) on the same record is not
    computed again.
    """

    def decorate(
        function: Callable[[Held, ArtifactStore, Settings], Mapping[str, Verdict]],
    ) -> dg.AssetChecksDefinition:
        node = GRAPH[asset]
        partitions = _partitions(node)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PreviewWarning)  # partitioned checks; the pinned Dagster has them
            specs = [
                dg.AssetCheckSpec(
                    name, asset=asset, description=text, blocking=name in node.checks, partitions_def=partitions
                )
                for name, text in checks.items()
            ]

        @dg.multi_asset_check(name=function.__name__, specs=specs, description=function.__doc__)
        def compute(context: dg.AssetCheckExecutionContext, lineage: Lineage) -> Iterator[dg.AssetCheckResult]:
            settings, store = lineage.settings(), lineage.store()
            partition = context.partition_key if partitions is not None else None
            try:
                held = Session.begin(store, context.run.run_id).head(asset, partition)
                if held is None:
                    raise dg.Failure(f"{asset} has no record to check: materialise it first", allow_retries=False)
                verdicts = verdicts_of(store, held, function, tuple(checks), settings, files)
            except (StoreError, InputError) as error:
                raise refuse(error) from error
            for name in checks:
                passed, sentence, metadata = verdicts[name]
                if not passed:
                    context.log.warning(f"{asset}: check {name} failed: {sentence}")
                severity = dg.AssetCheckSeverity.ERROR if name in node.checks else dg.AssetCheckSeverity.WARN
                yield dg.AssetCheckResult(
                    asset_key=asset,
                    check_name=name,
                    passed=passed,
                    description=sentence,
                    metadata=metadata,
                    severity=severity,
                )

        return compute

    return decorate


def verdicts_of(
    store: ArtifactStore,
    held: Held,
    function: Callable[[Held, ArtifactStore, Settings], Mapping[str, Verdict]],
    names: tuple[str, ...],
    settings: Settings,
    files: Sequence[str] = (),
) -> dict[str, Verdict]:
    """A check's verdicts on a record: those already attested by the same code, or computed and attested now."""
    version = code_version(function, *(file_digest(settings.assets / name)[0] for name in files))
    made = {
        body["name"]: (bool(body["passed"]), body["detail"]["sentence"], body["detail"]["metadata"])
        for body in store.attestations(held.digest, "check")
        if body["detail"].get("code_version") == version
    }
    if set(names) <= made.keys():
        return {name: made[name] for name in names}
    computed = function(held, store, settings)
    verdicts: dict[str, Verdict] = {}
    for name in names:
        verdicts[name] = computed.get(name, (False, "the check gave no verdict", {}))
        passed, sentence, metadata = verdicts[name]
        detail = {"sentence": sentence, "metadata": metadata, "code_version": version}
        store.attest(held.digest, "check", name, passed, detail, by=function.__name__)
    return verdicts
