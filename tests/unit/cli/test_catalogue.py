"""``nextclick catalogue``: items from files, and what keeps half a shop from being deleted."""

import dataclasses
import doctest
import gzip
import json
import sys

import grpc
import pytest

from cli import catalogue, interrupt, main
from cli.catalogues import held, sending, writing
from cli.catalogues.held import HeldItems
from cli.catalogues.sending import CALL_ITEMS, PATIENCE_S, Sender
from nextclick import (
    FieldFault,
    InvalidRequestError,
    Item,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
    decode_item,
    encode_item,
)
from nextclick.convert import item_from_proto, item_to_proto
from nextclick.limits import MAX_MESSAGE_BYTES
from nextclick.v1 import catalog_service_pb2 as pb
from nextclick.v1 import model_service_pb2 as model_pb
from tests.unit.cli.mistakes import check
from tests.unit.nextclick.fake_server import Fake, bad_request, serving


class Shop:
    """The client of a server whose catalogue is a dictionary; ``answers`` are raised first."""

    def __init__(self, *answers):
        self.answers, self.calls, self.items = list(answers), [], {}

    def put_items(self, items):
        self._answer([item.item_id for item in items])
        self.items |= {item.item_id: item for item in items}
        return len(items)

    def delete_items(self, item_ids):
        self._answer(item_ids)
        for item_id in item_ids:
            self.items.pop(item_id, None)
        return len(item_ids)

    def _answer(self, item_ids):
        self.calls.append(list(item_ids))
        if self.answers and (answer := self.answers.pop(0)):
            raise answer


class Time:
    """A clock that sleeping puts forward."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def sender(shop, rate=1e9, time=None):
    time = time or Time()
    return Sender(shop, rate, clock=time.clock, sleep=time.sleep)


def rows(*names):
    return [(line, Item(name)) for line, name in enumerate(names, 2)]


def refused(*places):
    faults = [FieldFault(f"items[{n}].title", "has 1300 bytes; send at most 1024") for n in places]
    return InvalidRequestError("", tuple(faults))


@pytest.mark.parametrize("module", [held, sending, writing])
def test_examples(module):
    """They say what the parts are for."""
    done = doctest.testmod(module)
    assert done.attempted
    assert not done.failed


def test_items_are_written_at_the_rate_that_was_asked_for():
    """Servers learn clicks meanwhile: a catalogue at full speed would keep these waiting."""
    time, shop = Time(), Shop()
    put = sender(shop, 1_000, time).put(rows(*map(str, range(3 * CALL_ITEMS))), None)
    assert sum(put) == len(shop.items) == 3 * CALL_ITEMS
    assert time.now == pytest.approx(2 * CALL_ITEMS / 1_000)


def test_a_call_takes_no_more_than_fits_into_a_message():
    """Long titles and attributes made a message of more than 4 MiB, which is refused as a whole."""
    shop = Shop()
    large = [
        (n, Item(str(n), attributes={str(k): "x" * 256 for k in range(32)})) for n in range(99)
    ]
    assert sum(sender(shop).put(large, None)) == 99
    assert len(shop.calls) == 2


def test_an_item_that_the_server_refuses_costs_no_other():
    """The server refuses the whole call: the others are sent again without it."""
    shop, told = Shop(refused(1, 3)), []
    put = sender(shop).put(rows("a", "b", "c", "d"), lambda *fault: told.append(fault))
    assert list(put) == [2]
    assert shop.calls == [["a", "b", "c", "d"], ["a", "c"]]
    reason = "title: more than 1024 bytes"
    assert told == [(3, reason), (5, reason)]


def test_a_call_of_nothing_but_faulty_items_is_not_sent_again():
    """An empty call would be refused, too."""
    shop = Shop(refused(0))
    assert list(sender(shop).put(rows("a"), lambda *_: None)) == [0]
    assert len(shop.calls) == 1


def test_a_server_that_is_away_for_a_while_is_waited_for():
    """A restart must not end an import of an hour, and a busy server is left alone."""
    time = Time()
    shop = Shop(None, UnavailableError(""), OverloadedError(""), UnavailableError(""))
    put = sender(shop, time=time).put(rows(*map(str, range(CALL_ITEMS + 1))), None)
    assert sum(put) == CALL_ITEMS + 1
    assert time.slept[-3:] == [0.5, 1, 2]


def test_a_server_that_stays_away_is_an_error():
    """Nobody would look after a job that waits for ever."""
    time = Time()
    shop = Shop(None, *[UnavailableError("")] * 1_000)
    with pytest.raises(UnavailableError):
        list(sender(shop, time=time).put(rows(*map(str, range(CALL_ITEMS + 1))), None))
    assert PATIENCE_S / 2 < time.now <= PATIENCE_S


@pytest.mark.parametrize("error", [UnavailableError(""), UnauthenticatedError("")])
def test_a_server_that_does_not_answer_at_first_is_an_error_at_once(error):
    """A mistyped port or a missing token is told now, not in two minutes."""
    time = Time()
    with pytest.raises(type(error)):
        list(sender(Shop(error), time=time).put(rows("a"), None))
    assert time.now == 0


RED, BLUE = Item("1", attributes={"colour": "red"}), Item("1", attributes={"colour": "blue"})


def test_what_the_catalogue_has_just_so_is_not_written_again():
    """Most of a nightly export is as it was: servers and learners would take it all in again."""
    had = Item("1", True, ("x",), {"a": "1", "b": "2"}, "t")
    same = Item("1", True, ("x",), {"b": "2", "a": "1"}, "t")
    for other in (
        Item("1", False, ("x",), {"a": "1", "b": "2"}, "t"),
        Item("1", True, ("y",), {"a": "1", "b": "2"}, "t"),
        Item("1", True, ("x",), {"a": "1"}, "t"),
        Item("1", True, ("x",), {"a": "1", "b": "2"}, "u"),
    ):
        catalogue = HeldItems([[("1", had)]])
        assert list(catalogue.changed([(2, same)])) == []
        assert list(catalogue.changed([(3, other)])) == [(3, other)]


def test_the_last_record_of_an_item_is_what_the_catalogue_has():
    """The topic keeps older ones until it is compacted."""
    catalogue = HeldItems([[("1", RED), ("2", Item("2"))], [("1", BLUE), ("2", None), ("3", None)]])
    assert catalogue.count == 1
    assert list(catalogue.changed([(2, BLUE)])) == []


def test_the_last_row_of_an_item_wins_on_every_night():
    """The second night, only its first row differed from the catalogue: it was put, and stayed."""
    nights = HeldItems([[("1", BLUE)]])
    assert list(nights.changed([(2, RED)])) == [(2, RED)]
    assert list(nights.changed([(3, BLUE)])) == [(3, BLUE)]


# ---- the commands, with a server that takes what is put, and a list in the place of the topic


@pytest.fixture
def shop(monkeypatch, tmp_path, capsys):
    """A function that runs ``nextclick catalogue`` in a folder; `items` is what the server has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "install", lambda: None)
    fake = Fake()
    items = {}

    def answer(_):
        request = fake.requests[-1]
        if isinstance(request, pb.PutItemsRequest):
            items.update({item.item_id: item_from_proto(item) for item in request.items})
            return pb.PutItemsResponse(accepted=len(request.items))
        if isinstance(request, pb.DeleteItemsRequest):
            for item_id in request.item_ids:
                items.pop(item_id, None)
            return pb.DeleteItemsResponse(accepted=len(request.item_ids))
        return model_pb.ListModelsResponse(models=[model_pb.Model(name="ranker")])

    fake.answers = [answer]
    monkeypatch.setattr(catalogue, "read_catalogue", lambda *_: [list(items.items())])

    class Run:
        def __init__(self):
            self.fake, self.items = fake, items

        def __call__(self, command, text, *options):
            (tmp_path / "items.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
            words = ["catalogue", command, "items.csv", "--json", "--grpc-port", port, *options]
            monkeypatch.setattr(sys, "argv", ["nextclick", *words])
            with pytest.raises(SystemExit) as end:
                main.main()
            out, self.said = capsys.readouterr()
            fields = json.loads(out) if out else {}
            fields.pop("seconds", None)
            return end.value.code, fields

        @property
        def writes(self):
            kinds = (pb.PutItemsRequest, pb.DeleteItemsRequest)
            return [r for r in fake.requests if isinstance(r, kinds)]

    with serving(fake) as target:
        port = target.rpartition(":")[2]
        yield Run()


def export(*numbers, end="\n"):
    """A shop's export: ids and titles."""
    return "id,title\n" + "\n".join(f"{n},Item {n}" for n in numbers) + end


def test_put_adds_and_replaces_and_deletes_what_says_so(shop):
    """All other items stay."""
    shop.items |= {"1": Item("1"), "3": Item("3"), "4": Item("4")}
    code, told = shop("put", "id,title,deleted\n1,One,\n2,Two,false\n3,,true\n")
    assert code == 0
    assert told == {"rows": 3, "refused": 0, "reasons": {}, "put": 2, "deleted": 1}
    expected = {"1": Item("1", title="One"), "2": Item("2", title="Two"), "4": Item("4")}
    assert shop.items == expected
    assert "3 rows, 2 items, 1 deletions" in shop.said


def test_an_item_that_is_too_large_is_told_with_its_line(shop):
    """By the server's own limits, which the client knows."""
    code, told = shop("put", export(1, 2) + f"3,{'x' * 1_025}\n")
    assert (code, told["put"], told["refused"]) == (0, 2, 1)
    assert told["reasons"] == {"title: more than 1024 bytes": 1}
    assert "line 4: 3,xxx" in shop.said


def test_what_the_server_alone_refuses_is_told_with_its_line(shop):
    """A server of another version may have other limits."""
    first, (answer,) = bad_request(("items[1].title", "is not for sale")), shop.fake.answers
    shop.fake.answers = [first, answer]
    code, told = shop("put", export(1, 2, 3))
    assert (code, told["put"], told["reasons"]) == (0, 2, {"title: is not for sale": 1})
    assert "line 3: 2,Item 2" in shop.said


def test_sync_writes_the_difference_and_no_more(shop):
    """The second run of a night's job finds nothing to do, and so does one that was ended."""
    shop("sync", export(*range(10)))
    assert len(shop.items) == 10
    before = len(shop.writes)
    code, told = shop("sync", export(*range(1, 11)).replace("Item 5", "Tie"), "--max-deleted", "10")
    assert code == 0
    counts = {"put": 2, "unchanged": 8, "deleted": 1, "withheld": 0}
    assert told == {"rows": 10, "refused": 0, "reasons": {}} | counts
    assert set(shop.items) == {str(n) for n in range(1, 11)}
    assert shop.items["5"].title == "Tie"
    after = len(shop.writes)
    assert after > before
    code, told = shop("sync", export(*range(1, 11)).replace("Item 5", "Tie"))
    assert (code, told["put"], told["unchanged"], told["deleted"]) == (0, 0, 10, 0)
    assert len(shop.writes) == after


def test_a_truncated_export_deletes_nothing(shop):
    """The disk was full, or the query was ended: half of the shop would be gone."""
    shop("sync", export(*range(100)))
    code, told = shop("sync", export(*range(1, 50)))
    assert (code, told["withheld"], told["deleted"]) == (1, 51, 0)
    assert len(shop.items) == 100
    assert "51 of the catalogue's 100 items (51.00 %)" in shop.said
    assert "--max-deleted" in shop.said
    code, told = shop("sync", export(*range(1, 50)), "--max-deleted", "60")
    assert (code, told["deleted"], len(shop.items)) == (0, 51, 49)


def test_an_archive_that_breaks_off_deletes_nothing(shop):
    """Its rows are written as they come, and then it ends too early."""
    shop("sync", export(*range(100)))
    whole = gzip.compress(export(*range(99)).encode())
    code, told = shop("sync", whole[:-8], "--max-deleted", "100")
    assert (code, told) == (1, {})
    assert len(shop.items) == 100


def test_a_row_that_may_be_of_any_item_keeps_all_from_being_deleted(shop):
    """It is the last line of a file that was cut off in it, or one that somebody has to correct."""
    shop("sync", export(*range(100)))
    code, told = shop("sync", export(*range(98)) + "98\n")
    assert (code, told["withheld"], told["refused"]) == (1, 2, 1)
    assert len(shop.items) == 100
    assert "rows that could not be read (1) may be of any of these" in shop.said


def test_an_item_whose_row_cannot_be_read_is_not_deleted(shop):
    """It is in the shop, although its title is too long, or its stock a word."""
    text = "id,title,stock\n" + "".join(f"{n},Item {n},1\n" for n in range(20))
    shop("sync", text)
    text = text.replace("3,Item 3,1", "3,Item 3,some").replace("4,Item 4,", f"4,{'x' * 1_025},")
    code, told = shop("sync", text.replace("5,Item 5,1\n", "", 1), "--available", "stock")
    assert (code, told["refused"], told["deleted"]) == (0, 2, 1)
    assert len(shop.items) == 19
    assert shop.items["4"].title == "Item 4"


def test_an_item_that_the_server_refuses_is_not_deleted(shop):
    """As above."""
    shop("sync", export(1, 2, 3))
    first, (answer,) = bad_request(("items[0].title", "is not for sale")), shop.fake.answers
    shop.fake.answers = [answer, first, answer]  # whom it serves, the refused put, all others
    code, told = shop("sync", export(1, 2, 3).replace("Item 2", "Tie"))
    assert (code, told["refused"], told["withheld"]) == (0, 1, 0)
    assert set(shop.items) == {"1", "2", "3"}


MISTAKES = {
    "put nowhere.csv": "Invalid value for 'files': file 'nowhere.csv' does not exist",
    "put empty.csv": "cannot read empty.csv: it is empty",
    "put sizes.csv": "no column of items is known ... --item",
    "put torn.csv.gz --item 2": "cannot read torn.csv.gz",
    "put clicks.csv --title name": "there is no column 'name' ... Say which with --title",
    "sync clicks.csv --max-deleted 101": "Invalid value for '--max-deleted'",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_told(mistaken, monkeypatch, words):
    """Before anything is written."""
    monkeypatch.setattr(catalogue, "read_catalogue", lambda *_: [])
    fake = Fake()
    fake.answers = [model_pb.ListModelsResponse(models=[model_pb.Model(name="ranker")])]
    with serving(fake) as target:
        port = target.rpartition(":")[2]
        check(mistaken("catalogue", *words.split(), "--grpc-port", port), MISTAKES[words])
    assert "/nextclick.v1.CatalogService/PutItems" not in fake.methods


def test_a_server_of_another_tenant_is_not_written_to(mistaken, monkeypatch):
    """What its catalogue has would be compared with somebody else's topic, and deleted."""
    monkeypatch.setattr(catalogue, "read_catalogue", lambda *_: [])
    fake = Fake()
    model = model_pb.Model(name="ranker", tenant="other")
    fake.answers = [model_pb.ListModelsResponse(models=[model])]
    with serving(fake) as target:
        port = target.rpartition(":")[2]
        said = mistaken("catalogue", "sync", "clicks.csv", "--grpc-port", port)
    check(said, "serves the tenant other, not no tenant")
    assert len(fake.requests) == 1


def test_a_server_without_the_token_is_told(mistaken):
    """As every command does."""
    fake = Fake()
    with serving(fake, token="open sesame") as target:
        port = target.rpartition(":")[2]
        said = mistaken("catalogue", "put", "clicks.csv", "--grpc-port", port)
    check(said, f"{target}: UNAUTHENTICATED ... NEXTCLICK_TOKEN_FILE")


def test_a_full_disk_of_the_server_is_told(mistaken):
    """An error that no item is at fault for ends the command."""
    fake = Fake()
    fake.answers = [grpc.StatusCode.INTERNAL]
    with serving(fake) as target:
        port = target.rpartition(":")[2]
        check(mistaken("catalogue", "put", "clicks.csv", "--grpc-port", port), "INTERNAL")


def test_an_item_that_says_anything_else_is_written_again():
    """A sync would keep an old price, or an old picture, for ever."""
    full = Item(
        "a",
        attributes={"b": "c"},
        kind="film",
        description="D",
        numbers={"price": 9.5},
        image_url="https://shop.example/a.jpg",
        page_url="https://shop.example/a",
        available_from_ms=1,
        available_until_ms=2,
        embedding=(0.1, 0.2),
    )
    table = HeldItems([[("a", decode_item(encode_item(full)))]])
    assert not list(table.changed([(1, full)]))
    changes = {
        "kind": "song",
        "description": "E",
        "numbers": {"price": 9.6},
        "image_url": "",
        "page_url": "",
        "available_from_ms": 0,
        "available_until_ms": 3,
        "embedding": (0.1, 0.3),
    }
    for name, value in changes.items():
        table = HeldItems([[("a", full)]])
        assert list(table.changed([(1, dataclasses.replace(full, **{name: value}))])), name


def test_large_items_fill_a_call_sooner():
    """A thousand vectors of a thousand numbers are beyond what a server takes in one call."""
    vector = (0.5,) * 1_024
    shop = Shop()
    items = [(n, Item(f"i{n}", embedding=vector, description="d" * 8_000)) for n in range(500)]
    assert sum(sender(shop).put(items, lambda *_: None)) == 500
    largest = max(len(call) for call in shop.calls)
    message = pb.PutItemsRequest(items=[item_to_proto(item) for _, item in items[:largest]])
    assert message.ByteSize() < MAX_MESSAGE_BYTES / 4
