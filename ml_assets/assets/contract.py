"""The schema contract of ``<model>/raw``: its breaches, and the job that accepts them.

The blocking check of `ml_assets.assets.validation` asks for them; the job
``<model>_accept_contract`` is for data that moved on purpose.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import key, notes_metadata, who_runs
from ml_assets.spec.model import ModelSpec
from ml_assets.state import contracts
from ml_assets.state.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

# Rules on the classes of the target, whose names answers have, too.
CLASS_RULES = {"new_class", "class_gone"}
# Rules on values and shares, which the world moves; the others are about the source.
MOVES = {"unseen_category", "out_of_range", "missing_values"}


class AcceptConfig(dg.Config):
    """Options of a run."""

    reason: str = Field(description="why, for the ledger")


def build(spec: ModelSpec) -> dg.Definitions:
    """The job of one model."""

    @dg.op(
        name=f"{spec.name}__accept_contract",
        description=f"Accepts what moved in the data of {spec.name}.",
        tags={"model": spec.name},
        out=dg.Out(dg.Nothing),
    )
    def accept_contract(context: dg.OpExecutionContext, config: AcceptConfig) -> None:
        try:
            entry, note = contracts.accept(spec.name, who_runs(context), config.reason)
        except contracts.NothingBlockedError as error:
            # An earlier attempt did it, or the source was mended.
            context.log.info(str(error))
            return
        except contracts.ContractError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        context.log_event(
            dg.AssetObservation(
                key(spec, "raw"),
                description=f"accepted: {config.reason}",
                metadata={
                    "raw_version": note.data_version,
                    "ledger_entry": entry.seq,
                    "moved": notes_metadata(note.moved),
                },
            )
        )

    @dg.job(
        name=f"{spec.name}_accept_contract",
        description=f"Accepts what moved in the data of {spec.name}, on purpose.",
        tags={"model": spec.name},
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        accept_contract()

    return dg.Definitions(jobs=[job])


def rows_under_contract(spec: ModelSpec, raw: "pd.DataFrame") -> "pd.DataFrame":
    """The rows that the contract is about: those that features are made of."""
    if spec.source.unlabelled != "drop" or spec.target not in raw.columns:
        return raw
    return raw[raw[spec.target].notna()]


def breaches(spec: ModelSpec, rows: "pd.DataFrame") -> list[Any]:
    """How `rows` break the contract; only warnings where requests moved, too."""
    from ml_assets.ml.contract import Contract

    classes = changed_classes(spec, rows)
    accepted = contracts.accepted(spec.name)
    if accepted is None:
        return classes
    contract = Contract.from_json(accepted.contract.encode())
    keys = [*spec.split.key, *spec.split.beside_inputs, *spec.features.text]
    found = contract.compare(rows, spec.features.drop, keys, spec.contract.ignore)
    if classes:
        # The same of the column's values in general would be said twice.
        found = [item for item in found if item.column != spec.target]
    found = [*classes, *found]
    if not any(item.rule in MOVES for item in found):
        return found
    drifted = contracts.drifted_columns(spec.name, accepted.since)
    return [_excused(item, drifted) for item in found]


def changed_classes(spec: ModelSpec, rows: "pd.DataFrame") -> list[Any]:
    """Classes of the target that are new since the first training, or gone.

    Where the YAML names classes that differ from those, they count instead.
    """
    from ml_assets.ml.column_contract import Violation
    from ml_assets.ml.tasks.labels import differences, spelling, values_of
    from ml_assets.state.pinned import pinned_task

    task = pinned_task(spec)
    labels = () if task is None else spec.classes or task.labels
    if not labels or spec.target not in rows.columns:
        return []
    positive = spec.positive
    if positive is not None and spelling(positive) not in map(spelling, labels):
        return []
    found = values_of(rows[spec.target])
    known = [str(label) for label in labels]
    new, gone = differences(found, labels)
    return [
        Violation.of_column(spec.target, rule, "error", message, expected=known)
        for rule, names, message in (
            (
                "new_class",
                new,
                f"the class {', '.join(new)} is new since the first"
                " training, which fixed the classes: mend the rows, or name all classes"
                " with the key `classes` of the model's YAML",
            ),
            ("class_gone", gone, f"the class {', '.join(gone)} has no row any more"),
        )
        if names
    ]


def _excused(violation: Any, drifted: Mapping[str, str]) -> Any:
    """A violation, as a warning where a drift report found the same of requests."""
    import msgspec

    report = drifted.get(violation.column or "")
    if violation.rule not in MOVES or report is None:
        return violation
    message = f"{violation.message}; as drift report {report} says of requests"
    return msgspec.structs.replace(violation, severity="warning", message=message)


def learn_or_block(
    model: str, version: str, rows: "pd.DataFrame", passed: bool, errors: list[str]
) -> str:
    """Learn the contract of data that passed; block data that broke it.

    Returns
    -------
    str
        What to do where the data moved on purpose; empty where nothing was blocked.
    """
    from ml_assets.ml.contract import Contract

    if passed:
        contracts.keep(model, Contract.learn(rows))
        Tables().accept(model, "raw", version)
        return ""
    if not errors:
        return ""
    try:
        contract = Contract.learn(rows)
    except ValueError:
        # No rows, or one name twice: there is nothing that could be accepted.
        return ""
    contracts.block(model, version, errors, contract)
    return contracts.remedy(model)
