"""Operators of the standing DAGs: import request files, start what waits, repair what is safe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from prodsys.operators.base import ServiceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.context import Context
    from prodsys.actions.importing import ImportAnswer


class ImportOperator(ServiceOperator):
    """Base of the imports: what is good is imported, then the airflow task fails when something new was not."""

    def report(self, ctx: Context, answers: Mapping[str, ImportAnswer]) -> None:
        """Log what each source brought, every fault with its cell and remedy.

        Raises
        ------
        AirflowFailException
            There were faults that did not stand before: somebody has to mend a file. Those that stand are logged.
        """
        from prodsys.intake.known_faults import keep_new

        faults = [fault for answer in answers.values() for fault in answer.faults]
        for source, answer in answers.items():
            self.log.info("%s: new %s, changed %s", source, answer.created or "none", answer.revised or "none")
            for note in answer.notes:
                self.log.info("%s", note)
        for fault in faults:
            self.log.error("%s", fault)
        new = keep_new(ctx.home / "intake" / f".{self.task_id}.faults.json", faults)
        if new:
            raise AirflowFailException(f"{len(new)} new faults of {len(faults)}, all in the log; the first: {new[0]}")
        if faults:
            self.log.warning("%d faults stand as they stood before: nobody has mended them", len(faults))


class DropFolderOperator(ImportOperator):
    """Imports the files dropped into ``$PRODSYS_HOME/intake``."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Import what rests; taken files move to ``done``, faulty ones to ``faulty``."""
        from prodsys.actions.intaking import import_dropped

        self.report(ctx, import_dropped(ctx, ctx.home / "intake"))


class SpecFolderOperator(ImportOperator):
    """Imports the requests under version control, ``include/specs/requests``."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Import; the files stay."""
        from prodsys.actions.intaking import import_versioned
        from prodsys.settings import read_settings

        folder = read_settings().specs / "requests"
        self.report(ctx, {str(folder): import_versioned(ctx, folder)})


class DispatchOperator(ServiceOperator):
    """Starts ready requests by priority, within the limit of running ones."""

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Start; the log says which."""
        from prodsys.actions.launching import dispatch

        for answer in dispatch(ctx):
            self.log.info("%s: %s", answer.request_id, answer.message)


class ReconcileOperator(ServiceOperator):
    """Compares ledger, PanDA and Airflow; mends what is safe, asks about the rest."""

    template_fields = ("repair",)

    def __init__(self, *, repair: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.repair = repair

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Reconcile; the log says what was found and what is left for a person."""
        from prodsys.actions.reconciling import reconcile

        for found in reconcile(ctx, repair=self.repair):
            say = self.log.info if found.repaired else self.log.warning
            say("%s: %s (%s): %s", found.request_id or "all", found.what, found.cause, found.advice)
