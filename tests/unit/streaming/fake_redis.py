"""A Redis for the session store, as far as its positions go."""

import redis

from connections.masters import Masters
from nextclick.topics import redis_store_key
from streaming.session_writer import WRITE


class FakeRedis(Masters):
    """The store's own hash: what is written beside it is passed over, positions are noted.

    `fail` writes fail, and in each of the others `foreign` keys are another program's.
    """

    def __init__(self, fail=0, foreign=0):
        self.hash, self.clients, self.fail, self.foreign = {}, {"": None}, fail, foreign

    def send(self, calls):
        return [self._reply(key, *command) for key, command in calls]

    def _reply(self, key, name, *args):
        if name == "EVALSHA" and args[0] == WRITE.sha:
            if self.fail:
                self.fail -= 1
                raise redis.ConnectionError
            return self.foreign, key.encode()
        assert key == redis_store_key()
        if name == "EVALSHA":
            return self._note(*args[3:])
        if name == "HGETALL":
            return dict(self.hash)
        if name == "HGET":
            return self.hash.get(args[1].encode())
        if name == "DEL":
            self.hash.clear()
        if name == "HSET":
            self.hash |= {str(f).encode(): str(v).encode() for f, v in batched(args[1:])}
        return 1

    def _note(self, mark, new_mark, *places):
        if self.hash.get(b"mark") not in (mark.encode(), new_mark.encode()):
            return 0
        self.hash |= {str(p).encode(): str(o).encode() for p, o in batched(places)}
        self.hash[b"mark"] = new_mark.encode()
        return 1


def batched(parts):
    return zip(parts[::2], parts[1::2], strict=True)
