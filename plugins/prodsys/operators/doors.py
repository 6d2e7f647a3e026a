"""Operators of the standing DAGs: import what was dropped, start what waits, repair what is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from prodsys.operators.base import ServiceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.context import Context

Source = Literal["drop folder", "specs"]


class ImportOperator(ServiceOperator):
    """Imports request files: from ``$PRODSYS_HOME/intake``, or from the specs' ``requests``."""

    template_fields = ("source",)

    def __init__(self, *, source: Source, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def act(self, ctx: Context, context: AirflowContext) -> None:  # noqa: ARG002
        """Import; the log says what was taken and what was refused, cell by cell."""
        from prodsys.actions.importing import import_folder
        from prodsys.settings import read_settings

        folder = ctx.home / "intake" if self.source == "drop folder" else read_settings().specs / "requests"
        self.log.info("%s: %s", folder, import_folder(ctx, folder))


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
        """Reconcile; the log says what was found."""
        from prodsys.actions.reconciling import reconcile

        self.log.info("%s", reconcile(ctx, repair=self.repair))
