"""Instances of output templates in the catalogue, made when jobs first need them (refiner ``stock``)."""

from __future__ import annotations

from sqlalchemy import Engine, select, update

from sandbox.panda import tables as t
from sandbox.panda.bulk import one_of
from sandbox.panda.jobs.catalogue import Catalogue


def register_instances(engine: Engine, catalogue: Catalogue) -> None:
    """Have every instance in the catalogue; again is no error.

    Raises
    ------
    sandbox.panda.jobs.catalogue.CatalogueUnavailable
        The catalogue does not answer now.
    """
    if not catalogue.registers:
        return
    d = t.dataset.c
    with engine.connect() as connection:
        query = select(d.dataset_id, d.name).where(d.template_id.is_not(None), ~d.registered).order_by(d.dataset_id)
        found = connection.execute(query).all()
    for row in found:
        catalogue.ensure_dataset(row.name)
    if found:
        with engine.begin() as connection:
            ids = [row.dataset_id for row in found]
            connection.execute(update(t.dataset).where(one_of(d.dataset_id, ids)).values(registered=True))
