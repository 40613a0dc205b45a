"""Messages a second for everything due at once: the limit, our dispatcher, and what else carries the same letters."""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench import processes, rivals, ward
from bench.carrier import Order, command
from bench.databases import Databases, Postgres, Sqlite
from bench.figures import Figure, Part, paired
from bench.standin import Standin

# Enough that the provider's latency is never what limits: 64 / ~1 ms, 800 / 100 ms.
AS_OURS = " as we use it"
IN_FLIGHT = {0.0: 64, 0.1: 800}


@dataclass
class Runs:
    """Messages a second by what carried them, in the order of the rounds."""

    by_name: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, run: "Run") -> None:
        """One more round."""
        self.by_name[name].append(run.per_second)
        self.cpu[name].append(run.cpu)

    def figure(self, name: str, against: str, target: str = "", note: str = "") -> Figure:
        """A line, as a ratio to another in the same rounds; and by processor time, which neighbours disturb less."""
        notes = [note] if note else []
        notes.append(f"{median(self.cpu[name]):.0f} µs CPU each")
        if name == against:
            return Figure(name, self.by_name[name], "/s", None, target, ", ".join(notes))
        notes.append(f"ratio by CPU {paired(self.cpu[against], self.cpu[name]):.2f}")
        ratio = paired(self.by_name[name], self.by_name[against])
        return Figure(name, self.by_name[name], "/s", ratio, target, ", ".join(notes))


@dataclass(frozen=True)
class Run:
    """What one run came to: letters a second, and microseconds of processor time for each in the sending processes."""

    per_second: float
    cpu: float


def limit(standin: Standin, messages: int, latency: float, *, as_ours: bool = False) -> Run:
    """A loop that only posts; `as_ours`: on uvloop and with the form put together the quick way, as our dispatcher does it."""
    standin.reset(latency)
    order = json.dumps(
        {
            "url": standin.url,
            "messages": messages,
            "in_flight": IN_FLIGHT[latency],
            "as_ours": as_ours,
        }
    )
    _, said = processes.together([[sys.executable, "-m", "bench.bare", order]])
    standin.expect(messages)
    return Run(messages / said[0]["seconds"], said[0]["cpu"] / messages * 1e6)


def ours(
    standin: Standin, databases: Databases, template: str, messages: int, latency: float, dispatchers: int
) -> Run:
    """The dispatcher with the whole state machine, from its first query to its last commit."""
    url = databases.copy(template)
    standin.reset(latency)
    _, shift = ward.office_hours()
    order = Order(url, standin.url, shift.total_seconds(), IN_FLIGHT[latency])
    seconds, said = processes.together([command(order)] * dispatchers)
    databases.drop(url)
    standin.expect(messages)
    if sum(one["accepted"] for one in said) != messages:
        raise RuntimeError(f"not everything was accepted: {said}")
    return Run(messages / seconds, sum(one["cpu"] for one in said) / messages * 1e6)


def measure(standin: Standin, sqlite: Sqlite, postgres: Postgres, messages: int, rounds: int) -> Part:
    """The limit and ours, one after the other in every round."""
    due, _ = ward.office_hours()
    fill = partial(ward.fill, patients=messages, due=due)
    templates = {databases.name: databases.template(fill) for databases in (sqlite, postgres)}
    runs = Runs()
    setups: list[tuple[Databases, int]] = [(sqlite, 1), (postgres, 1), (postgres, 2)]
    for _ in range(rounds):
        for latency in IN_FLIGHT:
            runs.add(_limit_name(latency), limit(standin, messages, latency))
            runs.add(_limit_name(latency, AS_OURS), limit(standin, messages, latency, as_ours=True))
            for databases, dispatchers in setups:
                runs.add(
                    _name(databases, dispatchers, latency),
                    ours(standin, databases, templates[databases.name], messages, latency, dispatchers),
                )
    figures = []
    for latency in IN_FLIGHT:
        bare, quick = _limit_name(latency), _limit_name(latency, AS_OURS)
        one, two = (_name(postgres, dispatchers, latency) for dispatchers in (1, 2))
        figures += [
            runs.figure(bare, bare),
            runs.figure(quick, bare),
            runs.figure(_name(sqlite, 1, latency), bare, "≥ 0.80"),
            runs.figure(_name(sqlite, 1, latency), quick, note=f"÷ the loop{AS_OURS}"),
            runs.figure(one, bare, "≥ 0.80"),
            runs.figure(one, quick, note=f"÷ the loop{AS_OURS}"),
            runs.figure(two, bare),
            runs.figure(two, one, "≥ 1.2", "÷ 1 dispatcher"),
        ]
    flights = ", ".join(
        f"{count} in flight at {latency * 1000:.0f} ms" for latency, count in IN_FLIGHT.items()
    )
    return Part(
        "speed",
        "All due at once: our dispatcher ÷ a bare aiohttp loop that only posts",
        f"{messages} letters with links and codes; SQLite WAL, synchronous=FULL; PostgreSQL fsync and synchronous_commit on;"
        f" {flights}; rounds interleaved, ratio = median of the rounds' ratios.",
        figures,
    )


def against_rivals(
    standin: Standin, sqlite: Sqlite, postgres: Postgres, folder: Path, messages: int, rounds: int
) -> Part:
    """Ours and the peers, one after the other in every round."""
    due, _ = ward.office_hours()
    fill = partial(ward.fill, patients=messages, due=due)
    templates = {databases.name: databases.template(fill) for databases in (sqlite, postgres)}
    runs = Runs()
    beside = {rivals.HUEY: sqlite.name, rivals.PROCRASTINATE: postgres.name, rivals.CELERY: postgres.name}
    with rivals.redis(folder) as broker:
        for turn in range(rounds):
            for databases in (sqlite, postgres):
                runs.add(
                    databases.name, ours(standin, databases, templates[databases.name], messages, 0.0, 1)
                )
            for rival in beside:
                queue = rivals.where(rival, folder, postgres, broker, turn)
                count = min(messages, rival.messages)
                runs.by_name[rival.name].append(rivals.per_second(rival, standin, queue, count))
    figures = [Figure(f"ours, {name}", runs.by_name[name], "/s") for name in (sqlite.name, postgres.name)]
    for rival, our_name in beside.items():
        ratio = paired(runs.by_name[our_name], runs.by_name[rival.name])
        note = f"{rival.durability}; {min(messages, rival.messages)} letters; ratio ours on {our_name} ÷ it"
        figures.append(
            Figure(rival.name, runs.by_name[rival.name], "/s", ratio, f"≥ {rival.at_least:g}", note)
        )
    return Part(
        "peers",
        "All due at once: our dispatcher ÷ other queues",
        "The same form to the same stand-in without latency, queued beforehand; peers timed from first letter to last.",
        figures,
    )


def _limit_name(latency: float, how: str = "") -> str:
    return f"bare aiohttp loop{how}, provider {latency * 1000:.0f} ms"


def _name(databases: Databases, dispatchers: int, latency: float) -> str:
    return f"{databases.name}, {dispatchers} dispatcher{'s' * (dispatchers > 1)}, provider {latency * 1000:.0f} ms"
