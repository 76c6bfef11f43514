"""Sequential tests: decisions from live data, valid however often they are made.

`compare_paired` (shadow) and `compare_split` compare two arms by a `Loss`: by counts
where an answer is right or wrong (`Shadow`, `Split`), by betting on any bounded loss
(`Betting`), or by a planned number of labels (`Planned`). `Guardrail` watches failures
and slow answers, and `decide` makes a verdict of them. Each is an immutable state that
is updated label by label or in batches, with the same result. `degradation` compares
live performance with the offline figures.
"""

from ml_assets.ml.sequential.bernoulli import log_e_above
from ml_assets.ml.sequential.betting import Betting
from ml_assets.ml.sequential.comparison import (
    Comparison,
    compare_paired,
    compare_split,
)
from ml_assets.ml.sequential.decision import Decision, Verdict, decide
from ml_assets.ml.sequential.evidence import Trace
from ml_assets.ml.sequential.guardrail import Guardrail
from ml_assets.ml.sequential.losses import ERROR, Loss, Scale
from ml_assets.ml.sequential.planned import Planned
from ml_assets.ml.sequential.shadow import Shadow, wins_to_promote
from ml_assets.ml.sequential.split import Split

__all__ = [
    "ERROR",
    "Betting",
    "Comparison",
    "Decision",
    "Guardrail",
    "Loss",
    "Planned",
    "Scale",
    "Shadow",
    "Split",
    "Trace",
    "Verdict",
    "compare_paired",
    "compare_split",
    "decide",
    "log_e_above",
    "wins_to_promote",
]
