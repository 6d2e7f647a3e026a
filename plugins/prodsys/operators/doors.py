"""Operators of the standing DAGs: import request files, start what waits, repair what is safe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from prodsys.operators.base import ServiceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.context import Context
    from prodsys.actions.findings import Finding
    from prodsys.actions.importing import ImportAnswer
    from prodsys.intake.result import Fault


class ImportOperator(ServiceOperator):
    """Base of the imports: what is good is imported, then the airflow task fails when something was not."""

    def show(self, answers: Mapping[str, ImportAnswer]) -> list[Fault]:
        """Log what each source brought, every fault with its cell and remedy; the faults."""
        faults = [fault for answer in answers.values() for fault in answer.faults]
        for source, answer in answers.items():
            self.log.info("%s: new %s, changed %s", source, answer.created or "none", answer.revised or "none")
            for note in answer.notes:
                self.log.warning("%s", note)
        for fault in faults:
            self.log.error("%s", fault)
        return faults

    def report(self, answers: Mapping[str, ImportAnswer]) -> None:
        """Show what each source brought.

        Raises
        ------
        AirflowFailException
            There were faults: somebody has to mend a file.
        """
        faults = self.show(answers)
        if faults:
            raise AirflowFailException(f"{len(faults)} faults, all in the log; the first: {faults[0]}")


class DropFolderOperator(ImportOperator):
    """Imports the files dropped into ``$PRODSYS_HOME/intake``."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Import; taken files move to ``done``, faulty ones to ``faulty``."""
        from prodsys.actions.intaking import import_dropped

        self.report(import_dropped(ctx, ctx.home / "intake"))


class SpecFolderOperator(ImportOperator):
    """Imports the requests under version control, ``include/specs/requests``.

    The files stay, and so do their faults: the airflow task fails when there are new ones, and shows them every time.
    """

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Import; the files stay."""
        from prodsys.actions.intaking import import_versioned, new_faults
        from prodsys.settings import read_settings

        folder = read_settings().specs / "requests"
        faults = self.show({str(folder): import_versioned(ctx, folder)})
        if new := new_faults(ctx, folder, faults):
            raise AirflowFailException(f"{len(new)} new faults of {len(faults)}, all in the log; the first: {new[0]}")


class DispatchOperator(ServiceOperator):
    """Starts ready requests by priority, within the limit of running ones."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Start; the log says which."""
        from prodsys.actions.launching import dispatch

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
        from prodsys.actions.reconciling import reconcile

        self.report(reconcile(ctx, repair=self.repair))


class CompareCataloguesOperator(CompareOperator):
    """Compares the ledger with Rucio, its own plans, and all tasks of the VO; some each time, in turns."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Compare; the log says what was found and what is left for a person."""
        from prodsys.actions.comparing import compare_catalogues

        self.report(compare_catalogues(ctx, repair=self.repair))
