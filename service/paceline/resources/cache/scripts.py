"""What runs within Redis or Valkey: reading, writing and forgetting a key are one step each there."""

from typing import Final

READ: Final = """
local version = redis.pcall('GET', KEYS[1])
if type(version) ~= 'string' then
  version = ARGV[1]
  redis.call('SET', KEYS[1], version, 'EX', ARGV[2])
end
local content = redis.pcall('GET', KEYS[2])
if type(content) ~= 'string' then content = false end
return {version, content}
"""
"""KEYS: version, entry. ARGV: a new version, seconds. Returns the version in force and the entry."""

WRITE: Final = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1
"""
"""KEYS: version, entry. ARGV: the version that was read, the entry, seconds. Returns whether it was written."""

FORGET: Final = """
redis.call('DEL', KEYS[1], KEYS[2])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
"""
"""KEYS: version, entry. ARGV: channel, message."""

_TROUBLE: Final = frozenset({"ConnectionError", "ClusterError", "TimeoutError"})


def refused(error: BaseException) -> bool:
    """Whether the server is there and does not want this command, or all connections of our pool are in use: no reason
    to leave it alone."""
    names = {
        kind.__name__ for kind in type(error).__mro__ if kind.__module__ in ("redis.exceptions", "valkey.exceptions")
    }
    if "MaxConnectionsError" in names or str(error) == "Too many connections":  # so in older redis-py
        return True
    return bool({"ResponseError", "DataError"} & names) and not _TROUBLE & names
