"""All specs of a folder (``include/specs``) read together, with file, line and key in every error."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from prodsys.errors import SpecInvalid
from prodsys.intake.model_faults import faults_of
from prodsys.intake.nearest import suggest
from prodsys.intake.result import Fault
from prodsys.intake.yaml_file import YamlDocument, read_yaml
from prodsys.model.physics import PhysicsSpec
from prodsys.model.specs import (
    Catalogue,
    ChainSpec,
    PartitionTable,
    PolicySpec,
    ProfileSpec,
    SiteTable,
    SoftwareSpec,
)

M = TypeVar("M", bound=BaseModel)


class SoftwareTable(RootModel[dict[str, SoftwareSpec]]):
    """``software.yaml``: name of a software -> where its parts lie."""

    model_config = ConfigDict(frozen=True)


def load_catalogue(folder: Path, profile: str) -> Catalogue:
    """Everything that people wrote, for one profile.

    A faulty chain does not harm the others: it is left out, and a request that names it is told why.

    Raises
    ------
    SpecInvalid
        A file that all requests need is faulty or missing.
    """
    if not folder.is_dir():
        raise SpecInvalid(str(folder), "there is no such folder of specs", "set PRODSYS_SPECS, or leave it unset")
    chains, faulty = _load_chains(folder / "chains")
    partitions, sites, policy = _need_tables(folder)
    return Catalogue(
        chains=chains,
        software=_need(folder / "software.yaml", SoftwareTable).root,
        partitions=partitions,
        sites=sites,
        policy=policy,
        physics=_need(folder / "physics.yaml", PhysicsSpec),
        profile=_load_profile(folder / "profiles", profile),
        faulty=faulty,
    )


def _need_tables(folder: Path) -> tuple[PartitionTable, SiteTable, PolicySpec]:
    partitions = _need(folder / "partitions.yaml", PartitionTable)
    sites = _need(folder / "sites.yaml", SiteTable)
    if faults := storage_faults(partitions, sites, str(folder / "partitions.yaml")):
        raise _invalid(faults)
    return partitions, sites, _need(folder / "policy.yaml", PolicySpec)


def read_spec(path: Path, model: type[M]) -> tuple[M | None, list[Fault]]:
    """One file as one model, or its faults."""
    document = read_yaml(path)
    if document.faults:
        return None, list(document.faults)
    return validate_document(document, model)


def validate_document(document: YamlDocument, model: type[M]) -> tuple[M | None, list[Fault]]:
    """The data of a document as a model, or its faults."""
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        return None, faults_of(error, model, document)


def read_chain(path: Path) -> tuple[ChainSpec | None, list[Fault]]:
    """The chain of a file, whose name must be that of the chain."""
    chain, faults = read_spec(path, ChainSpec)
    if chain and chain.name != path.stem:
        message = f"is not the name of the file, {path.name}"
        return None, [Fault(str(path), 1, "name", chain.name, message, f"rename the file to {chain.name}.yaml")]
    return chain, faults


def read_profile(path: Path) -> tuple[ProfileSpec | None, list[Fault]]:
    """The profile of a file, whose name must be that of the profile."""
    profile, faults = read_spec(path, ProfileSpec)
    if profile and profile.name != path.stem:
        message = f"is not the name of the file, {path.name}"
        return None, [Fault(str(path), 1, "name", profile.name, message, f"rename the file to {profile.name}.yaml")]
    return profile, faults


def storage_faults(partitions: PartitionTable, sites: SiteTable, file: str) -> list[Fault]:
    """Faults of policies that name a storage which ``sites.yaml`` does not."""
    return [
        Fault(file, None, f"partitions[{index}].rses", rse, "is not in sites.yaml", suggest(rse, sites.rses))
        for index, policy in enumerate(partitions.partitions)
        for rse in policy.rses
        if rse not in sites.rses
    ]


def _load_chains(folder: Path) -> tuple[dict[str, ChainSpec], dict[str, str]]:
    chains, faulty = {}, {}
    for path in sorted(folder.glob("*.yaml")):
        chain, faults = read_chain(path)
        if chain:
            chains[chain.name] = chain
        else:
            faulty[path.stem] = str(faults[0])
    return chains, faulty


def _load_profile(folder: Path, name: str) -> ProfileSpec:
    known = [path.stem for path in folder.glob("*.yaml")]
    if name not in known:
        raise SpecInvalid("profile", f"there is no profile {name!r} in {folder}", suggest(name, known))
    profile, faults = read_profile(folder / f"{name}.yaml")
    if profile is None:
        raise _invalid(faults)
    return profile


def _need(path: Path, model: type[M]) -> M:
    spec, faults = read_spec(path, model)
    if spec is None:
        raise _invalid(faults)
    return spec


def _invalid(faults: list[Fault]) -> SpecInvalid:
    first = faults[0]
    place = f"{first.file}:{first.row}" if first.row else first.file
    value = f" {first.value!r}" if first.value else ""
    more = f"; {len(faults) - 1} more faults: run prodsys spec lint" if len(faults) > 1 else ""
    return SpecInvalid(place, f"{first.column}{value} {first.message}".strip() + more, first.remedy)
