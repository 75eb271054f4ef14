"""Reads files of catalogue items as shops export them, block by block.

Files are opened and split into columns and rows by `evaluation.click_files`; here is what is of
items: `roles` (what their columns are called), `columns` (which column is what), `cells` (what they
say), `reader` (items, and what could not be read), `report`.
"""
