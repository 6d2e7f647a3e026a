"""Files that exist, bound to seeds: what is read, what is left out, and what is refused."""

from __future__ import annotations

import pytest

from prodsys.actions.planning.input_discovery import build_reading, groups_of
from prodsys.actions.planning.input_sources import Source
from prodsys.ddm.facts import FileFact
from prodsys.errors import DatasetConflict, InputsUnusable
from prodsys.model import seeds as seed_ranges
from prodsys.model.reading import InputFile, SeedSource
from tests.unit.model.test_reading import INPUTS, make

DIDS = tuple(INPUTS.items())
SEEDS = seed_ranges.parse_seeds("40001-40005")
FACT = FileFact(100, "0000000a")


def held(s: tuple[int, ...] = (1, 2, 3, 4, 5), p: tuple[int, ...] = (1, 2, 3, 4, 5)) -> dict:
    by_type = {"S": s, "P": p}
    return {
        (kind, did): {f"{did.partition(':')[2]}.{serial:06d}.root": FACT for serial in by_type[kind]}
        for kind, did in DIDS
    }


def source(files: dict[str, InputFile] | None = None, numbering: str = "40001-40005") -> Source:
    return Source(DIDS, None, files, seed_ranges.parse_seeds(numbering), "PROD2025-016", same_configuration=False)


def bound(rows: dict[str, tuple[int, ...]], tids: tuple[int, ...] = (7,) * 5) -> dict[str, InputFile]:
    """Files as jobs wrote them: the serial number is the place, the seed what is given."""
    found = {}
    for kind, did in DIDS:
        for place, seed in enumerate(rows[kind], start=1):
            lfn = f"{did.partition(':')[2]}.{place:06d}.root"
            found[lfn] = InputFile(lfn, did, kind, seed, FACT.bytes, FACT.adler32, tids[place - 1])
    return found


def test_files_of_before_are_bound_by_the_number_in_their_names_and_that_is_said():
    found = build_reading(make(inputs=INPUTS), "SIM", source(), held())
    assert [(one.seed, one.data_type) for one in found.files][:3] == [(40001, "P"), (40001, "S"), (40002, "P")]
    assert (found.planned.seed_source, found.planned.lacking) == (SeedSource.NAMES, ())
    assert any("assumed" in one for one in found.warnings)
    assert [one.read for one in found.planned.datasets] == [5, 5]


def test_a_file_without_partner_is_kept_out_and_its_seed_is_lacking():
    found = build_reading(make(inputs=INPUTS), "SIM", source(), held(p=(1, 2, 4, 5)))
    assert seed_ranges.show(found.planned.lacking) == "40003"
    assert [one.read for one in found.planned.datasets] == [4, 4]
    assert any("1 files of type S lack a partner" in one for one in found.warnings)


def test_a_number_beyond_the_seeds_is_a_retried_job_s_and_left_out():
    found = build_reading(make(inputs=INPUTS), "SIM", source(), held(s=(1, 2, 3, 4, 6), p=(1, 2, 3, 4, 6)))
    assert seed_ranges.show(found.planned.lacking) == "40005"
    assert any("2 files are left out, their names give no seed" in one for one in found.warnings)


def test_seeds_of_a_part_follow_the_numbering_of_the_whole():
    part = make(inputs=INPUTS, seeds="40003-40004", events=40)
    found = build_reading(part, "SIM", source(), held())
    assert {(one.seed, one.lfn.split(".")[-2]) for one in found.files} == {(40003, "000003"), (40004, "000004")}
    assert found.planned.lacking == ()


def test_what_jobs_say_counts_more_than_names():
    order = (40002, 40001, 40003, 40004, 40005)
    found = build_reading(make(inputs=INPUTS), "SIM", source(bound({"S": order, "P": order})), held())
    assert found.planned.seed_source is SeedSource.LEDGER
    assert next(one.seed for one in found.files if one.lfn.endswith(".S.000001.root")) == 40002
    assert not any("assumed" in one for one in found.warnings)


def test_files_that_panda_would_pair_wrongly_are_refused():
    files = bound({"S": (40002, 40001, 40003, 40004, 40005), "P": (40001, 40002, 40003, 40004, 40005)})
    with pytest.raises(InputsUnusable, match=r"do not belong together at seeds \[40001, 40002\]"):
        build_reading(make(inputs=INPUTS), "SIM", source(files), held())


def test_a_file_that_is_not_what_its_job_wrote_is_refused():
    files = bound({"S": tuple(range(40001, 40006)), "P": tuple(range(40001, 40006))})
    there = held()
    there[DIDS[0]] |= {next(iter(there[DIDS[0]])): FileFact(99, "0000000b")}
    with pytest.raises(InputsUnusable, match="Rucio has 99 bytes"):
        build_reading(make(inputs=INPUTS), "SIM", source(files), there)


def test_two_files_of_one_seed_are_refused():
    twice = held()
    first = next(iter(twice[DIDS[0]]))
    twice[DIDS[0]] |= {f"{first}.1": FACT}
    with pytest.raises(DatasetConflict, match="seed 40001 has two files"):
        build_reading(make(inputs=INPUTS), "SIM", source(), twice)


def test_an_input_without_any_seed_asked_for_is_refused():
    with pytest.raises(InputsUnusable, match="no complete set of files of a seed asked for"):
        build_reading(make(inputs=INPUTS, seeds="1-5"), "SIM", source(), held())


def test_files_of_two_tasks_are_never_read_by_one():
    files = [
        InputFile(f"{kind}{seed}", f"x:{task}.{kind}", kind, seed, 1, "1", task)
        for seed, task in ((1, 10), (2, 11), (3, 10))
        for kind in ("S", "P")
    ]
    groups = groups_of(files)
    assert [(group.seeds, group.parent_tid, dict(group.dids)["S"]) for group in groups] == [
        ((1, 3), 10, "x:10.S"),
        ((2,), 11, "x:11.S"),
    ]
