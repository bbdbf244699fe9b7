"""How long and how much: for a report, and for a quick look that only shows that all of it works."""

import dataclasses


@dataclasses.dataclass
class Plan:
    """Times in seconds."""

    limit_s: float = 4.0
    xadds: int = 400_000
    warm_up_s: int = 2
    duration_s: int = 10
    # A shop, started and looked at, is left alone so long before its memory is read.
    idle_s: float = 10.0
    deadlines: int = 10_000
    deadlines_within_s: int = 10
    rounds: int = 10
    buyers: int = 60
    units: int = 10
    catalogue_s: int = 5
    # Connections of the catalogue's load.
    connections: int = 32
    # Orders in the shop: for start and rebuild, and the two ends of the growth.
    stored: int = 100_000
    small: int = 10_000
    grown: int = 1_000_000

    @property
    def is_quick(self):
        return self.limit_s < Plan.limit_s


def quick():
    return Plan(
        limit_s=1.0,
        xadds=50_000,
        warm_up_s=1,
        duration_s=3,
        idle_s=2.0,
        deadlines=500,
        deadlines_within_s=2,
        rounds=2,
        catalogue_s=1,
        stored=2_000,
        small=500,
        grown=4_000,
    )
