"""Operators of the standing DAGs: import request files, start what waits, repair what is safe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from prodsys.operators.base import ServiceOperator

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context
    from prodsys.actions.reconciliation.findings import Finding
    from prodsys.actions.requests.importing import ImportAnswer


class ImportOperator(ServiceOperator):
    """Base of the imports: what is good is imported, then the airflow task fails when something new was not."""

    def report(self, ctx: Context, folder: Path, answers: Mapping[str, ImportAnswer]) -> None:
        """Log what each source brought, every fault with its cell and remedy.

        Raises
        ------
        AirflowFailException
            There were faults that the last look at the folder had not found: somebody has to mend a file.
        """
        from prodsys.actions.requests.drop_folder import new_faults

        faults = [fault for answer in answers.values() for fault in answer.faults]
        for source, answer in answers.items():
            self.log.info("%s: new %s, changed %s", source, answer.created or "none", answer.revised or "none")
            for note in answer.notes:
                self.log.warning("%s", note)
        for fault in faults:
            self.log.error("%s", fault)
        if new := new_faults(ctx, folder, faults):
            raise AirflowFailException(f"{len(new)} new faults of {len(faults)}, all in the log; the first: {new[0]}")
        if faults:
            self.log.warning("%d faults stand as they stood before: nobody has mended them", len(faults))


class DropFolderOperator(ImportOperator):
    """Imports the files dropped into ``$PRODSYS_HOME/intake``."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Import what rests; taken files move to ``done``, faulty ones to ``faulty``."""
        from prodsys.actions.requests.drop_folder import import_dropped

        folder = ctx.home / "intake"
        self.report(ctx, folder, import_dropped(ctx, folder))


class SpecFolderOperator(ImportOperator):
    """Imports the requests under version control, ``include/specs/requests``; files and faults stay."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Import; the files stay."""
        from prodsys.actions.requests.drop_folder import import_versioned
        from prodsys.settings import read_settings

        folder = read_settings().specs / "requests"
        self.report(ctx, folder, {str(folder): import_versioned(ctx, folder)})


class DispatchOperator(ServiceOperator):
    """Starts ready requests by priority, within the limit of running ones."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Start; the log says which."""
        from prodsys.actions.runs.launching import dispatch

        for answer in dispatch(ctx):
            self.log.info("%s: %s", answer.request_id, answer.message)


class CompareOperator(ServiceOperator):
    """Base of comparisons: what is safe is mended, the rest is written down for a person."""

    template_fields = ("repair",)

    def __init__(self, *, repair: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.repair = repair

    def report(self, found: Iterable[Finding]) -> None:
        """Log what was found; what has a number waits for a person."""
        for one in found:
            say = self.log.info if one.repaired else self.log.warning
            number = f"finding {one.finding_id}, " if one.finding_id else ""
            say("%s%s: %s (%s): %s", number, one.request_id or "all", one.what, one.cause, one.advice)


class ReconcileOperator(CompareOperator):
    """Compares ledger, PanDA and Airflow; mends what is safe, asks about the rest."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Reconcile; the log says what was found and what is left for a person."""
        from prodsys.actions.reconciliation.reconciling import reconcile

        self.report(reconcile(ctx, repair=self.repair))


class CompareCataloguesOperator(CompareOperator):
    """Compares the ledger with Rucio, its own plans, and all tasks of the VO; some each time, in turns."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Compare; the log says what was found and what is left for a person."""
        from prodsys.actions.reconciliation.hourly_checks import compare_catalogues

        self.report(compare_catalogues(ctx, repair=self.repair))
