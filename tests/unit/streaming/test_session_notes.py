"""Notes on sessions: they take a fixed room, and what they forget is not applied twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nextclick.v1.session_pb2 import SessionRecord
from records.session_life import Applied
from streaming.tasks.session_notes import NOTES_A_PAGE, Note, SessionNotes

NOBODY = Note(Applied(), -1)


def test_a_note_is_that_of_the_last_put():
    """The learner skips what the note says it has learned."""
    notes = SessionNotes()
    assert notes.get("s") == NOBODY
    notes.put("s", Applied(100, 1, 100), 7)
    notes.put("s", Applied(100, 2, 105), 8)
    assert notes.get("s") == Note(Applied(100, 2, 105), 8)
    assert notes.get("t").number == -1


def test_a_restart_changes_nothing():
    """A crash must leave the order, too, in which notes are forgotten."""
    notes, undisturbed, rows = SessionNotes(pages=4), SessionNotes(pages=4), {}
    for n in range(10 * NOTES_A_PAGE):
        for table in (notes, undisturbed):
            table.put(f"s{n % 150}", Applied(n, 1, n), n)
        if n % 7 == 0:
            rows |= notes.changes()
            notes = SessionNotes(pages=4)
            assert list(notes.load([*rows.items(), ("i5", b"row")])) == [("i5", b"row")]
    assert rows | notes.changes() == undisturbed.changes()


def test_only_pages_that_changed_are_written():
    """A batch of clicks writes as many pages at most as it has clicks."""
    notes = SessionNotes()
    for n in range(10_000):
        notes.put(f"s{n}", Applied(n, 1, n), n)
    assert notes.changes()
    notes.put("s5", Applied(5, 2, 10_000), 5)
    notes.get("s6")
    assert len(notes.changes()) == 1
    assert not notes.changes()


def test_they_take_a_fixed_room():
    """Bots and busy years bring sessions without end."""
    notes, rows, sizes = SessionNotes(pages=8), {}, []
    for n in range(100 * NOTES_A_PAGE):
        notes.put(f"s{n}", Applied(n, 1, n), n)
        rows |= notes.changes()
        sizes.append(sum(map(len, rows.values())))
    assert sizes[-1] == sizes[len(sizes) // 2] == 8 * (8 + 32 * NOTES_A_PAGE)


def test_the_longest_unchanged_note_is_forgotten():
    """Sessions that go on keep theirs."""
    notes = SessionNotes(pages=1)
    notes.put("goes on", Applied(1, 1, 1), 1)
    for n in range(3 * NOTES_A_PAGE):
        notes.put(f"s{n}", Applied(10 + n, 1, 10 + n), n)
        notes.put("goes on", Applied(1, 2 + n, 10 + n), 1)
    assert notes.get("goes on").number == 1
    assert notes.get("s0") == Note(Applied(0, 0, 10 + 2 * NOTES_A_PAGE), -1)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 79), min_size=1, max_size=400),
    st.integers(0, 3),
    st.booleans(),
)
def test_no_click_is_applied_twice_or_missed_however_much_is_forgotten(visits, repeated, return_):
    """Records come in the order of arrival, each with all steps, some of them again."""
    notes = SessionNotes(pages=1)
    lives, applied = {}, []
    for now_ms, session in enumerate(visits, 1_000):
        life = lives.setdefault(session, [])
        if return_ and len(life) == 5:
            life.clear()
        life.append(now_ms)
        record = SessionRecord(session_id=str(session), incarnation=life[0], appended_ms=now_ms)
        record.version = len(life)
        for seq, appended_ms in enumerate(life, 1):
            record.steps.add(seq=seq, appended_ms=appended_ms)
        for _ in range(1 + repeated):
            applied += apply(notes, record)
    assert applied == list(range(1_000, 1_000 + len(visits)))


def apply(notes, record):
    """The times of a record's steps that are new, as the learner finds them."""
    note = notes.get(record.session_id)
    if not note.applied.precedes(record):
        return []
    version = note.applied.version_in(record)
    notes.put(record.session_id, Applied.after(record), note.number)
    return [step.appended_ms for step in record.steps if step.seq > version]
