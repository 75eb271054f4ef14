"""The example of a catalogue from PostgreSQL, with a real one."""

import json
from functools import partial

import pytest

from cli.stack.layout import Ports
from nextclick import Item
from tests.catalogue.conftest import EXAMPLES, example

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed (extra dev)")


@pytest.fixture(scope="module")
def connect(database):
    """A function that connects; the shop's table is there."""
    of = database.environment
    connect = partial(
        psycopg.connect, host=of["PGHOST"], user=of["PGUSER"], dbname=of["PGDATABASE"]
    )
    with connect() as connection:
        connection.execute((EXAMPLES / "products.sql").read_text())
    return connect


@pytest.fixture
def products(connect):
    """A connection to an empty table that commits each statement."""
    with connect(autocommit=True) as connection:
        connection.execute("TRUNCATE products")
        yield connection


@pytest.fixture
def run(database, shop, tmp_path):
    """A function that runs the example once; returns its exit code and what it has logged."""

    def run(*options, server=shop.target, overlap=600):
        done = example(
            "from_postgres.py",
            *("--server", server, "--state", str(tmp_path / "state.json")),
            *("--overlap", str(overlap), *options),
            environment=database.environment,
        )
        _, said = done.communicate(timeout=120)
        return done.returncode, said

    return run


def insert(connection, *numbers, title="Shoe"):
    columns = "id, title, brand, categories, stock"
    for n in numbers:
        connection.execute(
            f"INSERT INTO products ({columns}) VALUES (%s, %s, %s, %s, %s)",
            (n, f"{title} {n}", "Acme" if n % 2 else None, ["Shoes", "Sale"], n % 3),
        )


def item(n, title="Shoe"):
    return Item(
        str(n),
        available=n % 3 > 0,
        categories=("Shoes", "Sale"),
        attributes={"brand": "Acme"} if n % 2 else {},
        title=f"{title} {n}",
        kind="product",
    )


def test_what_a_product_is_comes_along(products, shop, run):
    """Each column that the table has for it."""
    insert(products, 4)
    products.execute(
        "UPDATE products SET kind = 'film', summary = 'A crew.', price = 9.90, year = 1979,"
        " image_url = 'https://shop.example/4.jpg', page_url = 'https://shop.example/4',"
        " sold_from = '2026-11-28 03:00Z', sold_until = '2026-11-29 03:00Z',"
        " embedding = '{0.5,-2}' WHERE id = 4"
    )
    code, said = run()
    assert code == 0, said
    found = shop.items["4"]
    assert (found.kind, found.description) == ("film", "A crew.")
    assert found.numbers == {"price": 9.9, "year": 1979.0}
    assert (found.image_url, found.page_url) == (
        "https://shop.example/4.jpg", "https://shop.example/4",
    )  # fmt: skip
    assert found.available_from_ms == 1_795_834_800_000
    assert found.available_until_ms == 1_795_921_200_000
    assert found.embedding == (0.5, -2.0)


def test_a_catalogue_follows_a_table(products, shop, run):
    """All products at first, then what has changed, and those that are sold no more."""
    insert(products, *range(1, 1_101))
    code, said = run()
    assert code == 0, said
    assert shop.active == {str(n): item(n) for n in range(1, 1_101)}
    records = shop.records()
    code, said = run(overlap=0)
    assert (code, shop.records()) == (0, records), said
    products.execute("UPDATE products SET title = 'Hat', stock = 0 WHERE id = 5")
    products.execute("UPDATE products SET deleted_at = now() WHERE id = 6")
    insert(products, 2_000)
    code, said = run(overlap=0)
    assert code == 0, said
    assert shop.records() == records + 3
    assert shop.items["6"] is None
    assert (shop.items["5"].title, shop.items["5"].available) == ("Hat", False)
    assert shop.items["2000"] == item(2_000)


def test_a_transaction_that_ends_late_is_made_up_for_by_the_overlap(connect, products, shop, run):
    """Its rows have times of before the last run, and were not visible to that."""
    with connect() as writer:
        insert(writer, 3_001)
        insert(products, 3_002)
        assert run()[0] == 0
        assert "3002" in shop.active
        writer.commit()
    assert run(overlap=0)[0] == 0
    assert "3001" not in shop.active
    assert run()[0] == 0
    assert shop.active["3001"] == item(3_001)


def test_a_run_that_fails_is_made_up_for_by_the_next(products, shop, run, tmp_path):
    """The server may be away for a night."""
    insert(products, 4_001)
    assert run()[0] == 0
    state = json.loads((tmp_path / "state.json").read_text())
    insert(products, 4_002)
    code, said = run(server=f"127.0.0.1:{Ports.free().grpc}", overlap=0)
    assert code != 0
    assert "UNAVAILABLE" in said
    assert json.loads((tmp_path / "state.json").read_text()) == state
    assert run(overlap=0)[0] == 0
    assert shop.active["4002"] == item(4_002)


def test_a_product_beyond_the_limits_costs_no_other(products, shop, run):
    """The server refuses whole calls: one long title would keep all changes from the catalogue."""
    insert(products, 5_001)
    insert(products, 5_002, title="x" * 1_025)
    insert(products, 5_003)
    code, said = run()
    assert code == 0
    assert "product 5002 is left out: title: has 1030 bytes" in said
    assert {"5001", "5003"} <= set(shop.active)
    assert "5002" not in shop.active
