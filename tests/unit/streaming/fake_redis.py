"""A Redis for the session store, as far as its positions go."""

import redis

from connections.masters import Masters
from nextclick.topics import redis_store_key


class FakeRedis(Masters):
    """The store's own hash: what is written beside it is passed over, positions are noted.

    `fail` writes fail, and in each of the others `foreign` keys are another program's.
    """

    def __init__(self, fail=0, foreign=0):
        self.hash, self.clients, self.fail, self.foreign = {}, {"": None}, fail, foreign

    def send(self, calls):
        return [self._reply(key, *command) for key, command in calls]

    def _reply(self, key, name, *args):
        if name == "EVALSHA":
            return self._run(*args[1:])
        assert key == redis_store_key()
        if name == "HGETALL":
            return dict(self.hash)
        if name == "HGET":
            return self.hash.get(args[1].encode())
        if name == "DEL":
            self.hash.clear()
        if name == "HSET":
            self.hash |= {str(f).encode(): str(v).encode() for f, v in batched(args[1:])}
        return 1

    def _run(self, n_keys, *args):
        if self.fail:
            self.fail -= 1
            raise redis.ConnectionError
        keys, (_, entries, _, users, before, mark, *rest) = args[:n_keys], args[n_keys:]
        assert keys[-1] == redis_store_key()
        if self.hash.get(b"mark") not in (before.encode(), mark.encode()):
            return -1, b""
        places = rest[4 * entries + users :]
        self.hash |= {str(p).encode(): str(o).encode() for p, o in batched(places)}
        self.hash[b"mark"] = mark.encode()
        return self.foreign, keys[0].encode()


def batched(parts):
    return zip(parts[::2], parts[1::2], strict=True)
