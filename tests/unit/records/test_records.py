"""Binary records: what one room writes, another reads the same."""

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextclick.limits import MAX_ID_BYTES, MAX_KEPT_VERSIONS, MAX_KEY_BYTES, MAX_SAMPLED_PERIODS
from nextclick.v1 import learning_pb2 as pb
from online_models.learners.ranker import RankerLearner
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features.registry import N_FEATURES, SCHEMA
from online_models.ranking.ranker_weights import RankerWeights
from online_models.vectors.two_towers import DIMENSIONS
from records import example, item_vectors, ranker_weights
from records.errors import RecordError
from records.example import Example
from records.item_vectors import ItemVectors
from records.session_life import Applied

halves = st.floats(-60_000, 60_000, width=16)
"""Numbers that a record keeps to the bit."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 2**32 - 1)


@st.composite
def examples(draw):
    n = draw(st.integers(0, 5))
    return Example(
        draw(texts),
        Applied(draw(counts), draw(counts), draw(counts)),
        draw(npst.arrays(np.float32, (N_FEATURES, n), elements=halves, fill=halves)),
        draw(st.integers(-1, n - 1)),
        draw(st.sampled_from([(), tuple(f"i{i}" for i in range(n))])),
    )


@given(examples())
def test_an_example_comes_back_as_it_was(given_example):
    """The ranker would learn from a case that nobody had."""
    got = example.decode(example.parse(example.encode(given_example)))
    assert got._replace(features=None) == given_example._replace(features=None)
    assert np.array_equal(got.features, given_example.features)
    packed = example.pack_features(given_example.features)
    assert np.array_equal(example.unpack_features(packed), given_example.features)


def test_features_too_large_for_halves_are_clipped():
    """An infinite feature would make the ranker's weights no numbers."""
    features = np.full((N_FEATURES, 1), 1e9, np.float32)
    assert (example.unpack_features(example.pack_features(features)) == example.LARGEST).all()


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e6])
def test_vectors_that_are_no_numbers_are_refused(number):
    """One such item among the candidates made the features of all of them no numbers."""
    good, bad = np.ones((2, DIMENSIONS), np.float32)
    bad[3] = number
    with np.errstate(over="ignore"):
        values = (
            item_vectors.encode(ItemVectors(good, bad)),
            item_vectors.encode(ItemVectors(bad, good)),
        )
    for value, field in zip(values, ("target", "context"), strict=True):
        with pytest.raises(RecordError, match=f"{field}.* not finite"):
            item_vectors.decode(value)


vectors = npst.arrays(np.float32, DIMENSIONS, elements=halves, fill=halves)


@given(vectors, vectors, counts, st.lists(counts, max_size=4))
def test_item_vectors_come_back_as_they_were(context, target, version, offsets):
    """Replicas would find neighbours by vectors that were never learned."""
    got = item_vectors.decode(item_vectors.encode(ItemVectors(context, target, version, offsets)))
    assert np.array_equal(got.context, context)
    assert np.array_equal(got.target, target)
    assert (got.version, list(got.offsets)) == (version, offsets)


@given(st.integers(0, 2**32 - 1), counts)
def test_weights_come_back_as_they_were(seed, steps):
    """A replica would rank with other weights than the learner's."""
    rng = np.random.default_rng(seed)
    weights = RankerWeights(
        *(rng.random(n, dtype=np.float32) for n in ranker_weights.SIZES.values()), steps
    )
    state = pb.LearnerState(version=3, learned=steps)
    got = ranker_weights.decode(ranker_weights.encode(state, weights))
    assert got.fits
    assert got.weights.steps == steps
    for name in ranker_weights.SIZES:
        assert np.array_equal(getattr(got.weights, name), getattr(weights, name))
    assert got.state == pb.LearnerState(version=3, learned=steps)


def test_sizes_are_those_that_the_learner_has():
    """A learner's own weights would be refused."""
    weights = RankerLearner().weights()
    assert {n: getattr(weights, n).size for n in ranker_weights.SIZES} == ranker_weights.SIZES


def test_a_state_without_weights_has_none():
    """The vectors' learner publishes where it stands, and no weights."""
    got = ranker_weights.decode(ranker_weights.encode(pb.LearnerState(version=2)))
    assert (got.weights, got.fits) == (None, None)
    assert got.state.version == 2


def test_weights_of_other_features_do_not_fit():
    """Read under another schema they would rank at random."""
    state = pb.LearnerState(learned=7, weights=pb.RankerWeights(feature_schema="other"))
    got = ranker_weights.decode(state.SerializeToString())
    assert (got.weights, got.fits) == (None, False)
    assert got.state == pb.LearnerState(learned=7)


def sound_example():
    features = np.ones((N_FEATURES, 3), np.float32)
    return pb.Example.FromString(example.encode(Example("s", Applied(7, 2, 9), features, 1)))


BITS = N_FEATURES * 3 // 8
"""Bytes of the bits of three candidates."""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("feature_schema", "other"),
        ("target", 4),
        ("candidates", CANDIDATES + 1),
        ("candidate_ids", ["a", "b"]),
        ("packed_features", b""),
        ("packed_features", b"\xff" * (BITS - 1)),
        ("packed_features", b"\xff" * BITS + bytes(2 * N_FEATURES * 3 - 1)),
        ("packed_features", b"\xff" * BITS + bytes(2 * N_FEATURES * 3 + 2)),
        ("packed_features", b"\x7f" * BITS + bytes(2 * N_FEATURES * 3)),
        ("packed_features", b"\xff" * BITS + b"\x00\x7c" * N_FEATURES * 3),
    ],
)
def test_a_faulty_example_is_refused_by_its_field(field, value):
    """It would be learned as noise, and nobody would know why."""
    message = sound_example()
    message.ClearField(field)
    message.MergeFrom(pb.Example(**{field: value}))
    with pytest.raises(RecordError, match=f"^{field}: ") as caught:
        example.decode(message)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("n", "size"), [(3, 2 * N_FEATURES * 3 - 2), (3, 0), (CANDIDATES + 1, None)]
)
def test_a_faulty_example_of_the_version_before_is_refused(n, size):
    """They are still on the topic after an upgrade."""
    size = 2 * N_FEATURES * n if size is None else size
    message = pb.Example(
        feature_schema=SCHEMA, item_ids=[f"c{i}" for i in range(n)], features=bytes(size)
    )
    with pytest.raises(RecordError, match=r"^(features|candidates): "):
        example.decode(message)


@pytest.mark.parametrize("field", ["incarnation", "appended_ms"])
def test_a_click_of_before_1970_is_refused(field):
    """It cannot be noted: the ranker job would fail of it, again and again."""
    message = sound_example()
    setattr(message, field, -1)
    with pytest.raises(RecordError, match="must not be negative"):
        example.parse(message.SerializeToString())


def test_an_example_of_the_version_before_is_read():
    """It named its candidates and packed nothing; a job is upgraded with days of them to read."""
    features = np.arange(N_FEATURES * 3, dtype=np.float32).reshape(N_FEATURES, 3)
    message = pb.Example(
        feature_schema=SCHEMA,
        session_id="s",
        seq=4,
        item_ids=["a", "b", "c"],
        features=example.pack_features(features),
        target=3,
    )
    got = example.decode(message)
    assert (got.session_id, got.click, got.target) == ("s", Applied(version=4), 2)
    assert got.item_ids == ("a", "b", "c")
    assert np.array_equal(got.features, features)


def test_an_example_takes_no_more_bytes_than_documented():
    """A topic that is bounded in bytes holds as many hours as its records are small."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 30_000, (N_FEATURES, CANDIDATES)).astype("<u2").view("<f2")
    click = Applied(2**62, 5_000, 2**62)
    value = example.encode(Example("s" * MAX_KEY_BYTES, click, noise.astype(np.float32), 63))
    assert len(value) <= 12_000
    ids = ("x" * MAX_ID_BYTES,) * CANDIDATES
    named = Example("s" * MAX_KEY_BYTES, click, noise.astype(np.float32), 63, ids)
    assert len(example.encode(named)) <= 29_000


@pytest.mark.parametrize("field", ["context", "target"])
@pytest.mark.parametrize("size", [0, 1, 2 * DIMENSIONS - 2, 2 * DIMENSIONS + 2])
def test_vectors_of_another_length_are_refused(field, size):
    """A short one would be broadcast over the item's row."""
    sound = {"context": bytes(2 * DIMENSIONS), "target": bytes(2 * DIMENSIONS)}
    message = pb.ItemVectors(**sound | {field: bytes(size)})
    with pytest.raises(RecordError, match=f"^{field}: has {size} bytes"):
        item_vectors.decode(message.SerializeToString())


def weights(learned=7, **changes):
    """A record of the ranker's weights, all 0 but what is changed."""
    arrays = {name: bytes(4 * size) for name, size in ranker_weights.SIZES.items()}
    message = pb.RankerWeights(feature_schema=SCHEMA, **arrays | changes)
    return pb.LearnerState(weights=message, learned=learned).SerializeToString()


@pytest.mark.parametrize("field", ranker_weights.SIZES)
def test_weights_of_another_length_are_refused(field):
    """One number would be broadcast over all weights, the rest changed already."""
    with pytest.raises(RecordError, match=rf"^weights\.{field}: has 4 bytes"):
        ranker_weights.decode(weights(**{field: bytes(4)}))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(number):
    """A single one spreads to all scores, to what is learned from them, to the next snapshot."""
    half = np.full(DIMENSIONS, number, np.float16).tobytes()
    vectors = pb.ItemVectors(context=bytes(2 * DIMENSIONS), target=half)
    with pytest.raises(RecordError, match=r"^target: has a number that is not finite"):
        item_vectors.decode(vectors.SerializeToString())
    for name, size in ranker_weights.SIZES.items():
        with pytest.raises(RecordError, match=rf"^weights\.{name}: has a number"):
            ranker_weights.decode(weights(**{name: np.full(size, number, np.float32).tobytes()}))


def test_weights_that_cannot_be_are_refused():
    """The root of a negative variance is no number, and neither is what is normalised with it."""
    size = ranker_weights.SIZES["variance"]
    with pytest.raises(RecordError, match=r"^weights\.variance: "):
        ranker_weights.decode(weights(variance=np.full(size, -1, np.float32).tobytes()))
    with pytest.raises(RecordError, match=r"^learned: "):
        ranker_weights.decode(weights(learned=1 << 63))


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("kept_versions", [1] * MAX_KEPT_VERSIONS),
        ("sampled", [pb.SampledPeriod()] * MAX_SAMPLED_PERIODS),
    ],
)
def test_more_than_a_learner_keeps_is_refused(field, most):
    """A record has room for 130,000 versions, and `ListModels` copies them for every caller."""
    assert ranker_weights.decode(pb.LearnerState(**{field: most}).SerializeToString())
    with pytest.raises(RecordError, match=rf"^{field}: has {len(most) + 1} entries"):
        ranker_weights.decode(pb.LearnerState(**{field: [*most, most[0]]}).SerializeToString())


@pytest.mark.parametrize("decode", [example.parse, item_vectors.decode, ranker_weights.decode])
def test_torn_records_are_refused(decode):
    """Compacted topics live for years, through every bug of a producer."""
    with pytest.raises(RecordError, match=r"^record: "):
        decode(b"\xff\xff")


def test_features_of_half_a_candidate_are_refused():
    """Stored cases are read back without a message around them."""
    with pytest.raises(RecordError, match="features"):
        example.unpack_features(bytes(2 * N_FEATURES + 2))
