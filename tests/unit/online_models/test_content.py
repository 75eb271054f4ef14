"""Content vectors: the basis against plain numpy, items that come and go, neighbours by content."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.content import basis as bases
from online_models.content.basis import Corpus
from online_models.content.terms import ITEM_TERMS, TERMS, Content, counted, term_number, unit
from online_models.content.vectors import CHANGED_LEAST, OLD_S, ContentVectors
from online_models.engine import By, Engine, Filter
from online_models.memory.layout import Limits
from online_models.ranking.page import FILL_SCORE

LIMITS = Limits(max_items=512, max_sessions=64, pairs=64)
KINDS = {
    "drama": "the king and his sorrow in an old castle",
    "space": "rockets stars meteors a lonely robot far away",
    "shoes": "red leather soles for running through deep rain",
}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def film(kind, number):
    """A film of a kind: some of its words, and one that no other has."""
    words = KINDS[kind].split()
    return Content(
        (kind,), title=f"{words[number % 8]} {words[(number + 3) % 8]} unique{kind}{number}"
    )


def known(n, clock=None, **options):
    """Vectors of ``n`` films: those in rows r, r + 3, ... are alike."""
    vectors = ContentVectors(LIMITS.rows, clock or Clock(), **options)
    for row in range(1, n + 1):
        vectors.put(row, counted(film(list(KINDS)[row % 3], row)))
    vectors.refit()
    return vectors


def all_vectors(content, n):
    return np.array([content.generation.index.vector(row) for row in range(1, n + 1)])


def test_what_is_alike_is_near():
    """A shop would show boots beside films."""
    content = known(60)
    rows, cosines = content.near(7, 19)
    assert {row % 3 for row in rows.tolist()} == {7 % 3}
    assert (np.diff(cosines) <= 0).all()
    assert cosines[-1] > 0.05 > abs(content.cosines(7, np.array([8]))[0])
    assert 7 not in rows


def test_an_item_gets_the_vector_that_a_fit_would_give_it():
    """What is projected and what was fitted would lie apart: new items would be near nothing."""
    content = known(60)
    fitted = all_vectors(content, 60)
    for row in range(1, 61):
        content.put(row, counted(Content()))
        content.put(row, counted(film(list(KINDS)[row % 3], row)))
    np.testing.assert_allclose(all_vectors(content, 60), fitted, atol=1e-5)
    content.refit()
    np.testing.assert_array_equal(all_vectors(content, 60), fitted)


def test_a_new_item_is_found_at_once():
    """It would be recommended by content only once the next basis is there."""
    content = known(60)
    content.put(100, counted(film("space", 5)))
    alike = [row for row in range(1, 61) if list(KINDS)[row % 3] == "space"]
    assert 100 in content.near(alike[0], 20)[0]
    content.remove(100)
    assert 100 not in content.near(alike[0], 60)[0]
    assert not content.has(100)
    assert (content.n_known, content.n_vectors) == (60, 60)


def test_what_the_basis_knows_nothing_of_has_no_vector_until_the_next_one():
    """A vector of nothing would be near everything."""
    content = known(60)
    content.put(100, counted(Content(("never seen",), title="unheard of")))
    assert (content.n_known, content.n_vectors) == (61, 60)
    content.refit()
    assert content.has(100)


rows_of_terms = st.lists(
    st.lists(st.integers(1, 40), min_size=0, max_size=6), min_size=2, max_size=30
)


def corpus_of(lists, embeddings=None):
    terms = np.zeros((len(lists), ITEM_TERMS), np.int32)
    counts = np.zeros((len(lists), ITEM_TERMS), np.uint8)
    for i, words in enumerate(lists):
        for j, (word, n) in enumerate({w: words.count(w) for w in words}.items()):
            terms[i, j], counts[i, j] = word, n
    none = np.zeros((len(lists), 0), np.float32)
    return Corpus(terms, counts, none if embeddings is None else embeddings)


def dense(lists, embeddings):
    """The weights by the formula of the module, in plain Python."""
    n = len(lists)
    having = [sum(t in words for words in lists) for t in range(41)]
    out = np.zeros((n, 41 + embeddings.shape[1]))
    for i, words in enumerate(lists):
        for t in set(words):
            out[i, t] = (1 + np.log(words.count(t))) * (1 + np.log((1 + n) / (1 + having[t])))
        length = np.linalg.norm(out[i])
        share = np.sqrt(0.5) if words and embeddings[i].any() else 1
        out[i] *= share / length if length else 0
        out[i, 41:] = embeddings[i] * share
    return out


@settings(max_examples=15, deadline=None)
@given(rows_of_terms, st.booleans())
def test_with_few_dimensions_cosines_are_those_of_the_weights(lists, embedded):
    """Up to 64 dimensions, nothing is lost: cosines are those of TF-IDF itself."""
    rng = np.random.default_rng(len(lists))
    embeddings = np.zeros((len(lists), 5 if embedded else 0), np.float32)
    for i in range(0, len(lists) if embedded else 0, 2):
        embeddings[i] = unit(rng.normal(size=5))
    corpus = corpus_of(lists, embeddings)
    vectors = bases.fit(corpus).project(corpus)
    whole = dense(lists, embeddings)
    lengths = np.linalg.norm(whole, axis=1)
    for i in range(len(lists)):
        for j in range(len(lists)):
            if lengths[i] and lengths[j]:
                expected = whole[i] @ whole[j] / lengths[i] / lengths[j]
                assert vectors[i] @ vectors[j] == pytest.approx(expected, abs=2e-3)


def test_the_basis_is_that_of_the_singular_value_decomposition():
    """With more dimensions, the 64 that say most are kept."""
    rng = np.random.default_rng(3)
    lists = [(1 + (40 * rng.random(8) ** 2).astype(int)).tolist() for _ in range(300)]
    embeddings = np.array([unit(rng.normal(size=80) / np.arange(1, 81)) for _ in lists])
    corpus = corpus_of(lists, embeddings)
    vectors = bases.fit(corpus).project(corpus)
    left, values, _ = np.linalg.svd(dense(lists, embeddings), full_matrices=False)
    expected = left[:, :64] * values[:64]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=0.02)


def test_the_same_items_give_the_same_basis():
    """Two servers would answer differently."""
    corpus = corpus_of([[1, 2], [2, 3], [3, 4, 4]] * 10)
    a, b = bases.fit(corpus), bases.fit(corpus)
    np.testing.assert_array_equal(a.of_terms, b.of_terms)


def test_embeddings_of_a_shop_count_beside_the_words():
    """Pictures that are alike would be no neighbours, whatever the shop knows of them."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(2, 300))
    vectors = {row: unit(centres[row % 2] + 0.3 * rng.normal(size=300)) for row in range(1, 41)}
    content = ContentVectors(LIMITS.rows, Clock(), vectors.get)
    for row, embedding in vectors.items():
        content.put(row, counted(Content(title=f"item {row}", embedding=embedding.tolist())))
    content.refit()
    assert {row % 2 for row in content.near(4, 15)[0].tolist()} == {0}
    content.put(50, counted(Content(embedding=vectors[4].tolist())))
    assert content.near(50, 1)[0].tolist() == [4]
    content.put(51, counted(Content(title="item 4", embedding=[1.0, 2.0])))
    assert content.has(51), "a vector of another width is passed over, the words count"


@pytest.mark.parametrize("embedding", [[], [0.0] * 4, [np.nan], [np.inf, 1], [1e300, 1.0]])
def test_an_embedding_without_a_direction_is_none(embedding):
    """It would make every vector no number."""
    assert unit(embedding) is None


def test_terms_are_bounded():
    """A long description may not take the memory of others."""
    words = " ".join(map(str, range(10, 999)))
    item = counted(Content(("c",), title="x " * 400, description=words))
    assert (item.terms > 0).all()
    assert item.terms.max() < TERMS
    assert item.terms[0] == term_number("c:c")
    long = counted(Content(description="again " * 1_000))
    assert long.counts[0] == 255


def test_a_basis_is_due_once_enough_has_changed_or_it_is_old():
    """It would be fitted with each new item, or never again."""
    clock = Clock()
    content = known(60, clock)
    assert not content.due
    content.put(100, counted(film("space", 7)))
    content.put(100, counted(film("space", 7)))
    assert not content.due
    clock.now += OLD_S + 1
    assert content.due
    content.refit()
    assert not content.due
    for row in range(101, 100 + CHANGED_LEAST):
        content.put(row, counted(film("drama", row)))
    assert not content.due
    content.put(400, counted(film("drama", 400)))
    assert content.due


def test_what_changes_during_a_fit_is_in_the_next_generation():
    """An item that was added then would be missing until the next fit, a deleted one be found."""
    content = known(60)
    content.begin()
    made = content.make()
    content.put(100, counted(film("space", 5)))
    content.remove(3)
    assert not content.take_over(made, 1)
    assert content.take_over(made, 1)
    assert content.has(100)
    assert not content.has(3)
    assert content.n_vectors == content.n_known == 60


def test_a_fit_that_failed_is_due_again():
    """Content would stand still until the next change."""
    content = known(60)
    content.begin()
    assert not content.due
    content.give_up()
    content._clock.now += OLD_S + 1
    assert content.due


# ---- neighbours in answers


@pytest.fixture
def shop():
    """Films of three kinds; those of two kinds are watched together, some by nobody."""
    engine = Engine(LIMITS)
    content = engine.begin_content(Clock())
    for number in range(60):
        kind = list(KINDS)[number % 3]
        is_now = film(kind, number)
        row = engine.put_item(f"{kind}{number}", categories=(kind, f"n{number % 2}"))
        content.put(row, counted(is_now))
    content.refit()
    for start in range(0, 30, 3):
        session = engine.open_session()
        for number in (start, start + 1):
            engine.learn(session, f"{list(KINDS)[number % 3]}{number}")
    return engine


def names(engine, ranked, n=None):
    return [engine.item_id(row) for row in ranked.rows[:n]]


def test_neighbours_by_content_are_alike_best_first(shop):
    """They would be those of behaviour, whatever was asked for."""
    ranked = shop.similar(shop.row("drama30"), 10, by=By.CONTENT)
    assert all(name.startswith("drama") for name in names(shop, ranked))
    assert "drama30" not in names(shop, ranked)
    assert (ranked.n_ranked, ranked.n_near) == (0, 10)
    assert (np.diff(ranked.scores) <= 0).all()
    assert 0 < ranked.scores[-1] <= ranked.scores[0] <= 1.001


def test_neighbours_by_behaviour_are_those_of_before(shop):
    """The default must not change under who asks without the new field."""
    row = shop.row("drama0")
    plain, asked = shop.similar(row, 10), shop.similar(row, 10, by=By.BEHAVIOUR)
    assert names(shop, plain, 1) == ["space1"]
    np.testing.assert_array_equal(plain.rows, asked.rows)
    shop.content = None
    np.testing.assert_array_equal(plain.rows, shop.similar(row, 10).rows)


def test_a_mix_has_the_best_of_both(shop):
    """One of the two would be buried under the other."""
    ranked = shop.similar(shop.row("drama0"), 10, by=By.MIX)
    answered = names(shop, ranked)
    assert "space1" in answered[:2]
    assert sum(name.startswith("drama") for name in answered) >= 8
    assert len(set(answered)) == 10


@pytest.mark.parametrize("by", [By.CONTENT, By.MIX])
def test_filters_hold_for_neighbours(shop, by):
    """A filter is a promise to the caller, whoever finds the items."""
    flt = Filter(("n1",), (shop.row("drama33"),))
    answered = names(shop, shop.similar(shop.row("drama30"), 20, flt, by))
    assert all(int("".join(filter(str.isdigit, name))) % 2 for name in answered)
    assert "drama33" not in answered
    assert "drama39" in answered
    shop.delete_item("drama39")
    assert "drama39" not in names(shop, shop.similar(shop.row("drama30"), 20, flt, by))


@pytest.mark.parametrize("by", [By.CONTENT, By.MIX])
def test_an_item_without_content_has_a_page_of_popular_ones(shop, by):
    """The call would fail for an item that was clicked before the catalogue had it."""
    shop.learn(shop.open_session(), "unheard")
    ranked = shop.similar(shop.row("unheard"), 10, by=by)
    assert len(ranked.rows) == 10
    assert ranked.n_near == 0
    assert ranked.scores[0] <= FILL_SCORE


def test_an_item_that_leaves_is_nobodys_neighbour():
    """Its row may be that of another item a moment later."""
    engine = Engine(Limits(max_items=32, max_sessions=64, pairs=64))
    content = engine.begin_content(Clock())
    for number in range(30):
        row = engine.put_item(f"i{number}", categories=("a",))
        content.put(row, counted(film("space", number)))
    content.refit()
    gone = engine.row("i3")
    engine.leave(gone)
    assert not content.has(gone)
    assert gone not in content.near(engine.row("i4"), 30)[0]
