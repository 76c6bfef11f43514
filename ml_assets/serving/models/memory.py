"""What one server keeps of its answers, over all models and plans."""

from pathlib import Path

from ml_assets.serving.requests.messages import Response
from ml_assets.serving.log.prediction_log import LogKeeper, PredictionLog
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.shadow import ShadowQueue
from ml_assets.serving.settings import ServerSettings
from ml_assets.serving.protocols import lookup


class Memory:
    """The logs and the shadows of a server; `server` is its name."""

    def __init__(self, settings: ServerSettings, metrics: Metrics, server: str) -> None:
        self._settings = settings
        self._logs = LogKeeper(settings, metrics, server)
        self.shadows = ShadowQueue(metrics, settings.max_shadow_rows)
        metrics.shadow_rows = self.shadows.waiting
        metrics.unshipped = self._logs.unshipped

    def log_of(self, model: str) -> PredictionLog:
        """The log of one model."""
        return self._logs.log_of(model)

    def recorder(self, model: str) -> Recorder:
        """Keeps the predictions of one model."""
        return Recorder(self.log_of(model))

    def find(self, prediction_id: str) -> Response:
        """The answer to who asks for a prediction."""
        settings = self._settings
        home, storage = Path(settings.home), Path(settings.storage)
        return lookup.find(home, storage, prediction_id)

    def start(self) -> None:
        """Score for the shadows and ship segments from now on."""
        self.shadows.start()
        self._logs.start()

    def close(self) -> None:
        """Stop, with nothing left that could be shipped."""
        self.shadows.close()
        self._logs.close()
