"""Messages of any kind for hypothesis, made from their descriptors."""

import math

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st


def _one_nan(value):
    """JSON has no sign for it."""
    return math.nan if math.isnan(value) else value


SCALARS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32).map(_one_nan),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats().map(_one_nan),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_STRING: st.text(max_size=5),
}


DEEPEST = 5
"""Messages in each other that are drawn: some may contain their own kind."""


@st.composite
def messages(draw, kind, depth=1):
    """Draw a message whose fields are set or not."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        nested = field.message_type is not None and not field.message_type.GetOptions().map_entry
        if (depth < DEEPEST or not nested) and draw(st.booleans()):
            _set(draw, message, field, depth)
    return message


def _set(draw, message, field, depth):
    held = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = _value(field.message_type.fields_by_name["value"], depth)
        held.update(draw(st.dictionaries(st.text(max_size=5), value, max_size=3)))
    elif field.label == FieldDescriptor.LABEL_REPEATED:
        held.extend(draw(st.lists(_value(field, depth), max_size=3)))
    elif field.message_type is not None:
        held.CopyFrom(draw(_value(field, depth)))
    else:
        setattr(message, field.name, draw(_value(field, depth)))


def _value(field, depth):
    if field.message_type is not None:
        return messages(GetMessageClass(field.message_type), depth + 1)
    if field.enum_type is not None:
        known = [value.number for value in field.enum_type.values]
        return st.sampled_from([*known, max(known) + 1])  # one of a newer server
    return SCALARS[field.cpp_type]
