"""What all pieces of a model's YAML have in common."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A piece of a model's YAML: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
