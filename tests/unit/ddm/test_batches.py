"""How much goes into one call."""

import pytest

from prodsys.ddm.batches import FILES_PER_ATTACHMENT, FILES_PER_CALL, attachments, calls, cut
from prodsys.ddm.facts import FileFact
from prodsys.errors import SpecInvalid
from prodsys.model.names import Did

DID = Did("MC2025_S1", "MC2025_S1.x.27GeV-UU.PROD2025-016.SIM.1.S")


def many(number):
    return {f"{DID.name}.{i:06d}.root": FileFact(100 + i, f"{i:x}") for i in range(1, number + 1)}


def test_files_go_out_by_storage_in_attachments_and_calls_of_bounded_size():
    files = many(5003)
    rse_of = {lfn: "JINR_EOS" if i % 2 else "PNPI_EOS" for i, lfn in enumerate(files)}
    prepared = attachments(DID, files, rse_of)
    assert max(len(one["dids"]) for one in prepared) == FILES_PER_ATTACHMENT
    packed = list(calls(prepared))
    assert all(sum(len(one["dids"]) for one in call) <= FILES_PER_CALL for call in packed)
    sent = {
        (one["rse"], did["name"]): (did["bytes"], did["adler32"])
        for call in packed
        for one in call
        for did in one["dids"]
    }
    assert sent == {(rse_of[lfn], lfn): (fact.bytes, fact.adler32) for lfn, fact in files.items()}


def test_nothing_to_add_is_no_call():
    assert list(calls(attachments(DID, {}, {}))) == []


def test_a_file_without_a_storage_is_named():
    with pytest.raises(SpecInvalid, match=r"nobody knows on which storage .*000002\.root lies"):
        attachments(DID, many(2), {f"{DID.name}.000001.root": "JINR_EOS"})


@pytest.mark.parametrize("fact", [FileFact(0, "1"), FileFact(5, "")])
def test_a_file_without_size_or_checksum_is_never_registered(fact):
    with pytest.raises(SpecInvalid, match="was reported with"):
        attachments(DID, {"x.root": fact}, {"x.root": "JINR_EOS"})


def test_cut_keeps_order_and_all_items():
    assert list(cut([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
