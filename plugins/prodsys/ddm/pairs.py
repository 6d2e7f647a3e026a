"""Which files of several types belong together, and whether JEDI would pair them so. Pure.

JEDI pairs several inputs of a job side by side in the order of their names: one lost P shifts every later pair, and the
jobs still end well (recorded: pairing_shift). So the types are compared seed by seed before RECO is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prodsys.errors import DatasetConflict


@dataclass(frozen=True)
class InputPair:
    """The files of one seed: data type -> LFN."""

    seed: int
    lfns: Mapping[str, str]


@dataclass(frozen=True)
class Pairing:
    """Files of several types, seed by seed."""

    pairs: tuple[InputPair, ...]  # complete ones, in the order of seeds
    lonely: Mapping[str, tuple[str, ...]]  # data type -> LFNs that lack a partner
    broken_seeds: tuple[int, ...]  # seeds of the lonely files
    shifted: tuple[int, ...]  # seeds that JEDI would pair with a file of another seed, lonely files taken out

    @property
    def clean(self) -> bool:
        """Every file has its partners and JEDI pairs them right: RECO may read these datasets as they are."""
        return not self.broken_seeds and not self.shifted


def pair_inputs(files: Mapping[str, Mapping[str, int]]) -> Pairing:
    """Compare the datasets that one step reads together.

    Parameters
    ----------
    files
        Data type -> LFN -> seed, what each dataset holds (read back from Rucio): ``{"S": {...}, "P": {...}}``.

    Raises
    ------
    DatasetConflict
        Two files of one type hold the same seed.
    """
    by_seed = {data_type: _by_seed(data_type, lfns) for data_type, lfns in files.items()}
    whole = set.intersection(*(set(seeds) for seeds in by_seed.values())) if by_seed else set()
    lonely = {
        data_type: tuple(sorted(lfn for lfn, seed in lfns.items() if seed not in whole))
        for data_type, lfns in files.items()
    }
    broken = {seed for seeds in by_seed.values() for seed in seeds} - whole
    return Pairing(
        pairs=tuple(InputPair(seed, {one: by_seed[one][seed] for one in by_seed}) for seed in sorted(whole)),
        lonely={data_type: lfns for data_type, lfns in lonely.items() if lfns},
        broken_seeds=tuple(sorted(broken)),
        shifted=_shifted([[lfns[lfn] for lfn in sorted(lfns) if lfns[lfn] in whole] for lfns in files.values()]),
    )


def _by_seed(data_type: str, lfns: Mapping[str, int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for lfn, seed in sorted(lfns.items()):
        if seed in found:
            raise DatasetConflict(
                f"the dataset of {data_type}", [f"seed {seed} has two files, {found[seed]} and {lfn}"]
            )
        found[seed] = lfn
    return found


def _shifted(orders: list[list[int]]) -> tuple[int, ...]:
    """Seeds at places where the orders of the types differ."""
    return tuple(sorted({seed for seeds in zip(*orders, strict=True) if len(set(seeds)) > 1 for seed in seeds}))
