"""How does a custom audience of Facebook Ads take members? Hashed rows, in sessions, through Meta's SDK.

`keys` and `normalise` (what a person is known by), `phones`, `rows` (a customer's row, kept for its removal),
`account` (limits of an ad account), `transport` and `graph` (calls, by the SDK), `failures` (what an error
means), `reconcile` (which rows were refused), `target` (the destination). The SDK is imported by `graph` and
`transport` alone, and they only when an audience is opened.
"""
