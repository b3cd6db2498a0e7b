"""The tables of a server's database, and how it is opened. Needs SQLAlchemy, from the extra `elastic`."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from driftc.codegen.errors import ToolError, UsageError, first_line

NAME = 16  # hex digits of a model or a device
metadata = MetaData()


def _model() -> Column[str]:
    return Column("model", String(NAME), nullable=False)


def _key(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


devices = Table(
    "devices",
    metadata,
    _key("model", String(NAME)),
    _key("device", String(NAME)),
    Column("first", Float, nullable=False),  # seconds since 1970, as every time here
    Column("last", Float, nullable=False),
    Column("active", BigInteger),  # sequence, as the device says; none before it says so
    Column("highest", BigInteger),
    Column("reason", Integer),
)
uploads = Table(
    "uploads",
    metadata,
    Column("number", Integer, primary_key=True),
    _model(),
    Column("device", String(NAME), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("entropy", Integer, nullable=False),
    Column("flags", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the sample: each counts once
    Column("sample", LargeBinary, nullable=False),
    Column("received", Float, nullable=False),
    Column("round", Integer),  # none: it waits
    Index("uploads_digest", "model", "digest", unique=True),
    Index("uploads_round", "model", "round", "device"),
)
rounds = Table(
    "rounds",
    metadata,
    Column("number", Integer, primary_key=True),
    _model(),
    Column("group", String(NAME), nullable=False),
    Column("state", String(8), nullable=False),
    Column("began", Float, nullable=False),
    Column("ended", Float),
    Column("report", Text),  # JSON
)
packets = Table(
    "packets",
    metadata,
    _key("model", String(NAME)),
    _key("sequence", BigInteger),
    Column("group", String(NAME), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("round", Integer),  # none: some other server's
    Column("made", Float, nullable=False),
    Column("sent", Float),
)
counts = Table(
    "counts",
    metadata,
    _key("model", String(NAME)),
    _key("device", String(NAME)),
    _key("why", String(16)),
    Column("count", Integer, nullable=False),
)


def engine_of(url: str) -> Engine:
    """Opened, with its tables. Raises UsageError where that fails, ToolError where its driver is missing."""
    try:
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError):
        raise UsageError(f"--database {_shown(url)}: is no URL of SQLAlchemy's; sqlite:///server.db is one") from None
    except ModuleNotFoundError as problem:
        raise ToolError(
            f'--database {_shown(url)}: needs {problem.name}; pip install "driftc[postgresql]" is for '
            "postgresql+psycopg:// URLs"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _settle)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        metadata.create_all(engine)
    except SQLAlchemyError as problem:
        engine.dispose()
        said = first_line(getattr(problem, "orig", None) or problem)
        raise UsageError(f"--database {_shown(url)}: cannot be opened: {said}") from None
    return engine


def _settle(connection: object, _: object) -> None:
    """SQLite: transactions as SQLAlchemy begins them, on the disk when they end, readers beside a writer."""
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for said in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL"):
        cursor.execute(f"PRAGMA {said}")
    cursor.close()


def _shown(url: str) -> str:
    """Without a password."""
    try:
        from sqlalchemy import make_url

        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


class Owner(Protocol):
    def hold(self) -> None:
        """Raises SQLAlchemyError, or UsageError where another has taken it, unless it is held still."""

    def close(self) -> None: ...


def owners(engine: Engine, model: str) -> Owner:
    """The right to work on a model's rounds, one server's at a time; the system takes it back from one that dies.

    Raises UsageError where another server has it.
    """
    busy = UsageError(f"another server works with this database on model {model}; end it, or name another --database")
    if engine.dialect.name == "sqlite":
        name = engine.url.database
        return _Nothing() if name in (None, "", ":memory:") else _FileLock(Path(f"{name}.{model}.lock"), busy)
    if engine.dialect.name == "postgresql":
        return _AdvisoryLock(engine, int(model, 16) - (1 << 63), busy)
    raise UsageError(f"--database: {engine.dialect.name} is not used; SQLite and PostgreSQL are")


class _Nothing:
    def hold(self) -> None:
        pass

    def close(self) -> None:
        pass


class _FileLock:
    def __init__(self, path: Path, busy: UsageError) -> None:
        try:
            self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise UsageError(f"{path}: cannot be written: {problem.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise busy from None

    def hold(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._file)


class _AdvisoryLock:
    """Goes with its connection, and is taken anew where that was lost."""

    def __init__(self, engine: Engine, number: int, busy: UsageError) -> None:
        self._engine, self._number, self._busy = engine, number, busy
        self._connection: Connection | None = None
        self.hold()

    def hold(self) -> None:
        try:
            if self._connection is not None:
                self._connection.execute(text("SELECT 1"))
                self._connection.commit()
                return
            self._connection = self._engine.connect()
            taken = text("SELECT pg_try_advisory_lock(:number)")
            found = self._connection.execute(taken, {"number": self._number}).scalar_one()
            self._connection.commit()
        except SQLAlchemyError:
            self.close()
            raise
        if not found:
            self.close()
            raise self._busy

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
