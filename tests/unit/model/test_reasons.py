"""Missing seeds in words: ranges, one line a kind of reason, and an end to every list."""

from __future__ import annotations

from prodsys.model.reasons import RANGES_SHOWN, reason_families, reason_of, show_some


def test_reasons_that_differ_in_ids_alone_are_one_family() -> None:
    reasons = [(seed, f"job {7000 + seed} wrote no S") for seed in (5, 1, 2)] + [(9, "pilotErrorCode 1305: crash")]
    families = reason_families(reasons)
    assert [(one.reason, one.shown_seeds) for one in families] == [
        ("job 7005 wrote no S", "1-2, 5"),
        ("pilotErrorCode 1305: crash", "9"),
    ]


def test_files_of_seeds_are_no_reason_to_list_each() -> None:
    name = "MC2025_S2.minbias.27GeV-UU.PROD2025-016.SIM.1.S"
    reasons = [(seed, f"{name}.{seed:06d}.root is not in Rucio and its dataset is closed") for seed in range(1, 4)]
    assert [one.shown_seeds for one in reason_families(reasons)] == ["1-3"]


def test_error_codes_tell_families_apart() -> None:
    assert len(reason_families([(1, "transExitCode 11"), (2, "transExitCode 139")])) == 2


def test_a_long_list_of_seeds_ends_with_the_number_of_the_rest() -> None:
    shown = show_some(range(1, 4001, 2))
    assert shown.count(",") == RANGES_SHOWN - 1
    assert shown.endswith(f"and {2000 - RANGES_SHOWN} more")
    assert show_some([3, 1, 2]) == "1-3"


def test_the_step_that_lost_a_seed_is_named() -> None:
    assert reason_of("missing", "", "SIM") == "missing (lost in SIM)"
    assert reason_of("missing", "crash", "") == "crash"
