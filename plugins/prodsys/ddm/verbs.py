"""Verbs over several calls: a dataset complete, its rules made, a rule fulfilled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prodsys.ddm.client import RucioClient
from prodsys.ddm.facts import DatasetInfo, FileFact, RuleInfo, differences
from prodsys.ddm.policies import WantedRule
from prodsys.errors import DatasetConflict
from prodsys.model.names import Did
from prodsys.model.statuses import RuleState


def ensure_dataset_complete(
    client: RucioClient, did: Did, files: Mapping[str, FileFact], rse_of: Mapping[str, str], close: bool
) -> DatasetInfo:
    """The dataset with exactly these files, whoever registered them, read back and compared; closed last.

    Only what is missing is added, so it does not matter whether PanDA's adder registered all files, some or none, nor
    how often this runs. A dataset that was closed complete is left alone.

    Parameters
    ----------
    client
        Rucio.
    did
        The dataset.
    files
        LFN -> size and checksum of all files it must hold.
    rse_of
        LFN -> storage the file was written to.
    close
        Close it when it is complete.

    Raises
    ------
    DatasetConflict
        Rucio holds other files, sizes or checksums, or closed the dataset before it was complete; nothing was changed
        but what was missing and could be added.
    RucioUnavailable, RucioRefused
        As every call.
    """
    client.ensure_dataset(did)
    held = client.list_files(did)
    if contradicting := differences(held, {lfn: fact for lfn, fact in files.items() if lfn in held}):
        raise DatasetConflict(str(did), contradicting)
    if held.keys() != files.keys():
        client.ensure_files(did, files, rse_of)
        held = client.list_files(did)
        if wrong := differences(held, files):
            raise DatasetConflict(str(did), wrong)
    if close:
        client.ensure_closed(did)
    return _read_back(client, did, held)


def _read_back(client: RucioClient, did: Did, held: Mapping[str, FileFact]) -> DatasetInfo:
    info = client.dataset_info(did)
    if info is None:
        raise DatasetConflict(str(did), ["it was complete and is gone: somebody deleted it"])
    total = sum(fact.bytes for fact in held.values())
    if (info.length, info.bytes) != (len(held), total):
        said = f"it holds {info.length} files of {info.bytes} bytes, not {len(held)} of {total}"
        raise DatasetConflict(str(did), [said])
    return info


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
