"""The trail that can be proven: `trail` is the service. Entries are written by `services.record`, in the transaction of
the change.
"""
