"""What can go wrong between us and a cluster."""


class ClusterError(Exception):
    """The cluster refused a request, or did not answer in time.

    `status` is that of its answer; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConflictError(ClusterError):
    """Somebody changed the object since it was read."""


class OvertakenError(Exception):
    """Somebody else changed the pod template: it is no longer ours to change."""


class StuckError(Exception):
    """A rollout did not come to its end."""


class RollError(Exception):
    """A Deployment was not brought to its changed pod template.

    `returned` says whether it is known to run the former template again.
    """

    def __init__(self, message: str, returned: bool) -> None:
        super().__init__(message)
        self.returned = returned
