"""Seeds and ids of all intervals are kept for a recurring template before there is a single request.

Its claims stand in the table of claims under the same exclusion constraint as those of requests, so nobody else can be
given its seeds (docs/decisions/recurring.md).
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.errors import IdTaken, SpecInvalid, TemplateChanged
from prodsys.ledger.ids import lock_ids
from prodsys.ledger.journal import write_audit
from prodsys.ledger.seeds import claimed_by, lock_configuration, reserve, reserved_by, to_range
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RecurringRow, RequestRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.recurring import RecurringSpec
from prodsys.model.request import Configuration
from prodsys.model.seeds import SeedRange
from prodsys.model.transitions import Permission
from prodsys.model.written import check_request

RELEASED = "released"  # in the body of a template whose seeds were given back


def register(ctx: Context, template: RecurringSpec) -> bool:
    """Keep the seeds and ids of all intervals for a template; False when that was done before.

    Raises
    ------
    SeedsTaken, IdTaken
        Somebody has some of them.
    TemplateChanged
        It has made requests, and now says something else about them.
    """
    ctx.check_permission("keep seeds for a recurring template", Permission.CREATE)
    with transaction(ctx.sessions) as session:
        return ensure_kept(session, ctx, template)


def ensure_kept(session: Session, ctx: Context, template: RecurringSpec) -> bool:
    """As `register`, in the caller's transaction; until its end nobody else gives out seeds and ids of these."""
    first = template.request_of(0, ctx.catalogue.partitions)
    check_request(first, ctx.catalogue)
    configuration = Configuration.of(first).digest()
    lock_configuration(session, configuration)
    lock_ids(session, template.id_prefix)
    row = session.get(RecurringRow, template.name, with_for_update=True)
    body = template.model_dump(mode="json")
    if row is not None and row.body == body:
        return False
    made = requests_of(session, template.name)
    if row is not None and made:
        before = {key: value for key, value in row.body.items() if key != RELEASED}
        _check_promise(RecurringSpec.model_validate(before), template, len(made))
    _check_ids(session, template)
    _write(session, ctx.who, row, template, configuration)
    used = [seeds for child in made.values() for seeds in claimed_by(session, child.request_id)]
    reserve(session, configuration, template.name, seed_ranges.subtract([template.block], used))
    detail = {"template": template.name, "seeds": str(template.block), "intervals": template.intervals}
    write_audit(session, ctx.who, "keep seeds", None, **detail)
    return True


def requests_of(session: Session, name: str) -> dict[datetime, RequestRow]:
    """Beginning of an interval -> its request."""
    rows = session.scalars(select(RequestRow).where(RequestRow.template == name).order_by(RequestRow.interval_start))
    return {row.interval_start.astimezone(UTC): row for row in rows if row.interval_start}


def _check_promise(before: RecurringSpec, now: RecurringSpec, made: int) -> None:
    old, new = before.promised(), now.promised()
    found = [f"{key}: {old[key]} -> {new[key]}" for key in old if old[key] != new[key]]
    if now.intervals < made:
        found.append(f"intervals: {now.intervals}, but {made} requests were made")
    if found:
        raise TemplateChanged(now.name, found)


def _check_ids(session: Session, template: RecurringSpec) -> None:
    wanted = [template.id_of(ordinal) for ordinal in range(template.intervals)]
    others = RequestRow.request_id.in_(wanted), RequestRow.template.is_distinct_from(template.name)
    if taken := sorted(session.scalars(select(RequestRow.request_id).where(*others))):
        remedy = "choose another first_number"
        raise IdTaken(taken[0], f"template {template.name} wants it, and it is a request already", remedy)


def _write(session: Session, who: str, row: RecurringRow | None, template: RecurringSpec, configuration: str) -> None:
    values = {
        "body": template.model_dump(mode="json"),
        "configuration": configuration,
        "id_prefix": template.id_prefix,
        "numbers": to_range(SeedRange(first=template.numbers.start, last=template.numbers.stop - 1)),
    }
    try:
        with session.begin_nested():
            if row is None:
                session.add(RecurringRow(name=template.name, registered_by=who, **values))
            else:
                for name, value in values.items():
                    setattr(row, name, value)
            session.flush()
    except IntegrityError as error:
        if "recurring_numbers_once" not in str(error.orig):
            raise
        numbers = f"numbers {template.numbers.start}-{template.numbers.stop - 1} of {template.id_prefix}"
        raise IdTaken(template.id_of(0), f"another template keeps some of {numbers}", "choose others") from error


def release(ctx: Context, name: str) -> tuple[SeedRange, ...]:
    """Give back what is kept for a template and was not used; its requests stay. The seeds that are free again.

    Raises
    ------
    SpecInvalid
        The ledger keeps nothing for a template of this name.
    """
    ctx.check_permission("give back the seeds of a recurring template", Permission.CREATE)
    with transaction(ctx.sessions) as session:
        row = session.get(RecurringRow, name, with_for_update=True)
        if row is None:
            raise SpecInvalid("template", f"nothing is kept for {name!r}", "prodsys recurring list")
        free = reserved_by(session, name)
        reserve(session, row.configuration, name, ())
        if requests_of(session, name):
            row.body = row.body | {RELEASED: True}  # whoever makes the next one keeps seeds anew
        else:
            session.delete(row)
        write_audit(session, ctx.who, "give back seeds", None, template=name, seeds=seed_ranges.show(free))
        return free
