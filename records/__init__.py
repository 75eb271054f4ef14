"""Binary records of the topics: both ways side by side, so that neither changes alone.

Arrays are little endian, on every machine. Encoders take what the models hold; decoders raise
`RecordError`, and nothing else, whatever the bytes are.
"""
