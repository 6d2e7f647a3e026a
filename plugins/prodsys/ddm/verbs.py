"""Verbs over several calls: a dataset that holds what it should, its rules made, a rule fulfilled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from prodsys.ddm.client import RucioClient
from prodsys.ddm.facts import FileFact, RuleInfo, differences
from prodsys.ddm.policies import WantedRule
from prodsys.errors import DatasetConflict, RucioUnavailable
from prodsys.model.names import Did
from prodsys.model.statuses import RuleState

Known = Callable[[Collection[str]], Collection[str]]


@dataclass(frozen=True)
class Held:
    """A closed dataset, as Rucio holds it in the end."""

    files: Mapping[str, FileFact]
    lost: tuple[str, ...] = ()  # wanted, but somebody closed it without them
    strays: tuple[str, ...] = ()  # not wanted, and Rucio will not let them go


def _no_strays(lfns: Collection[str]) -> Collection[str]:  # noqa: ARG001 - it knows none
    return ()


def ensure_dataset_holds(
    client: RucioClient,
    did: Did,
    wanted: Mapping[str, FileFact],
    rse_of: Mapping[str, str],
    known: Known = _no_strays,
) -> Held:
    """Have the dataset hold the wanted files and no others, closed last, read back and compared.

    It does not matter whether PanDA's adder registered all files, some or none, when it closes the dataset, nor how
    often this runs: what lacks is added while the dataset is open, known strays are detached, what is right is left.

    Parameters
    ----------
    client
        Rucio.
    did
        The dataset.
    wanted
        LFN -> size and checksum of all files it should hold.
    rse_of
        LFN -> storage the file was written to; needed for files that Rucio lacks.
    known
        Asked about files in Rucio that are not wanted, if there are any: those of them that we know may go.

    Raises
    ------
    DatasetConflict
        Rucio holds a wanted file with another size or checksum, or a file nobody knows; nothing was changed then. Or it
        reads back something else than was written.
    RucioUnavailable, RucioRefused
        As every call.
    """
    is_open = client.ensure_dataset(did).open
    held = client.list_files(did)
    strays = _check(did, held, wanted, known)
    lacking = {lfn: fact for lfn, fact in wanted.items() if lfn not in held}
    if lacking and is_open:
        is_open = _add(client, did, lacking, rse_of)
    if strays:
        client.detach_files(did, strays)
    client.ensure_closed(did)
    return _read_back(client, did, wanted, strays, may_lack=not is_open)


def ensure_dataset_of(client: RucioClient, did: Did, wanted: Mapping[Did, FileFact]) -> Held:
    """Have the dataset hold these files that Rucio knows, of whatever scope, and no others; closed and read back.

    Raises
    ------
    DatasetConflict
        It holds another file, or somebody closed it without all of them.
    """
    facts = {file.name: fact for file, fact in wanted.items()}
    is_open = client.ensure_dataset(did).open
    held = client.list_files(did)
    _check(did, held, facts, _no_strays)
    if is_open:
        client.ensure_attached(did, [file for file in wanted if file.name not in held])
    client.ensure_closed(did)
    return _read_back(client, did, facts, (), may_lack=False)


def ensure_described(client: RucioClient, did: Did, wanted: Mapping[Did, FileFact]) -> None:
    """Have GUID and number of events with the files of a dataset; what Rucio has stays. JEDI needs a GUID of inputs.

    One question where all of them are there already.

    Raises
    ------
    DatasetConflict
        A file has no GUID after all.
    """
    held = client.list_files(did)
    due = {file: fact.description(held.get(file.name)) for file, fact in wanted.items() if file.name in held}
    if not any(due.values()):
        return
    client.describe_files(due)
    held = client.list_files(did)
    without = [file.name for file in due if wanted[file].guid and not held[file.name].guid]
    if without:
        raise DatasetConflict(str(did), [f"{name} was given a GUID and has none" for name in without])


def _check(did: Did, held: Mapping[str, FileFact], wanted: Mapping[str, FileFact], known: Known) -> Collection[str]:
    """Files that are to be detached; DatasetConflict when what is there cannot be put right."""
    common = wanted.keys() & held.keys()
    wrong = differences({lfn: held[lfn] for lfn in common}, {lfn: wanted[lfn] for lfn in common})
    strays = sorted(held.keys() - wanted.keys())
    aliens = set(strays) - set(known(strays)) if strays else set()
    wrong += [f"{lfn} is there ({held[lfn]}) and should not be: no job of ours wrote it" for lfn in sorted(aliens)]
    if wrong:
        raise DatasetConflict(str(did), wrong)
    return strays


def _add(client: RucioClient, did: Did, lacking: Mapping[str, FileFact], rse_of: Mapping[str, str]) -> bool:
    """Whether the dataset took the files; False when somebody closed it between our look and now."""
    try:
        client.ensure_files(did, lacking, rse_of)
    except DatasetConflict:
        info = client.dataset_info(did)
        if info is None or info.open:
            raise
        return False
    return True


def _read_back(
    client: RucioClient, did: Did, wanted: Mapping[str, FileFact], strays: Collection[str], *, may_lack: bool
) -> Held:
    held = client.list_files(did)
    _check_counts(client, did, held)
    lost = tuple(sorted(wanted.keys() - held.keys()))
    stuck = tuple(lfn for lfn in strays if lfn in held)
    due = {lfn: fact for lfn, fact in wanted.items() if lfn in held or not may_lack}
    wrong = differences({lfn: fact for lfn, fact in held.items() if lfn not in stuck}, due)
    if wrong:
        raise DatasetConflict(str(did), wrong)
    return Held(held, lost, stuck)


def _check_counts(client: RucioClient, did: Did, held: Mapping[str, FileFact]) -> None:
    """Rucio's own numbers of the dataset are those of its files: rules are counted by them."""
    info = client.dataset_info(did)
    if info is None:
        raise DatasetConflict(str(did), ["it was complete and is gone: somebody deleted it"])
    if len(held) < info.length:  # a list that ended early is no news about the files that are not in it
        raise RucioUnavailable(f"it lists {len(held)} files of {did} and counts {info.length}")
    total = sum(fact.bytes for fact in held.values())
    if (info.length, info.bytes) != (len(held), total):
        said = f"it holds {info.length} files of {info.bytes} bytes, not {len(held)} of {total}"
        raise DatasetConflict(str(did), [said])


def ensure_rules(client: RucioClient, wanted: Iterable[WantedRule]) -> dict[Did, str]:
    """Have these rules: DID -> rule id."""
    return {
        rule.did: client.ensure_rule(rule.did, rule.copies, rule.rse_expression, rule.lifetime_s, rule.activity)
        for rule in wanted
    }


def rule_complete(info: RuleInfo, copies: int, length: int) -> bool:
    """Every file of the dataset has all its copies.

    A rule on an empty dataset is OK at once, and so is one whose dataset grew after it until the evaluator ran: the
    locks are counted.
    """
    return info.state is RuleState.OK and length > 0 and info.locks_ok == copies * length
