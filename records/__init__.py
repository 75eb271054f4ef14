"""Binary records of the topics: encoder and decoder side by side, so that neither changes alone.

Arrays are little endian on every machine. Encoders take arrays of the models; decoders raise
`RecordError`, and nothing else, for bytes that they cannot use.
"""
