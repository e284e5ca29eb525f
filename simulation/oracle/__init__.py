"""The oracle: watches a run and says what must never be, from the invariants alone.

It knows the words that are spoken and none of the code that speaks them: a bug that it shared it could not see.
"""
