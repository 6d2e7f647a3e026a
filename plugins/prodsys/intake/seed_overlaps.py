"""Which requests share seeds of one configuration: they hold the same events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from prodsys.intake.result import Accepted, Fault
from prodsys.model.names import RequestId
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.seeds import SeedRange, show
from prodsys.model.statuses import STATE_OF_RECORD, RequestState


@dataclass(frozen=True, order=True)
class Overlap:
    """Seeds ``first`` to ``last`` stand in both requests; ``a`` has the lower id."""

    a: str
    b: str
    first: int
    last: int


@dataclass(frozen=True)
class SharedBeam:
    """Seeds in two requests of one beam and generator, whose detectors differ: same generator events."""

    overlap: Overlap
    differs: tuple[str, ...]  # names of what differs in the configuration


@dataclass(frozen=True)
class _Span:
    first: int
    last: int
    request_id: str


def find_overlaps(specs: Iterable[RequestSpec]) -> tuple[Overlap, ...]:
    """All seeds that two requests of one configuration share, in the order of ids."""
    groups: dict[str, list[_Span]] = defaultdict(list)
    for spec in specs:
        groups[Configuration.of(spec).digest()] += _spans(spec)
    return _in_order(overlap for spans in groups.values() for overlap in _sweep(spans))


def refused_drafts(accepted: Iterable[Accepted]) -> tuple[Fault, ...]:
    """Drafts of the same files that ask for seeds of a request with a lower id: an import would give them none.

    A draft that is refused owns nothing, so it stands in nobody's way.
    """
    drafts = {one.spec.request_id: one for one in accepted}
    shared: dict[tuple[str, str], list[SeedRange]] = defaultdict(list)
    refused: set[str] = set()
    for overlap in find_overlaps(one.spec for one in drafts.values()):  # of lower ids first
        is_draft = STATE_OF_RECORD[drafts[overlap.b].spec.recorded_status] is RequestState.DRAFT
        if is_draft and overlap.a not in refused:
            refused.add(overlap.b)
            shared[overlap.a, overlap.b].append(SeedRange(first=overlap.first, last=overlap.last))
    return tuple(_taken(drafts[late], owner, show(seeds)) for (owner, late), seeds in shared.items())


def _taken(item: Accepted, owner: str, seeds: str) -> Fault:
    message = f"seeds {seeds} belong to {owner} of the same files, which has the same configuration"
    return Fault(item.file, item.row, "seeds", show(item.spec.seeds), message, "give each its own seeds")


def find_shared_beams(specs: Iterable[RequestSpec]) -> tuple[SharedBeam, ...]:
    """All seeds that two requests share whose beam, generator and variant are equal, and the rest is not."""
    groups: dict[Hashable, list[_Span]] = defaultdict(list)
    configurations: dict[str, Configuration] = {}
    for spec in specs:
        configuration = configurations[spec.request_id] = Configuration.of(spec)
        groups[(*configuration.beam(), configuration.variant)] += _spans(spec)
    found = _in_order(overlap for spans in groups.values() for overlap in _sweep(spans))
    pairs = ((overlap, _differences(configurations[overlap.a], configurations[overlap.b])) for overlap in found)
    return tuple(SharedBeam(overlap, differs) for overlap, differs in pairs if differs)


def _spans(spec: RequestSpec) -> list[_Span]:
    """Seeds that a request simulates; one that reads files that exist makes no events of its own."""
    return [] if spec.reads else [_Span(item.first, item.last, spec.request_id) for item in spec.seeds]


def _sweep(spans: list[_Span]) -> Iterator[Overlap]:
    """Overlaps of spans, found in one walk along the seeds with those that are still open."""
    open_spans: list[_Span] = []
    for span in sorted(spans, key=lambda one: one.first):
        open_spans = [one for one in open_spans if one.last >= span.first]
        for other in open_spans:
            if other.request_id != span.request_id:
                a, b = sorted((other.request_id, span.request_id), key=RequestId.parse)
                yield Overlap(a, b, span.first, min(span.last, other.last))
        open_spans.append(span)


def _in_order(overlaps: Iterable[Overlap]) -> tuple[Overlap, ...]:
    return tuple(sorted(overlaps, key=lambda one: (RequestId.parse(one.a), RequestId.parse(one.b), one.first)))


def _differences(left: Configuration, right: Configuration) -> tuple[str, ...]:
    mine, other = left.model_dump(), right.model_dump()
    return tuple(name for name in mine if mine[name] != other[name])
