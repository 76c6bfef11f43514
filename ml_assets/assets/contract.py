"""``<model>_accept_contract``: the job that accepts data that moved on purpose."""

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import key, who_runs
from ml_assets.spec.model import ModelSpec


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
        from ml_assets.state.contracts import ContractError, NothingBlockedError, accept

        try:
            entry, note = accept(spec.name, who_runs(context), config.reason)
        except NothingBlockedError as error:
            # The one before it did it, or the source was mended.
            context.log.info(str(error))
            return
        except ContractError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        context.log_event(
            dg.AssetObservation(
                key(spec, "raw"),
                description=f"accepted: {config.reason}",
                metadata={
                    "raw_version": note.data_version,
                    "ledger_entry": entry.seq,
                    "moved": dg.MetadataValue.md(
                        "\n".join(f"- {sentence}" for sentence in note.moved)
                    ),
                },
            )
        )

    @dg.job(
        name=f"{spec.name}_accept_contract",
        description=f"Accepts what moved in the data of {spec.name}, on purpose.",
        tags={"model": spec.name},
    )
    def job() -> None:
        accept_contract()

    return dg.Definitions(jobs=[job])
