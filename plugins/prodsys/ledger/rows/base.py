"""What all tables have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Float, MetaData, Text, func
from sqlalchemy.dialects.postgresql import INT8RANGE, JSONB, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "prodsys"
CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(schema=SCHEMA, naming_convention=CONVENTION)
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        int: BigInteger,
        float: Float,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        Range[int]: INT8RANGE,
    }


def now() -> Mapped[datetime]:
    """A column that the database fills with the time of its transaction."""
    return mapped_column(server_default=func.now())
