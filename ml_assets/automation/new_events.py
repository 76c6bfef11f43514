"""Events of one stage of many models that a sensor has not handled, each once.

One query finds the models that have any. Only what is unusual is remembered of a model:
that it is behind the others, because it has a backlog or its last tick failed.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import dagster as dg
import msgspec

# With several writers an event can appear after one with a higher number: of so many
# numbers below the highest, those that were handled are remembered.
OVERLAP = 1_000
# Events of a model, and models, that one tick handles; the next tick goes on.
BATCH, MODELS = 50, 200


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a sensor came in the event log, for its cursor.

    Attributes
    ----------
    floor
        Every event up to this number was handled.
    handled
        Numbers above it that were, too.
    behind
        Models that have another floor.
    models
        Those of the last tick. One that was not there then, such as one whose YAML was
        broken or switched off, goes on where it stopped.
    """

    floor: int = 0
    handled: frozenset[int] = frozenset()
    behind: dict[str, int] = {}
    models: frozenset[str] = frozenset()

    def floor_of(self, model: str) -> int:
        """Every event of `model` up to this number was handled."""
        return self.behind.get(model, self.floor if model in self.models else 0)


class News(NamedTuple):
    """The metadata of events that were not handled, oldest first, by model.

    `numbers` has the events' numbers, and `after` is the progress once all are handled.
    `joined` are models that were not there at the last tick.
    """

    events: dict[str, list[Mapping[str, Any]]]
    numbers: dict[str, set[int]]
    joined: frozenset[str]
    before: Progress
    after: Progress

    def progress(self, failed: Iterable[str]) -> Progress:
        """That after these events, where those of some models are to come again."""
        again = set(failed) & self.numbers.keys()
        floors = {model: self.before.floor_of(model) for model in again}
        return Progress(
            self.after.floor,
            self.after.handled.difference(*(self.numbers[model] for model in again)),
            self.after.behind | floors,
            self.after.models,
        )


def fetch(
    instance: dg.DagsterInstance, stage: str, models: Iterable[str], before: Progress
) -> News:
    """The metadata of materializations of ``<model>/<stage>``."""
    present = frozenset(models)
    # First the number, then the events: one that comes meanwhile is above it.
    newest = instance.event_log_storage.get_maximum_record_id() or 0
    last = _last_events(instance, [dg.AssetKey([name, stage]) for name in present])
    # The last one is that which was stored last: one that came late, too.
    waiting = [
        name
        for name in sorted(last)
        if name in before.behind
        or (last[name] > before.floor_of(name) and last[name] not in before.handled)
    ]
    away = (before.models | before.behind.keys()) - present
    behind = {name: before.floor_of(name) for name in [*waiting[MODELS:], *away]}
    events, numbers, handled = {}, {}, set(before.handled)
    for name in waiting[:MODELS]:
        wanted = dg.AssetRecordsFilter(
            dg.AssetKey([name, stage]), after_storage_id=before.floor_of(name)
        )
        found: list[dg.EventLogRecord] = []
        cursor, more = None, True
        while more and len(found) < BATCH:
            page = instance.fetch_materializations(wanted, BATCH, cursor, True)
            found += [item for item in page.records if item.storage_id not in handled]
            cursor, more = page.cursor, page.has_more
        if more or len(found) > BATCH:
            found = found[:BATCH]
            behind[name] = found[-1].storage_id
        if found:
            events[name] = [_metadata(item) for item in found]
            numbers[name] = {item.storage_id for item in found}
            handled |= numbers[name]
    floor = max(before.floor, newest - OVERLAP)
    kept = frozenset(number for number in handled if number > floor)
    after = Progress(floor, kept, behind, present)
    return News(events, numbers, present - before.models, before, after)


def _last_events(
    instance: dg.DagsterInstance, keys: list[dg.AssetKey]
) -> dict[str, int]:
    """Number of the last materialization of each model that has one."""
    entries = [item.asset_entry for item in instance.get_asset_records(keys)]
    return {
        entry.asset_key.path[0]: entry.last_materialization_storage_id
        for entry in entries
        if entry.last_materialization_storage_id is not None
    }


def _metadata(record: dg.EventLogRecord) -> Mapping[str, Any]:
    event = record.asset_materialization
    return event.metadata if event is not None else {}
