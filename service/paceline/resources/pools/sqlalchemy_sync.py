"""Limits the pool of a SQLAlchemy engine whose connections threads use. See sqlalchemy.py, of which it is a variant."""

import threading
from typing import Any, Final

from paceline.errors import AcquireTimeout
from paceline.resources.blocking_limiter import BlockingLimiter
from paceline.resources.pools.sqlalchemy import SqlalchemyPool, acquire_timeout, close, empty, transport

_ROOM_SECONDS: Final = 0.1


class SyncSqlalchemyPool(SqlalchemyPool):
    """A permit belongs to one checkout of one connection record; threads wait for it, first come, first served.

    What a shrink made too many is closed in a thread of its own: the event loop, where limits move, does not wait.
    """

    limiter: BlockingLimiter  # type: ignore[assignment]  # the same attributes, and it blocks
    make_limiter = BlockingLimiter  # type: ignore[assignment]

    def __init__(self, name: str, pool: Any, limit: int) -> None:
        super().__init__(name, pool, limit)
        self._changed = threading.Condition(threading.RLock())
        self._closing_records = 0

    def sockets(self) -> list[Any]:
        records = [*self._granted, *self._pool._pool.queue]
        connections = [each.driver_connection for each in records]
        return [found for each in connections if each is not None and (found := transport(each)) is not None]

    def trim(self) -> None:
        with self._changed:
            records = []
            while self.open - self._closing_records > self.needed:
                try:
                    records.append(self._pool._pool.get(block=False))
                except empty():
                    break
                self._closing_records += 1
        if records:
            close_them = threading.Thread(
                target=self._close_all, args=(self._pool, records), name=f"paceline-trim-{self.name}", daemon=True
            )
            close_them.start()

    def get(self, pool: Any) -> Any:
        """SQLAlchemy's own `_do_get`, behind the limiter."""
        self._closed = False
        try:
            granted = self.limiter.acquire(pool._timeout)
        except AcquireTimeout as error:
            raise acquire_timeout()(str(error)) from None
        try:
            self._make_room(pool)
            record = self._base._do_get(pool)
        except BaseException:
            self.limiter.release(granted)
            raise
        with self._changed:
            self._granted[record] = granted
            self._strays += pool is not self._pool
        return record

    def give_back(self, pool: Any, record: Any) -> None:
        """SQLAlchemy's own `_do_return_conn`; what a shrink made too many is closed and not kept."""
        with self._changed:
            granted = self._granted.pop(record, None)
            stray = pool is not self._pool
            surplus = self.open - self._closing_records > max(self.limiter.limit, self.limiter.in_use - 1)
        try:
            if stray:
                close(pool, record)  # nobody will ask this pool for it again
                with self._changed:
                    self._strays -= 1
            elif surplus:
                close(pool, record)
            else:
                self._base._do_return_conn(pool, record)
        finally:
            if granted is not None:
                self.limiter.release(granted)

    def _make_room(self, pool: Any) -> None:
        """Waits for connections that are being closed, where another would be one too many for the server."""
        with self._changed:
            while self._closing_records and not pool.checkedin() and self.open >= self.needed:
                self._changed.wait(_ROOM_SECONDS)

    def _close_all(self, pool: Any, records: list[Any]) -> None:
        for record in records:
            try:
                close(pool, record)
            finally:
                with self._changed:
                    self._closing_records -= 1
                    self._changed.notify_all()
