"""Files of items as shops export them: read right, or refused with a sentence, never misread."""

import gzip
import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
import zstandard

from evaluation.click_files import content, opening
from evaluation.errors import UnreadableFileError
from evaluation.item_files.columns import ItemColumns
from evaluation.item_files.reader import ItemFile
from nextclick import Item, encode_item

CSV = (
    "sku,name,categories,availability,brand,price\n"
    '17,"Shoe, red",Shoes|Sale,in stock,Acme,19.90\n'
    "18,Hat,Hats,out of stock,,5\n"
)
ITEMS = [
    Item(
        "17",
        categories=("Shoes", "Sale"),
        attributes={"brand": "Acme"},
        title="Shoe, red",
        numbers={"price": 19.9},
    ),
    Item("18", available=False, categories=("Hats",), title="Hat", numbers={"price": 5.0}),
]
OBJECTS = [
    {"id": 17, "title": "Shoe, red", "categories": ["Shoes", "Sale"], "available": True,
     "attributes": {"brand": "Acme"}, "price": 19.9},
    {"id": 18, "title": "Hat", "categories": "Hats", "available": False, "attributes": None,
     "numbers": {"price": 5}},
]  # fmt: skip
LINES = "".join(json.dumps(entry) + "\n" for entry in OBJECTS)


def read(path, raw=None, **columns):
    """Return the items and the report of a file."""
    if raw is not None:
        path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    file = ItemFile(path, ItemColumns(**columns))
    return [item for block in file.blocks() for _, item in block.rows], file.report


def told(report):
    return "\n".join(report.lines())


@pytest.mark.parametrize(
    "raw",
    [
        CSV,
        CSV.replace("\n", "\r\n"),
        "\ufeff" + CSV,
        CSV.encode("utf-16"),
        gzip.compress(CSV.encode()),
        zstandard.compress(CSV.encode()),
        CSV.replace(",", ";").replace("Shoe;", "Shoe,"),
        CSV.replace('"Shoe, red"', "Shoe, red").replace(",", "\t").replace("Shoe\t", "Shoe,"),
        LINES,
    ],
    ids=["CSV", "CRLF", "BOM", "UTF-16", "gzip", "zstd", "semicolons", "TSV", "JSON Lines"],
)
def test_the_same_items_are_read_from_every_format(tmp_path, raw):
    """A shop's export is read as it is."""
    items, report = read(tmp_path / "items", raw)
    assert items == ITEMS
    assert (report.items, report.refused.total) == (2, 0)


def test_parquet_with_lists_numbers_and_maps(tmp_path):
    """What a warehouse exports: typed columns, and maps as lists of pairs."""
    frame = pl.DataFrame(
        {
            "product_id": [17, 18],
            "title": ["Shoe, red", "Hat"],
            "categories": [["Shoes", "Sale"], ["Hats"]],
            "stock": [3, 0],
            "attributes": [[{"key": "brand", "value": "Acme"}], None],
            "price": [19.9, 5],
        }
    )
    frame.write_parquet(tmp_path / "items.parquet")
    items, report = read(tmp_path / "items.parquet")
    assert items == ITEMS
    assert ("available", "stock") in report.columns


def test_what_columns_were_taken_for_is_told(tmp_path):
    """Somebody can see that a column is missing, and say which it is."""
    _, report = read(tmp_path / "items.csv", CSV)
    assert report.lines() == [
        "items.csv: comma-separated, 2 rows, 2 items",
        "  item: sku",
        "  title: name",
        "  available: availability",
        "  category: categories (separated by '|')",
        "  attributes: brand",
        "  numbers: price",
    ]


def test_columns_that_somebody_names(tmp_path):
    """By name, by number, with a separator, or none."""
    text = "a,b,c,d,e\n7,Shoe,Women/Shoes,9.5,x\n"
    items, _ = read(
        tmp_path / "f",
        text,
        item="a",
        title="2",
        categories=["c=/"],
        attributes=["d", "e"],
    )
    described = {"d": "9.5", "e": "x"}
    assert items == [Item("7", categories=("Women", "Shoes"), attributes=described, title="Shoe")]
    none = {key: ["-"] for key in ("categories", "attributes", "numbers")}
    items, report = read(tmp_path / "f", CSV, title="-", **none)
    assert "price; --attribute makes a column an attribute, --number a number" in told(report)
    assert items == [Item("17"), Item("18", available=False)]
    with pytest.raises(UnreadableFileError, match=r"no column 'colour'.*--attribute"):
        read(tmp_path / "f", CSV, attributes=["colour"])


@pytest.mark.parametrize(
    ("header", "cell", "expected"),
    [
        ("categories", "Shoes|Sale", ("Shoes", "Sale")),
        ("categories", '"Shoes, Sale"', ("Shoes", "Sale")),
        ("categories", "\"['Shoes', 'Sale']\"", ("Shoes", "Sale")),
        ("category", '"Bags, Wallets"', ("Bags, Wallets",)),
        ("product_type", "Women > Shoes", ("Women", "Shoes")),
        ("category", "", ()),
        ("category", "Sale|Sale", ("Sale",)),
    ],
)
def test_cells_of_categories(tmp_path, header, cell, expected):
    """A comma belongs to a category's name unless the column is named as a list."""
    items, _ = read(tmp_path / "f", f"id,{header},x\n7,{cell},1\n")
    assert items[0].categories == expected


def test_levels_of_a_category_are_categories(tmp_path):
    """Warehouses have a column a level."""
    items, _ = read(tmp_path / "f", "id,category_l1,category_l2\n7,Women,Shoes\n8,Men,\n")
    assert [item.categories for item in items] == [("Women", "Shoes"), ("Men",)]


FULL = Item(
    "f1",
    kind="film",
    description="A crew, a monster.",
    numbers={"price": 9.9, "year": 1979.0},
    image_url="https://shop.example/f1.jpg",
    page_url="http://shop.example/f1",
    available_from_ms=1_795_834_800_000,
    available_until_ms=1_795_921_200_000,
    embedding=(0.5, -2.0),
)


@pytest.mark.parametrize(
    "raw",
    [
        "id,kind,description,price,year,image_link,link,available_from,expires_at,embedding\n"
        'f1,film,"A crew, a monster.",9.90 EUR,1979,https://shop.example/f1.jpg,'
        'http://shop.example/f1,2026-11-28T03:00Z,1795921200,"[0.5, -2]"\n'
        "f2,,,,,,,,,\n",
        encode_item(FULL) + b"\n" + encode_item(Item("f2")) + b"\n",
        json.dumps(
            {
                "id": "f1",
                "item_type": "film",
                "summary": "A crew, a monster.",
                "numbers": {"price": 9.9, "year": "1979"},
                "image": "https://shop.example/f1.jpg",
                "url": "http://shop.example/f1",
                "valid_from": "2026-11-28 03:00:00",
                "valid_until": 1_795_921_200_000,
                "vector": [0.5, -2],
            }
        )
        + '\n{"id": "f2"}\n',
    ],
    ids=["CSV", "topic", "JSON Lines"],
)
def test_what_an_item_is_is_read_from_every_format(tmp_path, raw):
    """Kind, description, numbers, addresses, the time in which it may be shown, its vector."""
    items, report = read(tmp_path / "f", raw)
    assert items == [FULL, Item("f2")]
    assert not report.refused.total


def test_typed_columns_of_parquet(tmp_path):
    """A warehouse has times as times, and vectors as lists or arrays of floats."""
    frame = pl.DataFrame(
        {
            "id": ["f1"],
            "available_from": [datetime(2026, 11, 28, 3, tzinfo=UTC)],
            "expires_at": [date(2026, 11, 29)],
            "embedding": pl.Series([[0.5, -2.0]], dtype=pl.Array(pl.Float32, 2)),
            "year": [1979],
        }
    )
    frame.write_parquet(tmp_path / "f")
    [item], report = read(tmp_path / "f")
    assert item.available_from_ms == FULL.available_from_ms
    assert item.available_until_ms == 1_795_910_400_000
    assert (item.embedding, item.numbers) == ((0.5, -2.0), {"year": 1979.0})
    assert ("from", "available_from") in report.columns


@pytest.mark.parametrize(
    ("option", "cell", "reason"),
    [
        ("numbers", "much", "a number that is not understood"),
        ("starts", "tomorrow", "a time that is not understood"),
        ("embedding", "1 x 2", "an embedding that is no list of numbers"),
    ],
)
def test_a_cell_that_is_not_understood_costs_its_row(tmp_path, option, cell, reason):
    """Of columns that somebody has named; those that are guessed are passed over."""
    named = ["x"] if option == "numbers" else "x"
    text = f"id,x\n1,\n2,{cell}\n3,\n"
    items, report = read(tmp_path / "f", text, **{option: named})
    assert [item.item_id for item in items] == ["1", "3"]
    assert dict(report.refused.counts) == {reason: 1}


def test_guessed_columns_can_be_read(tmp_path):
    """A column of another meaning must not cost half of the rows, and then the file."""
    text = "id,price,link,image,expires_at\n1,on request,/i/1,cat.jpg,never\n2,low,/i/2,x,soon\n"
    items, _ = read(tmp_path / "f", text)
    assert items == [Item("1"), Item("2")]


def test_the_separator_is_that_of_the_file_not_of_its_first_rows(tmp_path):
    """An export that is sorted has one category in each of its first 100 rows."""
    rows = "".join(f"{n},Shoes\n" for n in range(200))
    items, _ = read(tmp_path / "f", f"id,categories\n{rows}999,Shoes;Sale\n")
    assert items[-1].categories == ("Shoes", "Sale")


def test_what_the_topic_holds_can_be_read_from_a_file(tmp_path):
    """Deletions, too: they say so in `state`."""
    items = [*ITEMS, Item("gone", deleted=True)]
    text = "".join(encode_item(item).decode() + "\n" for item in items)
    found, report = read(tmp_path / "items", text)
    assert found == items
    assert (report.items, report.deletions) == (2, 1)


def test_rows_marked_as_deleted_are_deletions(tmp_path):
    """A nightly difference has tombstones: a flag, or the time of the deletion."""
    text = "id,title,deleted_at\n1,a,\n2,b,2026-11-27 03:00:00\n"
    assert read(tmp_path / "f", text)[0] == [Item("1", title="a"), Item("2", deleted=True)]
    text = "id,title,state\n1,a,CA\n2,b,TX\n"  # an address, not a state of the item
    assert [item.deleted for item in read(tmp_path / "f", text)[0]] == [False, False]


@pytest.mark.parametrize(
    ("row", "reason", "named"),
    [
        ("19,Cap\n", "not 3 fields, as the first line has", False),
        (",Cap,yes\n", "no item", False),
        ('19,"Cap,yes\n', "a quote in the wrong place, or one that is not closed", False),
        ("19,Cap,perhaps\n", "the availability is not understood", True),
    ],
)
def test_a_row_that_cannot_be_read_is_counted_and_quoted(tmp_path, row, reason, named):
    """It costs no other row; and whether it names its item decides what may be deleted."""
    text = f"id,title,available\n17,Shoe,yes\n18,Hat,no\n20,Tie,yes\n{row}"
    (tmp_path / "f").write_text(text)
    file = ItemFile(tmp_path / "f", ItemColumns(available="available"))
    blocks = list(file.blocks())
    assert [item.item_id for block in blocks for _, item in block.rows] == ["17", "18", "20"]
    assert [item for block in blocks for item in block.refused] == (["19"] if named else [])
    assert file.report.nameless == (0 if named else 1)
    assert f"refused: 1 of 4 rows\n    {reason}: 1\n      line 5: {row.strip()}" in told(
        file.report
    )


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"id": ["4", "5"], "title": "Cap"}, "no item"),
        ({"id": "4", "attributes": ["red", "blue"]}, "attributes that are no JSON object"),
        ({"id": "4", "attributes": ["red"]}, "attributes that are no JSON object"),
    ],
)
def test_a_list_where_a_value_belongs_costs_no_other_row(tmp_path, odd, reason):
    """The whole file was refused for such an id, and all rows of its block for such attributes."""
    rows = [
        {"id": "1", "title": "Shoe", "attributes": {"brand": "Acme"}},
        odd,
        {"id": "2", "title": "Hat", "attributes": None},
        {"id": "3", "title": "Tie"},
    ]
    items, report = read(tmp_path / "f", "".join(json.dumps(row) + "\n" for row in rows))
    assert items == [
        Item("1", title="Shoe", attributes={"brand": "Acme"}),
        Item("2", title="Hat"),
        Item("3", title="Tie"),
    ]
    assert dict(report.refused.counts) == {reason: 1}


@pytest.mark.parametrize("size", [1_000, 1 << 20])
def test_a_key_may_come_late(tmp_path, monkeypatch, size):
    """JSON leaves out what does not apply: the first deletion came after the first 100 rows, and
    the item was put."""
    monkeypatch.setattr(opening, "text_blocks", lambda path: content.text_blocks(path, size=size))
    monkeypatch.setattr(content, "READ_BYTES", min(size, 1 << 16))
    lines = [json.dumps({"id": f"i{n}", "title": "Hat"}) for n in range(200)]
    lines += ['{"id": "i7", "deleted": true}', '{"id": "i8", "available": false, "brand": "Acme"}']
    items, report = read(tmp_path / "f", "\n".join(lines))
    assert items[-2:] == [
        Item("i7", deleted=True),
        Item("i8", available=False, attributes={"brand": "Acme"}),
    ]
    assert ("deleted", "deleted") in report.columns


@pytest.mark.parametrize("cell", [[["Shoes"], ["Sale"]], [{"name": "Shoes"}]])
def test_categories_of_parquet_that_are_no_texts_are_refused(tmp_path, cell):
    """They ended the command with a traceback, or became categories such as {"Shoes"}."""
    pl.DataFrame({"id": ["17"], "categories": [cell]}).write_parquet(tmp_path / "f")
    with pytest.raises(UnreadableFileError, match=r"categories, .* type List.*--category"):
        read(tmp_path / "f")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "it is empty"),
        ("id,title\n", "no row below the names of its columns"),
        ("colour,price\nred,7\n", "no column of items is known.*--item"),
        ("id,title\n1,a,x\n2,b,x\n3,c\n", "2 of 3 rows cannot be read.*--item"),
        (gzip.compress(CSV.encode())[:-12], "cannot read"),
        ('[{"id": 1}]', "one JSON array"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, raw, sentence):
    """Before anything of it is written."""
    with pytest.raises(UnreadableFileError, match=sentence):
        read(tmp_path / "f", raw)


LINES_OF = {0: '{n},"a{n}, ""quoted""\nin two lines"\n', 1: '{n},a {n}" screen\n', 2: "{n},a{n}\n"}
ODD = "id,title\n" + "".join(
    f'{n},"never closed\n' if n == 200 else LINES_OF[n % 3].format(n=n) for n in range(300)
)


@pytest.mark.parametrize("size", [1_000, 1 << 20])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_blocks_of_any_size_hold_the_same_rows(tmp_path, monkeypatch, size, pack):
    """Wherever a block ends: within a row of two lines, or after a quote that is never closed."""
    (tmp_path / "f").write_bytes(pack(ODD.encode()))
    monkeypatch.setattr(opening, "text_blocks", lambda path: content.text_blocks(path, size=size))
    monkeypatch.setattr(content, "READ_BYTES", min(size, 1 << 16))
    file = ItemFile(tmp_path / "f")
    blocks = list(file.blocks())
    assert (len(blocks) > 1) is (size < 1 << 20) or pack is zstandard.compress
    found = {line: item.title for block in blocks for line, item in block.rows}
    assert len(found) == 299
    assert found[2] == 'a0, "quoted"\nin two lines'
    assert found[400] == 'a 298" screen'
    assert (file.report.rows, file.report.nameless) == (300, 1)
    assert 'line 269: 200,"never closed' in told(file.report)


def test_blocks_of_parquet_hold_the_same_rows(tmp_path, monkeypatch):
    """The numbers of refused rows are those of the file."""
    ids = [None if n == 7 else n for n in range(10)]
    pl.DataFrame({"id": ids}).write_parquet(tmp_path / "f")
    monkeypatch.setattr(opening, "BLOCK_ROWS", 4)
    items, report = read(tmp_path / "f")
    assert [item.item_id for item in items] == [str(n) for n in ids if n is not None]
    assert "line 8" in told(report)
    assert report.rows == 10


def test_a_file_that_breaks_off_is_refused_at_that_block(tmp_path, monkeypatch):
    """A copy that was cut off must not pass for a whole export."""
    packed = gzip.compress(("id,title\n" + "".join(f"{n},a\n" for n in range(9_000))).encode())
    (tmp_path / "f").write_bytes(packed[:-8])
    monkeypatch.setattr(opening, "text_blocks", lambda path: content.text_blocks(path, size=1_000))
    monkeypatch.setattr(content, "READ_BYTES", 100)
    blocks = ItemFile(tmp_path / "f").blocks()
    assert next(blocks).rows[0] == (2, Item("0", title="a"))
    with pytest.raises(UnreadableFileError, match=r"end-of-stream|ended before"):
        list(blocks)
