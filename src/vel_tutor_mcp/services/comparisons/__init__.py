"""Comparisons: one prompt asked of several models, whose answers people rate. `comparing` is the service, `standings`
what all ratings come to, by the test of `significance`; `told` is how they are shown.
"""
