"""Sequential tests: decisions from live data, valid however often they are made.

`Shadow` compares two models on the same requests, `Split` two arms on their own, and
`Guardrail` watches failures and slow answers; `decide` makes a verdict of them. Each is
an immutable state that is updated label by label or in batches, with the same result.
`degradation` compares live performance with the offline figures.
"""

from ml_assets.ml.sequential.bernoulli import log_e_above
from ml_assets.ml.sequential.decision import Decision, Verdict, decide
from ml_assets.ml.sequential.evidence import Trace
from ml_assets.ml.sequential.guardrail import Guardrail
from ml_assets.ml.sequential.shadow import Shadow, wins_to_promote
from ml_assets.ml.sequential.split import Split

__all__ = [
    "Decision",
    "Guardrail",
    "Shadow",
    "Split",
    "Trace",
    "Verdict",
    "decide",
    "log_e_above",
    "wins_to_promote",
]
